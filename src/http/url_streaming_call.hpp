#pragma once

/// A function URL whose InvokeMode is RESPONSE_STREAM: the function's bytes are the body, as they
/// come. A response of the type of an integration has its status and headers in front, as
/// awslambda.HttpResponseStream writes them; an answer that comes in one piece is read as a
/// buffered URL's. Once the head is sent, a failure can only break the answer off.
///
/// @source Lambda guide, "Response streaming for Lambda functions".

#include "http/reply.hpp"
#include "http/streaming_call.hpp"

#include <hearth/function_url.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::http {

class url_streaming_call final : public streaming_call {
  public:
    static constexpr std::string_view integration_type =
        "application/vnd.awslambda.http-integration-response";
    /// What may stand before the body.
    static constexpr std::size_t max_prelude = 64 * 1024;

    /// The headers of `also` come with whatever is answered, over the function's.
    url_streaming_call(function_url_config config, reply also)
        : config_(std::move(config)), also_(std::move(also)) {}

    std::optional<std::string> take(std::string bytes) override;
    [[nodiscard]] reply head() const override { return head_; }
    [[nodiscard]] std::optional<reply> whole() override;
    [[nodiscard]] std::optional<std::string> rest() const override;

  private:
    /// Of the function's answer.
    enum class part { nothing, prelude, body, one_piece, nonsense };

    std::optional<std::string> take_prelude(std::size_t from);
    [[nodiscard]] reply with_also(reply r) const;

    const function_url_config config_;
    const reply also_;
    part at_ = part::nothing;
    std::string held_;  ///< of a prelude, or an answer in one piece
    reply head_;
};

}  // namespace hearth::http
