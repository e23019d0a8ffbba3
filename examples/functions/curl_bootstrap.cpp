// A Lambda function whose `bootstrap` speaks the Runtime API through libcurl, dynamically linked:
// ld.so and the libraries come from the guest's read-only root (on AWS they would be in the
// package's lib/).
//
//   reply: {"message":"hello from curl_bootstrap","bytes":<length of the event>}

#include <curl/curl.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
    static_cast<std::string*>(to)->append(data, size * count);
    return size * count;
}

std::size_t take_request_id(char* data, std::size_t size, std::size_t count, void* to) {
    const std::string line(data, size * count);
    constexpr char name[] = "lambda-runtime-aws-request-id:";
    if (curl_strnequal(line.c_str(), name, sizeof name - 1)) {
        const auto first = line.find_first_not_of(' ', sizeof name - 1);
        const auto last = line.find_last_not_of("\r\n ");
        if (first != std::string::npos)
            *static_cast<std::string*>(to) = line.substr(first, last - first + 1);
    }
    return size * count;
}

void check(CURLcode code, const char* what) {
    if (code == CURLE_OK) return;
    std::fprintf(stderr, "%s: %s\n", what, curl_easy_strerror(code));
    std::exit(1);
}

}  // namespace

int main() {
    const char* api = std::getenv("AWS_LAMBDA_RUNTIME_API");
    if (!api) {
        std::fputs("AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda bootstrap\n",
                   stderr);
        return 1;
    }
    check(curl_global_init(CURL_GLOBAL_NOTHING), "curl_global_init");
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(),
                                                                     curl_easy_cleanup);
    CURL* curl = handle.get();
    if (!curl) return 1;
    const std::string base = std::string("http://") + api + "/2018-06-01/runtime/invocation/";
    std::string event, request_id, ignored;
    for (;;) {
        event.clear();
        request_id.clear();
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(curl, CURLOPT_URL, (base + "next").c_str());
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, 0L);  // `next` waits as long as it takes
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &event);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_request_id);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, &request_id);
        check(curl_easy_perform(curl), "next");

        const std::string reply = R"({"message":"hello from curl_bootstrap","bytes":)" +
                                  std::to_string(event.size()) + "}";
        ignored.clear();
        curl_easy_setopt(curl, CURLOPT_URL, (base + request_id + "/response").c_str());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, reply.c_str());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(reply.size()));
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &ignored);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, nullptr);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, nullptr);
        check(curl_easy_perform(curl), "response");
    }
}
