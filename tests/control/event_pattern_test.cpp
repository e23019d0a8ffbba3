// Event patterns: what each comparison takes, and what is no pattern.

#include "control/event_pattern.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using hearth::errc;
using hearth::control::event_pattern;

TEST_CASE("what event patterns match, and what not") {
    struct row {
        const char* pattern;
        const char* event;
        bool matches;
    };
    const row rows[] = {
        // Values as they are; any of the alternatives; all of the fields.
        {R"({"a":["x"]})", R"({"a":"x"})", true},
        {R"({"a":["x"]})", R"({"a":"X"})", false},
        {R"({"a":["x"]})", R"({"b":"x"})", false},
        {R"({"a":["x"]})", R"({})", false},
        {R"({"a":["x","y"]})", R"({"a":"y"})", true},
        {R"({"a":["x"],"b":["y"]})", R"({"a":"x","b":"y","c":1})", true},
        {R"({"a":["x"],"b":["y"]})", R"({"a":"x","b":"z"})", false},
        {R"({"a":[1]})", R"({"a":1.0})", true},
        {R"({"a":[300]})", R"({"a":3e2})", true},
        {R"({"a":[1]})", R"({"a":"1"})", false},
        {R"({"a":[9007199254740993]})", R"({"a":9007199254740992})", false},
        {R"({"a":[18446744073709551615]})", R"({"a":18446744073709551615})", true},
        {R"({"a":[true]})", R"({"a":true})", true},
        {R"({"a":[true]})", R"({"a":false})", false},
        {R"({"a":[null]})", R"({"a":null})", true},
        {R"({"a":[null]})", R"({})", false},
        {R"({"a":[""]})", R"({"a":""})", true},
        {R"({"a":[""]})", R"({"a":null})", false},
        // Nested, and lists on either side.
        {R"({"a":{"b":["x"]}})", R"({"a":{"b":"x"}})", true},
        {R"({"a":{"b":["x"]}})", R"({"a":"x"})", false},
        {R"({"a":{"b":["x"]}})", R"({"a":[{"b":"y"},{"b":"x"}]})", true},
        {R"({"a":{"b":["x"],"c":[1]}})", R"({"a":[{"b":"x","c":2},{"b":"y","c":1}]})", false},
        {R"({"a":["x"]})", R"({"a":["y","x"]})", true},
        {R"({"a":["x"]})", R"({"a":[]})", false},
        {R"({"a":["x"]})", R"({"a":{"x":1}})", false},
        // Beginnings and ends.
        {R"({"a":[{"prefix":"ab"}]})", R"({"a":"abc"})", true},
        {R"({"a":[{"prefix":"ab"}]})", R"({"a":"a"})", false},
        {R"({"a":[{"prefix":""}]})", R"({"a":"a"})", true},
        {R"({"a":[{"prefix":"1"}]})", R"({"a":1})", false},
        {R"({"a":[{"prefix":{"equals-ignore-case":"AB"}}]})", R"({"a":"abc"})", true},
        {R"({"a":[{"suffix":".png"}]})", R"({"a":"x.png"})", true},
        {R"({"a":[{"suffix":".png"}]})", R"({"a":"png"})", false},
        {R"({"a":[{"suffix":".png"}]})", R"({"a":"x.PNG"})", false},
        {R"({"a":[{"suffix":{"equals-ignore-case":".png"}}]})", R"({"a":"x.PNG"})", true},
        {R"({"a":[{"equals-ignore-case":"Alice"}]})", R"({"a":"aLICE"})", true},
        {R"({"a":[{"equals-ignore-case":"Alice"}]})", R"({"a":"Alices"})", false},
        // Numbers.
        {R"({"a":[{"numeric":["=",5]}]})", R"({"a":5.0})", true},
        {R"({"a":[{"numeric":[">",0,"<=",5]}]})", R"({"a":5})", true},
        {R"({"a":[{"numeric":[">",0,"<=",5]}]})", R"({"a":0})", false},
        {R"({"a":[{"numeric":[">=",0,"<",5]}]})", R"({"a":5})", false},
        {R"({"a":[{"numeric":["<",-1.5]}]})", R"({"a":-2})", true},
        {R"({"a":[{"numeric":["<",5]}]})", R"({"a":"1"})", false},
        // Being there.
        {R"({"a":[{"exists":true}]})", R"({"a":null})", true},
        {R"({"a":[{"exists":true}]})", R"({"b":1})", false},
        {R"({"a":[{"exists":true}]})", R"({"a":{"b":1}})", false},
        {R"({"a":[{"exists":false}]})", R"({"b":1})", true},
        {R"({"a":[{"exists":false}]})", R"({"a":1})", false},
        {R"({"a":{"b":[{"exists":false}]}})", R"({})", true},
        {R"({"a":[{"exists":false},"x"]})", R"({"a":"x"})", true},
        // Anything but.
        {R"({"a":[{"anything-but":"x"}]})", R"({"a":"y"})", true},
        {R"({"a":[{"anything-but":"x"}]})", R"({"a":"x"})", false},
        {R"({"a":[{"anything-but":"x"}]})", R"({})", false},
        {R"({"a":[{"anything-but":["x",1]}]})", R"({"a":1})", false},
        {R"({"a":[{"anything-but":["x",1]}]})", R"({"a":"1"})", true},
        {R"({"a":[{"anything-but":{"prefix":"x"}}]})", R"({"a":"xy"})", false},
        {R"({"a":[{"anything-but":{"prefix":["x","y"]}}]})", R"({"a":"z"})", true},
        {R"({"a":[{"anything-but":{"suffix":"y"}}]})", R"({"a":"xy"})", false},
        {R"({"a":[{"anything-but":{"equals-ignore-case":["A","b"]}}]})", R"({"a":"B"})", false},
        {R"({"a":[{"anything-but":"x"}]})", R"({"a":{"b":1}})", false},
        // One of several objects, beside other fields.
        {R"({"$or":[{"a":[1]},{"b":[2]}]})", R"({"b":2})", true},
        {R"({"$or":[{"a":[1]},{"b":[2]}]})", R"({"a":2,"b":1})", false},
        {R"({"c":[3],"$or":[{"a":[1]},{"b":[2]}]})", R"({"a":1})", false},
        {R"({"d":{"$or":[{"a":[1]},{"b":[{"prefix":"x"}]}]}})", R"({"d":{"b":"xx"}})", true},
    };
    for (const row& each : rows) {
        INFO(each.pattern << " of " << each.event);
        CHECK(event_pattern::parse(each.pattern)
                  .value()
                  .matches(boost::json::parse(each.event).as_object()) == each.matches);
    }
}

TEST_CASE("what is no event pattern") {
    for (const char* text : {"",
                             "{",
                             "[]",
                             "\"a\"",
                             "{}",
                             R"({"a":"x"})",
                             R"({"a":1})",
                             R"({"a":null})",
                             R"({"a":[]})",
                             R"({"a":{}})",
                             R"({"a":[["x"]]})",
                             R"({"a":[{}]})",
                             R"({"a":[{"prefix":1}]})",
                             R"({"a":[{"prefix":"a","suffix":"b"}]})",
                             R"({"a":[{"prefix":{"suffix":"a"}}]})",
                             R"({"a":[{"suffix":["a"]}]})",
                             R"({"a":[{"equals-ignore-case":{"prefix":"a"}}]})",
                             R"({"a":[{"numeric":[]}]})",
                             R"({"a":[{"numeric":["=="]}]})",
                             R"({"a":[{"numeric":["!=",1]}]})",
                             R"({"a":[{"numeric":[">","1"]}]})",
                             R"({"a":[{"numeric":[">",1,">=",2]}]})",
                             R"({"a":[{"numeric":["=",1,"<",2]}]})",
                             R"({"a":[{"numeric":5}]})",
                             R"({"a":[{"exists":"true"}]})",
                             R"({"a":[{"anything-but":[]}]})",
                             R"({"a":[{"anything-but":[true]}]})",
                             R"({"a":[{"anything-but":{"numeric":["=",1]}}]})",
                             R"({"a":[{"anything-but":{"prefix":1}}]})",
                             R"({"a":[{"matches":"x"}]})",
                             R"({"$or":[{"a":[1]}]})",
                             R"({"$or":[{"a":[1]},2]})",
                             R"({"$or":[{"a":[1]},{}]})",
                             R"({"$or":{"a":[1]}})"}) {
        INFO(text);
        const auto parsed = event_pattern::parse(text);
        REQUIRE(parsed.has_error());
        CHECK(parsed.error() == errc::invalid_argument);
        CHECK_THAT(parsed.error().message(),
                   Catch::StartsWith("Invalid filter pattern definition."));
    }
    const std::string deep = [] {
        std::string text;
        for (int i = 0; i < 600; ++i) text += R"({"a":)";
        return text + R"([1])" + std::string(600, '}');
    }();
    CHECK(event_pattern::parse(deep).has_error());
    CHECK(event_pattern::parse(R"({"a":[")" + std::string(4096, 'x') + R"("]})").has_error());
}
