#pragma once

/// Which sockets of a guest lead out of it, and how they come to do so: with their first connect or
/// datagram to somewhere that is not the guest itself.

#include "guest/sys/files.hpp"
#include "guest/vfs/outside.hpp"

namespace hearth::guest::outside {

/// The address is outside, or on loopback where nothing of the guest's has it and the function's
/// network may name it. False too where there is no way out.
bool leads_out(task& t, const files::opened& o, const vfs::socket_name& to);
/// connect(2) there, or again; waits unless O_NONBLOCK.
sysret connect(task& t, const files::opened& o, const vfs::socket_name& to);
/// A datagram socket becomes one that leads out, if it is not yet. What it had received is gone.
/// EACCES: the function's network does not allow the address.
outcome<void> make(task& t, const files::opened& o, const vfs::socket_name& to);
[[nodiscard]] bool has_datagrams(const vfs::description& d);
void disconnect(task& t, const vfs::description& d);
void set_option(task& t, const vfs::description& d, int level, int option, std::int64_t value);

}  // namespace hearth::guest::outside
