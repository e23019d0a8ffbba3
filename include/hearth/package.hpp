#pragma once

#include <hearth/error.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace hearth {

/// The body of an in-process function: event in, payload out. An exception is the function's
/// failure. It runs *unsandboxed*, in the caller's process: for tests and glue, never for foreign code.
using in_process_handler = std::function<std::string(std::string_view event)>;

namespace detail {
struct package_source;
}

/// A deployment package: where a function's code comes from. Cheap to copy; nothing is read before
/// `deploy`, so a wrong path or a broken zip is `deploy`'s error, never a constructor's.
class package {
  public:
    /// A Lambda deployment package on disk; `bootstrap` at its root is the entry point unless
    /// `function_config::handler` of a managed runtime says otherwise.
    static package zip(std::filesystem::path file);
    /// The same, from memory.
    static package zip_bytes(std::string bytes);
    /// One ELF executable, static or dynamic; it becomes `/var/task/bootstrap`.
    static package elf(std::filesystem::path file);
    /// The same, from memory: a program an embedder carries inside its own.
    static package elf_bytes(std::string bytes);
    /// A directory tree, as it would be zipped.
    static package directory(std::filesystem::path dir);
    /// A C++ callable in this process, without isolation.
    static package in_process(in_process_handler handler);

    package() = default;
    [[nodiscard]] bool empty() const noexcept { return !source_; }
    [[nodiscard]] const std::shared_ptr<const detail::package_source>& source() const noexcept {
        return source_;
    }

  private:
    explicit package(std::shared_ptr<const detail::package_source> s) : source_(std::move(s)) {}
    std::shared_ptr<const detail::package_source> source_;
};

}  // namespace hearth
