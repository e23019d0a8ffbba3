#pragma once

/// SHA-256, as AWS shows it (base64) and as file names use it (hex).

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace hearth::image {

using sha256_digest = std::array<unsigned char, 32>;

class sha256 {
  public:
    sha256();
    void update(std::string_view bytes);
    /// Call once.
    sha256_digest finish();

  private:
    struct free_context {
        void operator()(evp_md_ctx_st*) const noexcept;
    };
    std::unique_ptr<evp_md_ctx_st, free_context> context_;
};

sha256_digest sha256_of(std::string_view bytes);
std::string to_base64(const sha256_digest&);
std::string to_hex(const sha256_digest&);
/// The hex form of a base64 digest; empty when `base64` is not one.
std::string hex_of_base64_digest(std::string_view base64);

}  // namespace hearth::image
