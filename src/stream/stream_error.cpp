#include <hearth/data_stream.hpp>

namespace hearth {
namespace {

class category final : public boost::system::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "hearth.stream"; }
    [[nodiscard]] std::string message(int value) const override {
        switch (static_cast<stream_errc>(value)) {
            case stream_errc::resource_not_found:
                return "the stream or shard does not exist";
            case stream_errc::resource_in_use:
                return "the stream exists, or the shard is closed";
            case stream_errc::invalid_argument:
                return "a parameter is out of range";
            case stream_errc::limit_exceeded:
                return "there would be too many of them";
            case stream_errc::expired_iterator:
                return "the iterator is older than five minutes";
            case stream_errc::expired_next_token:
                return "the token is older than five minutes";
        }
        return "unknown error";
    }
};

}  // namespace

const boost::system::error_category& stream_error_category() noexcept {
    static const category c;
    return c;
}

}  // namespace hearth
