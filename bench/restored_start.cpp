// A sandbox from a snapshot, below the worker: starts in a shell that ran the same function, in one
// that ran another, in one that was wiped off the hot path since, and in a fresh one; resets by the
// number of pages written; and a clean sandbox for every call. From a stored snapshot too, with its
// file in the page cache and not (restore_us is the reading then). All over the native path, all on
// one thread. What the handler's first touches of its pages cost is in the figures.

#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "bench.hpp"
#include "guest/vfs/filesystem.hpp"
#include "sandbox/sandbox.hpp"
#include "sandbox/snapshot_format.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace hearth::bench {
namespace {

using std::chrono::steady_clock;
using image_ptr = std::shared_ptr<const detail::snapshot_image>;

constexpr byte_count memory(128ull << 20);
const int kick_signal = SIGRTMIN + 7;

class silent final : public detail::sandbox_streams {
  public:
    std::size_t write(guest::stream, std::span<const std::byte> b) override { return b.size(); }
};

/// What snapshots of one host file namespace share.
class workshop {
  public:
    static result<workshop> create(context& ctx) {
        HEARTH_TRY(auto mounts, guest::vfs::host_root("/", byte_count(512ull << 20)));
        HEARTH_TRY(auto files, guest::vfs::filesystem::create(std::move(mounts)));
        return workshop(ctx, std::move(files));
    }
    result<detail::shell> new_shell() {
        HEARTH_TRY(auto vm, vmm::vm::create(ctx_.kvm(), detail::sandbox::shell_options(
                                                            memory, kick_signal, false)));
        return detail::shell(std::move(vm));
    }
    std::unique_ptr<detail::sandbox> sandbox_in(detail::shell s) {
        return std::make_unique<detail::sandbox>(
            std::move(s), detail::sandbox_options{memory, files_, &streams_, nullptr, false});
    }
    /// A guest at its first `next`, as a snapshot.
    result<image_ptr> image_of(const std::string& guest) {
        HEARTH_TRY(auto shell, new_shell());
        auto sandbox = sandbox_in(std::move(shell));
        const std::string path = ctx_.guest(guest).string();
        HEARTH_CHECK(sandbox->load(
            {.path = path, .arguments = {guest}, .environment = {}, .working_directory = "/"}));
        HEARTH_CHECK(run(*sandbox));
        return sandbox->snapshot();
    }
    static result<void> run(detail::sandbox& sandbox) {
        const vmm::run_scope scope(kick_signal);
        const auto outcome = sandbox.run(scope);
        if (!std::holds_alternative<detail::run_parked>(outcome) ||
            !sandbox.kernel().native().waiting)
            return error(errc::sandbox_poisoned, "the guest does not wait for an event");
        return {};
    }
    static result<void> call(detail::sandbox& sandbox, const std::string& payload) {
        auto& native = sandbox.kernel().native();
        native.event.emplace();
        native.event->payload = payload;
        HEARTH_CHECK(run(sandbox));
        if (!native.reply || native.reply->payload != "{}")
            return error(errc::sandbox_poisoned, "the guest did not reply");
        native.reply.reset();
        return {};
    }

    [[nodiscard]] detail::guest_files files() const { return detail::guest_files(*files_); }

  private:
    workshop(context& ctx, std::shared_ptr<guest::vfs::filesystem> files)
        : ctx_(ctx), files_(std::move(files)) {}
    context& ctx_;
    std::shared_ptr<guest::vfs::filesystem> files_;
    silent streams_;
};

/// Where a snapshot is stored meanwhile.
struct stored_copy {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("hearth_bench-" + std::to_string(::getpid()) + ".snapshot");
    stored_copy() = default;
    stored_copy(const stored_copy&) = delete;
    stored_copy& operator=(const stored_copy&) = delete;
    ~stored_copy() {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
    /// Its pages leave the page cache, so that the next read asks the disk.
    [[nodiscard]] result<void> drop_cache() const {
        const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd || ::fdatasync(fd.get()) != 0 ||
            ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED) != 0)
            return error(errc::io_failed, "the stored snapshot cannot be dropped from the cache");
        return {};
    }
};

}  // namespace

result<rows> restored_start(context& ctx) {
    const pinned here;
    HEARTH_TRY(workshop shop, workshop::create(ctx));
    HEARTH_TRY(const image_ptr one, shop.image_of("native_empty"));
    HEARTH_TRY(const image_ptr other, shop.image_of("dirtying"));

    constexpr int batches = 20, per_batch = 20;
    struct timed {
        samples total, restore;
    } same, changed, wiped, fresh;
    samples wiping;
    samples floors;
    const auto start = [&](detail::shell shell, const image_ptr& image,
                           timed* into) -> result<detail::shell> {
        const auto from = steady_clock::now();
        auto sandbox = shop.sandbox_in(std::move(shell));
        HEARTH_TRY(const auto done, sandbox->restore(image));
        const double restored = since(from);
        HEARTH_CHECK(shop.call(*sandbox, "0"));
        if (into) {
            into->total.push_back(since(from));
            into->restore.push_back(restored);
            if (done.remapped != (into != &same))
                return error(errc::sandbox_poisoned, "the shell was not what it should be");
        }
        return std::move(*sandbox).take_shell();
    };
    HEARTH_TRY(detail::shell first, shop.new_shell());
    std::optional<detail::shell> shell(std::move(first));
    const auto again = [&](const image_ptr& image, timed* into) -> result<void> {
        auto next = start(std::move(*shell), image, into);
        if (next.has_error()) return next.error();
        shell.emplace(std::move(*next));
        return {};
    };
    for (int b = 0; b < batches; ++b) {
        HEARTH_TRY(const samples timing, ctx.floor(200));
        floors.push_back(timing.front());
        HEARTH_CHECK(again(other, nullptr));
        HEARTH_CHECK(again(one, nullptr));
        for (int i = 0; i < per_batch; ++i) HEARTH_CHECK(again(one, &same));
        for (int i = 0; i < per_batch; ++i) {
            HEARTH_CHECK(again(other, nullptr));
            HEARTH_CHECK(again(one, &changed));
            HEARTH_CHECK(again(other, nullptr));
            const auto from = steady_clock::now();
            HEARTH_CHECK(shell->make_blank());
            wiping.push_back(since(from));
            HEARTH_CHECK(again(one, &wiped));
        }
        for (int i = 0; i < per_batch; ++i) {
            HEARTH_TRY(detail::shell pooled, shop.new_shell());
            HEARTH_TRY(detail::shell used, start(std::move(pooled), one, &fresh));
            (void)used;
        }
    }
    // From its file, as the first start after a restart: read, checked, mapped, restored, called.
    timed stored_cached, stored_dropped;
    const stored_copy file;
    HEARTH_CHECK(detail::save_snapshot(file.path, "bench", *one, "", shop.files()));
    for (timed* into : {&stored_cached, &stored_dropped}) {
        for (int i = 0; i < per_batch; ++i) {
            HEARTH_TRY(detail::shell pooled, shop.new_shell());
            if (into == &stored_dropped) HEARTH_CHECK(file.drop_cache());
            const auto from = steady_clock::now();
            HEARTH_TRY(auto loaded, detail::load_snapshot(file.path, "bench", shop.files()));
            const double loading = since(from);
            const auto image =
                std::make_shared<const detail::snapshot_image>(std::move(loaded.image));
            HEARTH_TRY(detail::shell used, start(std::move(pooled), image, nullptr));
            into->total.push_back(since(from));
            into->restore.push_back(loading);
            (void)used;
        }
    }
    rows table;
    const auto add = [&](const char* variant, const timed& t) {
        row r = summarize("restored_start", variant, t.total, floors);
        r.extra = {{"restore_us", quantile(t.restore, 0.5)}};
        table.push_back(std::move(r));
    };
    add("same_function", same);
    add("other_function", changed);
    add("wiped_shell", wiped);
    table.back().extra.emplace_back("wiping_us", quantile(wiping, 0.5));
    add("fresh_shell", fresh);
    add("from_disk_cached", stored_cached);
    add("from_disk_dropped", stored_dropped);
    return table;
}

result<rows> reset(context& ctx) {
    const pinned here;
    HEARTH_TRY(workshop shop, workshop::create(ctx));
    HEARTH_TRY(const image_ptr image, shop.image_of("dirtying"));
    constexpr int batches = 20, per_batch = 50;
    rows table;
    for (const int pages : {1, 8, 64, 512}) {
        HEARTH_TRY(auto shell, shop.new_shell());
        auto sandbox = shop.sandbox_in(std::move(shell));
        HEARTH_CHECK(sandbox->restore(image));
        const std::string payload = std::to_string(pages);
        HEARTH_CHECK(shop.call(*sandbox, payload));
        samples floors, resets, calls;
        std::uint64_t copied = 0;
        for (int b = 0; b < batches; ++b) {
            HEARTH_TRY(const samples timing, ctx.floor(200));
            floors.push_back(timing.front());
            for (int i = 0; i <= per_batch; ++i) {
                const auto from = steady_clock::now();
                HEARTH_TRY(const auto done, sandbox->restore(image));
                const auto between = steady_clock::now();
                HEARTH_CHECK(shop.call(*sandbox, payload));
                if (i == 0) continue;  // the floor's turn left cold caches
                resets.push_back(std::chrono::duration<double, std::micro>(between - from).count());
                calls.push_back(since(between));
                copied = done.copied;
            }
        }
        row r = summarize("reset", std::to_string(pages) + "_pages", resets, floors);
        r.extra = {{"call_us", quantile(calls, 0.5)},
                   {"with_call_floors", (r.p50_us + quantile(calls, 0.5)) / r.floor_us},
                   {"copied", static_cast<double>(copied)}};
        table.push_back(std::move(r));
    }
    return table;
}

result<rows> invocation_isolation(context& ctx) {
    const pinned here;
    HEARTH_TRY(workshop shop, workshop::create(ctx));
    HEARTH_TRY(const image_ptr image, shop.image_of("native_empty"));
    HEARTH_TRY(auto kept_shell, shop.new_shell());
    HEARTH_TRY(auto clean_shell, shop.new_shell());
    auto kept = shop.sandbox_in(std::move(kept_shell));
    auto clean = shop.sandbox_in(std::move(clean_shell));
    HEARTH_CHECK(kept->restore(image));
    HEARTH_CHECK(clean->restore(image));
    return ctx.race("invocation_isolation",
                    {{"kept", [&] { return shop.call(*kept, "{}"); }},
                     {"clean_each",
                      [&]() -> result<void> {
                          HEARTH_CHECK(clean->restore(image));
                          return shop.call(*clean, "{}");
                      }}},
                    4000, 20);
}

}  // namespace hearth::bench
