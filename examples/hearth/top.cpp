#include "remote.hpp"
#include "top_frame.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/verb.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

namespace hearth::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
constexpr auto token = asio::as_tuple(asio::use_awaitable);

/// A server that takes longer to tell its metrics is told to be away.
constexpr std::chrono::seconds patience{5};

struct top_settings {
    remote_settings from;
    double interval = 2;
    bool once = false;
};

// g++ 12 sees Asio's operator new for frames inlined and not the delete that belongs to it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

asio::awaitable<result<metrics_page>> fetch(const remote& from) {
    using namespace asio::experimental::awaitable_operators;
    const auto no_server = [&](const std::string& why) {
        return error(errc::invalid_argument,
                     from.to().text + " is no Hearth server with metrics: " + why);
    };
    asio::steady_timer limit(co_await asio::this_coro::executor, patience);
    auto first = co_await (from.async_ask(from.request_for(http::verb::get, "/metrics")) ||
                           limit.async_wait(token));
    if (first.index() != 0)
        co_return error(asio::error::timed_out, from.to().text + " does not answer in time");
    const auto& answered = std::get<0>(first);
    if (answered.has_error()) {
        const error_code why = answered.error().code();
        if (why.category() == http::make_error_code(http::error::bad_version).category())
            co_return no_server(why.message());
        co_return answered.error();
    }
    if (!answered->ok()) {
        if (answered->headers.contains("x-amzn-errortype")) co_return answered->failure();
        co_return no_server("GET /metrics was answered with " + std::to_string(answered->status));
    }
    auto page = metrics_page::read(answered->body);
    if (page.has_error()) co_return no_server("GET /metrics was answered with something else");
    co_return std::move(*page);
}

#pragma GCC diagnostic pop

/// A terminal's other screen, without a cursor, for as long as this lives.
class screen {
  public:
    screen() { enter(); }
    ~screen() { leave(); }
    screen(const screen&) = delete;
    screen& operator=(const screen&) = delete;

    static void enter() { put("\x1b[?1049h\x1b[?25l"); }
    static void leave() { put("\x1b[?25h\x1b[?1049l"); }

    struct extent {
        std::size_t lines = 24, columns = 80;
    };
    static extent size() {
        winsize w{};
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_row || !w.ws_col) return {};
        return {w.ws_row, w.ws_col};
    }
    /// Over what is there, so that nothing flickers.
    static void draw(const std::vector<std::string>& lines) {
        const extent e = size();
        std::string text = "\x1b[H";
        for (std::size_t i = 0; i < std::min(lines.size(), e.lines); ++i) {
            if (i) text += "\r\n";
            text += lines[i].substr(0, e.columns);
            if (lines[i].size() < e.columns) text += "\x1b[K";
        }
        put(text + "\x1b[J");
    }

  private:
    static void put(std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
    }
};

bool print(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
    return std::fflush(stdout) == 0 && !std::ferror(stdout);
}

class view {
  public:
    view(const top_settings& settings, remote from)
        : settings_(settings), from_(std::move(from)), timer_(io_), signals_(io_) {}

    int run() {
        for (const int s : {SIGINT, SIGTERM, SIGHUP}) signals_.add(s);
        const char* terminal = std::getenv("TERM");
        live_ = !settings_.once && ::isatty(STDOUT_FILENO) == 1 && terminal &&
                std::string_view(terminal) != "dumb";
        if (live_) signals_.add(SIGWINCH), signals_.add(SIGTSTP);
        await_signal();
        asio::co_spawn(io_, poll(), [this](const std::exception_ptr& failed) {
            if (failed) failure_ = error(errc::io_failed, "out of memory");
            signals_.cancel();
        });
        io_.run();
        screen_.reset();
        return failure_ ? complain(*failure_) : 0;
    }

  private:
    asio::awaitable<void> poll() {
        while (!stopping_) {
            auto page = co_await fetch(from_);
            if (stopping_) break;
            if (page.has_error()) {
                // On a terminal a server may come back; a script wants to know.
                if (!screen_) {
                    failure_ = page.error();
                    break;
                }
                trouble_ = page.error().message();
            } else {
                trouble_.clear();
                before_ = std::exchange(now_, std::move(*page));
                if (live_ && !screen_) screen_.emplace();
            }
            if (!show() || settings_.once) break;
            timer_.expires_after(std::chrono::microseconds(
                static_cast<std::int64_t>(settings_.interval * 1'000'000)));
            co_await timer_.async_wait(token);
        }
    }

    /// False: nobody sees it any more.
    bool show() {
        if (!now_) return true;
        const metrics_page* before = before_ ? &*before_ : nullptr;
        if (!screen_) {
            auto lines = top_frame(from_.to().text, *now_, before, unlimited);
            if (!settings_.once) lines.emplace_back();
            if (print(lines)) return true;
            failure_ = error(errc::io_failed, "the picture could not be written to stdout");
            return false;
        }
        auto lines = top_frame(from_.to().text, *now_, before, screen::size().lines);
        if (!trouble_.empty()) lines.front() = trouble_;
        screen::draw(lines);
        return true;
    }

    void await_signal() {
        signals_.async_wait([this](error_code cancelled, int which) {
            if (cancelled) return;
            if (which == SIGWINCH) {
                if (screen_) show();
            } else if (which == SIGTSTP) {
                if (screen_) screen::leave();
                std::raise(SIGSTOP);  // and here it goes on
                if (screen_) screen::enter(), show();
            } else {
                stopping_ = true;
                io_.stop();
                return;
            }
            await_signal();
        });
    }

    static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);
    const top_settings& settings_;
    const remote from_;
    asio::io_context io_{1};
    asio::steady_timer timer_;
    asio::signal_set signals_;
    bool live_ = false;
    bool stopping_ = false;
    std::optional<screen> screen_;
    std::optional<metrics_page> now_, before_;
    std::string trouble_;
    std::optional<error> failure_;
};

int top(const top_settings& settings) {
    auto from = remote::create(settings.from);
    if (!from) return complain(from.error());
    return view(settings, std::move(*from)).run();
}

}  // namespace

command add_top(CLI::App& app) {
    auto settings = std::make_shared<top_settings>();
    add_remote_options(app, settings->from);
    app.add_option("--interval", settings->interval, "Seconds from one picture to the next")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    app.add_flag("--once", settings->once, "Print one picture, as plain text, and end");
    app.footer(
        "Shows functions, their environments by state, rates since the picture before, times by "
        "start kind (START: what\n"
        "an invocation waited for its environment; RUN: from the event to the response; NOW: the "
        "latter since the picture\n"
        "before), VM shells and memory, from the server's GET /metrics. Ctrl-C ends it. Without a "
        "terminal it prints\n"
        "one picture after the other.\n"
        "\nExamples:\n"
        "  hearth top\n"
        "  hearth top --endpoint http://127.0.0.1:8080 --interval 0.5\n"
        "  hearth top --once");
    return [settings] { return top(*settings); };
}

}  // namespace hearth::cli
