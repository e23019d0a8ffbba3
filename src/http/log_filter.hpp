#pragma once

/// CloudWatch Logs' filter patterns, those of words. Pure.
///
///     ERROR "exit status"   both are in the message      ?ERROR ?WARN   one of them is
///     ERROR -retry          the first, and not the second
///
/// Beside words and exclusions, optional words count for nothing, as at AWS. Case matters. A word
/// of other characters than letters, digits and '_' stands in quotes.
/// @source CloudWatch Logs guide, "Filter pattern syntax"

#include <hearth/error.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hearth::http {

class log_filter {
  public:
    /// @errors errc::invalid_argument: a quote without its end, a character that needs quotes, or a
    /// kind of pattern that is not there: JSON ({ … }), columns ([ … ]), regular expressions (%…%)
    static result<log_filter> parse(std::string_view pattern);

    [[nodiscard]] bool matches(std::string_view message) const;
    /// It has no condition.
    [[nodiscard]] bool is_empty() const noexcept {
        return required_.empty() && optional_.empty() && excluded_.empty();
    }

  private:
    std::vector<std::string> required_, optional_, excluded_;
};

}  // namespace hearth::http
