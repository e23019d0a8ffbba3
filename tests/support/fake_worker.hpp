#pragma once

/// A worker without sandboxes, to test what stands above it. A function's behaviour is chosen by
/// its environment variable MODE, or by an in-process handler.
///   echo (default)  replies with the event          fail      a function error
///   throttle        errc::throttled, saying WHY     no_room   errc::no_room
///   slow            echo after 300 ms               init_fail `initialize` fails
///   cold_fail       errc::init_failed               init_timeout  `initialize` says it timed out
///   flaky           fails `to_fail` times, then echoes
///   busy            errc::throttled `to_refuse` times, then echoes
///   broken          errc::io_failed `to_refuse` times, then echoes
///   init_slow       `initialize` takes until `release`
///   provision_slow  provisioned environments are ready after `release`
///   provision_fail  there is no room for them
///   provision_held  those of more than none are not accepted before `release`
///   stream          writes BODY as it is, in two pieces, of the content type TYPE, where somebody
///                   reads meanwhile; or KIBIBYTES of 'x', as fast as they are read; then fails if
///                   FAIL is set

#include "base/complete.hpp"
#include "base/response_writer.hpp"
#include "worker/recent_invocations.hpp"
#include "worker/worker.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace hearth::test {

class fake_worker;

class fake_version final : public worker::deployed_version {
  public:
    fake_version(fake_worker& owner, worker::version_spec spec)
        : owner_(owner), spec_(std::move(spec)) {}
    ~fake_version() override;
    [[nodiscard]] const worker::version_spec& spec() const noexcept override { return spec_; }
    result<void> initialize() override;
    result<response> invoke(worker::invocation input) override;
    void async_invoke(
        worker::invocation input,
        boost::asio::any_completion_handler<void(error_code, response)> handler) override;
    result<void> set_provisioned_concurrency(std::size_t provisioned) override;
    result<void> set_scaling(std::size_t min_idle, std::size_t max_concurrency) override;
    [[nodiscard]] std::size_t ready_environments() const override;
    void retire() override {}

  private:
    [[nodiscard]] std::string variable(const char* name, const char* otherwise = "") const {
        const auto at = spec_.environment.find(name);
        return at == spec_.environment.end() ? otherwise : at->second;
    }
    [[nodiscard]] std::string mode() const { return variable("MODE", "echo"); }
    void stream(response_writer& to);
    fake_worker& owner_;
    worker::version_spec spec_;
    std::atomic<std::size_t> provisioned_ = 0, min_idle_ = spec_.pool.min_idle;
};

class fake_worker final : public worker::worker {
  public:
    ~fake_worker() override { threads_.join(); }
    std::shared_ptr<hearth::worker::deployed_version> deploy(
        hearth::worker::version_spec spec) override {
        ++live;
        {
            const std::scoped_lock lock(mutex_);
            newest_reserved = spec.pool.reserved_concurrency;
            newest_layers = spec.layers;
            newest_isolation = spec.isolation;
            newest_pool = spec.pool;
        }
        return std::make_shared<fake_version>(*this, std::move(spec));
    }
    [[nodiscard]] hearth::sched::host_view view(
        const hearth::worker::version_spec&) const override {
        hearth::sched::host_view v;
        v.memory_total = memory;
        v.cpu_total = 1'000'000;
        return v;
    }
    hearth::byte_count memory{std::uint64_t{1} << 40};  ///< of this host
    result<void> set_reserved_concurrency(const std::string& arn,
                                          std::optional<std::size_t> limit) override {
        const std::scoped_lock lock(mutex_);
        reserved[arn] = limit;
        return {};
    }
    std::map<std::string, std::optional<std::size_t>> reserved;  ///< what was set, by ARN
    std::optional<std::size_t> newest_reserved;  ///< what the newest version came with
    /// At a moment when nothing is being deployed.
    std::shared_ptr<const hearth::image::package_image> newest_layers;
    isolation newest_isolation{};  ///< as newest_layers
    pool_policy newest_pool{};     ///< as newest_layers
    void drain() override {}
    [[nodiscard]] hearth::metrics metrics() const override { return shown; }
    [[nodiscard]] std::vector<hearth::recent_invocation> recent_invocations(
        std::uint64_t after) const override {
        return recent.after(after);
    }

    /// Lets `init_slow` functions finish their init.
    void release() {
        const std::scoped_lock lock(mutex_);
        released_ = true;
        wake_.notify_all();
    }
    bool released() {
        const std::scoped_lock lock(mutex_);
        return released_;
    }
    void wait_for_release() {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, std::chrono::seconds(20), [this] { return released_; });
    }

    hearth::metrics shown;  ///< set before anyone asks
    hearth::worker::recent_invocations recent;  ///< what a test records
    std::atomic<int> live = 0;  ///< deployed versions that exist
    std::atomic<int> inits = 0;
    std::atomic<int> to_fail = 0, to_refuse = 0;
    std::atomic<std::size_t> streamed_kibibytes = 0;
    std::atomic<bool> stream_waits = false;  ///< for its reader
    std::atomic<bool> provisioning = false;  ///< one is held
    std::mutex last_mutex;
    std::vector<std::size_t> provisioned;  ///< as it came into force, under last_mutex
    /// The newest minimum and maximum by version, under last_mutex.
    std::map<std::string, std::pair<std::size_t, std::size_t>> scaled;
    hearth::worker::invocation last;  ///< the newest one, under last_mutex
    std::vector<std::string> events;  ///< all payloads, under last_mutex
    std::size_t runs() {
        const std::scoped_lock lock(last_mutex);
        return events.size();
    }
    boost::asio::thread_pool threads_{2};

  private:
    std::mutex mutex_;
    std::condition_variable wake_;
    bool released_ = false;
};

inline fake_version::~fake_version() { --owner_.live; }

inline result<void> fake_version::initialize() {
    ++owner_.inits;
    if (mode() == "init_slow") owner_.wait_for_release();
    if (mode() == "init_fail")
        return error(errc::init_failed, "Runtime exited with error: exit status 3");
    if (mode() == "init_timeout")
        return error(errc::init_failed, "Init timed out after 10.00 seconds");
    return {};
}

inline result<void> fake_version::set_provisioned_concurrency(std::size_t provisioned) {
    if (mode() == "provision_fail") return error(errc::invalid_argument, "no room for it");
    if (mode() == "provision_held" && provisioned != 0) {
        owner_.provisioning = true;
        owner_.wait_for_release();
    }
    provisioned_ = provisioned;
    const std::scoped_lock lock(owner_.last_mutex);
    owner_.provisioned.push_back(provisioned);
    return {};
}

inline result<void> fake_version::set_scaling(std::size_t min_idle, std::size_t max_concurrency) {
    min_idle_ = min_idle;
    const std::scoped_lock lock(owner_.last_mutex);
    owner_.scaled[spec_.version] = {min_idle, max_concurrency};
    return {};
}

inline std::size_t fake_version::ready_environments() const {
    return mode() == "provision_slow" && !owner_.released()
               ? 0
               : std::max(provisioned_.load(), min_idle_.load());
}

inline result<response> fake_version::invoke(worker::invocation input) {
    {
        const std::scoped_lock lock(owner_.last_mutex);
        owner_.last = input;
        owner_.events.push_back(input.payload);
        owner_.last.stream.reset();  // it ends with the invocation
    }
    const std::string how = mode();
    if (how == "cold_fail")
        return error(errc::init_failed, "Runtime.ExitError: Runtime exited with error: exit status 3");
    if (how == "busy" && owner_.to_refuse-- > 0) return error(errc::throttled, "Rate Exceeded.");
    if (how == "broken" && owner_.to_refuse-- > 0) return error(errc::io_failed, "a disk");
    if (how == "throttle") return error(errc::throttled, variable("WHY", "Rate Exceeded."));
    if (how == "no_room") return error(errc::no_room, "128 MiB were needed, 64 MiB were free");
    response r;
    r.executed_version = spec_.version;
    r.report.request_id = input.request_id;
    r.log_tail = "START RequestId: " + input.request_id +
                 " Version: " + spec_.version + "\nEND RequestId: " + input.request_id + "\n";
    if (how == "fail" || (how == "flaky" && owner_.to_fail-- > 0)) {
        r.function_error = "Unhandled";
        r.payload = R"({"errorMessage":"boom","errorType":"Error"})";
        return r;
    }
    if (how == "stream" && input.stream) {
        input.stream->set_executed_version(spec_.version);
        stream(*input.stream);
        if (variable("FAIL").empty()) return r;
        r.function_error = "Unhandled";
        r.payload = R"({"errorMessage":"late","errorType":"Error"})";
        return r;
    }
    if (how == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(300));
    try {
        r.payload = spec_.code->in_process() ? spec_.code->in_process()(input.payload)
                                             : std::move(input.payload);
    } catch (const std::exception& e) {
        r.function_error = "Unhandled";
        r.payload = std::string(R"({"errorMessage":")") + e.what() + R"("})";
    }
    if (input.stream) {
        input.stream->set_executed_version(spec_.version);
        input.stream->write(std::exchange(r.payload, {}));
    }
    return r;
}

inline void fake_version::stream(response_writer& to) {
    struct waiting final : response_writer::listener {
        void room() noexcept override {
            const std::scoped_lock lock(mutex);
            has_room = true;
            wake.notify_all();
        }
        std::mutex mutex;
        std::condition_variable wake;
        bool has_room = false;
    } reader;
    to.set_content_type(variable("TYPE"));
    const std::string body = variable("BODY");
    for (std::string piece : {body.substr(0, body.size() / 2), body.substr(body.size() / 2)})
        to.write(std::move(piece));
    to.set_listener(&reader);
    for (int i = 0, n = std::stoi(variable("KIBIBYTES", "0")); i < n; ++i) {
        std::unique_lock lock(reader.mutex);
        reader.has_room = false;
        if (to.full()) {
            owner_.stream_waits = true;
            reader.wake.wait(lock, [&] { return reader.has_room; });
            owner_.stream_waits = false;
        }
        lock.unlock();
        to.write(std::string(1024, 'x'));
        ++owner_.streamed_kibibytes;
    }
    to.set_listener(nullptr);
}

inline void fake_version::async_invoke(
    worker::invocation input,
    boost::asio::any_completion_handler<void(error_code, response)> handler) {
    auto executor = tracked_executor(handler);
    boost::asio::post(owner_.threads_,
                      [this, executor = std::move(executor), input = std::move(input),
                       handler = std::move(handler)]() mutable {
                          auto r = invoke(std::move(input));
                          error_code ec;
                          response out;
                          if (r.has_error()) {
                              ec = r.error().code();
                              out.payload = r.error().message();
                          } else {
                              out = std::move(*r);
                          }
                          complete(std::move(executor), std::move(handler), ec, std::move(out));
                      });
}

}  // namespace hearth::test
