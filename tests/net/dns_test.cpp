#include "net/dns.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace hearth::net;

namespace {

std::vector<std::byte> bytes(std::string_view s) {
    const auto raw = std::as_bytes(std::span(s));
    return {raw.begin(), raw.end()};
}

std::vector<std::byte> question(std::string_view labels, std::uint8_t type, bool edns = false) {
    std::string m("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
    m += static_cast<char>(edns);
    m += labels;
    m += std::string("\0\0", 2) + static_cast<char>(type) + std::string("\0\x01", 2);
    if (edns) m += std::string("\0\0\x29\x10\x00\0\0\0\0\0\0", 11);
    return bytes(m);
}

}  // namespace

TEST_CASE("a question is read, and answered with as many addresses as fit") {
    const auto q = dns::parse(question("\3DB1\7example\3com", dns::type_a)).value();
    CHECK(q.id == 0x1234);
    CHECK(q.name == "db1.example.com");
    CHECK(q.type == dns::type_a);
    CHECK(q.room == 512);
    std::vector<address> many;
    for (std::uint32_t i = 0; i < 200; ++i) many.push_back(address::v4(0xc000'0200 + i));
    many.push_back(address::parse("2001:db8::1").value());
    const auto a = dns::answer(q, dns::rcode::no_error, many);
    CHECK(a.size() <= 512);
    CHECK(a[2] == std::byte{0x81});
    CHECK(a[3] == std::byte{0x80});
    CHECK(std::to_integer<int>(a[7]) == int(512 - 12 - q.question.size()) / 16);
    const auto six = dns::parse(question("\1a", dns::type_aaaa, true)).value();
    CHECK(six.room == 4096);
    const auto b = dns::answer(six, dns::rcode::no_error, many);
    CHECK(std::to_integer<int>(b[7]) == 1);
    CHECK(std::to_integer<int>(b[11]) == 1);  // OPT is answered
    CHECK(dns::answer(six, dns::rcode::no_such_name)[3] == std::byte{0x83});
}

TEST_CASE("what is no question is not answered") {
    CHECK_FALSE(dns::parse({}));
    auto m = question("\1a", 1);
    for (std::size_t n = 0; n < m.size(); ++n) CHECK_FALSE(dns::parse(std::span(m).first(n)));
    m[2] = std::byte{0x81};
    CHECK_FALSE(dns::parse(m));
    CHECK_FALSE(dns::parse(question("\xc0\x0c", 1)));
    CHECK_FALSE(dns::parse(question("\3a.b", 1)));
    std::minstd_rand next(1);
    for (int i = 0; i < 20'000; ++i) {
        auto wild = question("\3abc\2de", 1, true);
        for (int k = 0; k < 3; ++k) wild[next() % wild.size()] = std::byte(next() >> 5 & 0xff);
        wild.resize(next() % (wild.size() + 1));
        if (const auto q = dns::parse(wild)) {
            CHECK(q->name.size() <= 253);
            CHECK(dns::answer(*q, dns::rcode::server_failure).size() <= 512 + 11);
        }
    }
}
