#pragma once

/// What of an environment goes into its function's log files: its output as it comes, and Lambda's
/// own lines, as text or, with LogFormat JSON, as platform records. Where no logs are kept all of
/// it is nothing. By the environment's owning thread.
///
/// @source Lambda guide, "Configuring JSON and plain text log formats" and "Log-level filtering"
/// (which record has which level); Telemetry API, "Event schema reference" (the records). The guide
/// does not show INIT_REPORT's text nor where it stands; here it follows every init that makes a
/// snapshot, and every one that failed, which is where it appears at AWS as far as we know.

#include "logs/log_store.hpp"
#include "worker/worker.hpp"

#include <hearth/response.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hearth::worker {

/// "YYYY/MM/DD/[VERSION]HEX32": a new environment's.
std::string make_log_stream_name(const std::string& version);

class stored_log {
  public:
    /// Both outlive it.
    stored_log(const version_spec& spec, logs::store* store) : spec_(spec), store_(store) {}

    /// From now on into that stream.
    void open_stream(std::string name);
    [[nodiscard]] const std::string& stream() const noexcept { return stream_; }

    void output(std::string_view text);
    void begin(std::string_view request_id);
    /// The guest sleeps or is stopped: what was held back is to be seen.
    void settle();
    /// A sentence of ours about what went wrong, with its '\n'. In JSON the report says it.
    void failed(std::string_view text);
    /// `status` is success, error or timeout; `error_type` empty for success. `report_line` is the
    /// text.
    void end(const invocation_report& report,
             std::string_view report_line,
             std::string_view status,
             std::string_view error_type);
    /// Lines about each, when init is over. In JSON there are none.
    void extensions(std::string_view lines) { failed(lines); }
    /// `phase` is init, or restore: the restore hooks.
    void init_ended(std::chrono::nanoseconds duration,
                    std::string_view phase,
                    std::string_view status,
                    std::string_view error_type);

  private:
    [[nodiscard]] bool shows(logs::level of) const noexcept;
    void put(std::string_view text);

    const version_spec& spec_;
    logs::store* const store_;  ///< null: nobody keeps them
    std::string stream_;
    std::shared_ptr<logs::source> source_;
    std::string start_;  ///< the START line that was not handed on yet: with what follows, in one
    std::int64_t start_ms_ = 0;
};

}  // namespace hearth::worker
