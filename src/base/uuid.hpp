#pragma once

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <sys/random.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

namespace hearth {

/// Random (version 4), in its 36 characters.
inline std::string make_uuid() { return to_string(boost::uuids::random_generator()()); }

/// The same for those who need one for every invocation: asks the kernel for several at a time,
/// which is most of what one costs. Thread-safe; the mutex is a leaf.
class uuid_source {
  public:
    [[nodiscard]] std::string next() {
        boost::uuids::uuid id;
        {
            const std::lock_guard lock(mutex_);
            // So little is never cut short by a signal (man 2 getrandom). Before the kernel has
            // any randomness it waits.
            if (left_ == 0) {
                if (::getrandom(ahead_.data(), sizeof ahead_, 0) != sizeof ahead_)
                    return make_uuid();  // no such system call: this one knows other ways
                left_ = ahead_.size();
            }
            id = ahead_[--left_];
        }
        // RFC 9562, section 5.4
        id.data[6] = static_cast<std::uint8_t>((id.data[6] & 0x0f) | 0x40);
        id.data[8] = static_cast<std::uint8_t>((id.data[8] & 0x3f) | 0x80);
        return to_string(id);
    }

  private:
    std::mutex mutex_;
    std::array<boost::uuids::uuid, 16> ahead_{};
    std::size_t left_ = 0;
    static_assert(sizeof ahead_ == 256);
};

}  // namespace hearth
