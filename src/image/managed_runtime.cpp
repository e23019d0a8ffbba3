#include "image/managed_runtime.hpp"

#include "base/try.hpp"
#include "image/sha256.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <utility>

namespace hearth::image {
namespace {

namespace fs = std::filesystem;

/// AWS's identifiers, deprecated ones too (Lambda guide, "Lambda runtimes").
constexpr std::array<std::string_view, 11> managed = {
    "nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "python3.8", "python3.9",
    "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"};

constexpr std::string_view python_prefix = "python";

bool is_program(const fs::path& file) {
    std::error_code ec;
    const auto status = fs::status(file, ec);
    return !ec && fs::is_regular_file(status) &&
           (status.permissions() & fs::perms::others_exec) != fs::perms::none;
}

/// A program below the guest's root: its links are the guest's, so an absolute one is not followed.
bool is_guest_program(const fs::path& root, const fs::path& inner) {
    fs::path at = inner;
    for (int links = 0; links < 8; ++links) {
        std::error_code ec;
        const fs::path here = root / at.relative_path();
        if (!fs::is_symlink(fs::symlink_status(here, ec))) return is_program(here);
        const fs::path target = fs::read_symlink(here, ec);
        at = (target.is_absolute() ? target : at.parent_path() / target).lexically_normal();
    }
    return false;
}

/// NODE_MAJOR_VERSION of a prefix's node_version.h, which comes with Node's own builds.
std::optional<int> node_version_of_headers(const fs::path& prefix) {
    std::ifstream in(prefix / "include/node/node_version.h");
    constexpr std::string_view define = "#define NODE_MAJOR_VERSION ";
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with(define)) continue;
        int major = 0;
        const auto end = line.data() + line.size();
        if (std::from_chars(line.data() + define.size(), end, major).ec == std::errc())
            return major;
    }
    return std::nullopt;
}

/// Debian's node is a small program over libnode.so.N, N being NODE_MODULE_VERSION
/// (nodejs/node, doc/abi_version_registry.json).
std::optional<int> node_version_of_library(const fs::path& prefix) {
    constexpr std::pair<const char*, int> versions[] = {
        {"108", 18}, {"115", 20}, {"127", 22}, {"137", 24}};
    std::error_code ec;
    for (const auto& [abi, major] : versions)
        for (const char* directory : {"lib/x86_64-linux-gnu", "lib64", "lib"})
            if (fs::exists(prefix / directory / (std::string("libnode.so.") + abi), ec))
                return major;
    return std::nullopt;
}

std::string client_digest(std::string_view language) {
    sha256 hash;
    for (const client_file& file : client_files()) {
        if (!file.path.starts_with(language)) continue;
        hash.update(std::string(file.path) + '\0');
        hash.update(file.text);
    }
    return to_hex(hash.finish());
}

managed_runtime make(std::string identifier, std::string program, fs::path prefix) {
    managed_runtime r;
    const bool python = identifier.starts_with(python_prefix);
    r.language = python ? "python" : "node";
    r.program = std::move(program);
    r.prefix = std::move(prefix);
    r.client_sha256 = client_digest(r.language + "/");
    const std::string client = client_directory;
    if (python) {
        r.arguments = {r.program, client + "/bootstrap.py"};
        r.environment = {{"PYTHONPATH", client}};
    } else {
        const std::string major = identifier.substr(6, identifier.find('.') - 6);
        r.arguments = {r.program, client + "/bootstrap.mjs"};
        r.environment = {{"NODE_PATH", "/opt/nodejs/node" + major +
                                           "/node_modules:/opt/nodejs/node_modules:" + client +
                                           "/node_modules:" + client + ":/var/task"}};
    }
    r.environment["PATH"] = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin";
    r.environment["LD_LIBRARY_PATH"] =
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:"
        "/opt/lib";
    r.identifier = std::move(identifier);
    return r;
}

/// "apt install …" for what Debian packages, in so many words.
std::string how_to_get(std::string_view identifier) {
    const bool python = identifier.starts_with(python_prefix);
    return fmt::format(
        "Install the interpreter (Debian: apt install {}; it must be of that version) or put it "
        "into the directory of runtimes as {}/bin/{} (hearth serve --runtimes DIR)",
        python ? "python3" : "nodejs", identifier, python ? identifier : "node");
}

/// "Python 3.11.2", "v18.20.4": of the version that the identifier names.
bool is_of_version(std::string_view said, std::string_view identifier) {
    const bool python = identifier.starts_with(python_prefix);
    const std::string begin =
        python ? fmt::format("Python {}.", identifier.substr(python_prefix.size()))
               : fmt::format("v{}.", identifier.substr(6, identifier.find('.') - 6));
    return said.starts_with(begin);
}

/// The first line, for a sentence.
std::string quotable(std::string_view said) {
    constexpr std::size_t most = 80;
    std::string line(said.substr(0, std::min(said.find('\n'), most)));
    for (char& c : line)
        if (c < ' ' || c > '~') c = '?';
    return line;
}

}  // namespace

std::vector<std::string> program_arguments(const managed_runtime& runtime, byte_count memory) {
    std::vector<std::string> all = runtime.arguments;
    if (runtime.language != "node") return all;
    const auto megabytes = memory.mebibytes();
    all.insert(all.begin() + 1, {"--expose-gc", "--max-http-header-size=81920",
                                 fmt::format("--max-semi-space-size={}", megabytes * 5 / 100),
                                 fmt::format("--max-old-space-size={}", megabytes * 90 / 100)});
    return all;
}

bool is_managed(std::string_view identifier) noexcept {
    return std::ranges::find(managed, identifier) != managed.end();
}

std::map<std::string, managed_runtime> runtime_catalogue::list() const {
    std::map<std::string, managed_runtime> found;
    if (!directory_.empty()) {
        for (const std::string_view each : managed) {
            const std::string identifier(each);
            const fs::path prefix = directory_ / identifier;
            const bool python = each.starts_with(python_prefix);
            for (const std::string& name : python ? std::vector<std::string>{identifier, "python3"}
                                                  : std::vector<std::string>{"node"}) {
                if (!is_program(prefix / "bin" / name)) continue;
                found.emplace(
                    identifier,
                    make(identifier, std::string(prefix_directory) + "/bin/" + name, prefix));
                break;
            }
        }
    }
    for (const char* place : {"usr", "usr/local"}) {
        const std::string bin = "/" + std::string(place) + "/bin/";
        for (const std::string_view each : managed) {
            if (!each.starts_with(python_prefix)) continue;
            if (const std::string program = bin + std::string(each);
                is_guest_program(guest_root_, program))
                found.emplace(each, make(std::string(each), program, {}));
        }
        auto major = node_version_of_headers(guest_root_ / place);
        if (!major) major = node_version_of_library(guest_root_ / place);
        for (const char* name : {"node", "nodejs"})
            if (const std::string program = bin + name;
                major && is_guest_program(guest_root_, program)) {
                const std::string identifier = fmt::format("nodejs{}.x", *major);
                if (is_managed(identifier))
                    found.emplace(identifier, make(identifier, program, {}));
            }
    }
    return found;
}

fs::path runtime_catalogue::file_of(const managed_runtime& runtime) const {
    const fs::path program = runtime.program;
    return runtime.prefix.empty() ? guest_root_ / program.relative_path()
                                  : runtime.prefix / "bin" / program.filename();
}

std::string runtime_catalogue::fault_of(const managed_runtime& runtime) const {
    if (!ask_) return {};
    const std::string file = file_of(runtime).string();
    std::string key = runtime.identifier + ' ' + file;
    struct ::stat st {};
    // An absolute link in another root cannot be followed here; its interpreter is asked all the
    // same.
    if (::stat(file.c_str(), &st) == 0)
        key += fmt::format(":{}:{}:{}.{:09}", st.st_ino, st.st_size, st.st_mtim.tv_sec,
                           st.st_mtim.tv_nsec);
    const std::scoped_lock one_at_a_time(mutex_);
    if (const auto known = faults_.find(key); known != faults_.end()) return known->second;
    const auto said = ask_(runtime);
    // Not kept: the host may have been short of something.
    if (said.has_error())
        return fmt::format("{} does not run: {}", file, quotable(said.error().message()));
    std::string fault;
    if (!is_of_version(*said, runtime.identifier))
        fault = fmt::format("{} says that it is \"{}\"", file, quotable(*said));
    return faults_.emplace(std::move(key), std::move(fault)).first->second;
}

error runtime_catalogue::refusal(const std::string& identifier,
                                 const std::string& fault,
                                 const runtimes& found) const {
    std::vector<std::string_view> there;
    for (const auto& [name, runtime] : found)
        if (name != identifier && fault_of(runtime).empty()) there.push_back(name);
    return error(
        errc::invalid_argument,
        fmt::format("The runtime {} is not on this host{}. Managed runtimes that are: {}. {}",
                    identifier, fault.empty() ? "" : ": " + fault,
                    there.empty() ? "none" : fmt::format("{}", fmt::join(there, ", ")),
                    how_to_get(identifier)));
}

result<std::shared_ptr<const managed_runtime>> runtime_catalogue::find(
    const std::string& identifier) const {
    if (!is_managed(identifier)) return std::shared_ptr<const managed_runtime>();
    auto found = list();
    const auto it = found.find(identifier);
    if (it == found.end()) return refusal(identifier, {}, found);
    return std::make_shared<const managed_runtime>(std::move(it->second));
}

result<void> runtime_catalogue::check(const std::string& identifier) const {
    HEARTH_TRY(const auto runtime, find(identifier));
    if (!runtime) return {};
    const std::string fault = fault_of(*runtime);
    if (fault.empty()) return {};
    return refusal(identifier, fault, list());
}

}  // namespace hearth::image
