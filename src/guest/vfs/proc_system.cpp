#include "guest/vfs/proc_system.hpp"

#include "guest/vfs/fixed_text.hpp"
#include "guest/vfs/proc_cpuinfo.hpp"
#include "guest/vfs/proc_time.hpp"
#include "guest/vfs/socket.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hearth::guest::vfs::proc {
namespace {

using std::chrono::nanoseconds;

nanoseconds uptime_of(const context& c) {
    return std::max(c.host.monotonic_now() - c.state.identity.boot_time, nanoseconds{0});
}

std::size_t running(const context& c) {
    return static_cast<std::size_t>(std::ranges::count_if(c.state.tasks, [](const auto& t) {
        return std::holds_alternative<task_running>(t.second.run);
    }));
}

std::string loadavg(const context& c) {
    return fmt::format("0.00 0.00 0.00 {}/{} {}\n", running(c), c.state.tasks.size(),
                       std::max(c.state.last_id, c.state.processes.rbegin()->first));
}

std::string meminfo(const context& c) {
    constexpr std::uint64_t page_kib = vmm::page_size / 1024;
    const std::uint64_t total = c.state.frames.limit_pages() * page_kib;
    const std::uint64_t used = c.state.frames.used_pages() * page_kib;
    const std::uint64_t free = total > used ? total - used : 0;
    std::uint64_t tables = 0;
    for_each_space(c.state, [&](const mm::mm_state& mm) { tables += mm.tables.size() * page_kib; });
    struct entry {
        std::string_view name;
        std::uint64_t kib = 0;
    };
    const std::array rows{entry{"MemTotal", total},
                          entry{"MemFree", free},
                          entry{"MemAvailable", free},
                          entry{"Buffers"},
                          entry{"Cached"},
                          entry{"SwapCached"},
                          entry{"Active", used},
                          entry{"Inactive"},
                          entry{"Active(anon)", used},
                          entry{"Inactive(anon)"},
                          entry{"Active(file)"},
                          entry{"Inactive(file)"},
                          entry{"Unevictable"},
                          entry{"Mlocked"},
                          entry{"SwapTotal"},
                          entry{"SwapFree"},
                          entry{"Dirty"},
                          entry{"Writeback"},
                          entry{"AnonPages", used},
                          entry{"Mapped"},
                          entry{"Shmem"},
                          entry{"KReclaimable"},
                          entry{"Slab"},
                          entry{"SReclaimable"},
                          entry{"SUnreclaim"},
                          entry{"KernelStack"},
                          entry{"PageTables", tables},
                          entry{"CommitLimit", total},
                          entry{"Committed_AS", used},
                          entry{"VmallocTotal"},
                          entry{"VmallocUsed"},
                          entry{"VmallocChunk"},
                          entry{"AnonHugePages"}};
    std::string out;
    for (const entry& r : rows)
        out += fmt::format("{:15} {:8} kB\n", fmt::format("{}:", r.name), r.kib);
    return out +
           "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
           "HugePages_Surp:        0\nHugepagesize:       2048 kB\n";
}

std::string stat(const context& c) {
    const std::uint64_t busy = ticks(c.host.cpu_time()), all = std::max(ticks(uptime_of(c)), busy);
    const auto boot =
        std::chrono::duration_cast<std::chrono::seconds>(c.host.realtime_now() - uptime_of(c));
    return fmt::format(
        "cpu  {0} 0 0 {1} 0 0 0 0 0 0\ncpu0 {0} 0 0 {1} 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime {2}\n"
        "processes {3}\nprocs_running {4}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        busy, all - busy, boot.count(), c.state.process_serials + 1, running(c));
}

std::string uptime(const context& c) {
    const double up = std::chrono::duration<double>(uptime_of(c)).count();
    const double busy = std::chrono::duration<double>(c.host.cpu_time()).count();
    return fmt::format("{:.2f} {:.2f}\n", up, std::max(0.0, up - busy));
}

std::string vmstat(const context& c) {
    const std::uint64_t used = c.state.frames.used_pages(), limit = c.state.frames.limit_pages();
    return fmt::format(
        "nr_free_pages {}\nnr_inactive_anon 0\nnr_active_anon {}\nnr_inactive_file 0\n"
        "nr_active_file 0\nnr_anon_pages {}\nnr_mapped 0\nnr_file_pages 0\nnr_dirty 0\n"
        "nr_writeback 0\nnr_shmem 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\n"
        "pgmajfault 0\noom_kill 0\n",
        limit > used ? limit - used : 0, used, used);
}

std::string cgroups(const context& c) {
    std::string out = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";
    for (const char* name : {"cpuset", "cpu", "cpuacct", "memory", "pids"})
        out += fmt::format("{}\t0\t1\t1\n", name);
    static_cast<void>(c);
    return out;
}

std::string uuid(std::span<const std::byte, 16> b) {
    std::string out;
    for (std::size_t i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        out += fmt::format("{:02x}", std::to_integer<unsigned>(b[i]));
    }
    return out + "\n";
}

std::string random_uuid(const context& c) {
    std::array<std::byte, 16> b;
    c.host.random(b);
    b[6] = (b[6] & std::byte{0x0f}) | std::byte{0x40};  // RFC 4122, version 4
    b[8] = (b[8] & std::byte{0x3f}) | std::byte{0x80};
    return uuid(b);
}

std::string open_files(const context& c) {
    return fmt::format("{}\t0\t1048576\n", c.state.vfs.descriptions.size());
}

}  // namespace

made_files system_files() {
    using c = const context&;
    static constexpr std::array files{
        made_file{"cgroups", cgroups},
        made_file{"cmdline", fixed<"\n">},
        made_file{"cpuinfo", [](c k) { return cpuinfo(k.memory); }},
        made_file{"diskstats", fixed<"">},
        made_file{
            "filesystems",
            fixed<"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\thearth\n">},
        made_file{"loadavg", loadavg},
        made_file{"meminfo", meminfo},
        made_file{"modules", fixed<"">},
        made_file{"mounts", nullptr, "self/mounts"},
        made_file{"net", nullptr, "self/net"},
        made_file{"partitions", fixed<"major minor  #blocks  name\n\n">},
        made_file{"stat", stat},
        made_file{"swaps", fixed<"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n">},
        made_file{"sys/fs/file-max", fixed<"1048576\n">},
        made_file{"sys/fs/file-nr", open_files},
        made_file{"sys/fs/nr_open", fixed<"1048576\n">},
        made_file{"sys/fs/pipe-max-size", fixed<"1048576\n">},
        made_file{"sys/kernel/cap_last_cap", fixed<"40\n">},
        made_file{"sys/kernel/core_pattern", fixed<"core\n">},
        made_file{"sys/kernel/domainname", [](c k) { return k.state.identity.domainname + "\n"; }},
        made_file{"sys/kernel/hostname", [](c k) { return k.state.identity.hostname + "\n"; }},
        made_file{"sys/kernel/ngroups_max", fixed<"65536\n">},
        made_file{"sys/kernel/osrelease", [](c) { return std::string(kernel_release) + "\n"; }},
        made_file{"sys/kernel/ostype", fixed<"Linux\n">},
        made_file{"sys/kernel/overflowgid", fixed<"65534\n">},
        made_file{"sys/kernel/overflowuid", fixed<"65534\n">},
        made_file{"sys/kernel/pid_max", [](c) { return fmt::format("{}\n", pid_max); }},
        made_file{"sys/kernel/random/boot_id", [](c k) { return uuid(k.state.identity.boot_id); }},
        made_file{"sys/kernel/random/entropy_avail", fixed<"256\n">},
        made_file{"sys/kernel/random/poolsize", fixed<"256\n">},
        made_file{"sys/kernel/random/uuid", random_uuid},
        made_file{"sys/kernel/randomize_va_space", fixed<"0\n">},
        made_file{"sys/kernel/threads-max", fixed<"1024\n">},
        made_file{"sys/kernel/version", [](c) { return std::string(kernel_version) + "\n"; }},
        made_file{"sys/net/core/somaxconn", [](c) { return fmt::format("{}\n", max_backlog); }},
        made_file{"sys/net/ipv4/ip_local_port_range", fixed<"32768\t60999\n">},
        made_file{"sys/net/ipv6/conf/all/disable_ipv6", fixed<"0\n">},
        made_file{"sys/net/unix/max_dgram_qlen",
                  [](c) { return fmt::format("{}\n", socket_pair::max_messages); }},
        made_file{"sys/vm/max_map_count", [](c) { return fmt::format("{}\n", mm::max_vmas); }},
        made_file{"sys/vm/mmap_min_addr", fixed<"65536\n">},
        made_file{"sys/vm/overcommit_memory", fixed<"0\n">},
        made_file{"sys/vm/overcommit_ratio", fixed<"50\n">},
        made_file{"sys/vm/swappiness", fixed<"0\n">},
        made_file{"uptime", uptime},
        made_file{"version",
                  [](c) {
                      return fmt::format("Linux version {} (hearth) {}\n", kernel_release,
                                         kernel_version);
                  }},
        made_file{"vmstat", vmstat},
    };
    static_assert(well_formed(files));
    return files;
}

}  // namespace hearth::guest::vfs::proc
