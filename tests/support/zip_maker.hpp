#pragma once

/// Zips written byte by byte, so that tests can make the ones no tool makes.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::test {

struct zip_entry {
    std::string name;
    std::string content;
    std::uint32_t mode = 0100644;  ///< st_mode: type and permissions
    std::uint16_t flags = 0;       ///< bit 0: encrypted
    bool unix_made = true;         ///< false: by DOS, without a mode
};

class zip_maker {
  public:
    zip_maker& add(zip_entry e) {
        const auto offset = static_cast<std::uint32_t>(body_.size());
        const std::uint32_t crc = crc32(e.content);
        body_ += "PK\3\4";
        common(body_, e, crc);
        put(body_, 0, 2);  // no extra field
        body_ += e.name + e.content;

        directory_ += "PK\1\2";
        put(directory_, e.unix_made ? 0x031E : 0x0014, 2);
        common(directory_, e, crc);
        put(directory_, 0, 2), put(directory_, 0, 2), put(directory_, 0, 2), put(directory_, 0, 2);
        put(directory_, e.unix_made ? e.mode << 16 : 0, 4);
        put(directory_, offset, 4);
        directory_ += e.name;
        ++count_;
        return *this;
    }
    zip_maker& file(std::string name, std::string content = "x", std::uint32_t mode = 0644) {
        return add({std::move(name), std::move(content), 0100000 | mode});
    }
    zip_maker& symlink(std::string name, std::string target) {
        return add({std::move(name), std::move(target), 0120777});
    }
    zip_maker& directory(std::string name) { return add({std::move(name), "", 040755}); }

    [[nodiscard]] std::string bytes() const {
        std::string zip = body_ + directory_ + std::string("PK\5\6\0\0\0\0", 8);
        put(zip, count_, 2), put(zip, count_, 2);
        put(zip, directory_.size(), 4), put(zip, body_.size(), 4), put(zip, 0, 2);
        return zip;
    }

  private:
    static void put(std::string& to, std::uint64_t value, int width) {
        for (int i = 0; i < width; ++i) to += static_cast<char>(value >> (8 * i));
    }
    /// The fields that local header and directory share, from "version needed" to the name's
    /// length.
    static void common(std::string& to, const zip_entry& e, std::uint32_t crc) {
        put(to, 20, 2), put(to, e.flags, 2), put(to, 0, 2);  // stored
        put(to, 0x6000, 2), put(to, 0x5821, 2);              // 12:00, 2024-01-01
        put(to, crc, 4), put(to, e.content.size(), 4), put(to, e.content.size(), 4);
        put(to, e.name.size(), 2);
    }
    static std::uint32_t crc32(std::string_view data) {
        static constexpr auto table = [] {
            std::array<std::uint32_t, 256> t{};
            for (std::uint32_t i = 0; i < 256; ++i) {
                std::uint32_t c = i;
                for (int k = 0; k < 8; ++k) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
                t[i] = c;
            }
            return t;
        }();
        std::uint32_t crc = ~0u;
        for (char c : data) crc = table[(crc ^ static_cast<unsigned char>(c)) & 255] ^ (crc >> 8);
        return ~crc;
    }

    std::string body_, directory_;
    std::uint64_t count_ = 0;
};

}  // namespace hearth::test
