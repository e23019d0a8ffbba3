#include "target.hpp"
#include "worker/runtime_api.hpp"

#include <algorithm>

namespace hearth::fuzz {
namespace {

using worker::runtime_api;

/// A script: a byte that says what happens on which connection, two that say how many bytes are
/// received, these bytes.
class script final : public target {
  public:
    std::vector<std::string> seeds() override {
        const std::string next =
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
        const std::string reply =
            "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: x\r\n";
        const std::string sized = reply + "Content-Length: 5\r\n\r\nhello";
        const std::string chunked =
            reply +
            "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n"
            "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nLambda-Runtime-Function-Error-Type: E\r\n\r\n";
        const std::string failed =
            "POST /2018-06-01/runtime/invocation/id/error HTTP/1.0\r\nContent-Length: 2\r\n"
            "Lambda-Runtime-Function-Error-Type: A.B\r\nConnection: keep-alive\r\n\r\n{}";
        const std::string init =
            "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        const std::string restore =
            "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n";
        const std::string enroll =
            "POST /2020-01-01/extension/register HTTP/1.1\r\nLambda-Extension-Name: outer\r\n"
            "Content-Length: 32\r\n\r\n{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}";
        const std::string extension = std::string("/2020-01-01/extension/");
        const std::string known = " HTTP/1.1\r\nLambda-Extension-Identifier: IDENTIFIER\r\n";
        const std::string wait = "GET " + extension + "event/next" + known + "\r\n";
        const std::string gives_up = "POST " + extension + "exit/error" + known +
                                     "Lambda-Extension-Function-Error-Type: A.B\r\n\r\n";
        const std::string credentials =
            "GET /2021-04-23/credentials HTTP/1.1\r\nAuthorization: token\r\n\r\n";
        return {receive(0, enroll) + receive(0, wait) + offer + receive(0, wait),
                receive(0, enroll) + receive(1, wait) + receive(2, next) + close_one + offer +
                    receive(0, gives_up),
                receive(0, credentials + credentials),
                receive(0, next) + offer + receive(0, sized) + receive(0, next + chunked),
                receive(1, next) + offer + receive(1, failed) + close_one + receive(0, next),
                receive(0, init) + receive(1, "GET / HTTP/1.1\r\n\r\n" + next),
                receive(2, restore) + restored + receive(2, next) + offer + receive(2, sized),
                offer + receive(0, next.substr(0, 30)) + receive(0, next.substr(30))};
    }

    void run(std::string_view input) override {
        runtime_api api(true);
        api.participants().open({"function", "1", "handler", "0"});
        api.participants().expect("outer", 2);
        api.set_credentials_token("token");
        std::string identifier = "unknown";
        bool offered = false;
        std::size_t sent = 0;
        while (!input.empty()) {
            const unsigned what = static_cast<unsigned char>(input.front());
            input.remove_prefix(1);
            const runtime_api::connection c = what % 4;
            switch (what / 4 % 8) {
                case 5:
                    api.closed(c);
                    break;
                case 6:
                    if (!offered) api.tell_of_invocation(event());
                    if (!offered) api.offer(event());
                    offered = true;
                    break;
                case 7:
                    api.restored();
                    break;
                default: {
                    std::size_t length = 0;
                    for (int i = 0; i < 2 && !input.empty(); ++i, input.remove_prefix(1))
                        length |= std::size_t{static_cast<unsigned char>(input.front())} << (8 * i);
                    std::string bytes(input.substr(0, length));
                    input.remove_prefix(bytes.size());
                    // The one thing that no input can know.
                    constexpr std::string_view blank = "IDENTIFIER";
                    if (const auto at = bytes.find(blank); at != bytes.npos)
                        bytes.replace(at, blank.size(), identifier);
                    sent += bytes.size();
                    api.receive(c, bytes);
                    promise(bytes.empty(), "bytes were left");
                }
            }
            std::size_t answered = 0;
            if (api.wants_credentials()) api.give_credentials("{}");
            for (const auto& o : api.take_output()) {
                answered += o.bytes.size();
                constexpr std::string_view name = "Lambda-Extension-Identifier: ";
                if (const auto at = o.bytes.find(name); at != o.bytes.npos)
                    identifier = o.bytes.substr(at + name.size(), 36);
            }
            promise(answered <= runtime_api::buffer_limit, "more answers than the buffers hold");
            promise(!api.has_output(), "output twice");
            if (const auto reply = api.take_reply()) {
                offered = false;
                promise(reply->payload.size() <= sent, "a reply of more than was sent");
                promise(reply->failed || reply->error_type.empty(), "an error type without error");
            }
            (void)api.take_init_error();
            (void)api.take_restore_error();
            (void)api.participants().take_failure();
            const bool all = api.participants().all_wait();
            promise(!all || api.participants().all_registered(), "one waits that is unknown");
        }
        const runtime_api copy = api;
        promise(copy == api, "a copy differs");
    }

  private:
    static constexpr const char* offer = "\x18";
    static constexpr const char* restored = "\x1c";
    static constexpr const char* close_one = "\x15";

    static std::string receive(char connection, const std::string& bytes) {
        return std::string(1, connection) + static_cast<char>(bytes.size() & 0xff) +
               static_cast<char>(bytes.size() >> 8) + bytes;
    }
    static guest::native_event event() {
        guest::native_event e;
        e.request_id = "id";
        e.payload = "{}";
        e.function_arn = "arn";
        return e;
    }
};

}  // namespace

std::unique_ptr<target> make_runtime_api() { return std::make_unique<script>(); }

}  // namespace hearth::fuzz
