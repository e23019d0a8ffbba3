/// Random memory operations of guests, snapshots at random points, and resets and moves between
/// shells at random points, beside a model. After each restore every page is looked at as the vCPU
/// sees it (contents and rights: it is read, written, and executed), and every entry and byte is compared with those of a clone in a
/// fresh VM. On software KVM a translation that was not dropped shows (FACTS 3).

#include "../guest/mm_vm_machine.hpp"
#include "base/all_zero.hpp"
#include "guest/kernel/identity.hpp"
#include "guest/mm/window_copy.hpp"
#include "sandbox/memory_capture.hpp"
#include "sandbox/memory_restore.hpp"
#include "sandbox/table_pages.hpp"

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

using namespace mm_test;
using detail::memory_restored;
using detail::shell;
using detail::snapshot_image;

namespace {

constexpr std::uint64_t limit_pages = 1500;
/// Beside the arena: pages in ranges of their own, whose tables come and go.
constexpr std::uint64_t far_ranges = 20, far_pages = 3;
constexpr std::uint64_t far_page(std::uint64_t range) { return (range + 2) * 512; }

const vmm::kvm& the_kvm() {
    static const vmm::kvm kvm = vmm::kvm::open().value();
    return kvm;
}
std::unique_ptr<shell> new_shell() {
    return std::make_unique<shell>(
        vmm::vm::create(the_kvm(), {.memory = 16_MiB, .fast_syscalls = false}).value());
}

/// A snapshot beside what the model knows of it.
struct saved {
    std::shared_ptr<const snapshot_image> image;
    std::map<std::uint64_t, model_page> pages;
};

/// A guest that only has memory, in a shell that it may change.
struct resident : vm_machine {
    resident(unsigned seed, shell& s) : vm_machine(seed, s.vm, limit_pages), in(s) {
        s.blank = false;
        processor_accesses = 6;
    }
    guest::kernel_state kernel() {
        guest::kernel_state state = guest::make_initial_state({});
        state.processes.begin()->second.mm = w.state;
        state.frames = w.frames;
        return state;
    }
    /// As sandbox::snapshot does.
    saved snapshot() {
        auto image = std::make_shared<snapshot_image>();
        image->kernel = kernel();
        image->root = in.root;
        if (in.root) {
            auto written = detail::capture_written(w.memory, image->kernel, *in.root);
            REQUIRE(written.has_value());
            image->written = std::move(*written);
            image->base = in.root->base;
        } else {
            auto base = detail::capture_root(w.memory, image->kernel);
            REQUIRE(base.has_value());
            image->base = *base;
        }
        return {std::move(image), pages};
    }
    /// As sandbox::restore does.
    memory_restored restore(const saved& to) {
        in.spaces = {{w.state.root, w.state.tables, w.state.windows}};
        guest::kernel_state state = to.image->kernel;
        const auto done = detail::restore_memory(in, to.image, state);
        INFO((done.has_error() ? done.error().message() : ""));
        REQUIRE(done.has_value());
        w.state = std::move(state.processes.begin()->second.mm);
        w.frames = state.frames;
        w.space.emplace(w.state, w.frames, w.memory);
        pages = to.pages;
        return *done;
    }
    /// Guest code jumps there. @return whether an instruction could be fetched; whatever it was, with
    /// all registers zero and nothing mapped around zero it ends in an exception before long
    bool cpu_execute(gva a) {
        vmm::vcpu_state s;
        s.rip = a.value;
        vm.vcpu().set_state(s);
        for (int i = 0; i < 20; ++i) {
            const vmm::vm_exit exit = vm.vcpu().run(scope);
            if (std::holds_alternative<vmm::syscall_exit>(exit)) return true;
            if (std::holds_alternative<vmm::interrupted_exit>(exit)) continue;
            const auto* e = std::get_if<vmm::exception_exit>(&exit);
            REQUIRE(e != nullptr);
            constexpr std::uint32_t instruction_fetch = 1u << 4;  // SDM, "Page-Fault Exceptions"
            if (e->vector != 14 || e->fault_address != a || !(e->error_code & instruction_fetch))
                return true;
            if (w.space->fault(a, e->error_code) != fault_result::resolved) return false;
        }
        FAIL("the same fault again and again");
        return false;
    }
    [[nodiscard]] bool executable(std::uint64_t page) const {
        const auto it = pages.find(page);
        return it != pages.end() && !it->second.past_end() && it->second.prot.execute;
    }
    void execute(std::uint64_t page) {
        INFO("page " << page);
        const bool executed = cpu_execute(at(page));
        if (!w.frames.exhausted()) REQUIRE(executed == executable(page));
    }
    /// Makes a page executable, or no longer, and has the vCPU meet it like that.
    void flip(std::uint64_t page) {
        const auto it = pages.find(page);
        if (it == pages.end() || it->second.shared) return;
        it->second.prot.execute = !it->second.prot.execute;
        REQUIRE(w.space->protect(at(page), page_size, it->second.prot));
        execute(page);
    }
    void far_step() {
        const std::uint64_t from = far_page(below(far_ranges)) + below(far_pages - 1);
        const std::uint64_t n = 1 + below(2);
        switch (below(5)) {
            case 0:
                return unmap(from, n);
            case 1:
                return store(from);
            case 2:
                return processor(from);
            case 3:
                return execute(from);
            default:
                return map(from, n);
        }
    }
    /// Unmaps pages and maps new ones there, which get the same frames.
    void remake() {
        const std::uint64_t from = below(arena_pages - 8), n = 1 + below(7);
        unmap(from, n);
        address_space::map_request q;
        q.hint = at(from), q.length = n * page_size, q.prot = rw, q.fixed = true;
        REQUIRE(w.space->map(q));
        for (std::uint64_t i = from; i < from + n; ++i) {
            pages[i] = {rw, nullptr, 0, -1, false};
            if (below(2) != 0) processor(i);
        }
    }
    void some_steps(std::uint64_t n, bool far = true) {
        while (n-- > 0) {
            step();
            if (far && below(2) == 0) far_step();
            if (below(3) == 0) remake();
            if (below(2) == 0) flip(below(arena_pages));
        }
    }
    template <class F>
    void for_each_page(F&& f) {
        for (std::uint64_t p = 0; p < arena_pages; ++p) f(p);
        for (std::uint64_t r = 0; r < far_ranges; ++r)
            for (std::uint64_t p = 0; p < far_pages; ++p) f(far_page(r) + p);
    }
    /// Every page as the vCPU meets it. Storing what is there already changes no contents.
    void look() {
        for_each_page([&](std::uint64_t p) {
            const auto it = pages.find(p);
            const bool there = it != pages.end() && !it->second.past_end();
            INFO("page " << p);
            // First or last: an access that is refused makes KVM look at the entry again.
            const bool first = below(2) != 0;
            if (first) execute(p);
            char value = '?';
            const bool loaded = cpu_load(at(p), value);
            REQUIRE(loaded == (there && !it->second.prot.none()));
            if (loaded) REQUIRE(value == it->second.expected());
            const bool stored = cpu_store(at(p), loaded ? value : '!');
            REQUIRE(stored == (there && it->second.prot.write));
            if (stored) it->second.written = value;
            if (!first) execute(p);
        });
    }

    shell& in;
};

/// Entries and bytes alike; frames that nobody has are zero.
void compare(resident& tested, resident& fresh) {
    using detail::differ;
    REQUIRE(tested.w.state.vmas == fresh.w.state.vmas);
    REQUIRE(tested.w.state.windows == fresh.w.state.windows);
    std::vector<std::byte> a(page_size), b(page_size);
    const auto read = [](resident& r, page_entry e, std::vector<std::byte>& into) {
        const std::byte* const from = r.w.memory.base() + e.frame().value;
        if (e.has(page_entry::window))
            REQUIRE(copy_from_window(into.data(), from, page_size));
        else
            std::memcpy(into.data(), from, page_size);
    };
    tested.for_each_page([&](std::uint64_t p) {
        page_entry* const t = tested.w.entry(machine::at(p));
        page_entry* const f = fresh.w.entry(machine::at(p));
        const page_entry te = t ? *t : page_entry{}, fe = f ? *f : page_entry{};
        INFO("page " << p << std::hex << ", entries " << te.raw << ' ' << fe.raw);
        REQUIRE_FALSE(differ(te, fe));
        if (te.empty()) return;
        read(tested, te, a);
        read(fresh, fe, b);
        REQUIRE((a == b));
        if (!te.touched()) REQUIRE(all_zero(a));
    });
    for (auto* r : {&tested, &fresh}) {
        for (gpa at = layout::first_free; at.value < r->w.memory.size(); at += page_size) {
            const bool zero =
                !r->w.frames.is_free(at) || all_zero({r->w.memory.base() + at.value, page_size});
            if (!zero) FAIL("a free frame holds something: " << std::hex << at.value);
        }
    }
}

}  // namespace

TEST_CASE("whatever guests do, a restored memory is the snapshot's") {
    for (unsigned seed = 1; seed <= 6; ++seed) {
        std::mt19937 random(seed);
        const auto below = [&](std::uint64_t n) { return random() % n; };
        std::vector<std::unique_ptr<shell>> shells;
        std::vector<std::unique_ptr<resident>> residents;
        for (unsigned i = 0; i < 2; ++i) {
            shells.push_back(new_shell());
            residents.push_back(std::make_unique<resident>(seed * 100 + i, *shells.back()));
            residents.back()->some_steps(
                60, false);  // tables far away come later, in each environment its own way
        }
        // Two functions; from each a few environments over time.
        std::vector<saved> images;
        for (auto& r : residents) images.push_back(r->snapshot());
        int resets = 0, kept_in_place = 0;
        for (int round = 0; round < 24; ++round) {
            resident& r = *residents[below(residents.size())];
            // Mostly one that shares the root: that is where the recipes are.
            const saved* to = &images[below(images.size())];
            for (int tries = 0; tries < 3; ++tries) {
                const auto& root = to->image->root ? to->image->root : to->image;
                if (r.in.root == root) break;
                to = &images[below(images.size())];
            }
            const saved target = *to;
            const memory_restored done = r.restore(target);
            ++resets;
            if (!done.remapped) ++kept_in_place;
            r.w.check();
            const auto frames = r.w.frames;
            const auto& wanted = target.image->kernel.frames;
            REQUIRE(frames.limit_pages() == wanted.limit_pages());
            REQUIRE(frames.used_pages() - wanted.used_pages() ==
                    r.w.state.tables.size() -
                        target.image->kernel.processes.begin()->second.mm.tables.size());

            const auto other = new_shell();
            resident fresh(0, *other);
            fresh.restore(target);
            fresh.w.check();
            compare(r, fresh);
            if (below(2) == 0) {
                r.look();
                if (below(2) == 0) {  // looking wrote, so a reset has work to do
                    r.restore(target);
                    compare(r, fresh);
                }
            }
            r.some_steps(below(12));
            if (r.in.root && images.size() < 12 && below(3) == 0) images.push_back(r.snapshot());
        }
        REQUIRE(kept_in_place * 3 > resets);
    }
}

TEST_CASE("what was made executable is not after a reset, and what was is again") {
    const auto one = new_shell();
    resident a(1, *one);
    constexpr protection before[] = {r, rw, rx, {true, true, true}};
    for (std::uint64_t p = 0; p < std::size(before); ++p) {
        a.w.map(page_size, rw, machine::at(p));
        a.pages[p] = {rw, nullptr, 0, -1, false};
        a.store(p);
        REQUIRE(a.w.space->protect(machine::at(p), page_size, before[p]));
        a.pages[p].prot = before[p];
    }
    const saved root = a.snapshot();
    a.restore(root);
    for (int round = 0; round < 3; ++round) {
        a.look();
        if (round == 1) a.restore(root);  // once with pages that were not written, too
        for (std::uint64_t p = 0; p < std::size(before); ++p) a.flip(p);
        CHECK_FALSE(a.restore(root).remapped);
        for (std::uint64_t p = 0; p < std::size(before); ++p) a.execute(p);
    }
}

TEST_CASE("a table in the way of the snapshot's is not taken over in place") {
    const auto one = new_shell(), other = new_shell();
    resident a(1, *one), b(2, *other);
    const saved root = a.snapshot();
    a.restore(root);
    b.restore(root);
    const auto use = [](resident& r, std::uint64_t range) {
        r.w.map(page_size, rw, machine::at(far_page(range)));
        REQUIRE(r.cpu_store(machine::at(far_page(range)), static_cast<char>('0' + range)));
        r.pages[far_page(range)] = {rw, nullptr, 0, static_cast<int>('0' + range), false};
    };
    SECTION("its frame is another range's table") {
        use(a, 0);
        use(b, 1);
        REQUIRE(a.w.state.tables.back().frame == b.w.state.tables.back().frame);
    }
    SECTION("its range has a table in another frame") {
        use(a, 0);
        use(a, 1);
        use(b, 1);
        use(b, 0);
        REQUIRE(a.w.state.tables.back().frame == b.w.state.tables.back().frame);
    }
    SECTION("its frame holds data in the snapshot") {
        use(a, 0);
        const gpa table = a.w.state.tables.back().frame;
        const gva near_code = code + page_size;  // where there is a table
        b.w.map(page_size, rw, near_code);
        REQUIRE(b.cpu_store(near_code, 'd'));
        REQUIRE(b.w.entry(near_code)->frame() == table);
    }
    const saved wanted = b.snapshot();
    const auto done = a.restore(wanted);
    a.w.check();
    a.look();
    CHECK(done.remapped);
    CHECK(a.w.frames == wanted.image->kernel.frames);
}

TEST_CASE("tables spread far and wide are not left to the next guest") {
    const auto one = new_shell();
    resident a(1, *one);
    const saved root = a.snapshot();
    a.restore(root);
    const auto spread = [&](std::uint64_t ranges) {
        for (std::uint64_t i = 0; i < ranges; ++i) a.w.map(page_size, rw, machine::at(far_page(i)));
    };
    spread(10);
    CHECK_FALSE(a.restore(root).remapped);
    CHECK(a.w.frames.used_pages() == root.image->kernel.frames.used_pages() + 10);
    spread(limit_pages / 64 + 10);
    CHECK(a.restore(root).remapped);
    CHECK(a.w.frames == root.image->kernel.frames);
}

TEST_CASE("pages far from each other make few host mappings and are all there") {
    constexpr std::uint64_t every = 20, count = 300;
    auto builder = detail::memory_image::builder::create(64_MiB).value();
    const auto byte_of = [](std::uint64_t i) { return static_cast<std::byte>(1 + i % 200); };
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::vector<std::byte> page(page_size, byte_of(i));
        REQUIRE(
            builder.add(gpa{(16 + i * every + (i == 150 ? 7 : 0)) * page_size}, page).has_value());
    }
    const auto image = std::move(builder).finish().value();
    CHECK(image->extents().size() <= 128);
    CHECK(image->pages() == count);
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::byte* const page =
            image->page(gpa{(16 + i * every + (i == 150 ? 7 : 0)) * page_size});
        REQUIRE(page != nullptr);
        CHECK((*page == byte_of(i) && page[page_size - 1] == byte_of(i)));
        if (const std::byte* const gap = image->page(gpa{(16 + i * every + 9) * page_size}))
            CHECK(all_zero({gap, page_size}));
    }
}
