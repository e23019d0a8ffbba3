#include "report.hpp"

#include "commit.hpp"

#include <boost/json.hpp>

#include <sys/utsname.h>

#include <cmath>
#include <fstream>

namespace hearth::bench {
namespace {

// Nanoseconds are as fine as the clock is.
double rounded(double value) { return std::round(value * 1000) / 1000; }

}  // namespace

machine this_machine(const vmm::kvm& kvm) {
    machine here;
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);)
        if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
            here.cpu = line.substr(line.find(": ") + 2);
            break;
        }
    utsname name{};
    if (::uname(&name) == 0) here.kernel = name.release;
    here.kvm = to_string(kvm.flavour());
    here.commit = commit;
    return here;
}

void print_header(std::FILE* to, const machine& where) {
    std::fprintf(to, "%s, Linux %s, %s, commit %s\n\n", where.cpu.c_str(), where.kernel.c_str(),
                 where.kvm.c_str(), where.commit.c_str());
    std::fprintf(to, "%-20s %-22s %9s %11s %11s %10s %9s\n", "workload", "variant", "n", "p50 us",
                 "p99 us", "floor us", "floors");
}

void print_row(std::FILE* to, const row& r) {
    std::fprintf(to, "%-20s %-22s %9llu %11.2f %11.2f %10.2f %9.2f", r.workload.c_str(),
                 r.variant.c_str(), static_cast<unsigned long long>(r.n), r.p50_us, r.p99_us,
                 r.floor_us, r.floors_p50());
    for (const auto& [name, value] : r.extra) std::fprintf(to, "  %s %.2f", name.c_str(), value);
    std::fputc('\n', to);
    std::fflush(to);
}

std::string to_json(const row& r, const machine& where) {
    boost::json::object line{
        {"workload", r.workload},
        {"variant", r.variant},
        {"n", r.n},
        {"p50_us", rounded(r.p50_us)},
        {"p99_us", rounded(r.p99_us)},
        {"floor_us", rounded(r.floor_us)},
        {"floors_p50", rounded(r.floors_p50())},
    };
    for (const auto& [name, value] : r.extra) line[name] = rounded(value);
    line["cpu"] = where.cpu;
    line["kernel"] = where.kernel;
    line["kvm"] = where.kvm;
    line["commit"] = where.commit;
    return boost::json::serialize(line);
}

}  // namespace hearth::bench
