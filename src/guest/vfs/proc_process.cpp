#include "guest/vfs/proc_process.hpp"

#include "guest/mm/memory_use.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/proc_time.hpp"

#include <fmt/format.h>

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <tuple>

namespace hearth::guest::vfs::proc {
namespace {

using std::chrono::nanoseconds;

const task_state* task_of(const context& c, const subject& s) {
    const auto it = c.state.tasks.find(s.thread);
    return it == c.state.tasks.end() ? nullptr : &it->second;
}

/// Areas and what each holds in memory. A process that has ended has none.
mm::mm_state& memory_of_subject(const context& c, const subject& s) {
    return memory_of(c.state, s.process);
}
mm::memory_use use_of_area(const context& c,
                           const subject& s,
                           const mm::vma_map::value_type& area) {
    return mm::use_of(memory_of_subject(c, s), c.state.frames, c.memory, area);
}
mm::memory_use use_of_all(const context& c, const subject& s) {
    return mm::use_of(memory_of_subject(c, s), c.state.frames, c.memory);
}

/// Sizes of its areas, in bytes, as /proc/[pid]/status tells them apart.
struct extent {
    std::uint64_t all = 0, data = 0, stack = 0, code = 0, libraries = 0;
};
extent extent_of(const context& c, const subject& s) {
    extent e;
    for (const auto& [start, v] : memory_of_subject(c, s).vmas) {
        const std::uint64_t size = v.end - start;
        e.all += size;
        if (v.grows_down)
            e.stack += size;
        else if (v.prot.write && !v.shares_frames() && !v.shared)
            e.data += size;
        else if (v.prot.execute && v.file)
            (v.file->path == s.process.executable ? e.code : e.libraries) += size;
    }
    return e;
}

std::string name_of(const context& c, const subject& s) {
    const task_state* t = task_of(c, s);
    return t ? t->name : std::string();
}

std::size_t threads_of(const context& c, const process_state& p) {
    return static_cast<std::size_t>(
        std::count_if(c.state.tasks.begin(), c.state.tasks.end(), [&](const auto& t) {
            return t.second.process == p.id && !std::holds_alternative<task_exited>(t.second.run);
        }));
}

nanoseconds cpu_time_of(const context& c, const subject& s) {
    nanoseconds sum = s.whole ? s.process.ended_threads_time : nanoseconds{};
    for (const auto& [tid, ts] : c.state.tasks) {
        if (s.whole ? ts.process != s.process.id : tid != s.thread) continue;
        sum += ts.cpu_time;
        if (tid == c.state.running) sum += c.host.cpu_time() - c.state.running_since;
    }
    return sum;
}

/// As /proc/[pid]/status says it.
std::string_view state_of(const context& c, const subject& s) {
    if (s.process.ended) return "Z (zombie)";
    if (s.process.job.stopped_by) return "T (stopped)";
    const task_state* t = task_of(c, s);
    if (!t || std::holds_alternative<task_exited>(t->run)) return "Z (zombie)";
    return std::holds_alternative<task_running>(t->run) ? "R (running)" : "S (sleeping)";
}

struct signal_sets {
    signal_set pending = 0, shared = 0, blocked = 0, ignored = 0, caught = 0;
    std::size_t queued = 0;
};
signal_sets signals_of(const context& c, const subject& s) {
    signal_sets sets;
    const auto add = [](signal_set& to, const std::vector<signal_info>& pending) {
        for (const signal_info& i : pending)
            if (i.number >= 1 && i.number <= signal_count) to |= signal_bit(i.number);
    };
    if (const task_state* t = task_of(c, s)) {
        sets.blocked = t->signals.blocked;
        add(sets.pending, t->signals.pending);
        sets.queued = t->signals.pending.size();
    }
    add(sets.shared, s.process.pending);
    sets.queued += s.process.pending.size();
    for (int n = 1; n <= signal_count; ++n) {
        const std::uint64_t handler =
            actions_of(c.state, s.process)[static_cast<std::size_t>(n)].handler;
        if (handler == 1) sets.ignored |= signal_bit(n);
        if (handler > 1) sets.caught |= signal_bit(n);
    }
    return sets;
}

/// man 5 proc, /proc/[pid]/stat: 52 fields.
std::string stat(const context& c, const filesystem&, const subject& s) {
    const process_state& p = s.process;
    const mm::mm_state& mm = memory_of_subject(c, s);
    const signal_sets sets = signals_of(c, s);
    constexpr std::uint64_t no_limit = ~std::uint64_t{0};
    const auto limit = p.limits.find(RLIMIT_RSS);
    const task_state* t = task_of(c, s);
    const int nice = t ? t->nice : 0;
    std::string out =
        fmt::format("{} ({}) {} {} {} {} 0 -1 4194304 0 0 0 0 {} 0 {} 0 {} {} {} 0 {} ", s.thread,
                    name_of(c, s), state_of(c, s)[0], p.parent, p.group, p.session,
                    ticks(cpu_time_of(c, s)), ticks(p.children_time), 20 + nice, nice,
                    threads_of(c, p), ticks(p.started - c.state.identity.boot_time));
    out +=
        fmt::format("{} {} {} 0 0 {} 0 0 {} {} {} {} 0 0 0 {} 0 0 0 0 0 0 0 0 {} {} {} {} {} {}\n",
                    extent_of(c, s).all, use_of_all(c, s).resident(),
                    limit == p.limits.end() ? no_limit : limit->second.first, mm.stack_top.value,
                    sets.pending & 0x7fff'ffff, sets.blocked & 0x7fff'ffff,
                    sets.ignored & 0x7fff'ffff, sets.caught & 0x7fff'ffff, p.exit_signal,
                    mm.brk_start.value, mm.arguments.value, mm.environment.value,
                    mm.environment.value, mm.environment_end.value, p.ended ? *p.ended : 0);
    return out;
}

std::string statm(const context& c, const filesystem&, const subject& s) {
    const extent e = extent_of(c, s);
    const mm::memory_use use = use_of_all(c, s);
    return fmt::format("{} {} {} {} 0 {} 0\n", e.all / vmm::page_size, use.resident(),
                       use.resident() - use.anonymous, e.code / vmm::page_size,
                       (e.data + e.stack) / vmm::page_size);
}

std::string status(const context& c, const filesystem&, const subject& s) {
    const process_state& p = s.process;
    const credentials& ids = p.ids;
    std::string out = fmt::format("Name:\t{}\n", name_of(c, s));
    if (const viewpoint* view = view_of(c, s)) out += fmt::format("Umask:\t{:04o}\n", view->umask);
    const fd_table* files = files_of(c, s);
    const int last = !files || files->all().empty() ? 0 : files->all().rbegin()->first;
    out += fmt::format(
        "State:\t{}\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\n"
        "TracerPid:\t0\nUid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nFDSize:\t{}\nGroups:\t",
        state_of(c, s), p.id, s.thread, p.parent, p.uid, ids.euid, ids.suid, ids.fsuid, p.gid,
        ids.egid, ids.sgid, ids.fsgid, files ? (last / 64 + 1) * 64 : 0);
    for (const std::uint32_t group : ids.groups) out += fmt::format("{} ", group);
    out += fmt::format("\nNStgid:\t{}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\n", p.id, s.thread,
                       p.group, p.session);
    if (!p.ended) {  // as Linux, which has no memory left to tell of either
        const extent e = extent_of(c, s);
        const mm::memory_use use = use_of_all(c, s);
        constexpr std::uint64_t kib = 1024, page_kib = vmm::page_size / 1024;
        const auto line = [&](std::string_view name, std::uint64_t n) {
            out += fmt::format("{}:\t{:8} kB\n", name, n);
        };
        const std::uint64_t anonymous = use.anonymous, named = use.of_memory_file,
                            resident = use.resident();
        // What it was at most is known of the guest as a whole alone.
        const std::uint64_t peak = c.state.processes.size() == 1
                                       ? std::max(c.state.frames.peak_pages(), resident)
                                       : resident;
        line("VmPeak", e.all / kib);
        line("VmSize", e.all / kib);
        line("VmLck", 0);
        line("VmPin", 0);
        line("VmHWM", peak * page_kib);
        line("VmRSS", resident * page_kib);
        line("RssAnon", anonymous * page_kib);
        line("RssFile", (resident - anonymous - named) * page_kib);
        line("RssShmem", named * page_kib);
        line("VmData", e.data / kib);
        line("VmStk", e.stack / kib);
        line("VmExe", e.code / kib);
        line("VmLib", e.libraries / kib);
        line("VmPTE", memory_of_subject(c, s).tables.size() * page_kib);
        line("VmSwap", 0);
        line("HugetlbPages", 0);
        out += "CoreDumping:\t0\nTHP_enabled:\t0\n";
    }
    const signal_sets sets = signals_of(c, s);
    const auto queue = p.limits.find(RLIMIT_SIGPENDING);
    out += fmt::format(
        "Threads:\t{}\nSigQ:\t{}/{}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\n"
        "SigIgn:\t{:016x}\nSigCgt:\t{:016x}\nCapInh:\t{:016x}\nCapPrm:\t{:016x}\n"
        "CapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\n"
        "Seccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tunknown\n"
        "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
        "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
        p.ended ? 1 : threads_of(c, p), sets.queued,
        queue == p.limits.end() ? 1024 : queue->second.first, sets.pending, sets.shared,
        sets.blocked, sets.ignored, sets.caught, ids.inheritable, ids.permitted, ids.effective,
        ids.bounding, ids.ambient, p.no_new_privileges ? 1 : 0);
    return out;
}

// -- memory

std::string area_line(const context& c, const mm::vma_map::value_type& area) {
    const auto& [start, v] = area;
    std::string name = v.name;
    if (name.empty() && v.file) name = shown_from(c.view.root, v.file->path);
    auto line = fmt::format("{:x}-{:x} {}{}{}{} {:08x} 00:{:02x} {} ", start.value, v.end.value,
                            v.prot.read ? 'r' : '-', v.prot.write ? 'w' : '-',
                            v.prot.execute ? 'x' : '-', v.shared || v.shares_frames() ? 's' : 'p',
                            v.file_offset, v.file ? 1 : 0, v.file ? 1 : 0);
    if (!name.empty()) {
        if (line.size() < 73) line.append(73 - line.size(), ' ');
        line += name;
    }
    line += '\n';
    return line;
}

std::string maps(const context& c, const filesystem&, const subject& s) {
    std::string out;
    for (const auto& area : memory_of_subject(c, s).vmas) out += area_line(c, area);
    return out;
}

/// Man 5 proc, /proc/[pid]/smaps; the same lines sum all areas up in smaps_rollup.
void add_use(std::string& out, const mm::memory_use& use) {
    const auto line = [&](std::string_view name, std::uint64_t kib) {
        out += fmt::format("{:15} {:8} kB\n", fmt::format("{}:", name), kib);
    };
    constexpr std::uint64_t page_kib = vmm::page_size / 1024;
    line("Rss", use.resident() * page_kib);
    line("Pss", use.proportional_bytes / 1024);
    line("Shared_Clean", use.shared_clean * page_kib);
    line("Shared_Dirty", use.shared_dirty * page_kib);
    line("Private_Clean", use.clean * page_kib);
    line("Private_Dirty", use.dirty * page_kib);
    line("Referenced", use.resident() * page_kib);
    line("Anonymous", use.anonymous * page_kib);
    for (const char* none : {"LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped",
                             "Shared_Hugetlb", "Private_Hugetlb", "Swap", "SwapPss", "Locked"})
        line(none, 0);
}

std::string flags_of(const mm::vma& v) {
    std::string out = "VmFlags:";
    if (v.prot.read) out += " rd";
    if (v.prot.write) out += " wr";
    if (v.prot.execute) out += " ex";
    if (v.shares_frames() || v.shared) out += " sh";
    out += " mr mw me";
    if (v.grows_down) out += " gd";
    if (v.not_in_child) out += " dc";
    if (v.wipe_on_fork) out += " wf";
    return out + " \n";
}

std::string smaps(const context& c, const filesystem&, const subject& s) {
    std::string out;
    for (const auto& area : memory_of_subject(c, s).vmas) {
        out += area_line(c, area);
        out += fmt::format(
            "Size:           {:8} kB\nKernelPageSize:        4 kB\n"
            "MMUPageSize:           4 kB\n",
            (area.second.end - area.first) / 1024);
        add_use(out, use_of_area(c, s, area));
        out += "THPeligible:    0\n" + flags_of(area.second);
    }
    return out;
}

std::string smaps_rollup(const context& c, const filesystem&, const subject& s) {
    const auto& vmas = memory_of_subject(c, s).vmas;
    if (vmas.empty()) return {};
    std::string out = fmt::format("{:x}-{:x} ---p 00000000 00:00 0 ", vmas.begin()->first.value,
                                  vmas.rbegin()->second.end.value);
    if (out.size() < 73) out.append(73 - out.size(), ' ');
    out += "[rollup]\n";
    add_use(out, use_of_all(c, s));
    return out;
}

/// Bytes of the process's memory; what cannot be read is not there.
std::string memory_text(const context& c, const subject& s, gva start, std::uint64_t length) {
    if (s.process.ended || length == 0 || c.state.frames.exhausted()) return {};
    file_pages shared(c.state, c.memory);
    std::string out;
    (void)mm::address_space(memory_of_subject(c, s), c.state.frames, c.memory, &shared)
        .for_each_span(start, length, false, [&](std::span<std::byte> part) {
            out.append(reinterpret_cast<const char*>(part.data()), part.size());
            return part.size();
        });
    return out;
}

/// A program may have written another title over its arguments, and on into its environment.
std::string cmdline(const context& c, const filesystem&, const subject& s) {
    const mm::mm_state& mm = memory_of_subject(c, s);
    std::string out = memory_text(c, s, mm.arguments, mm.environment - mm.arguments);
    if (out.empty() || out.back() == '\0') return out;
    constexpr std::uint64_t longest_title = 4096;
    out =
        memory_text(c, s, mm.arguments, std::min(mm.environment_end - mm.arguments, longest_title));
    return out.substr(0, out.find('\0') + 1);
}

std::string environ(const context& c, const filesystem&, const subject& s) {
    const mm::mm_state& mm = memory_of_subject(c, s);
    return memory_text(c, s, mm.environment, mm.environment_end - mm.environment);
}

/// Pairs of words up to AT_NULL's.
std::string auxv(const context& c, const filesystem&, const subject& s) {
    const mm::mm_state& mm = memory_of_subject(c, s);
    constexpr std::size_t pair = 16, most = 40;
    if (mm.auxiliary.value == 0) return {};
    std::string out = memory_text(c, s, mm.auxiliary, most * pair);
    std::size_t end = 0;
    while (end + pair <= out.size()) {
        const bool last = out.compare(end, 8, std::string(8, '\0')) == 0;
        end += pair;
        if (last) break;
    }
    out.resize(end);
    return out;
}

// -- the rest

std::string limits(const context&, const filesystem&, const subject& s) {
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
        const auto it = s.process.limits.find(r.number);
        std::uint64_t soft = RLIM_INFINITY, hard = RLIM_INFINITY;
        if (it != s.process.limits.end())
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

/// Of those below the process's root, by their names there.
std::string mount_lines(const context& c, const filesystem& fs, const subject& s, bool info) {
    std::string out;
    const viewpoint* view = view_of(c, s);
    if (!view) return out;
    int id = 20;
    for (auto it = fs.mounts().rbegin(); it != fs.mounts().rend(); ++it, ++id) {
        const std::string point = shown_from(view->root, it->point);
        if (point == it->point && view->root != "/") continue;
        const std::string_view type = it->type();
        const char* access =
            it->what == mount::kind::tmpfs || it->what == mount::kind::proc ? "rw" : "ro";
        if (info) {
            const auto device = device_of_mount(
                static_cast<std::uint32_t>(std::distance(it, fs.mounts().rend()) - 1));
            out +=
                fmt::format("{} {} 0:{} / {} {},nosuid - {} {} {}\n", id, it->point == "/" ? 1 : 20,
                            device & 0xff, point, access, type, type, access);
        } else {
            out += fmt::format("{} {} {} {},nosuid 0 0\n", type, point, type, access);
        }
    }
    return out;
}

}  // namespace

fd_table* files_of(const context& c, const subject& s) {
    const auto it = c.state.tasks.find(s.thread);
    return it == c.state.tasks.end() || it->second.files == 0
               ? nullptr
               : &guest::files_of(c.state, it->second);
}
viewpoint* view_of(const context& c, const subject& s) {
    const auto it = c.state.tasks.find(s.thread);
    return it == c.state.tasks.end() || it->second.view == 0 ? nullptr
                                                             : &guest::view_of(c.state, it->second);
}

std::span<const process_file> process_files() {
    using c = const context&;
    using f = const filesystem&;
    using s = const subject&;
    static constexpr std::array files{
        process_file{"auxv", auxv},
        process_file{"cgroup", [](c, f, s) { return std::string("0::/\n"); }},
        process_file{"cmdline", cmdline},
        process_file{"comm", [](c k, f, s of) { return name_of(k, of) + "\n"; }},
        process_file{"coredump_filter", [](c, f, s) { return std::string("00000033\n"); }},
        process_file{"environ", environ},
        process_file{"io",
                     [](c, f, s) {
                         return std::string(
                             "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\n"
                             "write_bytes: 0\ncancelled_write_bytes: 0\n");
                     }},
        process_file{"limits", limits},
        process_file{"loginuid", [](c, f, s) { return std::string("4294967295"); }},
        process_file{"maps", maps},
        process_file{"mountinfo", [](c how, f fs, s of) { return mount_lines(how, fs, of, true); }},
        process_file{"mounts", [](c how, f fs, s of) { return mount_lines(how, fs, of, false); }},
        process_file{"oom_adj", [](c, f, s) { return std::string("0\n"); }},
        process_file{"oom_score", [](c, f, s) { return std::string("0\n"); }},
        process_file{"oom_score_adj", [](c, f, s) { return std::string("0\n"); }},
        process_file{"personality",
                     [](c, f, s of) { return fmt::format("{:08x}\n", of.process.personality); }},
        process_file{"sessionid", [](c, f, s) { return std::string("4294967295"); }},
        process_file{"smaps", smaps},
        process_file{"smaps_rollup", smaps_rollup},
        process_file{"stat", stat},
        process_file{"statm", statm},
        process_file{"status", status},
        process_file{"timerslack_ns",
                     [](c, f, s of) { return fmt::format("{}\n", of.process.timer_slack); }},
        process_file{"wchan", [](c, f, s) { return std::string("0"); }},
    };
    static_assert(std::ranges::is_sorted(files, {}, &process_file::path));
    return files;
}

}  // namespace hearth::guest::vfs::proc
