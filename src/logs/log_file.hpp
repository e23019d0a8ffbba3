#pragma once

/// A group's files on disk: which there are, and the one that is being written. Not thread-safe;
/// other processes and threads may read at any time.

#include "base/unique_fd.hpp"

#include <hearth/error.hpp>
#include <hearth/logs.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::logs {

/// "00000012.log".
std::string file_name(std::uint64_t number);
/// The numbers of a directory's files, ascending; none where there is no such directory.
std::vector<std::uint64_t> file_numbers(const std::filesystem::path& directory);

class log_file {
  public:
    /// `options` outlives it. Nothing is opened or made before the first `write`.
    log_file(const log_options& options, std::string group);

    /// Appends whole records. What could not be written whole is not there at all.
    /// @errors errc::io_failed
    result<void> write(std::string_view records);

  private:
    result<void> open_newest();
    result<void> begin(std::uint64_t number);
    result<void> append(std::string_view text);
    [[nodiscard]] bool is_there() const noexcept;

    const log_options& options_;
    const std::string group_;
    const std::filesystem::path directory_;
    unique_fd fd_;
    std::uint64_t number_ = 0, size_ = 0;
    bool is_cut_ = false;  ///< its last line has no end
};

}  // namespace hearth::logs
