#include "command.hpp"

#include <hearth/doctor.hpp>

#include <cstdio>

namespace hearth::cli {
namespace {

double microseconds(std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1000; }

void row(const char* name, const std::string& value) {
    std::printf("%-12s %s\n", name, value.c_str());
}

int doctor() {
    const host_report host = inspect_host();
    row("kernel", host.kernel);
    row("CPU",
        host.cpu + ", " + std::to_string(host.cores) + (host.cores == 1 ? " core" : " cores"));
    row("memory", std::to_string(host.memory.mebibytes()) + " MiB, " +
                      std::to_string(host.memory_available.mebibytes()) + " MiB available");
    row("KVM", host.kvm_usable    ? host.kvm_device + ", " + host.kvm_flavour
               : host.kvm_present ? host.kvm_device + " is there, but cannot be used"
                                  : host.kvm_device + " is not there");
    if (host.kvm_usable) {
        char floor[96];
        std::snprintf(floor, sizeof floor,
                      "%.1f us (p50), %.1f us (p99): one system call's way to the host and back",
                      microseconds(host.floor_p50), microseconds(host.floor_p99));
        row("floor", floor);
    }
    row("open files",
        std::to_string(host.open_files) + ", at most " + std::to_string(host.open_files_max));
    row("mappings", std::to_string(host.mappings));
    for (const host_finding& finding : host.findings)
        std::printf("\n%s: %s\n",
                    finding.level == host_finding::severity::problem ? "Problem" : "Note",
                    finding.what.c_str());
    std::printf("\n%s\n", host.functions_can_run() ? "Functions can run here."
                                                   : "Functions cannot run here.");
    return host.functions_can_run() ? 0 : 1;
}

}  // namespace

command add_doctor(CLI::App& app) {
    app.footer(
        "Exit status: 0 if functions can run here, 1 if not.\n"
        "\nExample:\n"
        "  hearth doctor");
    return doctor;
}

}  // namespace hearth::cli
