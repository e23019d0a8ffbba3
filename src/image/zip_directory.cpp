#include "image/zip_directory.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <string>

namespace hearth::image {
namespace {

// Record layouts: APPNOTE.TXT (PKWARE), 4.3.12 central directory, 4.3.14 and 4.3.15 zip64 end and
// locator, 4.3.16 end of central directory.
constexpr std::size_t end_size = 22, locator_size = 20, end64_size = 56, central_size = 46;

std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;)
        value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

// 4.4.2: the upper byte of "version made by"; only these put a Unix mode into the attributes.
constexpr std::uint64_t made_by_unix = 3, made_by_darwin = 19;
constexpr std::uint64_t no_offset32 = 0xFFFFFFFF;

/// The local header's offset from the zip64 extra field (4.5.3), which holds only those of size,
/// compressed size and offset that are 0xFFFFFFFF in the record, in this order. The record has been
/// checked to lie inside the zip.
std::uint64_t offset64(std::string_view zip, std::uint64_t record, std::uint64_t name_size) {
    std::size_t skip = 0;
    for (std::size_t field : {20, 24})
        if (little_endian(zip, record + field, 4) == no_offset32) skip += 8;
    std::string_view extra =
        zip.substr(record + central_size + name_size, little_endian(zip, record + 30, 2));
    while (extra.size() >= 4) {
        const std::uint64_t id = little_endian(extra, 0, 2), size = little_endian(extra, 2, 2);
        extra.remove_prefix(4);
        if (size > extra.size()) break;
        if (id == 1 && size >= skip + 8) return little_endian(extra, skip, 8);
        extra.remove_prefix(size);
    }
    return no_offset32;
}

bool starts_with_signature(std::string_view zip, std::uint64_t at, char a, char b) {
    const char signature[] = {'P', 'K', a, b};
    return at + 4 <= zip.size() && zip.substr(at, 4) == std::string_view(signature, 4);
}

error refused(std::string why) {
    return {errc::bad_package, "the zip is refused: " + std::move(why)};
}

struct directory_place {
    std::uint64_t count = 0, size = 0, offset = 0;
};

result<directory_place> find_directory(std::string_view zip) {
    if (zip.size() < end_size) return refused("it is too short to be a zip file");
    // The end record may be followed by a comment of up to 65,535 bytes.
    const std::size_t last = zip.size() - end_size;
    const std::size_t first = last > 65535 ? last - 65535 : 0;
    for (std::size_t at = last + 1; at-- > first;) {
        if (!starts_with_signature(zip, at, 5, 6)) continue;
        if (at + end_size + little_endian(zip, at + 20, 2) > zip.size()) continue;
        directory_place place{little_endian(zip, at + 10, 2), little_endian(zip, at + 12, 4),
                              little_endian(zip, at + 16, 4)};
        if (at >= locator_size && starts_with_signature(zip, at - locator_size, 6, 7)) {
            const std::uint64_t end64 = little_endian(zip, at - locator_size + 8, 8);
            if (zip.size() < end64_size || end64 > zip.size() - end64_size ||
                !starts_with_signature(zip, end64, 6, 6))
                return refused("its zip64 end record is not where it says");
            place = {little_endian(zip, end64 + 32, 8), little_endian(zip, end64 + 40, 8),
                     little_endian(zip, end64 + 48, 8)};
        }
        if (place.offset > at || place.size > at - place.offset)
            return refused("its central directory lies outside the file");
        return place;
    }
    return refused("it has no end record: not a zip file, or truncated");
}

}  // namespace

result<std::vector<zip_directory_entry>> read_zip_directory(std::string_view zip,
                                                            std::uint64_t most) {
    auto place = find_directory(zip);
    if (place.has_error()) return place.error();
    if (place->count > most)
        return refused("it has " + std::to_string(place->count) + " entries; the limit is " +
                       std::to_string(most));
    std::vector<zip_directory_entry> entries;
    std::uint64_t at = place->offset;
    const std::uint64_t end = place->offset + place->size;
    for (std::uint64_t i = 0; i < place->count; ++i) {
        if (end - at < central_size || !starts_with_signature(zip, at, 1, 2))
            return refused("its central directory is damaged");
        const std::uint64_t name = little_endian(zip, at + 28, 2);
        const std::uint64_t rest = little_endian(zip, at + 30, 2) + little_endian(zip, at + 32, 2);
        if (end - at < central_size + name + rest)
            return refused("its central directory is damaged");
        const std::uint64_t made_by = little_endian(zip, at + 5, 1);
        zip_directory_entry entry{zip.substr(at + central_size, name)};
        entry.encrypted = (little_endian(zip, at + 8, 2) & 1) != 0;  // bit 0
        entry.local_offset = little_endian(zip, at + 42, 4);
        if (entry.local_offset == no_offset32) entry.local_offset = offset64(zip, at, name);
        if (made_by == made_by_unix || made_by == made_by_darwin)
            entry.file_type = static_cast<std::uint32_t>(little_endian(zip, at + 40, 2)) & S_IFMT;
        entries.push_back(entry);
        at += central_size + name + rest;
    }
    if (at != end) return refused("its central directory holds more than it says");
    std::ranges::sort(entries, {}, &zip_directory_entry::local_offset);
    if (std::ranges::adjacent_find(entries, {}, &zip_directory_entry::local_offset) !=
        entries.end())
        return refused("two of its entries are the same bytes");
    return entries;
}

}  // namespace hearth::image
