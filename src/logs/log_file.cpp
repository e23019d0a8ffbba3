#include "logs/log_file.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "logs/log_text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>
#include <utility>

namespace hearth::logs {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view extension = ".log";

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

std::string file_name(std::uint64_t number) { return fmt::format("{:08}{}", number, extension); }

std::vector<std::uint64_t> file_numbers(const fs::path& directory) {
    std::vector<std::uint64_t> numbers;
    std::error_code failed;
    for (fs::directory_iterator it(directory, failed), end; !failed && it != end;
         it.increment(failed)) {
        const std::string name = it->path().filename().string();
        if (!name.ends_with(extension)) continue;
        std::uint64_t n = 0;
        const char* last = name.data() + name.size() - extension.size();
        const auto [stop, ec] = std::from_chars(name.data(), last, n);
        if (ec == std::errc() && stop == last && name == file_name(n)) numbers.push_back(n);
    }
    std::ranges::sort(numbers);
    return numbers;
}

log_file::log_file(const log_options& options, std::string group)
    : options_(options),
      group_(std::move(group)),
      directory_(options.directory / directory_of_group(group_)) {}

result<void> log_file::append(std::string_view text) {
    const std::uint64_t before = size_;
    while (!text.empty()) {
        const ssize_t n = ::write(fd_.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            const int failed = n < 0 ? errno : ENOSPC;
            if (::ftruncate(fd_.get(), static_cast<off_t>(before)) != 0) fd_.reset();
            size_ = before;
            return system_failure(errc::io_failed,
                                  "cannot write to " + (directory_ / file_name(number_)).string(),
                                  failed);
        }
        size_ += static_cast<std::uint64_t>(n);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

result<void> log_file::begin(std::uint64_t number) {
    std::error_code failed;
    fs::create_directories(directory_, failed);
    const fs::path file = directory_ / file_name(number);
    fd_.reset(::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!fd_) return system_failure(errc::io_failed, "cannot make " + file.string());
    number_ = number;
    size_ = 0;
    is_cut_ = false;
    HEARTH_CHECK(append(make_header(group_, now_ms())));
    for (const std::uint64_t n : file_numbers(directory_))
        if (n + options_.files_per_group <= number) fs::remove(directory_ / file_name(n), failed);
    return {};
}

result<void> log_file::open_newest() {
    const auto numbers = file_numbers(directory_);
    if (numbers.empty()) return begin(1);
    number_ = numbers.back();
    const fs::path file = directory_ / file_name(number_);
    fd_.reset(::open(file.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
    struct ::stat status {};
    if (!fd_ || ::fstat(fd_.get(), &status) != 0)
        return system_failure(errc::io_failed, "cannot open " + file.string());
    size_ = static_cast<std::uint64_t>(status.st_size);
    char last = '\n';
    is_cut_ = size_ != 0 && ::pread(fd_.get(), &last, 1, status.st_size - 1) == 1 && last != '\n';
    // One that a crash left before its header was written.
    if (size_ == 0) return append(make_header(group_, now_ms()));
    return {};
}

/// Somebody may have tidied up.
bool log_file::is_there() const noexcept {
    struct ::stat status {};
    return fd_ && ::fstat(fd_.get(), &status) == 0 && status.st_nlink != 0;
}

result<void> log_file::write(std::string_view records) {
    if (!is_there()) HEARTH_CHECK(open_newest());
    if (size_ >= options_.file_size.bytes()) HEARTH_CHECK(begin(number_ + 1));
    if (std::exchange(is_cut_, false)) HEARTH_CHECK(append("\n"));
    return append(records);
}

}  // namespace hearth::logs
