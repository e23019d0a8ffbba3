#include "guest/vfs/procfs.hpp"

#include "guest/vfs/proc_cpuinfo.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace hearth::guest::vfs::proc {
namespace {

using std::chrono::nanoseconds;

std::string maps(const context& c, const process_state& p) {
    std::string out;
    for (const auto& [start, v] : memory_of(c.state, p).vmas) {
        std::string name = v.name;
        if (name.empty() && v.file) name = v.file->path;
        auto line =
            fmt::format("{:x}-{:x} {}{}{}{} {:08x} 00:{:02x} {} ", start.value, v.end.value,
                        v.prot.read ? 'r' : '-', v.prot.write ? 'w' : '-',
                        v.prot.execute ? 'x' : '-', v.shared || v.shares_frames() ? 's' : 'p', v.file_offset, v.file ? 1 : 0, v.file ? 1 : 0);
        if (!name.empty()) {
            if (line.size() < 73) line.append(73 - line.size(), ' ');
            line += name;
        }
        out += line;
        out += '\n';
    }
    return out;
}

std::uint64_t virtual_bytes(const context& c, const process_state& p) {
    std::uint64_t total = 0;
    for (const auto& [start, v] : memory_of(c.state, p).vmas) total += v.end - start;
    return total;
}

std::string name_of(const context& c, const process_state& p) {
    const auto it = c.state.tasks.find(p.id);
    return it == c.state.tasks.end() ? std::string() : it->second.name;
}

std::size_t threads_of(const context& c, const process_state& p) {
    return static_cast<std::size_t>(
        std::count_if(c.state.tasks.begin(), c.state.tasks.end(), [&](const auto& t) {
            return t.second.process == p.id && !std::holds_alternative<task_exited>(t.second.run);
        }));
}

std::uint64_t ticks(nanoseconds t) {
    return static_cast<std::uint64_t>(t.count() / 10'000'000);
}  // USER_HZ 100

nanoseconds cpu_time_of(const context& c, const process_state& p) {
    nanoseconds sum = p.ended_threads_time;
    for (const auto& [tid, ts] : c.state.tasks) {
        if (ts.process != p.id) continue;
        sum += ts.cpu_time;
        if (tid == c.state.running) sum += c.host.cpu_time() - c.state.running_since;
    }
    return sum;
}

/// As /proc/[pid]/status says it.
std::string_view state_of(const context& c, const process_state& p) {
    if (p.ended) return "Z (zombie)";
    if (p.job.stopped_by) return "T (stopped)";
    for (const auto& [tid, ts] : c.state.tasks)
        if (ts.process == p.id && std::holds_alternative<task_running>(ts.run))
            return "R (running)";
    return "S (sleeping)";
}

/// man 5 proc, /proc/[pid]/stat: 52 fields.
std::string stat(const context& c, const process_state& p) {
    const std::uint64_t cpu = ticks(cpu_time_of(c, p));
    return fmt::format(
        "{} ({}) {} {} {} {} 0 -1 4194304 0 0 0 0 {} 0 0 0 20 0 {} 0 0 {} {} 18446744073709551615 "
        "0 0 {} 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 {} 0 0 0 0 0\n",
        p.id, name_of(c, p), state_of(c, p)[0], p.parent, p.group, p.session, cpu, threads_of(c, p), virtual_bytes(c, p),
        c.state.frames.used_pages(), memory_of(c.state, p).stack_top.value,
        memory_of(c.state, p).brk_start.value);
}

std::string statm(const context& c, const process_state& p) {
    return fmt::format("{} {} 0 0 0 {} 0\n", virtual_bytes(c, p) / 4096, c.state.frames.used_pages(),
                       c.state.frames.used_pages());
}

std::string status(const context& c, const process_state& p) {
    const auto main = c.state.tasks.find(p.id);
    signal_set pending = 0, blocked = 0, ignored = 0, caught = 0;
    if (main != c.state.tasks.end()) {
        blocked = main->second.signals.blocked;
        for (const signal_info& s : main->second.signals.pending)
            if (s.number >= 1 && s.number <= signal_count) pending |= signal_bit(s.number);
    }
    for (int n = 1; n <= signal_count; ++n) {
        const std::uint64_t handler = p.actions[static_cast<std::size_t>(n)].handler;
        if (handler == 1) ignored |= signal_bit(n);
        if (handler > 1) caught |= signal_bit(n);
    }
    const std::uint64_t size = virtual_bytes(c, p) / 1024, resident = c.state.frames.used_pages() * 4;
    return fmt::format(
        "Name:\t{}\nUmask:\t{:04o}\nState:\t{}\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t0\n"
        "Uid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nFDSize:\t{}\nGroups:\t0 \nVmPeak:\t{:8} "
        "kB\nVmSize:\t{:8} kB\n"
        "VmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t{:8} kB\nVmRSS:\t{:8} kB\nVmSwap:\t     "
        "  0 kB\n"
        "Threads:\t{}\nSigQ:\t0/"
        "1024\nSigPnd:\t0000000000000000\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\n"
        "SigIgn:\t{:016x}\nSigCgt:\t{:016x}\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:"
        "\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0\n"
        "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
        "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
        name_of(c, p), p.umask, state_of(c, p), p.id, p.id, p.parent, p.uid, p.uid, p.uid, p.uid, p.gid, p.gid,
        p.gid, p.gid, max_descriptors, size, size, c.state.frames.peak_pages() * 4, resident,
        threads_of(c, p), pending, blocked, ignored, caught);
}

std::string joined(const std::vector<std::string>& strings) {
    std::string out;
    for (const std::string& s : strings) {
        out += s;
        out += '\0';
    }
    return out;
}

std::string limits(const context&, const process_state& p) {
    struct row {
        const char* name;
        int number;
        const char* unit;
    };
    static constexpr std::array rows{
        row{"Max cpu time", RLIMIT_CPU, "seconds"},
        row{"Max file size", RLIMIT_FSIZE, "bytes"},
        row{"Max data size", RLIMIT_DATA, "bytes"},
        row{"Max stack size", RLIMIT_STACK, "bytes"},
        row{"Max core file size", RLIMIT_CORE, "bytes"},
        row{"Max resident set", RLIMIT_RSS, "bytes"},
        row{"Max processes", RLIMIT_NPROC, "processes"},
        row{"Max open files", RLIMIT_NOFILE, "files"},
        row{"Max locked memory", RLIMIT_MEMLOCK, "bytes"},
        row{"Max address space", RLIMIT_AS, "bytes"},
        row{"Max file locks", RLIMIT_LOCKS, "locks"},
        row{"Max pending signals", RLIMIT_SIGPENDING, "signals"},
        row{"Max msgqueue size", RLIMIT_MSGQUEUE, "bytes"},
        row{"Max nice priority", RLIMIT_NICE, ""},
        row{"Max realtime priority", RLIMIT_RTPRIO, ""},
        row{"Max realtime timeout", RLIMIT_RTTIME, "us"},
    };
    std::string out =
        fmt::format("{:25} {:20} {:20} {:10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (const row& r : rows) {
        const auto it = p.limits.find(r.number);
        std::uint64_t soft = RLIM_INFINITY, hard = RLIM_INFINITY;
        if (it != p.limits.end())
            std::tie(soft, hard) = it->second;
        else if (r.number == RLIMIT_NOFILE)
            soft = hard = max_descriptors;
        const auto show = [](std::uint64_t n) {
            return n == RLIM_INFINITY ? "unlimited" : fmt::format("{}", n);
        };
        out += fmt::format("{:25} {:20} {:20} {:10}\n", r.name, show(soft), show(hard), r.unit);
    }
    return out;
}

std::string mount_lines(const filesystem& fs, bool info) {
    std::string out;
    int id = 20;
    for (auto it = fs.mounts().rbegin(); it != fs.mounts().rend(); ++it, ++id) {
        const char* type = it->what == mount::kind::tmpfs  ? "tmpfs"
                           : it->what == mount::kind::proc ? "proc"
                                                           : "hearth";
        const char* access = it->what == mount::kind::tree ? "ro" : "rw";
        if (info) {
            const auto device = device_of_mount(
                static_cast<std::uint32_t>(std::distance(it, fs.mounts().rend()) - 1));
            out +=
                fmt::format("{} {} 0:{} / {} {},nosuid - {} {} {}\n", id, it->point == "/" ? 1 : 20,
                            device & 0xff, it->point, access, type, type, access);
        } else {
            out += fmt::format("{} {} {} {},nosuid 0 0\n", type, it->point, type, access);
        }
    }
    return out;
}

/// Files of /proc/[pid] and of /proc itself: the name, and how its text is made.
struct process_file {
    std::string_view name;
    std::string (*make)(const context&, const process_state&);
};
constexpr std::array process_files{
    process_file{"cgroup",
                 [](const context&, const process_state&) { return std::string("0::/\n"); }},
    process_file{"cmdline",
                 [](const context&, const process_state& p) { return joined(p.arguments); }},
    process_file{"comm",
                 [](const context& c, const process_state& p) { return name_of(c, p) + "\n"; }},
    process_file{"environ",
                 [](const context&, const process_state& p) { return joined(p.environment); }},
    process_file{"io",  // what moved bytes is not counted
                 [](const context&, const process_state&) {
                     return std::string(
                         "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\n"
                         "write_bytes: 0\ncancelled_write_bytes: 0\n");
                 }},
    process_file{"limits", limits},
    process_file{"maps", maps},
    process_file{"mountinfo", nullptr},  // need the mounts: made in `text`
    process_file{"mounts", nullptr},
    process_file{"oom_score_adj",
                 [](const context&, const process_state&) { return std::string("0\n"); }},
    process_file{"stat", stat},
    process_file{"statm", statm},
    process_file{"status", status},
};

nanoseconds uptime_of(const context& c) {
    return std::max(c.host.monotonic_now() - c.state.identity.boot_time, nanoseconds{0});
}

std::string meminfo(const context& c) {
    const std::uint64_t total = c.state.frames.limit_pages() * 4;
    const std::uint64_t used = c.state.frames.used_pages() * 4;
    const std::uint64_t free = total > used ? total - used : 0;
    return fmt::format(
        "MemTotal:       {:8} kB\nMemFree:        {:8} kB\nMemAvailable:   {:8} kB\nBuffers:       "
        "        0 kB\n"
        "Cached:                0 kB\nSwapCached:            0 kB\nActive:         {:8} "
        "kB\nInactive:              0 kB\n"
        "SwapTotal:             0 kB\nSwapFree:              0 kB\nDirty:                 0 "
        "kB\nWriteback:             0 kB\n"
        "AnonPages:      {:8} kB\nMapped:                0 kB\nShmem:                 0 kB\n"
        "CommitLimit:    {:8} kB\nCommitted_AS:   {:8} kB\nHugePages_Total:       "
        "0\nHugePages_Free:        0\n"
        "Hugepagesize:       2048 kB\n",
        total, free, free, used, used, total, used);
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

struct system_file {
    std::string_view name;
    std::string (*make)(const context&);
};
constexpr std::array system_files{
    system_file{"cpuinfo", [](const context&) { return cpuinfo(); }},
    system_file{
        "filesystems",
        [](const context&) { return std::string("nodev\tproc\nnodev\ttmpfs\nnodev\thearth\n"); }},
    system_file{"loadavg",
                [](const context& c) {
                    return fmt::format("0.00 0.00 0.00 1/{} 1\n", c.state.tasks.size());
                }},
    system_file{"meminfo", meminfo},
    system_file{"stat",
                [](const context& c) {
                    const std::uint64_t busy = ticks(c.host.cpu_time()),
                                        all = std::max(ticks(uptime_of(c)), busy);
                    const auto boot = std::chrono::duration_cast<std::chrono::seconds>(
                        c.host.realtime_now() - uptime_of(c));
                    return fmt::format(
                        "cpu  {0} 0 0 {1} 0 0 0 0 0 0\ncpu0 {0} 0 0 {1} 0 0 0 0 0 0\nintr 0\nctxt "
                        "0\nbtime {2}\n"
                        "processes {3}\nprocs_running 1\nprocs_blocked 0\n",
                        busy, all - busy, boot.count(), c.state.processes.size());
                }},
    system_file{"swaps",
                [](const context&) {
                    return std::string("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
                }},
    system_file{"sys/fs/file-max", [](const context&) { return std::string("1048576\n"); }},
    system_file{"sys/kernel/cap_last_cap", [](const context&) { return std::string("40\n"); }},
    system_file{"sys/kernel/hostname",
                [](const context& c) { return c.state.identity.hostname + "\n"; }},
    system_file{"sys/kernel/osrelease",
                [](const context&) { return std::string(kernel_release) + "\n"; }},
    system_file{"sys/kernel/ostype", [](const context&) { return std::string("Linux\n"); }},
    system_file{"sys/kernel/pid_max", [](const context&) { return std::string("32768\n"); }},
    system_file{"sys/kernel/random/boot_id",
                [](const context& c) { return uuid(c.state.identity.boot_id); }},
    system_file{"sys/kernel/random/uuid", random_uuid},
    system_file{"sys/kernel/threads-max", [](const context&) { return std::string("1024\n"); }},
    system_file{"sys/kernel/version",
                [](const context&) { return std::string(kernel_version) + "\n"; }},
    system_file{"sys/net/core/somaxconn", [](const context&) { return std::string("4096\n"); }},
    system_file{"sys/vm/max_map_count", [](const context&) { return std::string("65530\n"); }},
    system_file{"sys/vm/overcommit_memory", [](const context&) { return std::string("0\n"); }},
    system_file{"uptime",
                [](const context& c) {
                    const double up = std::chrono::duration<double>(uptime_of(c)).count();
                    const double busy = std::chrono::duration<double>(c.host.cpu_time()).count();
                    return fmt::format("{:.2f} {:.2f}\n", up, std::max(0.0, up - busy));
                }},
    system_file{"version",
                [](const context&) {
                    return fmt::format("Linux version {} (hearth) {}\n", kernel_release,
                                       kernel_version);
                }},
};

/// A path below /proc taken apart: which process, and what of it.
struct parsed {
    const process_state* process = nullptr;
    std::string_view rest;  ///< below the process's directory
};

template <class Int>
bool parse_number(std::string_view s, Int& n) {
    if (s.empty() || (s.size() > 1 && s.front() == '0')) return false;
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
    return ec == std::errc{} && end == s.data() + s.size() && n >= 0;
}

std::optional<parsed> of_process(const context& c, std::string_view path) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    pid id = 0;
    if (!parse_number(path.substr(0, slash), id)) return std::nullopt;
    const auto it = c.state.processes.find(id);
    if (it == c.state.processes.end()) return std::nullopt;
    return parsed{&it->second, slash == path.size() ? std::string_view{} : path.substr(slash + 1)};
}

constexpr std::string_view process_links[] = {"cwd", "exe", "root"};

attributes make(std::uint32_t mode, std::string_view path) {
    attributes a;
    a.mode = mode;
    a.links = S_ISDIR(mode) ? 2 : 1;
    a.block_size = 1024;
    // A number that the same path always has: FNV-1a, short of colliding with other trees' roots.
    std::uint64_t h = 0xcbf29ce484222325u;
    for (char ch : path) h = (h ^ static_cast<unsigned char>(ch)) * 0x100000001b3u;
    a.inode = (h >> 16) | (std::uint64_t{1} << 47);
    return a;
}

/// Directories of the fixed part: "sys", "sys/kernel", … are those above some file.
bool is_system_directory(std::string_view path) {
    return path.empty() ||
           std::any_of(system_files.begin(), system_files.end(), [&](const system_file& f) {
               return f.name.size() > path.size() && f.name.starts_with(path) &&
                      f.name[path.size()] == '/';
           });
}

}  // namespace

outcome<attributes> lookup(const context& c, std::string_view path) {
    if (is_system_directory(path)) return make(S_IFDIR | 0555, path);
    if (path == "self" || path == "thread-self" || path == "mounts")
        return make(S_IFLNK | 0777, path);
    for (const system_file& f : system_files)
        if (f.name == path) return make(S_IFREG | 0444, path);
    const auto p = of_process(c, path);
    if (!p) return os_error{ENOENT};
    if (p->rest.empty() || p->rest == "fd" || p->rest == "fdinfo")
        return make(S_IFDIR | 0555, path);
    for (std::string_view link : process_links)
        if (p->rest == link) return make(S_IFLNK | 0777, path);
    for (const process_file& f : process_files)
        if (f.name == p->rest) return make(S_IFREG | 0444, path);
    int fd = 0;
    if (p->rest.starts_with("fd/") && parse_number(p->rest.substr(3), fd) &&
        p->process->files.find(fd))
        return make(S_IFLNK | 0700, path);
    if (p->rest.starts_with("fdinfo/") && parse_number(p->rest.substr(7), fd) &&
        p->process->files.find(fd))
        return make(S_IFREG | 0444, path);
    return os_error{ENOENT};
}

std::optional<description_id> open_file(const context& c, std::string_view path) {
    const auto p = of_process(c, path);
    int fd = 0;
    if (!p || !p->rest.starts_with("fd/") || !parse_number(p->rest.substr(3), fd))
        return std::nullopt;
    const descriptor* d = p->process->files.find(fd);
    if (!d) return std::nullopt;
    return d->description;
}

std::string shown_path(const context& c, const filesystem& fs, const description& d) {
    if (auto directory = fs.path_of(c, d)) return *directory;
    if (const auto* file = std::get_if<tmpfs_file>(&d.body)) {
        const inode* node = c.state.vfs.files.find(file->inode);
        if (node && node->links == 0 && !d.path.ends_with(" (deleted)"))
            return d.path + " (deleted)";
    }
    return d.path;
}

outcome<std::string> read_link(const context& c, const filesystem& fs, std::string_view path) {
    if (path == "self") return fmt::format("{}", c.process.id);
    if (path == "thread-self") return fmt::format("{}", c.process.id);
    if (path == "mounts") return std::string("self/mounts");
    const auto p = of_process(c, path);
    if (!p) return os_error{lookup(c, path) ? EINVAL : ENOENT};
    if (p->rest == "exe") {
        if (p->process->executable.empty()) return os_error{ENOENT};
        return p->process->executable;
    }
    if (p->rest == "cwd") return p->process->working_directory;
    if (p->rest == "root") return std::string("/");
    if (const auto id = open_file(c, path)) {
        const description* d = c.state.vfs.find(*id);
        if (d) return shown_path(c, fs, *d);
    }
    return os_error{lookup(c, path) ? EINVAL : ENOENT};
}

outcome<std::vector<directory_entry>> list(const context& c, std::string_view path) {
    std::vector<directory_entry> out;
    const std::string prefix = path.empty() ? std::string() : std::string(path) + "/";
    const auto add = [&](std::string name, std::uint8_t type, std::uint64_t cookie = 0) {
        const std::string full = prefix + name;
        out.push_back(
            {std::move(name), make(0, full).inode, type, cookie ? cookie : out.size() + 3});
    };
    if (is_system_directory(path)) {
        std::string_view before;
        for (const system_file& f : system_files) {
            if (!f.name.starts_with(prefix)) continue;
            const std::string_view rest = f.name.substr(prefix.size());
            const std::string_view name = rest.substr(0, rest.find('/'));
            if (name == before)
                continue;  // the table is sorted: names of one directory stand together
            before = name;
            add(std::string(name), name.size() == rest.size() ? DT_REG : DT_DIR);
        }
        if (path.empty()) {
            for (const char* link : {"mounts", "self", "thread-self"}) add(link, DT_LNK);
            // Processes come and go: their cookies follow their ids.
            for (const auto& [id, p] : c.state.processes)
                add(fmt::format("{}", id), DT_DIR, 1000 + static_cast<std::uint64_t>(id));
        }
        return out;
    }
    const auto p = of_process(c, path);
    if (!p) return os_error{lookup(c, path) ? ENOTDIR : ENOENT};
    if (p->rest == "fd" || p->rest == "fdinfo") {
        // A program may close what it finds while it reads: cookies follow the numbers.
        for (const auto& [fd, d] : p->process->files.all())
            add(fmt::format("{}", fd), p->rest == "fd" ? DT_LNK : DT_REG,
                static_cast<std::uint64_t>(fd) + 3);
        return out;
    }
    if (!p->rest.empty()) return os_error{ENOTDIR};
    for (const process_file& f : process_files) add(std::string(f.name), DT_REG);
    for (std::string_view link : process_links) add(std::string(link), DT_LNK);
    add("fd", DT_DIR);
    add("fdinfo", DT_DIR);
    return out;
}

outcome<std::string> text(const context& c, const filesystem& fs, std::string_view path) {
    for (const system_file& f : system_files)
        if (f.name == path) return f.make(c);
    const auto p = of_process(c, path);
    if (!p) return os_error{ENOENT};
    if (p->rest == "mounts") return mount_lines(fs, false);
    if (p->rest == "mountinfo") return mount_lines(fs, true);
    for (const process_file& f : process_files)
        if (f.name == p->rest) return f.make(c, *p->process);
    int fd = 0;
    if (p->rest.starts_with("fdinfo/") && parse_number(p->rest.substr(7), fd)) {
        if (const descriptor* d = p->process->files.find(fd))
            if (const description* open = c.state.vfs.find(d->description))
                return fmt::format("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t1\n", open->offset,
                                   open->flags);
    }
    return os_error{ENOENT};
}

}  // namespace hearth::guest::vfs::proc
