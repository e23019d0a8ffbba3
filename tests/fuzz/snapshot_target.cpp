#include "../sandbox/stored_world.hpp"
#include "sandbox/snapshot_codec.hpp"
#include "target.hpp"

namespace hearth::fuzz {
namespace {

struct collected final : detail::byte_sink {
    std::string bytes;
    void write(std::span<const std::byte> what) override {
        bytes.append(reinterpret_cast<const char*>(what.data()), what.size());
    }
};

class snapshot final : public target {
  public:
    snapshot() { w_.fill(); }

    std::vector<std::string> seeds() override {
        collected sink;
        if (!detail::encode_state(sink, w_.snapshot(), "attached", files())) return {};
        return {sink.bytes};
    }
    void run(std::string_view input) override {
        detail::snapshot_image image;
        std::string attachment;
        const auto decoded =
            detail::decode_state(std::as_bytes(std::span(input)), files(), image, attachment);
        if (!decoded) {
            promise(decoded.error() == errc::snapshot_unusable, "another error");
            return;
        }
        const guest::kernel_state copy = image.kernel;
        promise(copy == image.kernel, "a copy differs");
    }

  private:
    detail::guest_files files() const { return detail::guest_files(*w_.files); }
    stored_test::stored_world w_;
};

}  // namespace

std::unique_ptr<target> make_snapshot() { return std::make_unique<snapshot>(); }

}  // namespace hearth::fuzz
