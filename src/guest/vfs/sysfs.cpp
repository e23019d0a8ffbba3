#include "guest/vfs/sysfs.hpp"

#include "guest/vfs/fixed_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hearth::guest::vfs {
namespace {

std::uint64_t used_bytes(const context& c) { return c.state.frames.used_pages() * vmm::page_size; }

std::string node_memory(const context& c) {
    const std::uint64_t total = c.state.frames.limit_pages() * 4,
                        used = std::min(c.state.frames.used_pages() * 4, total);
    return fmt::format(
        "Node 0 MemTotal:       {:8} kB\nNode 0 MemFree:        {:8} kB\n"
        "Node 0 MemUsed:        {:8} kB\n",
        total, total - used, used);
}

// -- the control group

std::string memory_max(const context& c) {
    return fmt::format("{}\n", c.state.frames.limit_pages() * vmm::page_size);
}
std::string memory_current(const context& c) { return fmt::format("{}\n", used_bytes(c)); }
std::string memory_peak(const context& c) {
    return fmt::format("{}\n", c.state.frames.peak_pages() * vmm::page_size);
}
std::string memory_stat(const context& c) {
    std::uint64_t tables = 0;
    for_each_space(c.state, [&](const mm::mm_state& mm) { tables += mm.tables.size(); });
    return fmt::format(
        "anon {}\nfile 0\nkernel 0\npagetables {}\nshmem 0\nfile_mapped 0\nfile_dirty 0\n"
        "inactive_anon 0\nactive_anon {}\ninactive_file 0\nactive_file 0\nunevictable 0\n"
        "slab 0\npgfault 0\npgmajfault 0\n",
        used_bytes(c), tables * vmm::page_size, used_bytes(c));
}
std::string cpu_stat(const context& c) {
    const auto used =
        std::chrono::duration_cast<std::chrono::microseconds>(c.host.cpu_time()).count();
    return fmt::format(
        "usage_usec {}\nuser_usec {}\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\n"
        "throttled_usec 0\n",
        used, used);
}
std::string processes(const context& c) {
    std::string out;
    for (const auto& [id, p] : c.state.processes)
        if (!p.ended) out += fmt::format("{}\n", id);
    return out;
}
std::string threads(const context& c) {
    std::string out;
    for (const auto& [id, t] : c.state.tasks) out += fmt::format("{}\n", id);
    return out;
}

}  // namespace

made_files made_files_of(mount::kind what) {
    static constexpr std::array cgroup{
        made_file{"cgroup.controllers", fixed<"cpuset cpu memory pids\n">},
        made_file{"cgroup.events", fixed<"populated 1\nfrozen 0\n">},
        made_file{"cgroup.freeze", fixed<"0\n">},
        made_file{"cgroup.max.depth", fixed<"0\n">},
        made_file{"cgroup.max.descendants", fixed<"0\n">},
        made_file{"cgroup.procs", processes},
        made_file{"cgroup.stat", fixed<"nr_descendants 0\nnr_dying_descendants 0\n">},
        made_file{"cgroup.subtree_control", fixed<"\n">},
        made_file{"cgroup.threads", threads},
        made_file{"cgroup.type", fixed<"domain\n">},
        made_file{"cpu.max", fixed<"max 100000\n">},
        made_file{"cpu.stat", cpu_stat},
        made_file{"cpu.weight", fixed<"100\n">},
        made_file{"cpu.weight.nice", fixed<"0\n">},
        made_file{"cpuset.cpus", fixed<"\n">},
        made_file{"cpuset.cpus.effective", fixed<"0\n">},
        made_file{"cpuset.mems", fixed<"\n">},
        made_file{"cpuset.mems.effective", fixed<"0\n">},
        made_file{"memory.current", memory_current},
        made_file{"memory.events",
                  fixed<"low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n">},
        made_file{"memory.high", fixed<"max\n">},
        made_file{"memory.low", fixed<"0\n">},
        made_file{"memory.max", memory_max},
        made_file{"memory.min", fixed<"0\n">},
        made_file{"memory.peak", memory_peak},
        made_file{"memory.stat", memory_stat},
        made_file{"memory.swap.current", fixed<"0\n">},
        made_file{"memory.swap.max", fixed<"0\n">},
        made_file{"pids.current",
                  [](const context& c) { return fmt::format("{}\n", c.state.tasks.size()); }},
        made_file{"pids.max", fixed<"1024\n">},
    };
    static_assert(well_formed(cgroup));
    static constexpr std::array sys{
        made_file{"block"},
        made_file{"bus"},
        made_file{"class/block"},
        made_file{"class/hwmon"},
        made_file{"class/net/lo", nullptr, "../../devices/virtual/net/lo"},
        made_file{"class/thermal"},
        made_file{"devices/system/cpu/cpu0/topology/core_cpus", fixed<"1\n">},
        made_file{"devices/system/cpu/cpu0/topology/core_cpus_list", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/core_id", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/core_siblings", fixed<"1\n">},
        made_file{"devices/system/cpu/cpu0/topology/core_siblings_list", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/die_cpus", fixed<"1\n">},
        made_file{"devices/system/cpu/cpu0/topology/die_cpus_list", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/die_id", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/package_cpus", fixed<"1\n">},
        made_file{"devices/system/cpu/cpu0/topology/package_cpus_list", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/physical_package_id", fixed<"0\n">},
        made_file{"devices/system/cpu/cpu0/topology/thread_siblings", fixed<"1\n">},
        made_file{"devices/system/cpu/cpu0/topology/thread_siblings_list", fixed<"0\n">},
        made_file{"devices/system/cpu/isolated", fixed<"\n">},
        made_file{"devices/system/cpu/kernel_max", fixed<"0\n">},
        made_file{"devices/system/cpu/offline", fixed<"\n">},
        made_file{"devices/system/cpu/online", fixed<"0\n">},
        made_file{"devices/system/cpu/possible", fixed<"0\n">},
        made_file{"devices/system/cpu/present", fixed<"0\n">},
        made_file{"devices/system/cpu/smt/active", fixed<"0\n">},
        made_file{"devices/system/cpu/smt/control", fixed<"notsupported\n">},
        made_file{"devices/system/node/has_cpu", fixed<"0\n">},
        made_file{"devices/system/node/has_memory", fixed<"0\n">},
        made_file{"devices/system/node/node0/cpu0", nullptr, "../../cpu/cpu0"},
        made_file{"devices/system/node/node0/cpulist", fixed<"0\n">},
        made_file{"devices/system/node/node0/cpumap", fixed<"1\n">},
        made_file{"devices/system/node/node0/distance", fixed<"10\n">},
        made_file{"devices/system/node/node0/meminfo", node_memory},
        made_file{"devices/system/node/online", fixed<"0\n">},
        made_file{"devices/system/node/possible", fixed<"0\n">},
        made_file{"devices/virtual/net/lo/addr_len", fixed<"6\n">},
        made_file{"devices/virtual/net/lo/address", fixed<"00:00:00:00:00:00\n">},
        made_file{"devices/virtual/net/lo/broadcast", fixed<"00:00:00:00:00:00\n">},
        made_file{"devices/virtual/net/lo/carrier", fixed<"1\n">},
        made_file{"devices/virtual/net/lo/flags", fixed<"0x9\n">},
        made_file{"devices/virtual/net/lo/ifindex", fixed<"1\n">},
        made_file{"devices/virtual/net/lo/iflink", fixed<"1\n">},
        made_file{"devices/virtual/net/lo/mtu", fixed<"65536\n">},
        made_file{"devices/virtual/net/lo/operstate", fixed<"unknown\n">},
        made_file{"devices/virtual/net/lo/statistics/rx_bytes", fixed<"0\n">},
        made_file{"devices/virtual/net/lo/statistics/rx_packets", fixed<"0\n">},
        made_file{"devices/virtual/net/lo/statistics/tx_bytes", fixed<"0\n">},
        made_file{"devices/virtual/net/lo/statistics/tx_packets", fixed<"0\n">},
        made_file{"devices/virtual/net/lo/tx_queue_len", fixed<"1000\n">},
        made_file{"devices/virtual/net/lo/type", fixed<"772\n">},
        made_file{"fs/cgroup"},
        made_file{"kernel/mm/hugepages"},
        made_file{"kernel/mm/transparent_hugepage/defrag",
                  fixed<"always defer defer+madvise madvise [never]\n">},
        made_file{"kernel/mm/transparent_hugepage/enabled", fixed<"always madvise [never]\n">},
        made_file{"kernel/mm/transparent_hugepage/hpage_pmd_size", fixed<"2097152\n">},
        made_file{"kernel/mm/transparent_hugepage/shmem_enabled",
                  fixed<"always within_size advise [never] deny force\n">},
    };
    static_assert(well_formed(sys));
    return what == mount::kind::cgroup ? made_files(cgroup) : made_files(sys);
}

}  // namespace hearth::guest::vfs
