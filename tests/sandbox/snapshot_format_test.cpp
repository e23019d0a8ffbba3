#include "image/sha256.hpp"
#include "sandbox/snapshot_codec.hpp"
#include "sandbox/snapshot_header.hpp"
#include "stored_world.hpp"

#include <sched.h>

#include <chrono>

using namespace stored_test;
using Catch::Matchers::Contains;

namespace {

/// A full guest, stored at `file`.
struct stored : stored_world {
    host_directory store;
    std::filesystem::path file = store.path / "f-1.snapshot";
    snapshot_image image;

    stored() {
        fill();
        image = snapshot();
        REQUIRE(save_snapshot(file, key, image, "the worker's state", guest_files(*files)));
    }
    /// As another process would: with trees of its own.
    result<stored_snapshot> load(const std::string& packed = "packed file") {
        const auto again = filesystem_of(root, packed);
        return load_snapshot(file, key, guest_files(*again));
    }
    std::string refusal() {
        const auto loaded = load();
        REQUIRE_FALSE(loaded.has_value());
        CHECK(loaded.error() == errc::snapshot_unusable);
        return loaded.error().message();
    }
};

snapshot_header header_of(const std::string& file) {
    snapshot_header h;
    REQUIRE(file.size() >= sizeof h);
    std::memcpy(static_cast<void*>(&h), file.data(), sizeof h);
    return h;
}
/// The file with a header and digests that are right for its bytes.
std::string forged(std::string file, snapshot_header h) {
    h.body_digest = image::sha256_of(std::string_view(file).substr(4096));
    h.header_digest = {};
    h.header_digest = image::sha256_of({reinterpret_cast<const char*>(&h), sizeof h});
    std::memcpy(file.data(), &h, sizeof h);
    return file;
}

struct string_sink final : byte_sink {
    std::vector<std::byte> bytes;
    void write(std::span<const std::byte> what) override {
        bytes.insert(bytes.end(), what.begin(), what.end());
    }
};
std::vector<std::byte> encoded(const snapshot_image& s, const vfs::filesystem& files) {
    string_sink sink;
    REQUIRE(encode_state(sink, s, "attached", guest_files(files)));
    return std::move(sink.bytes);
}

std::ptrdiff_t offsetof_field(const snapshot_header& h, std::uint64_t snapshot_header::*field) {
    return reinterpret_cast<const char*>(&(h.*field)) - reinterpret_cast<const char*>(&h);
}

}  // namespace

TEST_CASE("a stored snapshot loads as it was saved, also by another process") {
    stored s;
    const auto files = filesystem_of(s.root);
    const auto loaded = load_snapshot(s.file, key, guest_files(*files));
    REQUIRE(loaded.has_value());
    CHECK(loaded->attachment == "the worker's state");
    CHECK(same_snapshot(loaded->image, s.image));
    // Byte for byte, so also what operator== does not look at.
    CHECK(encoded(loaded->image, *files) == encoded(s.image, *s.files));
    struct ::stat st {};
    REQUIRE(::stat(s.file.c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
    CHECK(st.st_size % 4096 == 0);
    CHECK(names_in(s.store.path) == std::set<std::string>{"f-1.snapshot"});
}

TEST_CASE("a guest goes on from a stored snapshot where it was") {
    stored s;
    const auto files = filesystem_of(s.root);
    auto loaded = load_snapshot(s.file, key, guest_files(*files));
    REQUIRE(loaded.has_value());
    guest::kernel kernel(loaded->image.kernel, files, s.memory, s.host);
    vmm::vcpu_state regs;
    kernel.state().tasks.begin()->second.signals.blocked = ~0ull;
    s.host.monotonic += 6s;
    CHECK(kernel.resume(regs).what != guest::step::kind::parked);
    CHECK(regs.rax == 0);
    for (const auto& [fd, d] : kernel.state().tables.begin()->second.value.all()) {
        if (kernel.state().vfs.find(d.description)->path != "/data/open") continue;
        regs.rax = SYS_read;
        regs.rdi = static_cast<std::uint64_t>(fd);
        regs.rsi = world::buffer;
        regs.rdx = 4;
        CHECK(kernel.on_syscall(regs).rax == 4);
        CHECK(s.get(world::buffer, 4) == "defg");
        break;
    }
}

TEST_CASE("content that many mappings share is stored once and shared again") {
    stored s;
    const auto loaded = s.load();
    REQUIRE(loaded.has_value());
    std::set<std::uint64_t> contents;
    unsigned areas = 0;
    for (const auto& [start, v] : loaded->image.kernel.processes.begin()->second.mm.vmas) {
        if (v.memory_file == 0) continue;
        ++areas;
        contents.insert(v.memory_file);
    }
    CHECK(areas == 16);
    REQUIRE(contents.size() == 1);
    CHECK(loaded->image.kernel.vfs.mapped_files.contains(
        static_cast<guest::vfs::inode_id>(*contents.begin())));
    CHECK(header_of(contents_of(s.file)).state_size < 200'000);
}

TEST_CASE("a snapshot of a guest that has nothing is stored, too") {
    const host_directory root, store;
    const auto files = filesystem_of(root);
    snapshot_image s;
    auto builder = memory_image::builder::create(byte_count(memory_size)).value();
    s.base = std::move(builder).finish().value();
    REQUIRE(save_snapshot(store.path / "s", "", s, "", guest_files(*files)));
    const auto loaded = load_snapshot(store.path / "s", "", guest_files(*files));
    REQUIRE(loaded.has_value());
    CHECK(same_snapshot(loaded->image, s));
    CHECK(loaded->image.base->pages() == 0);
}

TEST_CASE("a clone's snapshot is stored with its root") {
    stored s;
    auto root = std::make_shared<snapshot_image>(s.image);
    root->written = {};
    root->kernel.views.begin()->second.value.umask = 0;
    snapshot_image clone = s.image;
    clone.root = root;
    REQUIRE(save_snapshot(s.file, key, clone, "", guest_files(*s.files)));
    const auto loaded = s.load();
    REQUIRE(loaded.has_value());
    CHECK(same_snapshot(loaded->image, clone));
    SECTION("a root that has a root is none") {
        root->root = std::make_shared<snapshot_image>(*root);
        CHECK(save_snapshot(s.file, key, clone, "", guest_files(*s.files)).error() ==
              errc::invalid_argument);
        // The decoder does not go deeper, either.
        const auto bytes = encoded(clone, *s.files);
        snapshot_image image;
        std::string attachment;
        CHECK_FALSE(decode_state(bytes, guest_files(*s.files), image, attachment).has_value());
    }
}

TEST_CASE("a snapshot that was cut short anywhere is refused") {
    stored s;
    const std::string whole = contents_of(s.file);
    std::vector<std::size_t> sizes{0, 1, 15, 16, 17, 4095};
    for (std::size_t at = 4096; at < whole.size(); at += 8192)
        for (const std::size_t n : {at - 1, at, at + 1, at + 1000}) sizes.push_back(n);
    for (const std::size_t n : sizes) {
        if (n >= whole.size()) continue;
        INFO(n << " of " << whole.size() << " bytes");
        write_file(s.file, std::string_view(whole).substr(0, n));
        CHECK_THAT(s.refusal(), Contains(n == 0 ? "it is not a snapshot" : "it is cut short"));
    }
    write_file(s.file, whole + '\0');
    CHECK_THAT(s.refusal(), Contains("longer than it was"));
}

TEST_CASE("a snapshot with any bit flipped is refused") {
    stored s;
    const std::string whole = contents_of(s.file);
    std::minstd_rand next(7);
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < 176; ++at) places.push_back(at);
    for (int i = 0; i < 200; ++i) places.push_back(next() % whole.size());
    places.push_back(whole.size() - 1);
    for (const std::size_t at : places) {
        std::string bad = whole;
        bad[at] = static_cast<char>(bad[at] ^ (1 << next() % 8));
        write_file(s.file, bad);
        INFO("byte " << at);
        const std::string why = s.refusal();
        if (at < 16)
            CHECK_THAT(why, Contains("it is not a snapshot"));
        else if (at < 20)
            CHECK_THAT(why, Contains("it is of format"));
        else
            CHECK_THAT(why, Contains("its checksum is wrong"));
    }
    write_file(s.file, whole);
    CHECK(s.load().has_value());
}

TEST_CASE("a snapshot of another format, build, CPU or function says so") {
    stored s;
    const std::string whole = contents_of(s.file);
    const snapshot_header good = header_of(whole);
    SECTION("newer") {
        auto h = good;
        h.version = snapshot_header::current_version + 1;
        write_file(s.file, forged(whole, h));
        CHECK_THAT(s.refusal(), Contains("it is of format 2, newer than this Hearth's 1"));
    }
    SECTION("older") {
        auto h = good;
        h.version = 0;
        write_file(s.file, forged(whole, h));
        CHECK_THAT(s.refusal(), Contains("it is of format 0, older than this Hearth's 1"));
    }
    SECTION("build") {
        auto h = good;
        h.build[5] ^= 1;
        write_file(s.file, forged(whole, h));
        CHECK_THAT(s.refusal(), Contains("another build of Hearth"));
    }
    SECTION("CPU") {
        const auto loaded = load_snapshot(s.file, key, guest_files(*s.files), "another processor");
        REQUIRE(loaded.has_error());
        CHECK(loaded.error() == errc::snapshot_unusable);
        CHECK_THAT(loaded.error().message(), Contains("another CPU (" + cpu_fingerprint()) &&
                                                 Contains("another processor") &&
                                                 Contains("made anew"));
    }
    SECTION("key") {
        const auto loaded = load_snapshot(s.file, "function g", guest_files(*s.files));
        REQUIRE(loaded.has_error());
        CHECK(loaded.error() == errc::snapshot_unusable);
        CHECK_THAT(loaded.error().message(),
                   Contains("it was made for " + std::string(key) + ", not for function g"));
    }
}

TEST_CASE("what is no snapshot is refused without harm") {
    const host_directory root, store;
    const auto files = filesystem_of(root);
    const auto load = [&](const std::string& name) {
        const auto loaded = load_snapshot(store.path / name, key, guest_files(*files));
        REQUIRE(loaded.has_error());
        return loaded.error();
    };
    CHECK(load("absent") == errc::not_found);
    store.file("text", std::string(9000, 'x'));
    CHECK(load("text") == errc::snapshot_unusable);
    REQUIRE(::mkfifo((store.path / "fifo").c_str(), 0600) == 0);
    CHECK(load("fifo") == errc::snapshot_unusable);
    std::filesystem::create_directory(store.path / "directory");
    CHECK(load("directory") == errc::snapshot_unusable);
}

TEST_CASE("a snapshot is stale when a file that the guest has mapped or open has changed") {
    stored s;
    REQUIRE(s.load().has_value());
    SECTION("replaced by one with the same content and time") {
        const auto name = s.root.path / "lib/big.so";
        const auto time = std::filesystem::last_write_time(name);
        std::filesystem::copy_file(name, s.root.path / "lib/new");
        std::filesystem::last_write_time(s.root.path / "lib/new", time);
        std::filesystem::rename(s.root.path / "lib/new", name);
        CHECK_THAT(s.refusal(), Contains("it is stale: /lib/big.so has been replaced"));
    }
    SECTION("grown") {
        std::ofstream(s.root.path / "lib/big.so", std::ios::app) << "more";
        CHECK_THAT(s.refusal(), Contains("it is stale: /lib/big.so has changed its size"));
    }
    SECTION("written to") {
        write_file(s.root.path / "lib/big.so", std::string(300'000, 'c'));
        CHECK_THAT(s.refusal(), Contains("it is stale: /lib/big.so has been modified"));
    }
    SECTION("gone") {
        std::filesystem::remove(s.root.path / "lib/big.so");
        CHECK_THAT(s.refusal(), Contains("it is stale: /lib/big.so is gone"));
    }
    SECTION("only open, and written to") {
        write_file(s.root.path / "data/open", "ABCDEFGHIJ");
        CHECK_THAT(s.refusal(), Contains("it is stale: /data/open has been modified"));
    }
    SECTION("a package of another content") {
        const auto loaded = s.load("another packed file");
        REQUIRE(loaded.has_error());
        CHECK_THAT(loaded.error().message(), Contains("/pack/lib/code has changed its size"));
    }
    SECTION("other mounts") {
        const auto others = make_filesystem(s.root);
        const auto loaded = load_snapshot(s.file, key, guest_files(*others));
        REQUIRE(loaded.has_error());
        CHECK(loaded.error() == errc::snapshot_unusable);
        CHECK_THAT(loaded.error().message(), Contains("the guest's mounts are others"));
    }
}

TEST_CASE("a guest that has mapped a file which is no longer there cannot be stored") {
    stored s;
    std::filesystem::remove(s.root.path / "lib/big.so");
    s.root.file("lib/big.so", std::string(300'000, 'b'), 0755);
    const auto files = filesystem_of(s.root);
    const auto saved = save_snapshot(s.store.path / "other", key, s.image, "", guest_files(*files));
    REQUIRE(saved.has_error());
    CHECK(saved.error() == errc::not_snapshotable);
    CHECK_THAT(saved.error().message(), Contains("/lib/big.so"));
    CHECK(names_in(s.store.path) == std::set<std::string>{"f-1.snapshot"});
}

TEST_CASE("a guest that has a file open which is gone is stored, and finds it gone") {
    stored s;
    std::filesystem::remove(s.root.path / "data/open");
    s.root.file("data/open", "another one");
    // Trees that never opened the file: those of the guest keep it.
    const auto files = filesystem_of(s.root);
    s.image.kernel.processes.begin()->second.mm.vmas.erase(gva{stored_world::at_packed});
    REQUIRE(save_snapshot(s.file, key, s.image, "", guest_files(*files)));
    const auto loaded = s.load();
    REQUIRE(loaded.has_value());
    CHECK(loaded->image.kernel.vfs == s.image.kernel.vfs);
    guest::kernel kernel(loaded->image.kernel, files, s.memory, s.host);
    const auto& open_files = kernel.state().tables.begin()->second.value.all();
    const auto it = std::ranges::find_if(open_files, [&](const auto& entry) {
        const auto* d = kernel.state().vfs.find(entry.second.description);
        return d->path == "/data/open" && std::holds_alternative<vfs::tree_file>(d->body);
    });
    REQUIRE(it != open_files.end());
    auto& tasks = kernel.state().tasks;
    tasks.begin()->second.signals.blocked = ~0ull;
    tasks.begin()->second.run = task_running{};
    vmm::vcpu_state regs;
    regs.rax = SYS_read;
    regs.rdi = static_cast<std::uint64_t>(it->first);
    regs.rsi = world::buffer;
    regs.rdx = 4;
    CHECK(static_cast<std::int64_t>(kernel.on_syscall(regs).rax) == -ESTALE);
}

TEST_CASE("forged headers with a right checksum are refused or read, and harm nothing") {
    stored s;
    const std::string whole = contents_of(s.file);
    const snapshot_header good = header_of(whole);
    using field = std::uint64_t snapshot_header::*;
    for (const field f :
         {&snapshot_header::file_size, &snapshot_header::memory_size, &snapshot_header::state_size,
          &snapshot_header::runs, &snapshot_header::base_pages, &snapshot_header::written_pages}) {
        const std::uint64_t was = good.*f;
        for (const std::uint64_t value :
             {std::uint64_t{0}, was - 1, was + 1, was * 2, std::uint64_t{whole.size()},
              std::uint64_t{1} << 40, ~std::uint64_t{0} / 4096, ~std::uint64_t{0} - 4095,
              ~std::uint64_t{0}}) {
            if (value == was) continue;
            auto h = good;
            h.*f = value;
            write_file(s.file, forged(whole, h));
            INFO("field at " << offsetof_field(good, f) << ": " << value);
            const auto loaded = s.load();
            // A larger region holds the same pages; an empty run at the end says nothing.
            const bool harmless = f == &snapshot_header::memory_size || f == &snapshot_header::runs;
            if (loaded) CHECK(harmless);
            if (loaded) CHECK(loaded->image.base->pages() == s.image.base->pages());
            if (loaded) CHECK(loaded->image.written.bytes == s.image.written.bytes);
        }
    }
    auto h = good;
    h.key_length = 100'000;
    write_file(s.file, forged(whole, h));
    s.refusal();
    // Pages outside, descending, doubled.
    const std::size_t runs = 4096 + (good.state_size + 4095) / 4096 * 4096;
    for (std::size_t i = 0; i < 64; ++i) {
        std::string bad = whole;
        bad[runs + i] = static_cast<char>(bad[runs + i] ^ 0x55);
        write_file(s.file, forged(bad, good));
        static_cast<void>(s.load());
    }
}

TEST_CASE("the state decoder survives any bytes") {
    stored s;
    const auto good = encoded(s.image, *s.files);
    const guest_files files(*s.files);
    const auto decode = [&](std::span<const std::byte> bytes) {
        snapshot_image image;
        std::string attachment;
        return decode_state(bytes, files, image, attachment).has_value();
    };
    REQUIRE(decode(good));
    for (std::size_t n = 0; n < good.size(); n += n < 4096 ? 1 : 4001)
        REQUIRE_FALSE(decode(std::span(good).first(n)));
    std::minstd_rand next(11);
    unsigned refused = 0;
    const auto end = std::chrono::steady_clock::now() + 1s;
    for (unsigned round = 0; std::chrono::steady_clock::now() < end; ++round) {
        auto bad = good;
        for (unsigned i = 0, n = 1 + next() % 4; i < n; ++i) {
            // The file contents are most of it: aim at the rest as well.
            const std::size_t at = next() % 2 ? next() % good.size() : next() % 3000;
            switch (next() % 3) {
                case 0:
                    bad[at] ^= std::byte(1 << next() % 8);
                    break;
                case 1: {
                    const std::uint64_t large = next() % 2 ? ~std::uint64_t{0} : bad.size() - at;
                    std::memcpy(bad.data() + at, &large, std::min<std::size_t>(8, bad.size() - at));
                    break;
                }
                default:
                    bad[at] = std::byte(next());
            }
        }
        refused += decode(bad) ? 0 : 1;
    }
    CHECK(refused > 0);
}

TEST_CASE("the CPU's fingerprint is the same on every CPU of the machine") {
    const std::string here = cpu_fingerprint();
    CHECK_THAT(here, Contains(" family ") && Contains(" stepping "));
    cpu_set_t allowed;
    REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
        CHECK(cpu_fingerprint() == here);
    }
    REQUIRE(::sched_setaffinity(0, sizeof allowed, &allowed) == 0);
}
