#include "runtime/interpreter_version.hpp"

#include "base/deadline_watch.hpp"
#include "base/try.hpp"
#include "guest/vfs/filesystem.hpp"
#include "runtime/run_program.hpp"

#include <fmt/format.h>

#include <stop_token>
#include <utility>

namespace hearth {
namespace {

constexpr auto patience = std::chrono::seconds(10);
constexpr byte_count memory(std::uint64_t{512} << 20);
constexpr std::size_t most_said = 4096;

class time_limit final : public deadline_watch::entry {
  public:
    time_limit() { watch_.arm(*this, std::chrono::steady_clock::now() + patience); }
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;
    ~time_limit() { watch_.disarm(*this); }
    void expire() noexcept override { stop_.request_stop(); }
    [[nodiscard]] std::stop_token token() const noexcept { return stop_.get_token(); }

  private:
    std::stop_source stop_;
    deadline_watch watch_;
};

result<std::string> ask(const image::managed_runtime& runtime,
                        const std::filesystem::path& guest_root,
                        int kick_signal_offset) {
    detail::guest_program p;
    p.what.path = runtime.program;
    p.what.arguments = {runtime.program, "--version"};
    for (const auto& [name, value] : runtime.environment)
        p.what.environment.push_back(name + '=' + value);
    p.what.working_directory = "/";
    HEARTH_TRY(auto layout, guest::vfs::lambda_root(nullptr, guest_root, memory, &runtime));
    HEARTH_TRY(p.files, guest::vfs::filesystem::create(std::move(layout)));

    std::string said, complained;
    const auto keep = [](std::string& into) {
        return [&into](std::string_view text) {
            into += text.substr(0, most_said - std::min(most_said, into.size()));
        };
    };
    const time_limit limit;
    run_options options;
    options.memory = memory;
    options.input = -1;
    options.on_output = keep(said);
    options.on_error_output = keep(complained);
    options.stop = limit.token();
    options.kick_signal_offset = kick_signal_offset;
    HEARTH_TRY(const auto end, detail::run_guest(std::move(p), options));
    if (end.exit_code == 0 && end.signal == 0 && !end.out_of_memory) return said;
    if (!complained.empty()) return error(errc::init_failed, complained);
    return error(errc::init_failed, end.out_of_memory ? "out of memory"
                                    : end.signal      ? fmt::format("signal {}", end.signal)
                                                 : fmt::format("exit status {}", end.exit_code));
}

}  // namespace

image::version_question ask_in_microvm(std::filesystem::path guest_root, int kick_signal_offset) {
    return [guest_root = std::move(guest_root),
            kick_signal_offset](const image::managed_runtime& runtime) {
        return ask(runtime, guest_root, kick_signal_offset);
    };
}

}  // namespace hearth
