#include "guest/exec/load_program.hpp"

#include "base/try.hpp"
#include "guest/exec/stack_image.hpp"
#include "guest/exec/vdso_image.hpp"

#include <fmt/format.h>

#include <elf.h>

#include <algorithm>
#include <cerrno>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace hearth::guest::exec {
namespace {

using mm::address_space;
using vmm::page_size;

constexpr gva program_base{0x5555'5555'4000};  ///< where Linux puts programs without randomisation
constexpr std::uint64_t clock_ticks = 100;     ///< USER_HZ
/// What a stack starts with beyond its contents; the rest comes by faults (Linux: 128 KiB).
constexpr std::uint64_t stack_reserve = 128ULL << 10;
/// Room for the stack to grow, and its guard gap.
constexpr std::uint64_t stack_room = mm::stack_limit + (1ULL << 20);

error cannot_map(const std::string& path, int number) {
    if (number == EEXIST || number == EPERM || number == EINVAL)
        return {errc::bad_executable,
                fmt::format("{}: its segments lie where the stack or the system must be", path)};
    return {errc::no_room, fmt::format("{} does not fit into the memory of this sandbox", path)};
}

std::uint64_t span_end(const image::elf_plan& elf) noexcept {
    std::uint64_t end = 0;
    for (const auto& s : elf.segments) end = std::max(end, s.address + s.memory_size);
    return end;
}

result<void> map_segment(address_space& space,
                         const program_part& part,
                         const image::elf_segment& s,
                         gva bias) {
    const gva address = bias + s.address;
    const gva file_end = address + s.file_size;
    const gva memory_end = (address + s.memory_size).page_up();
    const mm::protection prot{s.read, s.write, s.execute};
    gva zero_start = address.page();
    if (s.file_size != 0) {
        address_space::map_request q;
        q.hint = address.page(), q.fixed = true, q.prot = prot, q.program = true;
        q.length = file_end.page_up() - address.page();
        q.file = part.file;
        q.file_offset = s.offset & ~(page_size - 1);
        if (auto m = space.map(q); !m) return cannot_map(part.path, m.error().number);
        zero_start = file_end.page_up();
        // The file goes on behind the data of the segment; .bss begins with zeroes.
        if (s.write && s.memory_size > s.file_size && zero_start != file_end) {
            const std::vector<std::byte> zeroes(zero_start - file_end);
            if (!space.write(file_end, zeroes)) {
                if (space.frames().exhausted()) return cannot_map(part.path, ENOMEM);
                return error(errc::io_failed, fmt::format("{} cannot be read", part.path));
            }
        }
    }
    if (memory_end > zero_start) {
        address_space::map_request q;
        q.hint = zero_start, q.fixed = true, q.prot = prot;
        q.length = memory_end - zero_start;
        if (auto m = space.map(q); !m) return cannot_map(part.path, m.error().number);
    }
    return {};
}

result<void> map_segments(address_space& space, const program_part& part, gva bias) {
    for (const auto& s : part.elf.segments) HEARTH_CHECK(map_segment(space, part, s, bias));
    return {};
}

gva align_up(gva a, std::uint64_t alignment) noexcept {
    return {(a.value + alignment - 1) & ~(alignment - 1)};
}

/// The bias of the main program; nothing when it does not fit below `end`.
result<gva> program_bias(const program_part& part, gva end) {
    if (!part.elf.position_independent) return gva{0};
    const gva first{part.elf.segments.front().address & ~(part.elf.alignment - 1)};
    const gva start = align_up(program_base, part.elf.alignment);
    const std::uint64_t length = span_end(part.elf) - first.value;
    if (length > end - start) return cannot_map(part.path, EINVAL);
    // May wrap for a program linked high; addresses are sums modulo 2^64 and come out right.
    return start - first.value;
}

/// Finds room for the interpreter. @return its bias
result<gva> interpreter_bias(address_space& space, const program_part& part) {
    const std::uint64_t first = part.elf.segments.front().address & ~(part.elf.alignment - 1);
    address_space::map_request q;
    q.length = span_end(part.elf) - first + (part.elf.alignment - page_size);
    auto room = space.map(q);
    if (!room) return cannot_map(part.path, room.error().number);
    (void)space.unmap(*room, q.length);
    return align_up(*room, part.elf.alignment) - first;
}

std::string base_name(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1).substr(0, 15));
}

}  // namespace

result<loaded_program> load_program(process_state& process,
                                    address_space& space,
                                    const program_plan& plan,
                                    const program_request& request) {
    const program_part& program = plan.program;
    space.clear();
    mm::mm_state& state = space.state();
    state.stack_top = mm::user_end;
    state.mmap_base = state.stack_top - stack_room;

    HEARTH_TRY(const gva bias, program_bias(program, state.mmap_base));
    HEARTH_CHECK(map_segments(space, program, bias));
    state.brk_start = state.brk = (bias + span_end(program.elf)).page_up();

    gva entry = bias + program.elf.entry;
    gva base{0};
    if (plan.interpreter) {
        HEARTH_TRY(base, interpreter_bias(space, *plan.interpreter));
        HEARTH_CHECK(map_segments(space, *plan.interpreter, base));
        entry = base + plan.interpreter->elf.entry;
    }

    stack_contents contents;
    contents.arguments = plan.arguments;
    contents.environment = request.environment;
    contents.file_name = request.path;
    contents.random = request.random;
    contents.auxiliary = {
        {AT_SYSINFO_EHDR, vdso_address.value},
        {AT_HWCAP, request.hwcap},
        {AT_PAGESZ, page_size},
        {AT_CLKTCK, clock_ticks},
        {AT_PHDR, program.elf.phdr_address == 0 ? 0 : bias.value + program.elf.phdr_address},
        {AT_PHENT, sizeof(Elf64_Phdr)},
        {AT_PHNUM, program.elf.phdr_count},
        {AT_BASE, base.value},
        {AT_FLAGS, 0},
        {AT_ENTRY, bias.value + program.elf.entry},
        {AT_UID, request.uid},
        {AT_EUID, request.euid},
        {AT_GID, request.gid},
        {AT_EGID, request.egid},
        {AT_SECURE, request.uid != request.euid || request.gid != request.egid},
        {AT_HWCAP2, request.hwcap2}};
    if (request.minsigstksz != 0)
        contents.auxiliary.emplace_back(AT_MINSIGSTKSZ, request.minsigstksz);
    const stack_image stack = build_stack(state.stack_top, contents);

    address_space::map_request q;
    q.hint = (stack.pointer - stack_reserve).page();
    q.length = state.stack_top - q.hint;
    q.prot = {true, true, program.elf.executable_stack};
    q.fixed_noreplace = q.grows_down = true;
    q.name = "[stack]";
    if (auto m = space.map(q); !m) return cannot_map(program.path, m.error().number);
    if (!space.write(stack.pointer, stack.bytes)) return cannot_map(program.path, ENOMEM);
    state.random_bytes = stack.random;
    state.arguments = stack.arguments;
    state.environment = stack.environment;
    state.environment_end = stack.environment_end;
    state.auxiliary = stack.auxiliary;
    show_vdso(state);

    // As the file's own path, absolute and without symbolic links: /proc/self/exe shows it.
    process.executable = program.file.path.empty() ? program.path : program.file.path;
    loaded_program loaded;
    loaded.registers.rip = entry.value;
    loaded.registers.rsp = stack.pointer.value;
    loaded.name = base_name(request.path);
    return loaded;
}

result<loaded_program> load_program(process_state& process,
                                    address_space& space,
                                    program_source& source,
                                    const program_request& request) {
    HEARTH_TRY(const program_plan plan, plan_program(source, request));
    return load_program(process, space, plan, request);
}

}  // namespace hearth::guest::exec
