#include "image/elf.hpp"

#include "base/try.hpp"

#include <fmt/format.h>

#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

namespace hearth::image {
namespace {

/// Where programs may stand: from vm.mmap_min_addr up to the system area of every guest, the last 2
/// MiB of the user half (vmm/x86_64/layout.hpp; this room does not see it, a test compares).
constexpr std::uint64_t lowest_address = 0x1'0000;
constexpr std::uint64_t highest_address = 0x7fff'ffe0'0000;
constexpr std::uint64_t page_size = 4096;
constexpr std::uint64_t max_alignment = std::uint64_t{1} << 30;
constexpr std::uint64_t max_interpreter = 4096;  // PATH_MAX

error bad(std::string detail) { return {errc::bad_executable, std::move(detail)}; }

/// A structure out of the file, wherever it is aligned.
template <class T>
std::optional<T> load(std::span<const std::byte> file, std::uint64_t offset) {
    if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, file.data() + offset, sizeof(T));
    return value;
}

std::string machine_name(unsigned machine) {
    switch (machine) {
        case EM_386:
            return "32-bit x86";
        case EM_AARCH64:
            return "aarch64 (arm64)";
        case EM_ARM:
            return "32-bit ARM";
        case EM_RISCV:
            return "RISC-V";
        case EM_PPC64:
            return "ppc64";
        case EM_S390:
            return "s390x";
        default:
            return fmt::format("machine {}", machine);
    }
}

result<Elf64_Ehdr> read_header(std::span<const std::byte> head) {
    if (head.size() < SELFMAG || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0)
        return bad("not an ELF file");
    if (head.size() < EI_NIDENT) return bad("the file ends inside the ELF header");
    const auto ident = [&](int i) {
        return std::to_integer<int>(head[static_cast<std::size_t>(i)]);
    };
    if (ident(EI_DATA) == ELFDATA2MSB) return bad("big-endian; Hearth runs x86-64 programs");
    if (ident(EI_CLASS) == ELFCLASS32) return bad("a 32-bit program; Hearth runs x86-64 programs");
    if (ident(EI_CLASS) != ELFCLASS64 || ident(EI_DATA) != ELFDATA2LSB ||
        ident(EI_VERSION) != EV_CURRENT)
        return bad("the ELF header is malformed");
    const auto header = load<Elf64_Ehdr>(head, 0);
    if (!header) return bad("the file ends inside the ELF header");
    if (header->e_machine != EM_X86_64)
        return bad(fmt::format("built for {}; Hearth runs x86-64 programs",
                               machine_name(header->e_machine)));
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return bad(header->e_type == ET_REL    ? "an object file, not linked"
                   : header->e_type == ET_CORE ? "a core dump"
                                               : "neither an executable nor a shared object");
    if (header->e_phentsize != sizeof(Elf64_Phdr)) return bad("program headers of the wrong size");
    if (header->e_phnum == 0) return bad("no program headers");
    if (header->e_phnum * sizeof(Elf64_Phdr) > 65536) return bad("too many program headers");
    return *header;
}

result<std::vector<Elf64_Phdr>> read_program_headers(std::span<const std::byte> head,
                                                     const Elf64_Ehdr& header) {
    std::vector<Elf64_Phdr> headers;
    headers.reserve(header.e_phnum);
    if (header.e_phoff > head.size())
        return bad("the program headers lie outside the start of the file");
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
        const auto p = load<Elf64_Phdr>(head, header.e_phoff + i * sizeof(Elf64_Phdr));
        if (!p) return bad("the program headers lie outside the start of the file");
        headers.push_back(*p);
    }
    return headers;
}

result<elf_segment> read_segment(const Elf64_Phdr& p,
                                 std::uint64_t file_size,
                                 bool position_independent) {
    if (p.p_filesz > p.p_memsz) return bad("a segment is larger in the file than in memory");
    if (p.p_offset > file_size || p.p_filesz > file_size - p.p_offset)
        return bad("a segment lies outside the file: truncated?");
    if (p.p_memsz > highest_address || p.p_vaddr > highest_address - p.p_memsz)
        return bad("a segment lies outside the user address space");
    if (!position_independent && p.p_vaddr < lowest_address)
        return bad("a segment lies below 64 KiB, where nothing may be mapped");
    if (p.p_vaddr % page_size != p.p_offset % page_size)
        return bad("a segment's address and file offset disagree in their page offset");
    return elf_segment{.address = p.p_vaddr,
                       .memory_size = p.p_memsz,
                       .offset = p.p_offset,
                       .file_size = p.p_filesz,
                       .read = (p.p_flags & PF_R) != 0,
                       .write = (p.p_flags & PF_W) != 0,
                       .execute = (p.p_flags & PF_X) != 0};
}

result<std::string> read_interpreter(std::span<const std::byte> head, const Elf64_Phdr& p) {
    if (p.p_filesz < 2 || p.p_filesz > max_interpreter)
        return bad("the interpreter's name has no sensible length");
    if (p.p_offset > head.size() || p.p_filesz > head.size() - p.p_offset)
        return bad("the interpreter's name lies outside the start of the file");
    std::string name(reinterpret_cast<const char*>(head.data() + p.p_offset), p.p_filesz);
    if (name.back() != '\0') return bad("the interpreter's name is not terminated");
    name.resize(name.find('\0'));
    if (name.empty()) return bad("the interpreter's name is empty");
    return name;
}

}  // namespace

result<elf_plan> read_elf(std::span<const std::byte> head, std::uint64_t file_size) {
    HEARTH_TRY(const Elf64_Ehdr header, read_header(head));
    HEARTH_TRY(const auto headers, read_program_headers(head, header));

    elf_plan plan;
    plan.position_independent = header.e_type == ET_DYN;
    plan.entry = header.e_entry;
    plan.phdr_count = header.e_phnum;
    for (const Elf64_Phdr& p : headers) {
        switch (p.p_type) {
            case PT_LOAD: {
                if (p.p_memsz == 0) break;
                HEARTH_TRY(const elf_segment segment,
                           read_segment(p, file_size, plan.position_independent));
                if (!plan.segments.empty()) {
                    const elf_segment& last = plan.segments.back();
                    if (segment.address < last.address + last.memory_size)
                        return bad("segments overlap or are not in ascending order");
                }
                if (p.p_align > 1 && std::has_single_bit(p.p_align)) {
                    if (p.p_align > max_alignment)
                        return bad("a segment wants more than 1 GiB of alignment");
                    plan.alignment = std::max(plan.alignment, p.p_align);
                }
                plan.segments.push_back(segment);
                const std::uint64_t table_size = header.e_phnum * sizeof(Elf64_Phdr);
                if (plan.phdr_address == 0 && header.e_phoff >= segment.offset &&
                    segment.file_size >= table_size &&
                    header.e_phoff - segment.offset <= segment.file_size - table_size)
                    plan.phdr_address = segment.address + (header.e_phoff - segment.offset);
                break;
            }
            case PT_INTERP: {
                if (!plan.interpreter.empty()) return bad("two interpreters");
                HEARTH_TRY(plan.interpreter, read_interpreter(head, p));
                break;
            }
            case PT_GNU_STACK:
                plan.executable_stack = (p.p_flags & PF_X) != 0;
                break;
            default:
                break;
        }
    }
    if (plan.segments.empty()) return bad("nothing to load: no PT_LOAD segment");
    return plan;
}

result<elf_dynamic> read_elf_dynamic(std::span<const std::byte> file) {
    HEARTH_TRY(const Elf64_Ehdr header, read_header(file));
    HEARTH_TRY(const auto headers, read_program_headers(file, header));

    // Addresses in the dynamic section are as linked; the segments say where the file has them.
    const auto offset_of = [&](std::uint64_t address) -> std::optional<std::uint64_t> {
        for (const Elf64_Phdr& p : headers) {
            if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz &&
                p.p_offset <= file.size())
                return p.p_offset + (address - p.p_vaddr);
        }
        return std::nullopt;
    };

    elf_dynamic dynamic;
    const auto section = std::find_if(headers.begin(), headers.end(),
                                      [](const Elf64_Phdr& p) { return p.p_type == PT_DYNAMIC; });
    if (section == headers.end()) return dynamic;

    std::uint64_t strings_address = 0, strings_size = 0;
    std::vector<std::uint64_t> needed, paths;
    const std::uint64_t entries = section->p_filesz / sizeof(Elf64_Dyn);
    for (std::uint64_t i = 0; i < entries; ++i) {
        if (section->p_offset > file.size()) break;
        const auto d = load<Elf64_Dyn>(file, section->p_offset + i * sizeof(Elf64_Dyn));
        if (!d) return bad("the dynamic section lies outside the file");
        if (d->d_tag == DT_NULL) break;
        if (d->d_tag == DT_STRTAB) strings_address = d->d_un.d_ptr;
        if (d->d_tag == DT_STRSZ) strings_size = d->d_un.d_val;
        if (d->d_tag == DT_NEEDED) needed.push_back(d->d_un.d_val);
        if (d->d_tag == DT_RUNPATH || d->d_tag == DT_RPATH) paths.push_back(d->d_un.d_val);
    }
    if (needed.empty() && paths.empty()) return dynamic;

    const auto strings_offset = offset_of(strings_address);
    if (!strings_offset || *strings_offset > file.size() ||
        strings_size > file.size() - *strings_offset)
        return bad("the dynamic string table lies outside the file");
    const std::string_view strings(reinterpret_cast<const char*>(file.data() + *strings_offset),
                                   strings_size);
    const auto string_at = [&](std::uint64_t at) -> result<std::string> {
        if (at >= strings.size()) return bad("a dynamic string lies outside its table");
        const auto end = strings.find('\0', at);
        if (end == std::string_view::npos) return bad("a dynamic string is not terminated");
        return std::string(strings.substr(at, end - at));
    };
    for (const std::uint64_t at : needed) {
        HEARTH_TRY(auto name, string_at(at));
        dynamic.needed.push_back(std::move(name));
    }
    for (const std::uint64_t at : paths) {
        HEARTH_TRY(const auto list, string_at(at));
        for (std::size_t from = 0; from <= list.size();) {
            const std::size_t colon = std::min(list.find(':', from), list.size());
            if (colon > from) dynamic.run_path.push_back(list.substr(from, colon - from));
            from = colon + 1;
        }
    }
    return dynamic;
}

}  // namespace hearth::image
