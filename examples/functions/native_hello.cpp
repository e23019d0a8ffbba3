// A Lambda function in C++ with Hearth's guest SDK: a handler from event to reply, where an
// exception is the function's failure. In a Hearth microVM an invocation is one exit; on AWS Lambda
// the same program speaks the Runtime API over HTTP.
//
//   reply: {"message":"hello from native_hello_cpp","count":<invocations of this
//   environment>,"event":<the event>}

#include <hearth/guest.h>

#include <cstring>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

class greeter {
  public:
    std::string operator()(std::string_view event) {
        if (event.find("\"fail\"") != std::string_view::npos)
            throw std::runtime_error("asked to fail");
        std::cout << "event of " << event.size() << " bytes\n"
                  << std::flush;  // goes to the function's log
        return R"({"message":"hello from native_hello_cpp","count":)" + std::to_string(++count_) +
               R"(,"event":)" + std::string(event.empty() ? "null" : event) + "}";
    }

  private:
    int count_ = 0;  // lives as long as the environment
};

}  // namespace

int main() {
    hearth_session h;
    hearth_init(&h);
    greeter greet;
    std::string reply;  // stands until the next event, as hearth_reply wants it
    hearth_event event{};
    int error;
    while ((error = hearth_next(&h, &event)) == 0 || error == -E2BIG) {
        if (error == -E2BIG) continue;  // the reply was too large; its caller has been told
        try {
            reply = greet({event.payload, event.length});
            error = hearth_reply(&h, reply.data(), reply.size());
        } catch (const std::exception& e) {
            error = hearth_fail(&h, "ExampleError", e.what());
        }
        if (error == -E2BIG) error = hearth_fail(&h, "ReplyTooLarge", "the reply is over 6 MB");
        if (error) break;
    }
    std::cerr << "the runtime is gone: " << std::strerror(-error) << '\n';
    hearth_close(&h);
    return 1;
}
