#pragma once

/// Who takes part in the Extensions API, version 2020-01-01, of one environment: what is behind the
/// requests that `runtime_api` reads. External extensions are processes of their own, known from
/// the start by their files' names; internal ones come by registering, from within the runtime. A
/// value without I/O. Owner thread only; names and documents are the guest's, so hostile.
///
/// @source Lambda guide, "Using the Lambda Extensions API to create extensions"; the emulator's
///   lambda/core/registrations.go and lambda/rapi/handler/agent*.go, whose answers these are.

#include "base/codec_access.hpp"
#include "worker/failure.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace hearth::worker {

class extensions {
  public:
    using connection = std::uint32_t;
    static constexpr std::size_t max_extensions = 10;

    /// What registering tells of the function.
    struct function {
        std::string name, version, handler, account_id;
        bool operator==(const function&) const = default;
    };
    enum class event : std::uint8_t { invoke = 1, shutdown = 2 };

    struct answer {
        int status = 200;
        std::string body;
        std::string identifier;  ///< Lambda-Extension-Identifier, when registered
    };

    // -- while the environment initialises

    /// Extensions may register until `close`.
    void open(function f) { function_ = std::move(f); }
    /// An external one, which is process `process`, is to register.
    void expect(std::string name, std::int32_t process);
    void close() noexcept { function_.reset(); }
    [[nodiscard]] bool is_open() const noexcept { return function_.has_value(); }
    /// All that are expected have registered.
    [[nodiscard]] bool all_registered() const noexcept;
    /// The first that has not; empty: none.
    [[nodiscard]] std::string_view missing() const noexcept;
    /// All wait for an event, so init may end.
    [[nodiscard]] bool all_wait() const noexcept;

    // -- requests

    answer add(std::string_view name, bool account_id, std::string_view body);
    /// Nothing: it waits on `c` until `tell`.
    std::optional<answer> next(std::string_view identifier, connection c);
    /// init/error (`init`) or exit/error. What it means is had from `take_failure`.
    answer fail(std::string_view identifier, std::string_view error_type, bool init);
    /// A connection is gone, and a wait on it.
    void forget(connection c) noexcept;

    // -- events

    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
    [[nodiscard]] bool any_for(event e) const noexcept;
    /// @return the connections that wait for it and get `document` now. The others of those that
    /// registered for it get it when they ask.
    std::vector<connection> tell(event e, std::string document);
    /// All that registered for it have had it and wait again.
    [[nodiscard]] bool done_with(event e) const noexcept;

    // -- ends

    std::optional<failure> take_failure() { return std::exchange(failure_, std::nullopt); }
    /// Its process has ended. @return what that means; nothing when no extension is that process
    std::optional<failure> ended(std::int32_t process, const guest::exit_status& status);

    /// A line of the log for each, as Lambda writes them when init is over.
    [[nodiscard]] std::string init_lines() const;

    bool operator==(const extensions&) const = default;

    enum class stage : std::uint8_t { started, registered, ready, running, failed, ended };

  private:
    friend struct codec::access;
    // Not function_: there are no snapshots of an environment that initialises.
    static auto fields(auto& self) { return std::tie(self.all_, self.document_); }

    struct one {
        std::string name;
        std::string identifier;    ///< a UUID, drawn when it registers
        std::int32_t process = 0;  ///< 0: internal
        std::uint8_t events = 0;
        stage at = stage::started;
        std::optional<connection> waits;  ///< there; `ready` then
        bool owed = false;                ///< `document_` is for it
        bool operator==(const one&) const = default;
    };
    [[nodiscard]] static bool wants(const one& e, event what) noexcept {
        return (e.events & static_cast<std::uint8_t>(what)) != 0 && e.at != stage::ended;
    }
    /// Who has said that it failed asks for no event any more.
    [[nodiscard]] static bool hears(const one& e, event what) noexcept {
        return wants(e, what) && e.at != stage::failed;
    }
    one* find(std::string_view identifier, answer& refusal);

    std::vector<one> all_;
    std::string document_;  ///< of the event under way
    std::optional<function> function_;
    std::optional<failure> failure_;
};

}  // namespace hearth::worker
