#include "image/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <new>

namespace hearth::image {

namespace {

/// Fetched once: EVP_sha256() would be looked up anew for every digest, which takes ten times as
/// long as a short one.
const EVP_MD* algorithm() {
    static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return fetched ? fetched : EVP_sha256();
}

}  // namespace

void sha256::free_context::operator()(evp_md_ctx_st* c) const noexcept { EVP_MD_CTX_free(c); }

sha256::sha256() : context_(EVP_MD_CTX_new()) {
    // Both fail only for want of memory.
    if (!context_ || EVP_DigestInit_ex(context_.get(), algorithm(), nullptr) != 1)
        throw std::bad_alloc();
}

void sha256::update(std::string_view bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

sha256_digest sha256::finish() {
    sha256_digest digest{};
    EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
    return digest;
}

sha256_digest sha256_of(std::string_view bytes) {
    sha256 h;
    h.update(bytes);
    return h.finish();
}

std::string to_base64(const sha256_digest& digest) {
    std::string text(45, '\0');  // 44 characters and EVP_EncodeBlock's NUL
    text.resize(
        static_cast<std::size_t>(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                                 digest.data(), static_cast<int>(digest.size()))));
    return text;
}

std::string to_hex(const sha256_digest& digest) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (unsigned char c : digest) text += digits[c >> 4], text += digits[c & 15];
    return text;
}

std::string hex_of_base64_digest(std::string_view base64) {
    // 32 bytes are 43 characters and one '='; EVP_DecodeBlock writes 33 bytes, the last one
    // padding.
    if (base64.size() != 44 || base64.back() != '=') return {};
    std::array<unsigned char, 33> bytes{};
    if (EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(base64.data()), 44) !=
        33)
        return {};
    sha256_digest digest;
    std::copy_n(bytes.begin(), digest.size(), digest.begin());
    return to_hex(digest);
}

}  // namespace hearth::image
