#pragma once

/// Takes what functions write and puts it into their groups' files, on a thread of its own, so that
/// an invocation pays for a copy into a queue and no more. All members are thread-safe.
///
/// mutex_ is a leaf. The files and what a source remembers are the thread's alone.

#include "logs/level.hpp"
#include "logs/log_file.hpp"

#include <hearth/error.hpp>
#include <hearth/logs.hpp>
#include <hearth/metrics.hpp>
#include <hearth/observer.hpp>

#include <condition_variable>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hearth::logs {

struct source_settings {
    std::string group;
    std::string stream;
    bool is_json = false;             ///< LogFormat: then lines have levels
    level application = level::info;  ///< with `is_json`: less than this is left out
};

/// One that writes: an execution environment.
class source {
  public:
    explicit source(source_settings s) : settings_(std::move(s)) {}
    [[nodiscard]] const source_settings& settings() const noexcept { return settings_; }

  private:
    friend class store;
    const source_settings settings_;
    std::string partial_;  ///< of its output: a line whose end has not come
    std::int64_t partial_ms_ = 0;
};

class store final : public function_logs {
  public:
    /// CloudWatch's bound on an event when this was written; what is longer becomes several.
    static constexpr std::size_t max_message = 256u << 10;

    /// `observer` may be null.
    /// @errors errc::invalid_argument: the options make no sense; storage_failed: the directory
    /// cannot be made
    static result<std::shared_ptr<store>> open(log_options options,
                                               std::shared_ptr<hearth::observer> observer);
    store(const store&) = delete;
    store& operator=(const store&) = delete;
    /// Writes what is in the queue.
    ~store() override;

    /// Null where a name is none of CloudWatch's: nothing is kept of it.
    static std::shared_ptr<source> make_source(source_settings settings);

    struct piece {
        std::int64_t timestamp_ms = 0;
        std::string_view text;
        bool is_whole = false;  ///< an event as it stands, and ours; else output as it came
    };
    void write(const std::shared_ptr<source>& from, std::initializer_list<piece> pieces) noexcept;
    /// Waits until what was written before is in the files, for so long as a disk may take.
    void flush() const;
    [[nodiscard]] log_metrics metrics() const;

    // function_logs
    [[nodiscard]] result<std::vector<log_group>> groups() const override;
    [[nodiscard]] result<std::vector<log_stream>> streams(std::string_view group) const override;
    [[nodiscard]] result<log_page> read(const log_query& query) const override;

  private:
    struct entry {
        std::shared_ptr<source> from;
        std::int64_t timestamp_ms = 0;
        std::size_t size = 0;
        bool is_whole = false;
    };
    struct batch {
        std::vector<entry> entries;
        std::string bytes;  ///< of the entries, one after another
    };
    /// A group's file, and the records that go into it next.
    struct pending_file {
        log_file file;
        std::string records{};
        std::uint64_t events = 0;
    };

    store(log_options options, std::shared_ptr<hearth::observer> observer);
    void run();
    void process(const batch& b);
    void take_output(source& s, std::int64_t timestamp_ms, std::string_view text);
    void end_partial(source& s);
    void emit(const source& s, std::int64_t timestamp_ms, std::string_view message);
    void write_out(pending_file& f);
    void tell_losses();

    const log_options options_;
    const std::shared_ptr<hearth::observer> observer_;

    // The thread's.
    std::map<std::string, pending_file, std::less<>> files_;  ///< by group
    std::size_t partial_bytes_ = 0;                           ///< of all sources
    std::string failure_;                                     ///< the last one; empty: none
    bool told_ = false;

    mutable std::mutex mutex_;  // guards all below but the thread
    mutable std::condition_variable wake_;
    mutable std::condition_variable flushed_;
    batch filling_;
    std::uint64_t accepted_ = 0, done_ = 0;  ///< entries
    mutable std::size_t flushes_ = 0;        ///< that wait
    bool stop_ = false;
    log_metrics counted_;

    std::thread thread_;
};

}  // namespace hearth::logs
