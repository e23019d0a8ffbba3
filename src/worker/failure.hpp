#pragma once

/// How failures read: the error documents and sentences of Lambda. Pure.

#include "guest/kernel/kernel.hpp"

#include <hearth/units.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace hearth::worker {

/// A failure before it is put into words for a caller.
struct failure {
    std::string type;     ///< "Runtime.ExitError", …
    std::string message;  ///< "Runtime exited with error: exit status 3"
    bool operator==(const failure&) const = default;
};

/// "exit status 3", "signal: killed".
std::string how_it_ended(guest::exit_status status);
/// `hint` is the guest's last line, which says what ld.so did not find when the status is 127; may
/// be empty.
failure exit_failure(guest::exit_status status, std::string_view hint);
failure out_of_memory_failure(byte_count peak, byte_count limit);
failure timeout_failure(std::chrono::milliseconds limit);
failure poisoned_failure(std::string_view reason);

/// {"errorType":…,"errorMessage":"RequestId: … Error: …"}
std::string error_document(const failure& f, std::string_view request_id);
/// {"errorType":…,"errorMessage":…} with the texts escaped for JSON.
std::string plain_error_document(std::string_view type, std::string_view message);

}  // namespace hearth::worker
