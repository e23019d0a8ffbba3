#include "base/mapping.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"
#include "image/elf.hpp"
#include "image/package_image.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <set>

namespace hearth::image {
namespace {

constexpr std::string_view program_name = "bootstrap";
/// Files a program may pull in, libraries of libraries included: far beyond any real one.
constexpr std::size_t max_libraries = 512;

/// A program or library, mapped for reading, from the package or the guest's root.
struct loaded {
    mapping content;
    std::uint64_t size = 0;
    bool executable = false;

    [[nodiscard]] std::span<const std::byte> bytes() const { return {content.data(), size}; }
    [[nodiscard]] std::string_view text() const {
        return {reinterpret_cast<const char*>(content.data()), size};
    }
};

std::optional<loaded> map_part(int fd, std::uint64_t offset, std::uint64_t size, bool executable) {
    if (size == 0) return loaded{{}, 0, executable};
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, static_cast<off_t>(offset));
    if (at == MAP_FAILED) return std::nullopt;
    return loaded{mapping(at, size), size, executable};
}

/// Looks a path up as the guest will, through symlinks at any place. None leaves the package
/// (package_builder saw to that), but one may dangle.
const package_entry* resolve(const package_image& image,
                             std::string_view root,
                             const std::filesystem::path& start) {
    std::deque<std::filesystem::path> ahead(start.begin(), start.end());
    std::filesystem::path at;
    const package_entry* entry = image.find("");
    for (int links = 0; !ahead.empty();) {
        const std::filesystem::path part = std::move(ahead.front());
        ahead.pop_front();
        if (part.empty() || part == ".") continue;
        const std::filesystem::path next = part == ".." ? at.parent_path() : at / part;
        entry = image.find(next.string());
        if (!entry) return nullptr;
        if (entry->type != package_entry::kind::symlink) {
            at = next;
            continue;
        }
        if (++links > 40) return nullptr;
        std::filesystem::path target = entry->target;
        if (target.is_absolute()) {
            target = target.lexically_relative(root);
            at.clear();
        }
        ahead.insert(ahead.begin(), target.begin(), target.end());
    }
    return entry;
}

/// What a guest will find under a path. The guest's root is opened with RESOLVE_IN_ROOT, so that
/// its symlinks, absolute ones included, mean what they will mean to the guest (man 2 openat2).
class guest_files {
  public:
    guest_files(const package_image& image,
                const package_image* layers,
                const std::filesystem::path& guest_root)
        : trees_{{{task_directory, &image}, {layer_directory, layers}}},
          root_(::open(guest_root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

    [[nodiscard]] std::optional<loaded> open(std::string_view path) const {
        for (const auto& [root, image] : trees_) {
            if (!path.starts_with(root) || path.substr(root.size(), 1) != "/") continue;
            const package_entry* entry =
                image ? resolve(*image, root, path.substr(root.size() + 1)) : nullptr;
            if (!entry || entry->type != package_entry::kind::file) return std::nullopt;
            return map_part(image->contents(*entry)->get(), entry->offset, entry->size,
                            (entry->mode & 0111) != 0);
        }
        if (!root_) return std::nullopt;
        open_how how{};
        how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
        how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
        const std::string name(path);
        const unique_fd fd(
            static_cast<int>(::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how)));
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) < 0 || !S_ISREG(st.st_mode)) return std::nullopt;
        return map_part(fd.get(), 0, static_cast<std::uint64_t>(st.st_size),
                        (st.st_mode & 0111) != 0);
    }

  private:
    std::array<std::pair<std::string_view, const package_image*>, 2> trees_;
    unique_fd root_;
};

/// Where ld.so looks (man 8 ld.so): run path, LD_LIBRARY_PATH as Lambda sets it, the cache's usual
/// directories (Debian's and Fedora's), the defaults.
constexpr std::array<std::string_view, 13> library_directories = {
    "/lib64",
    "/usr/lib64",
    "/var/runtime",
    "/var/runtime/lib",
    "/var/task",
    "/var/task/lib",
    "/opt/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib/x86_64-linux-gnu"};

/// A relative path is below the working directory.
std::string in_task(std::string_view name) {
    return std::string(task_directory) + '/' + std::string(name);
}

bool is_musl(std::string_view interpreter) {
    return interpreter.find("/ld-musl-") != interpreter.npos;
}

/// musl's loader answers for these itself and never opens them (musl, ldso/dynlink.c,
/// load_library).
bool is_inside_musl(std::string_view name) {
    if (!name.starts_with("lib")) return false;
    name.remove_prefix(3);
    return std::ranges::any_of(
        std::array<std::string_view, 7>{"c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."},
        [&](std::string_view reserved) { return name.starts_with(reserved); });
}

std::string replace_origin(std::string path, const std::string& origin) {
    for (std::string_view token : {"${ORIGIN}", "$ORIGIN"})
        for (auto at = path.find(token); at != path.npos; at = path.find(token, at + origin.size()))
            path.replace(at, token.size(), origin);
    return path;
}

struct found_library {
    std::string path;
    loaded file;
};

std::optional<found_library> find_library(const guest_files& files,
                                          const std::string& name,
                                          const std::vector<std::string>& run_path) {
    if (name.find('/') != name.npos) {  // a path, relative ones to the working directory /var/task
        std::string path = name.starts_with('/') ? name : in_task(name);
        if (auto file = files.open(path)) return found_library{std::move(path), std::move(*file)};
        return std::nullopt;
    }
    for (const auto& directory : run_path)
        if (auto file = files.open(directory + "/" + name))
            return found_library{directory + "/" + name, std::move(*file)};
    for (std::string_view directory : library_directories) {
        std::string path = std::string(directory) + "/" + name;
        if (auto file = files.open(path)) return found_library{std::move(path), std::move(*file)};
    }
    return std::nullopt;
}

result<void> check_libraries(const guest_files& files,
                             const std::string& program_path,
                             loaded program,
                             bool musl) {
    struct pending {
        std::string path;
        loaded file;
        std::vector<std::string>
            inherited;  ///< DT_RPATH of those who asked: looked at for theirs too
    };
    std::deque<pending> queue;
    std::set<std::string, std::less<>> seen;
    queue.push_back({program_path, std::move(program), {}});
    while (!queue.empty()) {
        pending current = std::move(queue.front());
        queue.pop_front();
        HEARTH_TRY(elf_dynamic dynamic, read_elf_dynamic(current.file.bytes()));
        const std::string origin = std::filesystem::path(current.path).parent_path().string();
        std::vector<std::string> run_path;
        for (auto& directory : dynamic.run_path)
            run_path.push_back(replace_origin(std::move(directory), origin));
        run_path.insert(run_path.end(), current.inherited.begin(), current.inherited.end());
        for (const auto& name : dynamic.needed) {
            if (musl && is_inside_musl(name)) continue;
            if (!seen.insert(name).second) continue;
            if (seen.size() > max_libraries)
                return error(errc::bad_executable, program_path + " needs more than " +
                                                       std::to_string(max_libraries) +
                                                       " libraries");
            auto found = find_library(files, name, run_path);
            if (!found)
                return error(
                    errc::missing_interpreter,
                    "library " + name + ", needed by " + current.path +
                        ", is neither in the package (/var/task, /var/task/lib) nor in the "
                        "guest's /lib or /usr/lib: add it to the package, or link it "
                        "statically");
            queue.push_back({std::move(found->path), std::move(found->file), run_path});
        }
    }
    return {};
}

result<void> check_elf(const guest_files& files, const std::string& path, loaded program) {
    auto plan = read_elf(program.bytes(), program.size);
    if (plan.has_error()) return error(plan.error().code(), path + ": " + plan.error().message());
    if (plan->interpreter.empty()) return {};
    const auto interpreter = files.open(plan->interpreter);
    if (!interpreter)
        return error(errc::missing_interpreter,
                     path + " needs the program interpreter " + plan->interpreter +
                         ", which is not in the guest's root: link it statically, or install it");
    return check_libraries(files, path, std::move(program), is_musl(plan->interpreter));
}

/// "#!interpreter argument" (man 2 execve, Interpreter scripts).
result<void> check_script(const guest_files& files,
                          const std::string& path,
                          std::string_view text) {
    std::string_view line = text.substr(2, std::min<std::size_t>(text.find('\n'), 256) - 2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::string name(line.substr(0, line.find_first_of(" \t\r")));
    if (name.empty())
        return error(errc::bad_executable, path + ": its #! line names no interpreter");
    if (line.ends_with('\r'))
        return error(
            errc::bad_executable,
            path + ": its #! line ends with a carriage return: save it with Unix line ends");
    const std::string full = name.starts_with('/') ? name : in_task(name);
    auto interpreter = files.open(full);
    if (!interpreter)
        return error(errc::missing_interpreter,
                     path + " is a script for " + name + ", which is not there");
    if (!interpreter->executable)
        return error(errc::not_executable, full + " has no execute permission");
    if (interpreter->text().starts_with("#!")) return {};  // the guest's exec follows the chain
    return check_elf(files, full, std::move(*interpreter));
}

}  // namespace

std::string entry_point_of(const package_image& image, const package_image* layers) {
    const bool in_layer = layers && !image.find(program_name) && layers->find(program_name);
    return std::string(in_layer ? layer_directory : task_directory) + '/' +
           std::string(program_name);
}

result<void> check_entry_point(const package_image& image,
                               const std::filesystem::path& guest_root,
                               const package_image* layers) {
    if (image.in_process()) return {};
    const std::string path = entry_point_of(image, layers);
    const bool in_task = path.starts_with(task_directory);
    const package_entry* entry = resolve(in_task ? image : *layers,
                                         in_task ? task_directory : layer_directory, program_name);
    if (!entry)
        return error(errc::missing_entry_point,
                     "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]: put "
                     "an executable named bootstrap at the root of the package");
    if (entry->type != package_entry::kind::file)
        return error(errc::missing_entry_point, path + " is a directory, not a program");
    if ((entry->mode & 0111) == 0)
        return error(errc::not_executable,
                     path +
                         " has no execute permission: zip it with its execute permission (chmod "
                         "755 bootstrap)");
    const guest_files files(image, layers, guest_root);
    auto program = files.open(path);
    if (!program) return error(errc::io_failed, "cannot map the package's bootstrap");
    if (program->text().starts_with("#!")) return check_script(files, path, program->text());
    return check_elf(files, path, std::move(*program));
}

}  // namespace hearth::image
