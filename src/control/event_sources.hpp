#pragma once

/// The event source mappings: kept in the storage, and each with the source that brings a queue's
/// messages or a stream's records to its function.
///
/// The context's mutex is not held over the storage's writes, so who changes mappings holds the
/// owner's `changes_`.

#include "control/event_source.hpp"

#include <hearth/control.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace hearth::control {

class event_sources {
  public:
    static constexpr std::size_t max_mappings = 1000;

    /// The owner outlives it.
    explicit event_sources(control_plane::impl& owner) : all_(owner) {}
    event_sources(const event_sources&) = delete;
    event_sources& operator=(const event_sources&) = delete;
    ~event_sources() { stop(); }

    /// What is stored. Once, before anything else. @errors errc::storage_failed
    result<void> load();
    /// From now on messages are received.
    void start();
    /// None any more. What is with functions goes on.
    void pause();
    /// The same, and waits for what is with functions, and for what it came to.
    void stop();

    /// Stores it and makes it so, in the place of the one of its UUID. @errors errc::storage_failed
    result<void> put(event_source_mapping m);
    /// @errors errc::not_found, storage_failed
    result<event_source_mapping> remove(std::string_view uuid);
    /// @errors errc::not_found
    [[nodiscard]] result<event_source_mapping> get(std::string_view uuid) const;
    /// Those for which `wanted` holds.
    [[nodiscard]] event_source_mapping_page list(
        std::string_view marker,
        std::size_t max_items,
        const std::function<bool(const event_source_mapping&)>& wanted) const;
    [[nodiscard]] std::size_t size() const;
    void add_to(hearth::metrics& m) const;

  private:
    [[nodiscard]] event_source_ptr make(event_source_mapping m, std::vector<event_pattern> filters);

    mutable event_source_context all_;
    bool running_ = false;  ///< under the mutex
};

}  // namespace hearth::control
