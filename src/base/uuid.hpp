#pragma once

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <string>

namespace hearth {

/// Random (version 4), in its 36 characters.
inline std::string make_uuid() { return to_string(boost::uuids::random_generator()()); }

}  // namespace hearth
