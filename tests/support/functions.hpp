#pragma once

/// A worker and versions of guest functions in it.

#include "image/package_image.hpp"
#include "soon.hpp"
#include "worker/worker.hpp"

#include <hearth/package.hpp>
#include <hearth/runtime.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace functions {

inline std::shared_ptr<const hearth::image::package_image> code(const std::string& guest) {
    return hearth::image::package_image::load(
               hearth::package::elf(std::string(HEARTH_GUESTS_DIR) + "/" + guest))
        .value();
}

inline hearth::worker::version_spec spec(const std::string& guest) {
    hearth::worker::version_spec s;
    s.function_name = guest;
    s.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" + guest;
    s.code = code(guest);
    s.handler = "bootstrap";
    s.memory = hearth::byte_count(128u << 20);
    // So long that nothing on a slow machine meets it: what tests timeouts sets its own.
    s.timeout = std::chrono::seconds(100);
    s.ephemeral_storage = hearth::byte_count(512u << 20);
    return s;
}

inline hearth::worker::worker_options options() {
    hearth::worker::worker_options o;
    o.vcpu_threads = 2;
    o.region = "us-east-1";
    return o;
}

inline std::unique_ptr<hearth::worker::worker> make(hearth::worker::worker_options o = options()) {
    return hearth::worker::worker::create(std::move(o)).value();
}

inline hearth::worker::invocation event(std::string payload) {
    static std::atomic<int> serial{0};
    hearth::worker::invocation i;
    i.request_id = "00000000-0000-4000-8000-" + std::to_string(100000000000 + serial++);
    i.payload = std::move(payload);
    i.invoked_arn = "arn:invoked";
    return i;
}

using hearth::test::soon;

/// Answers on the worker's own threads, which a blocking call would lend one more.
inline hearth::response answer_of(hearth::worker::deployed_version& f, std::string payload) {
    boost::asio::io_context io;
    hearth::response answer;
    f.async_invoke(event(std::move(payload)),
                   boost::asio::bind_executor(io, [&](hearth::error_code ec, hearth::response r) {
                       if (ec) r.function_error = ec.message();
                       answer = std::move(r);
                   }));
    io.run();
    return answer;
}

/// An invocation that goes on for as long as it is wanted.
class endless {
  public:
    explicit endless(hearth::worker::deployed_version& f, std::string how = "\"sleep\"") {
        begin([&](auto handler) { f.async_invoke(event(std::move(how)), std::move(handler)); });
    }
    explicit endless(hearth::function& f, std::string how = "\"sleep\"") {
        begin([&](auto handler) { f.async_invoke(std::move(how), std::move(handler)); });
    }
    endless(const endless&) = delete;
    endless& operator=(const endless&) = delete;
    ~endless() {
        if (loop_.joinable()) loop_.join();
    }

    void cancel() {
        boost::asio::post(io_, [this] { signal_.emit(boost::asio::cancellation_type::terminal); });
    }
    /// What it ended with.
    hearth::error_code end() {
        loop_.join();
        return end_;
    }

  private:
    template <class Start>
    void begin(Start start) {
        namespace asio = boost::asio;
        start(asio::bind_cancellation_slot(
            signal_.slot(), asio::bind_executor(io_, [this](hearth::error_code ec,
                                                            hearth::response) { end_ = ec; })));
        loop_ = std::thread([this] { io_.run(); });
    }

    boost::asio::io_context io_;
    boost::asio::cancellation_signal signal_;
    hearth::error_code end_;
    std::thread loop_;
};

}  // namespace functions
