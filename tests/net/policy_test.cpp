#include "net/policy.hpp"

#include "net/rules.hpp"

#include <catch2/catch.hpp>

using namespace hearth::net;

namespace {

address at(const char* text) { return address::parse(text).value(); }

verdict check(const char* list, const char* to, std::uint16_t port) {
    return policy::parse(list).value().check(at(to), port);
}

constexpr auto refused = verdict::refused;
constexpr auto allowed = verdict::allowed;
constexpr auto named = verdict::allowed_named;

}  // namespace

TEST_CASE("a network is allowed on its ports and nothing else is") {
    CHECK(check("10.0.0.0/8", "10.255.0.1", 1) == allowed);
    CHECK(check("10.0.0.0/8", "11.0.0.1", 1) == refused);
    CHECK(check("10.0.0.0/8:8000-8999", "10.1.2.3", 8000) == allowed);
    CHECK(check("10.0.0.0/8:8000-8999", "10.1.2.3", 8999) == allowed);
    CHECK(check("10.0.0.0/8:8000-8999", "10.1.2.3", 9000) == refused);
    CHECK(check("10.128.0.0/9", "10.127.255.255", 1) == refused);
    CHECK(check("192.0.2.7:443", "192.0.2.7", 443) == named);
    CHECK(check("192.0.2.7:443", "192.0.2.7", 80) == refused);
    CHECK(check("192.0.2.7:443", "192.0.2.8", 443) == refused);
    CHECK(check("192.0.2.7:443 , 192.0.2.8:80", "192.0.2.8", 80) == named);
    CHECK(check("[2001:db8::/32]:443", "2001:db8:1::5", 443) == allowed);
    CHECK(check("2001:db8::/33", "2001:db8:8000::", 443) == refused);
    CHECK(check("2001:db8::1", "2001:db8::1", 7) == named);
    CHECK(check("none", "192.0.2.7", 443) == refused);
    CHECK(policy::parse("none").value().none());
    CHECK_FALSE(policy::parse("all").value().none());
}

TEST_CASE("an IPv4 address in IPv6's clothes is the IPv4 address") {
    CHECK(check("192.0.2.0/24", "::ffff:192.0.2.9", 1) == allowed);
    CHECK(check("all", "::ffff:127.0.0.1", 1) == refused);
    CHECK(check("all", "::ffff:169.254.169.254", 80) == refused);
    CHECK(check("::ffff:127.0.0.1", "127.0.0.1", 1) == named);
    CHECK(check("all", "64:ff9b::a9fe:a9fe", 80) == refused);  // translated
    CHECK(check("all", "64:ff9b::c000:207", 80) == allowed);
}

TEST_CASE("all is everything but this machine and its link, which take an entry of their own") {
    for (const char* special :
         {"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1",
          "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "ff02::1",
          "fd00:ec2::254", "::7f00:1", "2002:7f00:1::"}) {
        CAPTURE(special);
        for (const char* wide : {"all", "0.0.0.0/0,::/0", "*:80", "0.0.0.0/1,128.0.0.0/1,::/1"})
            CHECK(check(wide, special, 80) == refused);
        CHECK(check((std::string("all,[") + special + "]:80").c_str(), special, 80) == named);
        CHECK(check((std::string("all,[") + special + "]:80").c_str(), special, 81) == refused);
    }
    CHECK(check("169.254.0.0/16", "169.254.169.254", 80) == named);
    CHECK(check("localhost:6379", "127.0.0.1", 6379) == named);
    CHECK(check("localhost:6379", "::1", 6379) == named);
    CHECK(check("localhost:6379", "127.0.0.2", 6379) == refused);
    CHECK(check("all", "93.184.216.34", 443) == allowed);
    CHECK(check("*:443", "93.184.216.34", 80) == refused);
}

TEST_CASE("names are resolved when listed, and open what they resolve to on their ports alone") {
    const policy p = policy::parse("Db.Example.com:5432,*.cdn.example:443-444").value();
    CHECK(p.allows_name("db.example.COM"));
    CHECK_FALSE(p.allows_name("example.com"));
    CHECK_FALSE(p.allows_name("xdb.example.com"));
    CHECK(p.allows_name("a.b.cdn.example"));
    CHECK_FALSE(p.allows_name("cdn.example"));
    CHECK_FALSE(p.allows_name("evilcdn.example"));
    CHECK_FALSE(policy::parse("10.0.0.0/8").value().allows_name("db.example.com"));
    CHECK(policy::parse("all").value().allows_name("anything.example"));

    rules r(p);
    CHECK(r.check({at("192.0.2.1"), 5432}) == refused);
    const address found[] = {at("192.0.2.1"), at("169.254.169.254"), at("127.0.0.1")};
    r.grant("db.example.com", found);
    CHECK(r.check({at("192.0.2.1"), 5432}) == allowed);
    CHECK(r.check({at("192.0.2.1"), 443}) == refused);
    CHECK(r.check({at("169.254.169.254"), 5432}) == refused);  // a name that lies
    CHECK(r.check({at("127.0.0.1"), 5432}) == refused);
    r.grant("x.cdn.example", std::span(found).first(1));
    CHECK(r.check({at("192.0.2.1"), 444}) == allowed);
    for (std::uint32_t i = 0; i < 2 * rules::max_granted; ++i) {
        const address many[] = {address::v4(0x0b00'0000 + i)};
        r.grant("db.example.com", many);
    }
    CHECK(r.check({at("192.0.2.1"), 5432}) == refused);  // long ago
    CHECK(r.check({address::v4(0x0b00'0000 + 2 * rules::max_granted - 1), 5432}) == allowed);
}

TEST_CASE("a wrong entry is refused with what is wrong about it") {
    const std::pair<const char*, const char*> wrong[] = {
        {"", "nothing is named"},
        {" , ", "nothing is named"},
        {"none,all", "stands alone"},
        {"10.0.0.0/33", "0 to 32"},
        {"2001:db8::/129", "0 to 128"},
        {"10.0.0.1/8", "bits set behind"},
        {"10.0.0.0/8:0", "where a port"},
        {"10.0.0.0/8:70000", "where a port"},
        {"10.0.0.0/8:90-80", "ends before it begins"},
        {"10.0.0.0/8:", "where a port"},
        {"10.0.0.256:80", "looks like an address"},
        {"10.0.0:80", "looks like an address"},
        {"example.com", "needs a port"},
        {"exa mple.com:80", "needs a port"},
        {"-x.example:80", "neither"},
        {"a..b:80", "neither"},
        {"http://example.com:80", "no address"},
        {"*.*.example:80", "neither"},
        {"[::1", "without its ']'"},
        {"[::1]80", "behind the ']'"},
        {"example.com/24:80", "no address"},
    };
    for (const auto& [text, how] : wrong) {
        CAPTURE(text);
        const auto p = policy::parse(text);
        REQUIRE(p.has_error());
        CHECK(p.error() == hearth::errc::invalid_argument);
        CHECK_THAT(p.error().message(), Catch::Contains(how));
    }
    std::string many;
    for (std::size_t i = 0; i <= policy::max_entries; ++i) many += "10.0.0.0/8,";
    CHECK(policy::parse(many).has_error());
}
