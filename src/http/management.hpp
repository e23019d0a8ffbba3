#pragma once

/// Every operation but Invoke: a request in, a reply out. Knows no sockets.

#include "http/operations.hpp"
#include "http/reply.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <string>
#include <string_view>

namespace hearth::http {

/// Whether the operation may wait for a disk or take as long, and so must not run on a socket
/// thread.
bool waits_for_disk(operation op) noexcept;

/// `origin` is this server's, "http://HOST", for links back to it; empty where it is unknown.
/// `by` may do what the route says, as far as that can be told without the body; null: anyone may.
reply manage(control_plane& control,
             const route& asked,
             std::string_view body,
             std::string_view origin,
             const access_key* by);

}  // namespace hearth::http
