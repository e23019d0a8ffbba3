#pragma once

/// What reads bytes of strangers, one class each. The same targets run under libFuzzer (clang,
/// HEARTH_FUZZ) and under the plain mutation loop of fuzz_test.cpp, which every compiler builds.

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::fuzz {

class target {
  public:
    virtual ~target() = default;
    /// Well-formed inputs to begin with.
    virtual std::vector<std::string> seeds() = 0;
    /// Throws std::logic_error when a promise is broken; worse is the sanitizers' to see.
    virtual void run(std::string_view input) = 0;
};

inline void promise(bool kept, const char* which) {
    if (!kept) throw std::logic_error(which);
}

std::unique_ptr<target> make_elf();           ///< image/elf.hpp
std::unique_ptr<target> make_zip();           ///< zip directory and package
std::unique_ptr<target> make_runtime_api();   ///< connections of the guest's Runtime API
std::unique_ptr<target> make_paths();         ///< names to the guest's files
std::unique_ptr<target> make_snapshot();      ///< the state of a stored snapshot
std::unique_ptr<target> make_system_calls();  ///< programs of system calls, without KVM
std::unique_ptr<target> make_signature();     ///< signed requests to the HTTP front

struct named_target {
    const char* name;
    std::unique_ptr<target> (*make)();
};
inline constexpr named_target targets[] = {
    {"elf", make_elf},     {"zip", make_zip},           {"runtime_api", make_runtime_api},
    {"paths", make_paths}, {"snapshot", make_snapshot}, {"system_calls", make_system_calls},
    {"signature", make_signature},
};

}  // namespace hearth::fuzz
