// hearth_bench [--json FILE] [--plot DIR] [--n N] [--list] WORKLOAD…

#include "bench.hpp"
#include "report.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>

using namespace hearth::bench;

namespace {

struct workload {
    const char* name;
    const char* question;
    hearth::result<rows> (*run)(context&);
};

constexpr workload workloads[] = {
    {"floor", "a raw system call's round trip from the guest to the host and back", floor},
    {"syscall_null", "one emulated system call that does nothing", syscall_null},
    {"programs",
     "a start of Python, loops of Python and Node.js, beside native; system calls in a row",
     programs},
    {"cold_start",
     "a static hello, from nothing to its exit, beside posix_spawn of the same program",
     cold_start},
    {"warm_invoke", "invoking a warm function from C++: native path and Runtime API", warm_invoke},
    {"restored_start",
     "a sandbox from a snapshot, to the handler's reply: in a shell of the same function, of "
     "another, in a fresh one",
     restored_start},
    {"reset", "a sandbox back to its snapshot, by the number of pages written", reset},
    {"invocation_isolation", "a clean sandbox for every call, beside one that is kept",
     invocation_isolation},
    {"http_warm", "invoking a warm function through HTTP, beside a fixed response from Beast",
     http_warm},
    {"control_reads", "what one core reads of the control plane over HTTP, client included",
     control_reads},
    {"run_queue", "choosing who runs next on a vCPU thread, with up to 10,000 waiting",
     run_queue_cost},
    {"placement",
     "choosing a host for a microVM, simulated: time per decision, packing, balance, snapshot hits",
     placement},
    {"pool_churn", "the worker manager's decisions for one invocation, few and many idle",
     pool_churn},
    {"clone_storm", "starting 1,000 clones of a function at once, all of them kept alive",
     clone_storm},
    {"concurrent_sleep",
     "1,000 executions that sleep at once: what their replies are late by, threads, shells",
     concurrent_sleep},
    {"density", "10,000 idle environments: memory of each, and the hot paths beside them", density},
    {"scheduler_fairness",
     "guests that compute, by memory: the share of CPU each gets, and a quick function among them",
     scheduler_fairness},
    {"managed_start", "a Python and a Node.js function from their snapshots, to the reply",
     managed_start},
    {"managed_invoke", "invoking a warm Python and a warm Node.js function", managed_invoke},
    {"async_accept", "events (Event invocations) on disk per second: one caller, and 64 at once",
     async_accept},
    {"async_drain", "100,000 queued events delivered: time, and is memory flat", async_drain},
    {"soak", "100,000 invocations of all kinds: is memory flat", soak},
};

const workload* find(const std::string& name) {
    const auto* at = std::find_if(std::begin(workloads), std::end(workloads),
                                  [&](const workload& w) { return name == w.name; });
    return at == std::end(workloads) ? nullptr : at;
}

int complain(const std::string& sentence) {
    std::fprintf(stderr, "hearth_bench: %s\n", sentence.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    CLI::App app("Measures Hearth; without a workload, all of them.", "hearth_bench");
    std::string json_file, plot_directory;
    bool list = false;
    std::size_t how_many = 0;
    std::vector<std::string> names;
    app.add_option("--json", json_file, "Write one JSON object per row to this file (- is stdout)")
        ->type_name("FILE|-");
    app.add_option("--plot", plot_directory,
                   "Write WORKLOAD.svg into this directory for workloads that draw one")
        ->type_name("DIR");
    app.add_option("--n", how_many,
                   "How many system calls, clones, sleepers, idle environments or soak's invocations instead of "
                   "the workload's own number; for scheduler_fairness, milliseconds")
        ->check(CLI::PositiveNumber);
    app.add_flag("--list", list, "Name the workloads and what each measures");
    app.add_option("WORKLOAD", names, "What to measure, in this order");
    app.footer(
        "A floor is one raw system call's round trip to the host, measured between the batches of "
        "each row.\n"
        "\nExamples:\n"
        "  hearth_bench floor warm_invoke\n"
        "  hearth_bench --json results.jsonl\n"
        "  hearth_bench --plot . placement\n"
        "  hearth_bench --plot . --n 1000000 soak");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        complain(e.what());
        return 2;
    }
    if (list) {
        for (const workload& w : workloads) std::printf("%-20s %s\n", w.name, w.question);
        return 0;
    }
    std::vector<const workload*> chosen;
    for (const std::string& name : names) {
        const workload* w = find(name);
        if (!w) {
            complain("no workload '" + name + "'; --list names them");
            return 2;
        }
        chosen.push_back(w);
    }
    if (names.empty())
        for (const workload& w : workloads) chosen.push_back(&w);

    auto ctx = context::create();
    if (!ctx) return complain(ctx.error().message());
    ctx->set_how_many(how_many);
    if (!plot_directory.empty()) {
        std::error_code failure;
        std::filesystem::create_directories(plot_directory, failure);
        if (failure) return complain(plot_directory + " cannot be made: " + failure.message());
        ctx->set_plots(plot_directory);
    }
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> json(nullptr, std::fclose);
    if (!json_file.empty()) {
        json.reset(json_file == "-" ? ::fdopen(::dup(1), "w") : std::fopen(json_file.c_str(), "w"));
        if (!json) return complain(json_file + " cannot be written");
    }
    std::FILE* table = json_file == "-" ? stderr : stdout;
    const machine here = this_machine(ctx->kvm());
    print_header(table, here);
    int status = 0;
    for (const workload* w : chosen) {
        auto measured = w->run(*ctx);
        if (!measured) {
            status = complain(std::string(w->name) + ": " + measured.error().message());
            continue;
        }
        for (const row& r : *measured) {
            print_row(table, r);
            if (json) std::fprintf(json.get(), "%s\n", to_json(r, here).c_str());
        }
        if (json && std::fflush(json.get()) != 0) return complain(json_file + " cannot be written");
    }
    return status;
}
