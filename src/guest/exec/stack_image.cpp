#include "guest/exec/stack_image.hpp"

#include "base/assert.hpp"

#include <fmt/format.h>

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace hearth::guest::exec {
namespace {

constexpr std::string_view platform = "x86_64";

/// Writes a stack from its top down.
class descending {
  public:
    descending(gva top, std::size_t capacity) : top_(top), bytes_(capacity), used_(0) {}

    gva push(const void* data, std::size_t size) {
        HEARTH_ASSERT(size <= bytes_.size() - used_);
        used_ += size;
        std::memcpy(bytes_.data() + (bytes_.size() - used_), data, size);
        return top_ - used_;
    }
    gva push(std::string_view text) {
        const char zero = '\0';
        push(&zero, 1);
        return push(text.data(), text.size());
    }
    void align(std::size_t alignment) { used_ = (used_ + alignment - 1) / alignment * alignment; }
    [[nodiscard]] std::size_t used() const noexcept { return used_; }
    stack_image finish() {
        bytes_.erase(bytes_.begin(), bytes_.end() - static_cast<std::ptrdiff_t>(used_));
        stack_image image;
        image.pointer = top_ - used_;
        image.bytes = std::move(bytes_);
        return image;
    }

  private:
    gva top_;
    std::vector<std::byte> bytes_;
    std::size_t used_;
};

}  // namespace

result<void> check_lengths(std::span<const std::string> arguments,
                           std::span<const std::string> environment) {
    std::uint64_t total = 0;
    for (const auto list : {arguments, environment}) {
        for (const std::string& s : list) {
            if (s.size() >= longest_string)
                return error(errc::invalid_argument,
                             "an argument or environment variable is longer than 128 KiB");
            total += s.size() + 1 + sizeof(std::uint64_t);
        }
    }
    if (total > longest_strings)
        return error(errc::invalid_argument,
                     "arguments and environment are longer than 2 MiB together");
    return {};
}

stack_image build_stack(gva top, const stack_contents& contents) {
    const std::size_t words = 1 + contents.arguments.size() + 1 + contents.environment.size() + 1 +
                              2 * (contents.auxiliary.size() + 4);
    std::size_t text = contents.file_name.size() + 1 + platform.size() + 1;
    for (const auto list : {contents.arguments, contents.environment})
        for (const std::string& s : list) text += s.size() + 1;

    descending stack(top, text + words * sizeof(std::uint64_t) + 128);
    const std::uint64_t zero = 0;
    stack.push(&zero, sizeof zero);  // Linux ends the stack with a null word
    const gva file_name = stack.push(contents.file_name);

    // Strings lie in the order of their lists, ascending, as programs that rewrite their title
    // expect.
    const auto push_all = [&](std::span<const std::string> list) {
        std::vector<std::uint64_t> addresses(list.size());
        for (std::size_t i = list.size(); i-- > 0;) addresses[i] = stack.push(list[i]).value;
        return addresses;
    };
    const auto environment = push_all(contents.environment);
    const auto arguments = push_all(contents.arguments);
    const gva platform_name = stack.push(platform);
    stack.align(16);
    const gva random = stack.push(contents.random.data(), contents.random.size());

    std::vector<std::uint64_t> vector;
    vector.reserve(words);
    vector.push_back(arguments.size());
    vector.insert(vector.end(), arguments.begin(), arguments.end());
    vector.push_back(0);
    vector.insert(vector.end(), environment.begin(), environment.end());
    vector.push_back(0);
    for (const auto& [type, value] : contents.auxiliary) vector.insert(vector.end(), {type, value});
    vector.insert(vector.end(), {AT_RANDOM, random.value, AT_EXECFN, file_name.value});
    vector.insert(vector.end(), {AT_PLATFORM, platform_name.value, AT_NULL, 0});
    HEARTH_ASSERT(vector.size() == words);

    // argc must stand on a multiple of 16; `top` is one.
    stack.align(16);
    const std::size_t size = vector.size() * sizeof(std::uint64_t);
    if ((stack.used() + size) % 16 != 0) stack.push(&zero, sizeof zero);
    stack.push(vector.data(), size);
    stack_image image = stack.finish();
    image.random = random;
    image.environment_end = file_name;
    image.environment = environment.empty() ? file_name : gva{environment.front()};
    image.arguments = arguments.empty() ? image.environment : gva{arguments.front()};
    image.auxiliary =
        image.pointer + (1 + arguments.size() + 1 + environment.size() + 1) * sizeof(std::uint64_t);
    return image;
}

}  // namespace hearth::guest::exec
