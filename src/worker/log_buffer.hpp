#pragma once

/// The log of one invocation: only its end is kept, so a guest that writes forever costs nothing.
/// Reused from one invocation to the next without giving its memory back.

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth::worker {

class log_buffer {
  public:
    /// What LogType=Tail shows.
    static constexpr std::size_t tail_size = 4096;

    void append(std::string_view text) {
        if (text.size() >= tail_size) {
            text_.assign(text.substr(text.size() - tail_size));
            return;
        }
        if (text_.size() + text.size() > 2 * tail_size) text_.erase(0, text_.size() - tail_size);
        text_.append(text);
    }
    /// The last 4 KiB.
    [[nodiscard]] std::string_view tail() const noexcept {
        const std::string_view all = text_;
        return all.size() > tail_size ? all.substr(all.size() - tail_size) : all;
    }
    /// A line of ours starts at the beginning of a line.
    void begin_line() {
        if (!text_.empty() && text_.back() != '\n') append("\n");
    }
    void clear() noexcept { text_.clear(); }
    /// The last line that is not blank.
    [[nodiscard]] std::string_view last_line() const noexcept {
        std::string_view all = text_;
        const auto end = all.find_last_not_of(" \t\r\n");
        if (end == std::string_view::npos) return {};
        all = all.substr(0, end + 1);
        const auto start = all.find_last_of('\n');
        return start == std::string_view::npos ? all : all.substr(start + 1);
    }

  private:
    std::string text_;
};

}  // namespace hearth::worker
