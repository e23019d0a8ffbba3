#include "base/try.hpp"
#include "guest/kernel/outbound.hpp"
#include "guest/vfs/filesystem.hpp"
#include "guest/vfs/host_tree.hpp"
#include "guest/vfs/memory_tree.hpp"
#include "image/managed_runtime.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <string_view>
#include <system_error>

namespace hearth::guest::vfs {
namespace {

namespace fs = std::filesystem;
using nodes = std::map<std::string, memory_tree::node, std::less<>>;

mount tree_mount(std::string point, std::shared_ptr<const tree> what) {
    mount m;
    m.point = std::move(point);
    m.tree = std::move(what);
    return m;
}

mount text_mount(std::string point, std::string_view text) {
    nodes file;
    file[""] = memory_tree::text(std::string(text));
    return tree_mount(std::move(point), std::make_shared<const memory_tree>(std::move(file)));
}

mount special_mount(std::string point, mount::kind what, std::uint32_t permissions) {
    mount m;
    m.point = std::move(point);
    m.what = what;
    m.permissions = permissions;
    return m;
}

/// An /etc/hosts.
constexpr std::string_view own_names = "127.0.0.1 localhost\n::1 localhost\n";

/// man 4 null, man 4 random; numbers from Documentation/admin-guide/devices.txt.
std::shared_ptr<const tree> devices() {
    nodes n;
    n["null"] = memory_tree::character_device(1, 3);
    n["zero"] = memory_tree::character_device(1, 5);
    n["full"] = memory_tree::character_device(1, 7);
    n["random"] = memory_tree::character_device(1, 8);
    n["urandom"] = memory_tree::character_device(1, 9);
    n["tty"] = memory_tree::character_device(5, 0);
    n["stdin"] = memory_tree::symlink("/proc/self/fd/0");
    n["stdout"] = memory_tree::symlink("/proc/self/fd/1");
    n["stderr"] = memory_tree::symlink("/proc/self/fd/2");
    n["fd"] = memory_tree::symlink("/proc/self/fd");
    return std::make_shared<const memory_tree>(std::move(n));
}

void add_own(std::vector<mount>& mounts) {
    mounts.push_back(special_mount("/proc", mount::kind::proc, 0555));
    mounts.push_back(special_mount("/sys", mount::kind::sys, 0555));
    mounts.push_back(special_mount("/sys/fs/cgroup", mount::kind::cgroup, 0555));
    mounts.push_back(tree_mount("/dev", devices()));
    mounts.push_back(special_mount("/dev/shm", mount::kind::tmpfs, 01777));
    mounts.push_back(special_mount("/tmp", mount::kind::tmpfs, 01777));
}

/// Files of the host's /etc are small and read once; a large one is not what we look for.
constexpr std::uintmax_t max_copied = 4u << 20;

void copy_etc_file(nodes& n, const fs::path& root, const std::string& name) {
    std::error_code ec;
    const fs::path from = root / name;
    const auto status = fs::symlink_status(from, ec);
    if (ec) return;
    if (fs::is_symlink(status)) {
        n[name] = memory_tree::symlink(fs::read_symlink(from, ec).string());
        return;
    }
    if (!fs::is_regular_file(status) || fs::file_size(from, ec) > max_copied || ec) return;
    std::ifstream in(from, std::ios::binary);
    n[name] = memory_tree::text(std::string(std::istreambuf_iterator<char>(in), {}));
}

std::shared_ptr<const tree> client_tree(const image::managed_runtime& runtime) {
    nodes n;
    for (const image::client_file& file : image::client_files())
        if (file.path.starts_with(runtime.language) && file.path[runtime.language.size()] == '/')
            n[std::string(file.path.substr(runtime.language.size() + 1))] =
                memory_tree::text(std::string(file.text));
    return std::make_shared<const memory_tree>(std::move(n));
}

}  // namespace

result<filesystem_options> lambda_root(const image::package_image* package,
                                       const fs::path& guest_root,
                                       byte_count tmp_size,
                                       const image::managed_runtime* runtime,
                                       const image::package_image* layers) {
    filesystem_options options;
    options.tmp_size = tmp_size;
    nodes n;
    for (const char* empty : {"opt", "var/runtime", "var/task"})
        n[empty] = memory_tree::directory();
    n["root"] = memory_tree::directory(0700);
    n["etc/passwd"] = memory_tree::text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/"
        "nologin\n");
    n["etc/group"] = memory_tree::text("root:x:0:\nnogroup:x:65534:\n");
    n["etc/hosts"] = memory_tree::text(std::string(own_names));
    n["etc/hostname"] = memory_tree::text("localhost\n");
    n["etc/nsswitch.conf"] = memory_tree::text("passwd: files\ngroup: files\nhosts: files dns\n");
    // Answered by the host where the function has a network; else not reached, and said so at once.
    n["etc/resolv.conf"] = memory_tree::text(std::string(resolver_configuration));
    for (const char* file :
         {"etc/ld.so.cache", "etc/ld.so.conf", "etc/localtime", "etc/mime.types"})
        copy_etc_file(n, guest_root, file);

    for (const char* top : {"usr", "bin", "sbin", "lib", "lib32", "lib64"}) {
        std::error_code ec;
        const auto status = fs::symlink_status(guest_root / top, ec);
        if (ec) continue;
        if (fs::is_symlink(status)) {
            n[top] = memory_tree::symlink(fs::read_symlink(guest_root / top, ec).string());
        } else if (fs::is_directory(status)) {
            HEARTH_TRY(auto tree, host_tree::open(guest_root / top));
            options.mounts.push_back(tree_mount("/" + std::string(top), std::move(tree)));
        }
    }
    for (const char* sub : {"etc/ld.so.conf.d", "etc/ssl/certs", "etc/alternatives"}) {
        std::error_code ec;
        if (!fs::is_directory(guest_root / sub, ec)) continue;
        HEARTH_TRY(auto tree, host_tree::open(guest_root / sub));
        options.mounts.push_back(tree_mount("/" + std::string(sub), std::move(tree)));
    }
    if (package)
        options.mounts.push_back(tree_mount("/var/task", memory_tree::of_package(*package)));
    if (layers) options.mounts.push_back(tree_mount("/opt", memory_tree::of_package(*layers)));
    if (runtime) {
        options.mounts.push_back(tree_mount(image::client_directory, client_tree(*runtime)));
        if (!runtime->prefix.empty()) {
            HEARTH_TRY(auto tree, host_tree::open(runtime->prefix));
            options.mounts.push_back(tree_mount(image::prefix_directory, std::move(tree)));
        }
    }
    options.mounts.push_back(tree_mount("/", std::make_shared<const memory_tree>(std::move(n))));
    add_own(options.mounts);
    return options;
}

result<filesystem_options> host_root(const fs::path& directory,
                                     byte_count tmp_size,
                                     std::span<const fs::path> shown,
                                     bool network) {
    filesystem_options options;
    options.tmp_size = tmp_size;
    HEARTH_TRY(auto root, host_tree::open(directory));
    options.mounts.push_back(tree_mount("/", std::move(root)));
    add_own(options.mounts);
    if (network) {
        // Names are asked of the host, so that those the network lists open their addresses.
        options.mounts.push_back(text_mount("/etc/resolv.conf", resolver_configuration));
        options.mounts.push_back(text_mount("/etc/hosts", own_names));
    }
    for (const fs::path& place : shown) {
        const std::string point = place.lexically_normal().string();
        const bool known =
            std::ranges::any_of(options.mounts, [&](const mount& m) { return m.point == point; });
        if (known || !point.starts_with("/tmp/") || point.ends_with('/')) continue;
        // What does not exist is not there in the guest either, and says so when it is looked for.
        if (auto tree = host_tree::open(directory / fs::path(point).relative_path()))
            options.mounts.push_back(tree_mount(point, std::move(*tree)));
    }
    return options;
}

}  // namespace hearth::guest::vfs
