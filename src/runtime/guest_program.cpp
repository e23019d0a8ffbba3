#include "runtime/guest_program.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "image/package_image.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <system_error>
#include <utility>

namespace hearth::detail {
namespace {

/// What stands at a path inside the root, if it is a regular file.
bool stat_program(int root, const std::string& path, struct stat& st) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const unique_fd fd(
        static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
    return fd && ::fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode);
}

/// The program's path, looked for as execvp(3) does. Unchanged when it names a place.
result<std::string> find_program(const guest_program_request& r,
                                 int root,
                                 const std::string& working_directory) {
    const std::string& name = r.arguments.front();
    if (name.find('/') != std::string::npos) return name;
    std::string_view path = "/usr/local/bin:/usr/bin:/bin";
    for (const std::string_view variable : r.environment)
        if (variable.starts_with("PATH=")) path = variable.substr(5);
    for (;;) {
        const auto colon = path.find(':');
        std::string directory(path.substr(0, colon));
        if (directory.empty()) directory = ".";
        if (directory.front() != '/') directory = working_directory + "/" + directory;
        std::string candidate = directory + "/" + name;
        struct stat st {};
        if (stat_program(root, candidate, st) && (st.st_mode & 0111)) return candidate;
        if (colon == std::string_view::npos) break;
        path.remove_prefix(colon + 1);
    }
    return error(errc::missing_entry_point, name + ": command not found");
}

std::string working_directory_in_root(const guest_program_request& r) {
    if (!r.working_directory.empty()) return r.working_directory.string();
    std::error_code ec;
    if (r.root == "/")
        if (const auto here = std::filesystem::current_path(ec); !ec) return here.string();
    return "/";
}

}  // namespace

result<guest_program> program_of_root(const guest_program_request& r) {
    if (r.arguments.empty() || r.arguments.front().empty())
        return error(errc::invalid_argument, "no program named");
    guest_program p;
    p.what.arguments = r.arguments;
    p.what.environment = r.environment;
    p.what.working_directory = working_directory_in_root(r);
    const unique_fd root(::open(r.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return system_failure(errc::io_failed, r.root.string());
    HEARTH_TRY(p.what.path, find_program(r, root.get(), p.what.working_directory));

    const std::filesystem::path here = p.what.working_directory;
    const std::filesystem::path file = (here / p.what.path).lexically_normal();
    const std::filesystem::path directory = file.parent_path();
    if (directory == "/tmp")
        return error(errc::missing_entry_point,
                     p.what.path +
                         " is not there: the guest has a /tmp of its own; put the "
                         "program into a directory of its own, below /tmp or not");
    struct stat st {};
    if (stat_program(root.get(), file.string(), st))
        p.version = fmt::format("{}:{}:{}.{:09}:{}.{:09}", st.st_ino, st.st_size, st.st_mtim.tv_sec,
                                st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    const std::array shown{here, directory};
    HEARTH_TRY(auto layout, guest::vfs::host_root(r.root, r.tmp_size, shown, r.network));
    HEARTH_TRY(p.files, guest::vfs::filesystem::create(std::move(layout)));
    return p;
}

result<guest_program> program_of_package(const guest_program_request& r, const package& code) {
    HEARTH_TRY(const auto image, image::package_image::load(code));
    if (image->in_process())
        return error(errc::invalid_argument,
                     "a package of code in this process is not for a guest");
    guest_program p;
    p.what.arguments = r.arguments;
    if (p.what.arguments.empty()) {
        HEARTH_CHECK(image::check_entry_point(*image, r.root));
        p.what.arguments = {"/var/task/bootstrap"};
    }
    p.what.path = p.what.arguments.front();
    p.what.environment = r.environment;
    p.what.working_directory =
        r.working_directory.empty() ? "/var/task" : r.working_directory.string();
    p.version = image->code_sha256();
    HEARTH_TRY(auto layout, guest::vfs::lambda_root(image.get(), r.root, r.tmp_size));
    HEARTH_TRY(p.files, guest::vfs::filesystem::create(std::move(layout)));
    return p;
}

}  // namespace hearth::detail
