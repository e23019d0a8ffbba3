#pragma once

/// The two forms of a result: a table for people, JSON lines for machines.

#include "bench.hpp"

#include <cstdio>
#include <string>
#include <vector>

namespace hearth::bench {

/// Where a result was measured; goes into every JSON line.
struct machine {
    std::string cpu;
    std::string kernel;
    std::string kvm;
    std::string commit;
};
machine this_machine(const vmm::kvm& kvm);

void print_header(std::FILE* to, const machine& where);
void print_row(std::FILE* to, const row& r);

/// One JSON object, without a line end.
std::string to_json(const row& r, const machine& where);

}  // namespace hearth::bench
