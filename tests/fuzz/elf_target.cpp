#include "image/elf.hpp"
#include "sound_plan.hpp"
#include "target.hpp"

#include <fstream>
#include <iterator>
#include <span>

namespace hearth::fuzz {
namespace {

class elf final : public target {
  public:
    std::vector<std::string> seeds() override {
        std::vector<std::string> all;
        for (const char* path : {"/bin/true", "/bin/busybox", "/lib64/ld-linux-x86-64.so.2"}) {
            std::ifstream in(path, std::ios::binary);
            std::string text((std::istreambuf_iterator<char>(in)), {});
            if (!text.empty()) all.push_back(text.substr(0, 48 * 1024));
        }
        return all;
    }
    void run(std::string_view input) override {
        const auto bytes = std::as_bytes(std::span(input));
        // The file may be longer than the head that was read of it.
        for (const std::uint64_t size : {std::uint64_t{input.size()}, std::uint64_t{4} << 20}) {
            if (size < input.size()) continue;
            if (const auto plan = image::read_elf(bytes, size))
                promise(test::broken_promise(*plan, size).empty(), "an accepted plan is unsound");
        }
        (void)image::read_elf_dynamic(bytes);
    }
};

}  // namespace

std::unique_ptr<target> make_elf() { return std::make_unique<elf>(); }

}  // namespace hearth::fuzz
