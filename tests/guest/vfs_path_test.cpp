#include "guest/vfs/procfs.hpp"
#include "vfs_world.hpp"

using namespace vfs_test;

namespace {

using last = vfs::filesystem::last;

struct paths : world {
    std::string where(const std::string& p, last l = last::follow, const std::string& base = "/") {
        auto r = files->resolve(context(), base, p, l);
        return r ? r->path : "errno " + std::to_string(r.error().number);
    }
    static std::string error(int number) { return "errno " + std::to_string(number); }
};

}  // namespace

TEST_CASE("dots and slashes are resolved, and no path leaves the root") {
    paths w;
    CHECK(w.where("/own/deep/../hello") == "/own/hello");
    CHECK(w.where("//own///deep//er/.") == "/own/deep/er");
    CHECK(w.where("/../../../etc/name") == "/etc/name");
    CHECK(w.where("../../etc", last::follow, "/own/deep") == "/etc");
    CHECK(w.where("/") == "/");
    CHECK(w.where("") == w.error(ENOENT));
    CHECK(w.where("/own/hello/") == w.error(ENOTDIR));
    CHECK(w.where("/own/hello/..") == w.error(ENOTDIR));
    CHECK(w.where("/own/hello/x") == w.error(ENOTDIR));
    CHECK(w.where("/own/missing/x") == w.error(ENOENT));
    CHECK(w.where("/etc/name/x") == w.error(ENOTDIR));
    CHECK(w.where("/" + std::string(256, 'n')) == w.error(ENAMETOOLONG));
    CHECK(w.where("/own/" + std::string(256, 'n') + "/x") == w.error(ENAMETOOLONG));
    std::string longest = "/own";
    while (longest.size() < 4096) longest += "/.";
    CHECK(w.where(longest) == w.error(ENAMETOOLONG));
}

TEST_CASE("symlinks lead across mounts and are resolved in the guest's root") {
    paths w;
    w.root.link("absolute", "/own/hello");
    w.root.link("escape", "/../../../../../../etc/name");
    w.root.link("relative", "etc/name");
    w.root.link("dir", "etc");
    w.root.link("loop", "loop");
    w.root.link("ping", "pong");
    w.root.link("pong", "ping");
    w.root.link("dangling", "nowhere");
    CHECK(w.where("/absolute") == "/own/hello");
    CHECK(w.where("/absolute", last::no_follow) == "/absolute");
    CHECK(w.where("/escape") == "/etc/name");
    CHECK(w.slurp("/escape") == "of the host\n");
    CHECK(w.where("/relative") == "/etc/name");
    CHECK(w.where("/dir/name") == "/etc/name");
    CHECK(w.where("/dir/name", last::no_follow) == "/etc/name");
    CHECK(w.where("/dir/", last::no_follow) == "/etc");
    CHECK(w.where("/loop") == w.error(ELOOP));
    CHECK(w.where("/ping/x") == w.error(ELOOP));
    CHECK(w.where("/dangling") == w.error(ENOENT));
    CHECK(w.where("/own/to-tmp") == "/tmp");
    CHECK(w.where("/own/up/er/leaf") == "/own/deep/er/leaf");
    w.make("/tmp/target", "x");
    CHECK(w.where("/own/to-tmp/target") == "/tmp/target");
}

TEST_CASE("forty links are followed and no more") {
    paths w;
    w.make("/tmp/end", "x");
    std::string before = "end";
    for (int i = 0; i < 41; ++i) {
        const std::string name = "l" + std::to_string(i);
        REQUIRE(w.call(SYS_symlink, {w.path(before), w.path("/tmp/" + name)}) == 0);
        before = name;
    }
    CHECK(w.where("/tmp/l39") == "/tmp/end");
    CHECK(w.where("/tmp/l40") == w.error(ELOOP));
}

TEST_CASE("a host symlink that points out of the tree stays inside") {
    paths w;
    host_directory outside;
    outside.file("secret", "secret");
    w.root.link("out", outside.path.string() + "/secret");
    w.root.link("updir", "../../../../../../../.." + outside.path.string());
    CHECK(w.where("/out") == w.error(ENOENT));
    CHECK(w.where("/updir/secret") == w.error(ENOENT));
    // What the walker refuses, the tree refuses too when it is asked directly.
    auto tree = vfs::host_tree::open(w.root.path).value();
    CHECK_FALSE(tree->lookup("updir/secret"));
    CHECK_FALSE(tree->lookup("../" + outside.path.filename().string() + "/secret"));
    CHECK_FALSE(tree->content("out", nullptr));
}

TEST_CASE("mount points stand above what the tree below has there") {
    paths w;
    w.root.file("own/hidden", "not seen");
    w.root.link("proc", "/etc");
    CHECK(w.where("/own/hidden") == w.error(ENOENT));
    CHECK(w.where("/proc") == "/proc");
    CHECK(w.where("/proc/version") == "/proc/version");
    CHECK(w.names("/sys").contains("devices"));
    const auto names = w.names("/");
    for (const char* n : {"proc", "dev", "tmp", "own", "etc", "sys"}) CHECK(names.contains(n));
    CHECK(w.where("/dev/shm/..") == "/dev");
    CHECK(w.where("/tmp/..") == "/");
}

TEST_CASE("/proc's magic links lead to the open file itself") {
    paths w;
    const auto fd = w.open("/tmp/gone", O_CREAT | O_RDWR);
    w.write(fd, "still here");
    REQUIRE(w.call(SYS_unlink, {w.path("/tmp/gone")}) == 0);
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const auto n = w.call(SYS_readlink, {w.path(link), world::buffer, 100});
    CHECK(w.get(world::buffer, static_cast<std::size_t>(n)) == "/tmp/gone (deleted)");
    CHECK(w.slurp(link) == "still here");
    CHECK(w.stat(link).st_nlink == 0);
    CHECK(w.where("/proc/self/fd/99") == w.error(ENOENT));
    CHECK(w.where("/proc/self/fd/01") == w.error(ENOENT));
    const auto dir = w.open("/own/deep", O_RDONLY | O_DIRECTORY);
    CHECK(w.where("/proc/self/fd/" + std::to_string(dir) + "/er") == "/own/deep/er");
    CHECK(w.where("/proc/self/fd/" + std::to_string(dir)) == "/own/deep");
    w.process().executable = "/own/run";
    CHECK(w.where("/proc/self/exe") == "/own/run");
    CHECK(w.where("/proc/self/cwd") == "/");
    CHECK(w.where("/proc/self/root/own") == "/own");
    CHECK(w.where("/dev/fd/0/x") == w.error(ENOTDIR));
    CHECK(w.call(SYS_open, {w.path("/dev/stdin"), O_RDONLY}) > 0);
}

TEST_CASE("a directory that leads to a mount point exists although no tree has it") {
    vfs::filesystem_options options;
    vfs::mount root, deep;
    root.point = "/";
    root.tree = std::make_shared<const vfs::memory_tree>(
        std::map<std::string, vfs::memory_tree::node, std::less<>>{});
    deep.point = "/a/b/c";
    deep.what = vfs::mount::kind::tmpfs;
    options.mounts = {root, deep};
    auto fs = vfs::filesystem::create(options).value();
    kernel_state state;
    state.vfs = fs->initial_state({});
    string_host host;
    auto memory = vmm::guest_memory::create(2_MiB).value();
    viewpoint view;
    const vfs::context c{state, state.processes[1], view, host, memory};
    auto a = fs->resolve(c, "/", "/a");
    REQUIRE(a);
    CHECK(a->attr.is_directory());
    std::set<std::string> names;
    REQUIRE(fs->list(c, "/a", 0,
                     [&](const vfs::directory_entry& e) { return names.insert(e.name).second; }));
    CHECK(names == std::set<std::string>{".", "..", "b"});
    CHECK(fs->resolve(c, "/", "/a/x").error().number == ENOENT);
    CHECK(fs->resolve(c, "/a/b", "c")->path == "/a/b/c");
}

TEST_CASE("a mount table that cannot be is refused with a reason") {
    vfs::filesystem_options none;
    CHECK(vfs::filesystem::create(none).error() == errc::invalid_argument);
    vfs::mount m;
    m.point = "/x/";
    m.what = vfs::mount::kind::tmpfs;
    none.mounts = {m};
    CHECK(vfs::filesystem::create(none).error() == errc::invalid_argument);
    m.point = "/";
    none.mounts = {m, m};
    CHECK(vfs::filesystem::create(none).error() == errc::invalid_argument);
    CHECK(vfs::host_root("/no/such/directory", 1_MiB).error() == errc::io_failed);
}

TEST_CASE("a program to execute is a regular file with an x bit") {
    paths w;
    w.root.file("bin/tool", "tool", 0755);
    w.root.file("bin/data", "data", 0644);
    const auto open = [&](const std::string& p) {
        auto b = w.files->open_program(w.context(), p);
        return b ? "ok " + b->path : paths::error(b.error().number);
    };
    CHECK(open("/bin/tool") == "ok /bin/tool");
    CHECK(open("/bin/../bin/tool") == "ok /bin/tool");
    CHECK(open("/bin/data") == paths::error(EACCES));
    CHECK(open("/bin") == paths::error(EACCES));
    CHECK(open("/bin/none") == paths::error(ENOENT));
    CHECK(open("/dev/null") == paths::error(EACCES));
    CHECK(open("/proc/version") == paths::error(EACCES));
    CHECK(open("/own/run") == "ok /own/run");
    w.make("/tmp/prog", "bytes");
    CHECK(open("/tmp/prog") == paths::error(EACCES));
    REQUIRE(w.call(SYS_chmod, {w.path("/tmp/prog"), 0755}) == 0);
    auto b = w.files->open_program(w.context(), "/tmp/prog");
    REQUIRE(b);
    REQUIRE(b->bytes);
    CHECK(b->size == 5);
}

TEST_CASE("the function's root shows the package, and of the host only what it names") {
    host_directory host;
    host.file("usr/lib/libx.so", "lib");
    host.link("lib", "usr/lib");
    host.file("etc/shadow", "secret");
    host.file("etc/ld.so.cache", "cache");
    host.file("home/user/key", "secret");
    host.file("etc/ssl/certs/ca.pem", "cert");
    auto fs = vfs::filesystem::create(vfs::lambda_root(nullptr, host.path, 1_MiB).value()).value();
    kernel_state state;
    state.vfs = fs->initial_state({});
    string_host h;
    auto memory = vmm::guest_memory::create(2_MiB).value();
    viewpoint view;
    const vfs::context c{state, state.processes[1], view, h, memory};
    const auto has = [&](const char* p) { return fs->resolve(c, "/", p).has_value(); };
    for (const char* p : {"/usr/lib/libx.so", "/lib/libx.so", "/etc/passwd", "/etc/ld.so.cache",
                          "/etc/ssl/certs/ca.pem", "/opt", "/var/task", "/var/runtime", "/tmp",
                          "/dev/null", "/proc/self/maps", "/root", "/sys"}) {
        INFO(p);
        // There is no process 1's directory without a process of that id.
        if (std::string_view(p).starts_with("/proc")) state.processes[1].id = 1;
        CHECK(has(p));
    }
    for (const char* p : {"/etc/shadow", "/home", "/home/user/key", "/etc/../home", "/sys/class/dmi"}) {
        INFO(p);
        CHECK_FALSE(has(p));
    }
}
