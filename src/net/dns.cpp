#include "net/dns.hpp"

#include <algorithm>

namespace hearth::net::dns {
namespace {

constexpr std::size_t header_size = 12;
constexpr std::uint16_t type_opt = 41;
constexpr std::uint32_t ttl = 30;  // seconds: what a name stands for may change
constexpr std::size_t largest = 4096;

class reader {
  public:
    explicit reader(std::span<const std::byte> m) : message_(m) {}
    [[nodiscard]] bool good() const { return good_; }
    [[nodiscard]] std::size_t at() const { return at_; }
    std::uint8_t byte() {
        if (at_ >= message_.size()) {
            good_ = false;
            return 0;
        }
        return std::to_integer<std::uint8_t>(message_[at_++]);
    }
    std::uint16_t word() {
        const auto high = byte();
        return static_cast<std::uint16_t>(high << 8 | byte());
    }
    void skip(std::size_t n) {
        if (n > message_.size() - at_)
            good_ = false;
        else
            at_ += n;
    }

  private:
    std::span<const std::byte> message_;
    std::size_t at_ = 0;
    bool good_ = true;
};

void put(std::vector<std::byte>& to, std::uint16_t word) {
    to.push_back(std::byte(word >> 8));
    to.push_back(std::byte(word & 0xff));
}

/// Printable labels only: what a resolver library would be asked for.
bool read_name(reader& r, std::string& name) {
    for (;;) {
        const std::uint8_t length = r.byte();
        if (!r.good() || length > 63) return false;  // a pointer has no place in a question
        if (length == 0) return name.size() <= 253;
        if (!name.empty()) name += '.';
        for (unsigned i = 0; i < length; ++i) {
            const char c = static_cast<char>(r.byte());
            if (c <= ' ' || c > '~' || c == '.') return false;
            name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
        if (name.size() > 253) return false;
    }
}

}  // namespace

std::optional<query> parse(std::span<const std::byte> message) {
    reader r(message);
    query q;
    q.id = r.word();
    const std::uint16_t flags = r.word();
    const std::uint16_t questions = r.word();
    const std::uint16_t answers = r.word(), authorities = r.word(), additional = r.word();
    if (!r.good() || (flags & 0x8000)) return std::nullopt;  // an answer
    if ((flags & 0x7800) != 0 || questions != 1 || answers || authorities) return std::nullopt;
    q.recursion_desired = flags & 0x0100;
    if (!read_name(r, q.name)) return std::nullopt;
    q.type = r.word();
    q.klass = r.word();
    if (!r.good()) return std::nullopt;
    const auto asked = message.subspan(header_size, r.at() - header_size);
    q.question.assign(asked.begin(), asked.end());
    for (std::uint16_t i = 0; i < additional && r.good(); ++i) {
        if (r.byte() != 0) break;  // OPT's name is the root's; others do not matter
        const std::uint16_t type = r.word(), room = r.word();
        r.skip(4);
        r.skip(r.word());
        if (r.good() && type == type_opt) {
            q.extended = true;
            q.room = std::clamp<std::size_t>(room, 512, largest);
        }
    }
    return q;
}

std::vector<std::byte> answer(const query& q, rcode code, std::span<const address> addresses) {
    std::vector<std::byte> out;
    put(out, q.id);
    // QR, RD as asked, RA.
    put(out, static_cast<std::uint16_t>(0x8080 | (q.recursion_desired ? 0x0100 : 0) |
                                        static_cast<unsigned>(code)));
    put(out, 1);  // the question
    put(out, 0);  // answers: below
    put(out, 0);
    put(out, q.extended ? 1 : 0);
    out.insert(out.end(), q.question.begin(), q.question.end());
    const bool four = q.type == type_a;
    const std::size_t length = four ? 4 : 16, record = 12 + length;
    const std::size_t tail = q.extended ? 11 : 0;
    std::uint16_t count = 0;
    for (const address& a : addresses) {
        if (a.is_v4() != four || (!four && q.type != type_aaaa)) continue;
        if (out.size() + record + tail > q.room) break;
        put(out, 0xc00c);  // the name in the question
        put(out, q.type);
        put(out, class_in);
        put(out, ttl >> 16);
        put(out, ttl & 0xffff);
        put(out, static_cast<std::uint16_t>(length));
        for (std::size_t i = 16 - length; i < 16; ++i) out.push_back(std::byte(a.bytes[i]));
        ++count;
    }
    out[6] = std::byte(count >> 8);
    out[7] = std::byte(count & 0xff);
    if (q.extended) {
        out.push_back(std::byte{0});
        put(out, type_opt);
        put(out, largest);
        for (int i = 0; i < 3; ++i) put(out, 0);  // no extended code, version 0, no options
    }
    return out;
}

}  // namespace hearth::net::dns
