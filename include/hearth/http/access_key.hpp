#pragma once

/// Who may use the HTTP front, and for what: access keys as AWS's clients have them, each with
/// rules of what it is allowed. What no rule allows is refused.
///
/// A credentials file looks like AWS's, with rules:
///
///     [deployer]
///     aws_access_key_id = AKIADEPLOYER
///     aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY
///     allow = *                                    # every action, on everything
///
///     [frontend]
///     aws_access_key_id = AKIAFRONTEND
///     aws_secret_access_key = 9drTJvcXLB89EXAMPLELB8923FB892xMFI9drTJv
///     allow = InvokeFunction on hello, thumb-*     # only these functions
///     allow = Get*, List* on *
///     functions = resize, thumb-*                  # these functions are given the key
///
/// Actions are IAM's names of the Lambda API's operations ("lambda:" may stand before them),
/// GetMetrics for GET /metrics, GetStatus for what the page shows, the ends of all functions' logs
/// among it, and those of other services with their names before them: "sqs:SendMessage on jobs",
/// "logs:FilterLogEvents on /aws/lambda/hello", "kinesis:PutRecord on clicks", "events:PutRule".
/// Functions are names without qualifiers, queues, streams and log groups stand by name. In both
/// `*` stands for anything and `?` for any one character. Actions that are not about one function
/// (ListFunctions, GetAccountSettings, those of events) need a rule on `*`, which is also meant
/// where no `on` stands.

#include <hearth/error.hpp>
#include <hearth/function_credentials.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::http {

/// Patterns; a rule allows each of its actions on each of its functions.
struct allow_rule {
    std::vector<std::string> actions{};
    std::vector<std::string> functions{"*"};
};

struct access_key {
    std::string name{};  ///< of its user: named where something is refused
    std::string access_key_id{};
    std::string secret_access_key{};
    std::vector<allow_rule> allow{};
    /// Patterns of functions that are given it, to sign their own requests with. None unless it
    /// says so.
    std::vector<std::string> functions{};
};

/// Whether a rule allows `action` ("InvokeFunction") on `function`, a name; "*" for what is not
/// about one function.
bool allows(const access_key& key, std::string_view action, std::string_view function);

/// @errors errc::invalid_argument: the file is absent, others may read it (its mode is not 0600 or
/// stricter) or its text is wrong; the sentence names the line and what mends it, and no secret
result<std::vector<access_key>> read_access_keys(const std::filesystem::path& file);

/// The same of a text. `name` stands for the file in errors.
result<std::vector<access_key>> parse_access_keys(std::string_view text, std::string_view name);

/// For runtime_options::credentials: gives a function the first of the keys that is for it.
credentials_source keys_for_functions(const std::vector<access_key>& keys);

}  // namespace hearth::http
