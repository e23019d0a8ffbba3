#include "base/sqlite_log.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <fstream>
#include <span>
#include <vector>

namespace hearth::sqlite {
namespace {

constexpr std::size_t header_bytes = 32, frame_header_bytes = 24;
/// The last bit of the magic says in which byte order the checksums are taken.
constexpr std::uint32_t magic = 0x377f0682, log_version = 3'007'000;
constexpr std::uint32_t min_page_bytes = 512, max_page_bytes = 65'536;

std::uint32_t big_endian(std::span<const unsigned char> bytes, std::size_t at) {
    return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
           std::uint32_t{bytes[at + 2]} << 8 | std::uint32_t{bytes[at + 3]};
}
std::uint32_t little_endian(std::span<const unsigned char> bytes, std::size_t at) {
    return std::uint32_t{bytes[at + 3]} << 24 | std::uint32_t{bytes[at + 2]} << 16 |
           std::uint32_t{bytes[at + 1]} << 8 | std::uint32_t{bytes[at]};
}

struct checksum {
    std::uint32_t first = 0, second = 0;
    bool operator==(const checksum&) const = default;

    static checksum at(std::span<const unsigned char> bytes, std::size_t where) {
        return {big_endian(bytes, where), big_endian(bytes, where + 4)};
    }
    /// Of what it is the sum of and of these, a multiple of eight bytes.
    [[nodiscard]] checksum with(std::span<const unsigned char> bytes, bool is_big_endian) const {
        const auto word = is_big_endian ? big_endian : little_endian;
        checksum sum = *this;
        for (std::size_t i = 0; i < bytes.size(); i += 8) {
            sum.first += word(bytes, i) + sum.second;
            sum.second += word(bytes, i + 4) + sum.first;
        }
        return sum;
    }
};

bool fill(std::ifstream& from, std::span<unsigned char> to) {
    from.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
    return from.gcount() == static_cast<std::streamsize>(to.size());
}

}  // namespace

std::filesystem::path log_of(const std::filesystem::path& database) {
    std::filesystem::path log = database;
    return log += "-wal";
}

std::string damage_of_log(const std::filesystem::path& database) {
    std::error_code ec;
    const std::filesystem::path log = log_of(database);
    const std::uintmax_t size = std::filesystem::file_size(log, ec);
    // A header is flushed before the first frame is written: one without a frame promises nothing.
    if (ec || size <= header_bytes) return {};
    const std::uintmax_t database_size = std::filesystem::file_size(database, ec);
    if (ec || database_size == 0) return "holds changes of a database that is not there any more";

    std::ifstream file(log, std::ios::binary);
    std::array<unsigned char, header_bytes> header{};
    if (!fill(file, header)) return {};  // then SQLite cannot read it either, and says so
    const std::span<const unsigned char> head(header);
    const bool is_big_endian = (big_endian(head, 0) & 1) != 0;
    const std::uint32_t page_bytes = big_endian(head, 8);
    checksum last = checksum::at(head, 24);
    if ((big_endian(head, 0) & ~1u) != magic || big_endian(head, 4) != log_version ||
        !std::has_single_bit(page_bytes) || page_bytes < min_page_bytes ||
        page_bytes > max_page_bytes || last != checksum().with(head.first(24), is_big_endian))
        return "does not begin as a log does";

    // Each frame's checksum goes on from that of the one before. Where they break, the log ends,
    // or it is damaged: then what was written later still hangs together. Of two transactions in a
    // row the first was flushed before the second was begun. (What fails to be flushed is written
    // over from its beginning, so what is left of it is never two in a row.)
    std::vector<unsigned char> frame(frame_header_bytes + page_bytes);
    const std::span<const unsigned char> all(frame);
    std::size_t frames = 0, broken_at = 0, in_a_row = 0;
    while (fill(file, frame)) {
        ++frames;
        // Another salt: it was written in an earlier use of the file.
        const bool is_of_this_use = big_endian(all, 8) == big_endian(head, 16) &&
                                    big_endian(all, 12) == big_endian(head, 20);
        const checksum sum = last.with(all.first(8), is_big_endian)
                                 .with(all.subspan(frame_header_bytes), is_big_endian);
        last = checksum::at(all, 16);
        const bool is_commit = big_endian(all, 4) != 0;
        if (!is_of_this_use || sum != last) {
            if (broken_at == 0) broken_at = frames;
            in_a_row = 0;
        } else if (broken_at != 0 && is_commit && ++in_a_row == 2) {
            return "is not what was written: the checksum of its frame " +
                   std::to_string(broken_at) + " is wrong, and whole transactions follow";
        }
    }
    return {};
}

}  // namespace hearth::sqlite
