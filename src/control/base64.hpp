#pragma once

/// Bytes in the records that functions are given. Pure.

#include <openssl/evp.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth::control {

/// RFC 4648, with padding.
inline std::string to_base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and EVP_EncodeBlock's NUL
    text.resize(static_cast<std::size_t>(EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(text.data()),
        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()))));
    return text;
}

}  // namespace hearth::control
