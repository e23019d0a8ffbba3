// A Lambda function on the `provided` runtime with nothing but BSD sockets: its `bootstrap` speaks
// the Runtime API 2018-06-01 by hand. The same binary runs on AWS Lambda and in Hearth.
//
//   event in:  any JSON
//   reply:     {"message":"hello from socket_bootstrap","event":<the event>}
//
// An event {"fail":…} shows a function error, {"sleep":N} (milliseconds) a slow one, {"exit":N} a
// crash.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

struct reply {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    std::string_view header(const char* name) const {
        for (auto& [key, value] : headers)
            if (::strcasecmp(key.c_str(), name) == 0) return value;
        return {};
    }
};

// One keep-alive connection to the Runtime API.
class connection {
  public:
    explicit connection(std::string host_and_port) : host_(std::move(host_and_port)) {}
    ~connection() { hang_up(); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    reply request(std::string_view method, std::string_view path, std::string_view body = {}) {
        std::string text;
        text.append(method)
            .append(" /2018-06-01/runtime/")
            .append(path)
            .append(" HTTP/1.1\r\nHost: ");
        text.append(host_).append("\r\n");
        if (method == "POST")
            text.append("Content-Type: application/json\r\nContent-Length: ")
                .append(std::to_string(body.size()))
                .append("\r\n");
        text.append("\r\n").append(body);
        if (socket_ < 0) dial();
        send_all(text);
        return read_reply();
    }

  private:
    [[noreturn]] static void fail(const char* what) {
        std::perror(what);
        std::exit(1);
    }

    void dial() {
        // AWS_LAMBDA_RUNTIME_API is "address:port"; the address is numeric in Hearth and in Lambda.
        const auto colon = host_.rfind(':');
        sockaddr_in to{};
        to.sin_family = AF_INET;
        if (colon == std::string::npos ||
            ::inet_pton(AF_INET, host_.substr(0, colon).c_str(), &to.sin_addr) != 1) {
            std::fprintf(stderr, "AWS_LAMBDA_RUNTIME_API=%s is not address:port\n", host_.c_str());
            std::exit(1);
        }
        to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(host_.c_str() + colon + 1)));
        socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (socket_ < 0) fail("socket");
        if (::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("connect");
        const int on = 1;  // requests are written in one piece
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        buffer_.clear();
    }

    void hang_up() {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }

    void send_all(std::string_view text) {
        while (!text.empty()) {
            const ssize_t n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (n < 0) fail("send");
            text.remove_prefix(static_cast<std::size_t>(n));
        }
    }

    void receive() {
        char piece[16384];
        const ssize_t n = ::recv(socket_, piece, sizeof piece, 0);
        if (n < 0) fail("recv");
        if (n == 0) {
            std::fputs("the Runtime API hung up\n", stderr);
            std::exit(1);
        }
        buffer_.append(piece, static_cast<std::size_t>(n));
    }

    std::string read_line() {
        std::size_t end;
        while ((end = buffer_.find("\r\n")) == std::string::npos) receive();
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        return line;
    }

    std::string read_bytes(std::size_t n) {
        while (buffer_.size() < n) receive();
        std::string bytes = buffer_.substr(0, n);
        buffer_.erase(0, n);
        return bytes;
    }

    reply read_reply() {
        reply r;
        const std::string status = read_line();
        if (status.size() > 9) r.status = std::atoi(status.c_str() + 9);
        for (std::string line = read_line(); !line.empty(); line = read_line()) {
            const auto colon = line.find(':');
            if (colon == std::string::npos) continue;
            const auto value = line.find_first_not_of(' ', colon + 1);
            r.headers.emplace_back(line.substr(0, colon),
                                   value == std::string::npos ? "" : line.substr(value));
        }
        if (r.header("Transfer-Encoding") == "chunked") {
            while (const std::size_t size = std::strtoul(read_line().c_str(), nullptr, 16)) {
                r.body += read_bytes(size);
                read_line();
            }
            while (!read_line().empty()) {
            }  // trailers
        } else if (const std::string length(r.header("Content-Length")); !length.empty()) {
            r.body = read_bytes(std::strtoul(length.c_str(), nullptr, 10));
        }
        if (r.header("Connection") == "close") hang_up();
        return r;
    }

    std::string host_;
    int socket_ = -1;
    std::string buffer_;
};

// The number after "key": in a JSON text; good enough for an example without a JSON library.
std::optional<long> number_in(const std::string& json, const std::string& key) {
    auto at = json.find('"' + key + '"');
    if (at == std::string::npos) return {};
    at = json.find(':', at);
    return at == std::string::npos ? std::nullopt : std::optional(std::atol(json.c_str() + at + 1));
}

std::string handle(const std::string& event) {
    if (const auto ms = number_in(event, "sleep")) {
        const timespec t{*ms / 1000, *ms % 1000 * 1'000'000};
        ::nanosleep(&t, nullptr);
    }
    if (const auto status = number_in(event, "exit")) std::exit(static_cast<int>(*status));
    return R"({"message":"hello from socket_bootstrap","event":)" +
           (event.empty() ? "null" : event) + "}";
}

}  // namespace

int main() {
    const char* api = std::getenv("AWS_LAMBDA_RUNTIME_API");
    if (!api) {
        std::fputs("AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda bootstrap\n",
                   stderr);
        return 1;
    }
    connection runtime(api);
    for (;;) {
        const reply next = runtime.request("GET", "invocation/next");
        if (next.status != 200) {
            std::fprintf(stderr, "next: status %d\n", next.status);
            return 1;
        }
        const std::string id(next.header("Lambda-Runtime-Aws-Request-Id"));
        const std::string at = "invocation/" + id;
        if (next.body.find("\"fail\"") != std::string::npos)
            runtime.request("POST", at + "/error",
                            R"({"errorType":"ExampleError","errorMessage":"asked to fail"})");
        else
            runtime.request("POST", at + "/response", handle(next.body));
    }
}
