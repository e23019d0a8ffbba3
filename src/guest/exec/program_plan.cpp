#include "guest/exec/program_plan.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "guest/exec/stack_image.hpp"

#include <fmt/format.h>

#include <sys/auxv.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

namespace hearth::guest::exec {
namespace {

constexpr std::size_t first_read = 4096;      // holds the headers of nearly every program
constexpr std::size_t longest_head = 65'536;  // the most read_elf wants
constexpr std::size_t script_line = 256;      // Linux's BINPRM_BUF_SIZE
constexpr int script_depth = 4;

std::string text_of(int number) {
    return error_code(number, boost::system::system_category()).message();
}

error cannot_open(std::string_view path, int number) {
    switch (number) {
        case ENOENT:
        case ENOTDIR:
            return {errc::not_found, fmt::format("{} is not there", path)};
        case EACCES:
        case EISDIR:
        case EPERM:
            return {errc::not_executable,
                    fmt::format(
                        "{} may not be executed: it must be a regular file with execute permission "
                        "(chmod +x)",
                        path)};
        default:
            return {errc::io_failed, fmt::format("{} cannot be opened: {}", path, text_of(number))};
    }
}

error cannot_open_interpreter(std::string_view path,
                              int number,
                              std::string_view role,
                              std::string_view of) {
    if (number != ENOENT && number != ENOTDIR) {
        error e = cannot_open(path, number);
        return {e.code(), fmt::format("{} ({} {})", e.message(), role, of)};
    }
    return {errc::missing_interpreter, fmt::format("{}, {} {}, is not there: add it to the package "
                                                   "or the root, or link the program statically",
                                                   path, role, of)};
}

result<std::vector<std::byte>> read_head(const program_part& part, std::size_t bytes) {
    std::vector<std::byte> head(std::min<std::uint64_t>(bytes, part.file.size));
    if (mm::read_backing(part.file, 0, head) != static_cast<std::int64_t>(head.size()))
        return error(errc::io_failed, fmt::format("{} cannot be read", part.path));
    return head;
}

bool is_script(std::span<const std::byte> head) {
    return head.size() >= 2 && head[0] == std::byte{'#'} && head[1] == std::byte{'!'};
}

result<image::elf_plan> read_plan(const program_part& part, std::span<const std::byte> head) {
    auto plan = image::read_elf(head, part.file.size);
    if (plan.has_error() && head.size() < part.file.size && head.size() < longest_head) {
        HEARTH_TRY(const auto more, read_head(part, longest_head));
        plan = image::read_elf(more, part.file.size);
    }
    if (plan.has_error())
        return error(plan.error().code(), fmt::format("{}: {}", part.path, plan.error().message()));
    return plan;
}

struct interpreter_line {
    std::string path, argument;
};

/// `#! path [argument]`: one argument at most, with its inner blanks, as Linux has it.
result<interpreter_line> read_script_line(const std::string& path,
                                          std::span<const std::byte> head) {
    const std::string_view text(reinterpret_cast<const char*>(head.data()),
                                std::min(head.size(), script_line));
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos && text.size() == script_line)
        return error(errc::bad_executable,
                     fmt::format("{}: the #! line is longer than 255 bytes", path));
    std::string_view line = text.substr(2, end == std::string_view::npos ? end : end - 2);
    constexpr std::string_view blanks = " \t";
    const auto trim = [&](std::string_view s) {
        const std::size_t from = s.find_first_not_of(blanks);
        if (from == std::string_view::npos) return std::string_view{};
        return s.substr(from, s.find_last_not_of(blanks) - from + 1);
    };
    line = trim(line.substr(0, line.find('\0')));
    const std::size_t blank = std::min(line.find_first_of(blanks), line.size());
    if (blank == 0)
        return error(errc::bad_executable,
                     fmt::format("{}: the #! line names no interpreter", path));
    return interpreter_line{std::string(line.substr(0, blank)),
                            std::string(trim(line.substr(blank)))};
}

}  // namespace

std::uint64_t host_hwcap() noexcept {
    // CPUID itself would end in our own hypervisor, where there is one.
    return ::getauxval(AT_HWCAP);
}

result<program_plan> plan_program(program_source& source, const program_request& request) {
    program_plan plan;
    plan.arguments = request.arguments;
    if (plan.arguments.empty()) plan.arguments.emplace_back();  // as Linux since 5.18

    std::string path = request.path;
    std::string named_by;
    std::vector<std::byte> head;
    for (int depth = 0;; ++depth) {
        auto file = source.open(path);
        if (!file) {
            if (named_by.empty()) return cannot_open(path, file.error().number);
            return cannot_open_interpreter(path, file.error().number,
                                           "the interpreter in the #! line of", named_by);
        }
        plan.program = {path, std::move(*file), {}};
        HEARTH_TRY(head, read_head(plan.program, first_read));
        if (!is_script(head)) break;
        if (depth == script_depth)
            return error(errc::bad_executable,
                         fmt::format("{}: too many #! interpreters in turn", request.path));
        HEARTH_TRY(auto line, read_script_line(path, head));
        // argv[0] gives way to: interpreter, its argument, the script.
        plan.arguments.front() = path;
        if (!line.argument.empty())
            plan.arguments.insert(plan.arguments.begin(), std::move(line.argument));
        plan.arguments.insert(plan.arguments.begin(), line.path);
        named_by = std::exchange(path, std::move(line.path));
    }
    HEARTH_TRY(plan.program.elf, read_plan(plan.program, head));

    if (const std::string& name = plan.program.elf.interpreter; !name.empty()) {
        auto file = source.open(name);
        if (!file)
            return cannot_open_interpreter(name, file.error().number, "the interpreter of",
                                           plan.program.path);
        program_part part{name, std::move(*file), {}};
        HEARTH_TRY(head, read_head(part, first_read));
        HEARTH_TRY(part.elf, read_plan(part, head));
        if (!part.elf.position_independent)
            return error(errc::bad_executable,
                         fmt::format("{}, the interpreter of {}, is not position independent", name,
                                     plan.program.path));
        plan.interpreter = std::move(part);
    }
    HEARTH_CHECK(check_lengths(plan.arguments, request.environment));
    return plan;
}

int errno_of(const error& e) noexcept {
    if (e == errc::not_found || e == errc::missing_interpreter) return ENOENT;
    if (e == errc::not_executable) return EACCES;
    if (e == errc::bad_executable) return ENOEXEC;
    if (e == errc::invalid_argument) return E2BIG;
    if (e == errc::no_room) return ENOMEM;
    return EIO;
}

}  // namespace hearth::guest::exec
