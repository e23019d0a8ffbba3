#pragma once

/// Lambda's managed runtimes, python3.x and nodejsNN.x: an interpreter that is found, never
/// brought, and our own client for it, which is part of the library. Interpreters are recognised by
/// the names of files and by headers, and asked for their version before a function is made of
/// them.
///
/// They are looked for where Debian and others put them (/usr/bin, /usr/local/bin of the guest's
/// root) and in a directory of runtimes, which comes first and holds a prefix for each identifier:
/// DIR/python3.11/bin/python3.11, DIR/nodejs20.x/bin/node. Such a prefix is shown to the guest as
/// /var/lang, as on Lambda.

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::image {

/// A file of a client: "python/bootstrap.py".
struct client_file {
    std::string_view path, text;
};
std::span<const client_file> client_files() noexcept;

/// Where guests see a client and a prefix.
inline constexpr const char* client_directory = "/var/runtime";
inline constexpr const char* prefix_directory = "/var/lang";

struct managed_runtime {
    std::string identifier;              ///< "python3.11"
    std::string language;                ///< "python", "node": the client's directory
    std::string program;                 ///< the interpreter, as the guest sees it
    std::vector<std::string> arguments;  ///< of the program, its name included
    std::filesystem::path prefix;        ///< of the host, shown at /var/lang; empty: none
    std::map<std::string, std::string> environment;  ///< what a function may set otherwise
    std::string client_sha256;                       ///< hex
};

/// Of the interpreter, its name included, for a function of that memory size: V8 is told how large
/// its heap may grow, by Lambda's shares, or it would stop at half of what the function has.
std::vector<std::string> program_arguments(const managed_runtime& runtime, byte_count memory);

/// Whether AWS has or had a managed runtime of that name that Hearth has a client for.
bool is_managed(std::string_view identifier) noexcept;

/// What an interpreter prints when it is called with --version, in a microVM: "Python 3.11.2".
/// @errors it does not run; the message says why
using version_question = std::function<result<std::string>(const managed_runtime&)>;

/// Thread-safe.
class runtime_catalogue {
  public:
    /// Without `ask` the names of files are believed.
    runtime_catalogue(std::filesystem::path guest_root,
                      std::filesystem::path directory,
                      version_question ask = {})
        : guest_root_(std::move(guest_root)),
          directory_(std::move(directory)),
          ask_(std::move(ask)) {}

    /// What is there now by the names of files, by identifier.
    [[nodiscard]] std::map<std::string, managed_runtime> list() const;
    /// Null for a runtime that is not managed. @errors errc::invalid_argument: its interpreter is
    /// not there; the sentence lists those that are and says how to get it
    [[nodiscard]] result<std::shared_ptr<const managed_runtime>> find(
        const std::string& identifier) const;
    /// `find`, and its interpreter is asked for its version: once, until its file changes.
    /// @errors as find; errc::invalid_argument: it is of another version, or does not run
    [[nodiscard]] result<void> check(const std::string& identifier) const;

  private:
    using runtimes = std::map<std::string, managed_runtime>;
    /// The interpreter's file on the host.
    [[nodiscard]] std::filesystem::path file_of(const managed_runtime& runtime) const;
    /// Why it is not what its name says; empty: it is.
    [[nodiscard]] std::string fault_of(const managed_runtime& runtime) const;
    [[nodiscard]] error refusal(const std::string& identifier,
                                const std::string& fault,
                                const runtimes& found) const;

    std::filesystem::path guest_root_, directory_;
    version_question ask_;
    mutable std::mutex mutex_;  // held while an interpreter is asked, so that each is asked once
    mutable std::map<std::string, std::string> faults_;  // by file and what tells that it changed
};

}  // namespace hearth::image
