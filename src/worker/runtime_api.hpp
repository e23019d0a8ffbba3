#pragma once

/// Lambda's Runtime API, version 2018-06-01, as a state machine without I/O: bytes of virtual
/// connections in, bytes and outcomes out. A value, so it travels with a snapshot of its
/// environment.
///
/// The guest is hostile: heads are bounded, a body is kept only when the request can be accepted
/// (else it is read past), all buffers of all connections together stay below `buffer_limit`, and a
/// connection that sends more than it may is closed. States and answers are those of AWS's own
/// Runtime Interface Emulator. Owner thread only.
///
/// Restore: a runtime that wants to know of snapshots asks `GET …/restore/next` once, when its
/// initialisation is done, in place of the first `next`. That call is answered, empty, in every
/// environment restored from the snapshot that was taken meanwhile; then the runtime runs its hooks
/// and asks for an event, or posts `…/restore/error`. One that goes straight to `next` does not
/// care.
///
/// The Extensions API (2020-01-01) is answered here too; who takes part is `extensions`'. The
/// Telemetry and Logs APIs are not there, and say so as the emulator does. Credentials are asked
/// for with a token (2021-04-23), and come from the owner.
///
/// @source Lambda guide, "Using the Lambda runtime API", "Implementing SnapStart hooks for
/// container
///   images"; the emulator's lambda/core/states.go; RFC 9112.

#include "base/codec_access.hpp"
#include "guest/kernel/native_exchange.hpp"
#include "worker/extensions.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace hearth::worker {

/// What the guest posted for the event, or for its initialisation.
struct runtime_api_reply {
    bool failed = false;
    std::string error_type;  ///< Lambda-Runtime-Function-Error-Type, when failed
    std::string payload;
    bool operator==(const runtime_api_reply&) const = default;
};

class runtime_api {
  public:
    using connection = std::uint32_t;

    /// Lambda's bound on a response: 6 MiB and 100 bytes.
    static constexpr std::uint64_t max_payload = (6ull << 20) + 100;
    /// Of one that is streamed to its caller (quota "Response streaming payload size").
    static constexpr std::uint64_t max_streamed = 200ull << 20;
    static constexpr std::size_t max_head = 16 * 1024;
    static constexpr std::size_t buffer_limit = 16u << 20;
    /// A connection with more refused requests is closed: a guest that does not read answers cannot
    /// pile them up.
    static constexpr int max_refused = 64;
    /// How often one event is handed out again to a guest that asks without having answered.
    static constexpr int max_deliveries = 8;

    runtime_api() = default;
    /// Without restore its two paths are not there (404), as on Lambda without SnapStart.
    explicit runtime_api(bool restore) noexcept : restore_(restore) {}

    /// Takes everything out of `bytes`. Call again after the guest has read what was sent.
    void receive(connection c, std::string& bytes);
    /// The guest closed its end: nothing more is sent there, a pending call is forgotten.
    void closed(connection c);

    /// The event that the next `GET …/next` gets; a pending one gets it at once.
    /// With `stream`, what the runtime posts as a streaming response is had from `take_streamed`
    /// while it comes.
    void offer(guest::native_event event, bool stream = false);
    /// A `GET …/next` is pending and there is no event for it: the environment may be frozen.
    [[nodiscard]] bool waiting() const noexcept { return !pending_.empty(); }
    /// The event was taken and not answered yet.
    [[nodiscard]] bool running() const noexcept { return stage_ == stage::running; }

    /// A `GET …/restore/next` is pending: initialised, ready to be snapshotted.
    [[nodiscard]] bool waiting_for_restore() const noexcept { return restore_next_.has_value(); }
    /// This environment came from a snapshot: answers `restore/next`. Nothing happens when none is
    /// pending, so every clone may be told. An event may be offered before or after.
    void restored();
    /// `restore/next` was answered, and the runtime has neither asked for an event nor given up.
    [[nodiscard]] bool restoring() const noexcept { return stage_ == stage::restoring; }

    struct output {
        connection to = 0;
        std::string bytes;
        bool close = false;
        bool operator==(const output&) const = default;
    };
    [[nodiscard]] bool has_output() const noexcept { return !output_.empty(); }
    std::vector<output> take_output();

    using reply = runtime_api_reply;
    std::optional<reply> take_reply();
    /// Bytes of the streamed response since the last call; the reply's payload is then what is to
    /// follow: nothing, or an error document.
    std::string take_streamed() noexcept { return std::exchange(streamed_, {}); }
    /// Of the streamed response; empty before it begins.
    [[nodiscard]] const std::string& streamed_type() const noexcept { return streamed_type_; }
    std::optional<reply> take_init_error();
    /// The after-restore hooks failed; nothing can be run here any more.
    std::optional<reply> take_restore_error();

    /// The extensions of this environment: those that are there before the guest runs are put here.
    [[nodiscard]] extensions& participants() noexcept { return extensions_; }
    [[nodiscard]] const extensions& participants() const noexcept { return extensions_; }
    /// Extensions that registered for INVOKE get this event.
    void tell_of_invocation(const guest::native_event& event);
    /// Those that registered for SHUTDOWN, that the environment is given up, why, and when it will
    /// be gone.
    void tell_of_shutdown(std::string_view reason, std::int64_t deadline_ms);

    /// Who asks for credentials must show it; empty: there are none.
    void set_credentials_token(std::string token) { token_ = std::move(token); }
    /// Somebody did, and waits.
    [[nodiscard]] bool wants_credentials() const noexcept { return !wants_credentials_.empty(); }
    void give_credentials(std::string_view document);

    bool operator==(const runtime_api&) const = default;

    // States, named for who stores them.
    enum class stage {
        started,
        init_failed,
        ready,
        running,
        responded,
        restore_ready,  ///< restore/next is pending
        restoring,
        restore_failed
    };
    enum class target {
        next,
        response,
        error,
        init_error,
        restore_next,
        restore_error,
        unknown,
        wrong_method,
        extension_register,
        extension_next,
        extension_init_error,
        extension_exit_error,
        telemetry,
        logs,
        credentials
    };
    enum class reading { head, body, chunk_size, chunk_data, chunk_end, trailer, blocked, dead };

  private:
    friend struct codec::access;
    static auto fields(auto& self) {
        return std::tie(self.stage_, self.channels_, self.deliveries_, self.pending_, self.event_,
                        self.output_, self.reply_, self.init_error_, self.restore_,
                        self.restore_next_, self.restore_error_, self.extensions_, self.token_);
    }

    struct request {
        target what = target::unknown;
        bool keep_alive = true;
        bool http_1_0 = false;
        bool streaming = false;  ///< a response, and whoever invoked reads it as it comes
        std::string id;
        std::string error_type;
        std::string extension;    ///< its name, or its identifier; of credentials, the token
        bool account_id = false;  ///< it asks for that
        /// Of a streamed response that ended badly: the trailer's, which turns it into an error.
        std::string late_error_type, late_error_body;
        bool operator==(const request&) const = default;
    };
    struct channel {
        reading state = reading::head;
        std::string input;
        std::string body;
        std::uint64_t remaining = 0;  ///< of a sized body or a chunk
        std::uint64_t body_size = 0;  ///< counted even when not kept
        bool keep_body = false;
        int refused = 0;
        request head;
        bool operator==(const channel&) const = default;
    };

    void advance(connection c, channel& ch);
    bool step(connection c, channel& ch);
    bool read_head(connection c, channel& ch);
    bool read_chunk_line(connection c, channel& ch);
    static void take_trailer(request& r, std::string_view line);
    void take_body(connection c, channel& ch, std::string_view bytes);
    void finish(connection c, channel& ch);
    void accept_reply(connection c, channel& ch, bool failed);
    void accept_setup_error(connection c, channel& ch);
    void answer_extension(connection c, channel& ch);
    void tell_extensions(extensions::event what, std::string document);
    void deliver(connection c, channel& ch);
    void forget_wait(connection c);
    /// Whether a posted body would be accepted now; the status and document to answer if not.
    [[nodiscard]] bool acceptable(const request& r) const;

    /// `headers`: further lines, each with its end.
    void respond(connection c,
                 channel& ch,
                 int status,
                 std::string_view document,
                 std::string_view headers = {});
    void refuse_transition(connection c, channel& ch, std::string_view to);
    void bad_request(connection c, channel& ch, int status, std::string_view message);
    [[nodiscard]] std::size_t buffered() const noexcept;

    stage stage_ = stage::started;
    std::map<connection, channel> channels_;
    int deliveries_ = 0;               ///< of event_
    std::vector<connection> pending_;  ///< connections whose `next` waits, oldest first
    std::optional<guest::native_event> event_;
    std::vector<output> output_;
    std::optional<reply> reply_;
    std::optional<reply> init_error_;
    bool restore_ = true;
    std::optional<connection> restore_next_;  ///< where `restore/next` waits
    std::optional<reply> restore_error_;
    extensions extensions_;
    std::string token_;
    std::vector<connection> wants_credentials_;  ///< only until the owner has looked
    // Of the event under way; nothing while there is none, so not in `fields`.
    bool stream_ = false;
    std::optional<connection> streaming_on_;  ///< the first that answers so
    std::string streamed_, streamed_type_;
};

}  // namespace hearth::worker
