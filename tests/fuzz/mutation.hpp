#pragma once

/// Small changes to bytes, the same for the same seed on every machine.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace hearth::fuzz {

class mutator {
  public:
    explicit mutator(std::uint64_t seed) : random_(seed) {}

    std::string next(const std::vector<std::string>& corpus) {
        std::string s = corpus[below(corpus.size())];
        for (std::uint64_t n = 1 + below(6); n > 0; --n) change(s, corpus);
        if (s.size() > most) s.resize(most);
        return s;
    }
    std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : random_() % n; }

  private:
    static constexpr std::size_t most = 1 << 20;

    /// Headers and counts stand at the front.
    std::size_t place(const std::string& s) {
        return below(below(2) ? s.size() : std::min<std::uint64_t>(s.size(), 512));
    }
    void change(std::string& s, const std::vector<std::string>& corpus) {
        if (s.empty()) s = "x";
        const std::size_t at = place(s);
        switch (below(9)) {
            case 0:
                s[at] = static_cast<char>(s[at] ^ (1 << below(8)));
                break;
            case 1:
                s[at] = static_cast<char>(random_());
                break;
            case 2: {  // a number at an edge
                static constexpr std::uint64_t edges[] = {
                    0, 1, 0x7f, 0xff, 0x7fff'ffff, 0xffff'ffff, 0x1000, ~0ull, 1ull << 63};
                const std::uint64_t value = edges[below(std::size(edges))] + below(3) - 1;
                const std::size_t width = std::size_t{1} << below(4);
                std::memcpy(s.data() + at, &value, std::min(width, s.size() - at));
                break;
            }
            case 3:
                s.erase(at, 1 + below(below(4) ? 8 : s.size()));
                break;
            case 4:
                s.insert(at, 1 + below(16), static_cast<char>(random_()));
                break;
            case 5: {  // a piece of another, or of itself
                const std::string& other = corpus[below(corpus.size())];
                const std::size_t from = below(other.size());
                s.insert(at, other, from, 1 + below(64));
                break;
            }
            case 6: {
                const std::size_t from = place(s);
                const std::size_t n =
                    std::min({std::size_t{1} + below(32), s.size() - from, s.size() - at});
                std::memmove(s.data() + at, s.data() + from, n);
                break;
            }
            case 7:
                s[at] = "/.\n>:; \r,=%0129-+*\"{"[below(21)];
                break;
            default:
                if (below(4) == 0) s.resize(at);
        }
    }

    std::mt19937_64 random_;
};

}  // namespace hearth::fuzz
