// KVM fails at its nth call, for every n: whoever asked hears it, whoever comes next is served, and
// nothing is left behind.

#include "faults.hpp"
#include "vmm/kvm_fd.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <iostream>
#include <thread>
#include <vector>

using namespace functions;
using namespace faults;
using namespace std::chrono_literals;
using hearth::start_kind;

namespace {

/// Fails the nth call from now on, or all from the nth on.
class failing final : public hearth::vmm::ioctl_filter {
  public:
    explicit failing(int number) : number_(number) {}
    void arm(long nth, bool all) {
        all_ = all;
        left_ = nth;
    }
    void disarm() { left_ = 0; }
    [[nodiscard]] bool fired() const { return fired_; }
    int refuse(unsigned long) noexcept override {
        long left = left_;
        while (left > 0 && !left_.compare_exchange_weak(left, left == 1 && all_ ? 1 : left - 1)) {
        }
        if (left != 1) return 0;
        fired_ = true;
        return number_;
    }

  private:
    const int number_;
    std::atomic<bool> all_{false}, fired_{false};
    std::atomic<long> left_{0};
};

/// A function that counts: what it answers tells whether its memory is its own.
class counter {
  public:
    counter(hearth::worker::worker& w, const std::string& name, auto change) {
        auto s = spec("function_native");
        s.function_name = name;
        s.function_arn += name;
        change(s);
        clean_ = s.isolation == hearth::isolation::invocation;
        version_ = w.deploy(std::move(s));
    }
    /// Whether it was served; if not, with a reason.
    bool ask() {
        auto r = version_->invoke(event("\"count\""));
        if (r.has_error()) {
            const auto& e = r.error();
            INFO(e.message());
            CHECK((e == hearth::errc::kvm_failed || e == hearth::errc::no_room ||
                   e == hearth::errc::init_failed));
            CHECK(e.message().size() > 10);
            return false;
        }
        if (!r->ok()) {
            CHECK(r->payload.find("Runtime.ExitError") != std::string::npos);
            CHECK(r->payload.find("the microVM stopped") != std::string::npos);
            return false;
        }
        const int count = std::stoi(r->payload);
        CHECK(count == (clean_ || r->report.start != start_kind::warm ? 1 : count_ + 1));
        count_ = count;
        return true;
    }
    hearth::worker::deployed_version& operator*() { return *version_; }

  private:
    std::shared_ptr<hearth::worker::deployed_version> version_;
    bool clean_ = false;
    int count_ = 0;
};

/// Every way to an environment, once. False: the worker could not even be made.
bool live_through(failing& filter, long nth, bool all) {
    auto o = options();
    o.vcpu_threads = 1;
    o.detach_after = 1ms;
    o.max_shells = 2;
    o.ioctl_filter = &filter;
    filter.arm(nth, all);
    auto w = hearth::worker::worker::create(o);
    if (w.has_error()) {
        filter.disarm();
        CHECK((w.error() == hearth::errc::kvm_failed || w.error() == hearth::errc::no_room ||
               w.error() == hearth::errc::kvm_unsupported));
        CHECK(w.error().message().size() > 10);
        return false;
    }
    counter f(**w, "snapshot", [](auto&) {}), g(**w, "plain", [](auto&s) { s.snapshot = false; }),
        h(**w, "clean", [](auto&s) { s.isolation = hearth::isolation::invocation; });
    (void)(*f).initialize();
    f.ask();  // restored
    f.ask();  // warm
    // Where init or the snapshot failed there is nothing to detach.
    for (int i = 0; i < 20 && (*w)->metrics().pool.detached == 0; ++i)
        std::this_thread::sleep_for(1ms);
    f.ask();  // reattached
    g.ask();  // cold, in a used shell
    h.ask();  // cold
    h.ask();  // reset
    f.ask();  // reattached, or evicted from its shell
    filter.disarm();
    for (counter* c : {&f, &g, &h}) {
        CHECK(c->ask());
        CHECK(c->ask());
    }
    (*w)->shut_down();
    check_nothing_left((*w)->metrics());
    return true;
}

void fail_every_call(int number, bool all, long step) {
    failing unharmed(number);
    REQUIRE(live_through(unharmed, 0, false));
    const std::size_t files = open_files();
    long n = 1;
    int refused = 0;
    for (bool fired = true; fired; n += step) {
        INFO("call " << n << (all ? " and all after it" : "") << ", errno " << number);
        failing filter(number);
        refused += !live_through(filter, n, all);
        fired = filter.fired();
        REQUIRE(open_files() == files);
        REQUIRE(n < 5000);
    }
    std::cout << "calls: " << n - 1 << ", of these to open: " << refused << '\n';
    CHECK(refused >= 10 / step);
    CHECK(n > 60);
}

}  // namespace

TEST_CASE("a call of KVM's that fails once, whichever, costs one invocation at most") {
    fail_every_call(EIO, false, 1);
}

TEST_CASE("a KVM that fails from some call on says so, and serves again when it is well") {
    fail_every_call(ENOMEM, true, 3);
}

TEST_CASE("drain ends though a start ahead that it waits for fails") {
    /// Holds KVM_CREATE_VM (nr 1) up, then fails it.
    struct slow final : hearth::vmm::ioctl_filter {
        int refuse(unsigned long request) noexcept override {
            if (!armed || (request & 0xff) != 1) return 0;
            reached = true;
            while (!go_on) std::this_thread::sleep_for(1ms);
            return ENOMEM;
        }
        std::atomic<bool> armed{false}, reached{false}, go_on{false};
    } filter;
    auto o = options();
    o.ioctl_filter = &filter;
    auto w = make(o);
    filter.armed = true;
    auto s = spec("function_native");
    s.pool.min_idle = 1;
    auto f = w->deploy(s);
    REQUIRE(soon([&] { return filter.reached && w->metrics().pool.starts_ahead == 1; }));
    auto drained = std::async(std::launch::async, [&] { w->drain(); });
    std::this_thread::sleep_for(50ms);
    CHECK(drained.wait_for(0s) == std::future_status::timeout);
    filter.go_on = true;
    if (drained.wait_for(5s) != std::future_status::ready) {
        std::fputs("drain hangs\n", stderr);
        std::abort();  // there is no way out of it
    }
}

TEST_CASE("a shell that another function used is never wiped for the next, but replaced") {
    /// Fails KVM_SET_USER_MEMORY_REGION (nr 0x46), by which a shell forgets its translations.
    struct slots final : hearth::vmm::ioctl_filter {
        int refuse(unsigned long request) noexcept override {
            return armed && (request & 0xff) == 0x46 ? EIO : 0;
        }
        std::atomic<bool> armed{false};
    } filter;
    auto o = options();
    o.ioctl_filter = &filter;
    auto w = make(o);
    auto s = spec("function_native");
    s.pool.max_idle = 0;
    auto f = w->deploy(s);
    s.function_name += "cold", s.function_arn += "cold";
    s.snapshot = false;
    auto g = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    for (int i = 0; i < 3; ++i) {
        CHECK(f->invoke(event("\"count\"")).value().payload == "1");
        REQUIRE(soon([&] {
            const auto m = w->metrics().shells;
            return m.free_used >= 1 && m.making == 0 && m.in_use == 0;
        }));
        filter.armed = true;
        const auto r = g->invoke(event("1"));
        filter.armed = false;
        // A spare one was ready, or none can be made now: the used one never serves.
        if (r.has_error()) CHECK(r.error() == hearth::errc::kvm_failed);
        const auto next = f->invoke(event("\"count\""));
        REQUIRE(next.has_value());
        CHECK(next->payload == "1");
        CHECK(next->ok());
    }
}
