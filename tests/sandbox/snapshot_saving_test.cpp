// What can go wrong while a snapshot is stored. Limits and signals are for a child of the test. It
// makes its own memory images: their views are not for a child (MADV_DONTFORK).

#include "stored_world.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <functional>

using namespace stored_test;
using Catch::Matchers::Contains;

namespace {

/// Runs `what` in a child. @return what it says, or "signal N"
std::string in_child(const std::function<std::string()>& what) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const std::string said = what();
        const ssize_t n = ::write(ends[1], said.data(), said.size());
        ::_exit(n == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    ::close(ends[1]);
    std::string said(4096, '\0');
    const ssize_t n = ::read(ends[0], said.data(), said.size());
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    said.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return said;
}

std::string outcome_of(const result<void>& r) {
    return r ? "saved"
             : std::string(r.error() == errc::storage_failed ? "storage: " : "other: ") +
                   r.error().message();
}

/// A mount namespace of our own, as root of it.
bool own_mounts() {
    if (::unshare(CLONE_NEWNS) == 0)
        return ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    const auto uid = ::getuid(), gid = ::getgid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
    std::ofstream("/proc/self/gid_map") << "0 " << gid << " 1";
    return true;
}

}  // namespace

TEST_CASE("a full disk is an error that leaves nothing behind") {
    stored_world w;
    w.fill();
    const host_directory store;
    const std::string said = in_child([&]() -> std::string {
        const snapshot_image image = w.snapshot();
        if (!own_mounts() || ::mount("none", store.path.c_str(), "tmpfs", 0, "size=128k") != 0)
            return "no mount";
        std::string text =
            outcome_of(save_snapshot(store.path / "s", key, image, "", guest_files(*w.files)));
        return text + (names_in(store.path).empty() ? " [empty]" : " [left something]");
    });
    if (said == "no mount") {
        WARN("this host lets no test mount a small file system");
        return;
    }
    CHECK_THAT(said, Contains("storage: cannot store the snapshot") &&
                         Contains("No space left on device") && Contains("[empty]"));
}

TEST_CASE("a limit on file sizes is an error, not a signal") {
    stored_world w;
    w.fill();
    const snapshot_image image = w.snapshot();
    const host_directory store;
    const guest_files files(*w.files);
    REQUIRE(save_snapshot(store.path / "s", key, image, "old", files));
    const std::string said = in_child([&] {
        const snapshot_image mine = w.snapshot();
        const rlimit limit{128 * 1024, 128 * 1024};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        return outcome_of(save_snapshot(store.path / "s", key, mine, "new", files));
    });
    CHECK_THAT(said, Contains("storage: ") && Contains("File too large"));
    CHECK(names_in(store.path) == std::set<std::string>{"s"});
    CHECK(load_snapshot(store.path / "s", key, files).value().attachment == "old");
}

TEST_CASE("a place that cannot be written to is an error") {
    stored_world w;
    const snapshot_image image = w.snapshot();
    const guest_files files(*w.files);
    const host_directory store;
    CHECK_THAT(outcome_of(save_snapshot(store.path / "absent/s", key, image, "", files)),
               Contains("storage: ") && Contains("No such file or directory"));
    // A directory stands where the snapshot should: found out last, when all has been written.
    std::filesystem::create_directories(store.path / "taken/x");
    CHECK_THAT(outcome_of(save_snapshot(store.path / "taken", key, image, "", files)),
               Contains("storage: "));
    CHECK(names_in(store.path) == std::set<std::string>{"taken"});
    CHECK(save_snapshot(store.path / "s", std::string(4096, 'k'), image, "", files).error() ==
          errc::invalid_argument);
    CHECK(save_snapshot(store.path / "s", key, snapshot_image{}, "", files).error() ==
          errc::invalid_argument);
}

TEST_CASE("a save that is killed leaves the old snapshot or the new one") {
    stored_world w;
    w.fill();
    const guest_files files(*w.files);
    const host_directory store;
    const auto file = store.path / "s";
    const auto make = [&](unsigned which) {
        snapshot_image image = w.snapshot(which);
        image.base = some_memory(which, 500);
        return image;
    };
    const snapshot_image images[2] = {make(0), make(1)};
    std::minstd_rand next(5);
    int unfinished = 0, seen[2] = {};
    for (int round = 0; round < 30; ++round) {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            const snapshot_image mine[2] = {make(0), make(1)};
            if (::write(ready[1], "", 1) != 1) ::_exit(1);
            for (unsigned i = 0;; ++i)
                if (!save_snapshot(file, key, mine[i % 2], std::to_string(i % 2), files))
                    ::_exit(1);
        }
        char byte;
        REQUIRE(::read(ready[0], &byte, 1) == 1);
        ::close(ready[0]), ::close(ready[1]);
        ::usleep(static_cast<useconds_t>(next() % 60'000));
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        for (const std::string& name : names_in(store.path)) unfinished += name != "s";

        const auto loaded = load_snapshot(file, key, files);
        if (!loaded) {
            REQUIRE(loaded.error() == errc::not_found);
            REQUIRE(seen[0] + seen[1] == 0);  // none was ever finished
        } else {
            const auto which = static_cast<unsigned>(std::stoi(loaded->attachment));
            REQUIRE(same_snapshot(loaded->image, images[which]));
            ++seen[which];
        }
        remove_unfinished(store.path);
        REQUIRE(names_in(store.path).size() == (loaded ? 1 : 0));
    }
    CHECK(unfinished > 0);  // some were killed half-way
    CHECK(seen[0] + seen[1] > 0);
}
