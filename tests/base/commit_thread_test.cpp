// The thread that owns a store, with a store that breaks.

#include "base/commit_thread.hpp"

#include "base/store_calls.hpp"

#include <catch2/catch.hpp>

#include <future>
#include <map>
#include <set>
#include <string>

using namespace hearth;
using namespace std::chrono_literals;

namespace {

/// Items by key; what is done with a broken key fails.
struct shelf {
    std::map<std::string, int> items, before;
    std::set<std::string> broken;
    std::set<std::string, std::less<>> touched;

    result<void> begin() {
        before = items;
        return {};
    }
    static result<void> commit() { return {}; }
    void roll_back() {
        items = before;
        touched.clear();
    }
    std::set<std::string, std::less<>> take_touched() { return std::exchange(touched, {}); }
    static result<std::optional<wall_time>> next_due(const std::string&, wall_time) {
        return std::optional<wall_time>();
    }
    static result<void> sweep(wall_time) { return {}; }

    result<void> put(const std::string& key) {
        ++items[key];
        touched.insert(key);
        return {};
    }
    result<bool> take(const std::string& key) {
        if (broken.contains(key)) return error(errc::storage_failed, key + " is broken");
        if (items[key] == 0) return false;
        --items[key];
        return true;
    }
};

class taking final : public waiting_job<shelf> {
  public:
    explicit taking(std::string key) : key_(std::move(key)) {}
    std::future<result<bool>> answer() { return answer_.get_future(); }

    [[nodiscard]] const std::string& key() const override { return key_; }
    [[nodiscard]] bool is_answered() const override { return *taken_; }
    [[nodiscard]] std::chrono::milliseconds wait() const override { return 60s; }
    result<void> run(shelf& s, wall_time) override {
        const auto taken = s.take(key_);
        if (taken.has_error()) return taken.error();
        taken_ = *taken;
        return {};
    }
    void finish() override { answer_.set_value(*taken_); }
    void fail(error why) override { answer_.set_value(std::move(why)); }

  private:
    std::string key_;
    std::optional<bool> taken_;
    std::promise<result<bool>> answer_;
};

std::future<result<bool>> wait_at(commit_thread<shelf>& thread, const std::string& key) {
    auto job = std::make_unique<taking>(key);
    auto answer = job->answer();
    start_waiting<shelf>(thread, std::move(job), {});
    return answer;
}

}  // namespace

TEST_CASE("a waiter that cannot be served takes nobody else's call with it, nor another waiter") {
    const auto thread =
        std::make_shared<commit_thread<shelf>>(std::make_unique<shelf>(), wall_now, "items");
    auto at_bad = wait_at(*thread, "bad"), at_good = wait_at(*thread, "good");
    const auto put = wait_for(*thread, [](shelf& s, wall_time) -> result<void> {
        s.broken.insert("bad");
        HEARTH_CHECK(s.put("bad"));
        return s.put("good");
    });
    CHECK(put.has_value());
    CHECK(at_good.get().value());
    CHECK(at_bad.get().error() == errc::storage_failed);
    // What the waiter could not have is there for the next one.
    CHECK(wait_for(*thread, [](shelf& s, wall_time) -> result<bool> {
              s.broken.clear();
              return s.take("bad");
          }).value());
}
