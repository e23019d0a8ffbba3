#include "target.hpp"

#include <hearth/sigv4.hpp>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>
#include <variant>

namespace hearth::fuzz {
namespace {

/// A request: "METHOD TARGET", then "NAME:VALUE" lines. Signed by a key that the mutations do not
/// have, so what is believed says the same as a seed.
class signature final : public target {
  public:
    signature() {
        const std::pair<std::string_view, std::string_view> plain[] = {
            {"Host", "h:9"}, {"X-Amz-Tenant-Id", " a  b "}, {"x-amz-tenant-id", "c"}};
        const std::string path = "/2015-03-31/functions/arn%3Aaws/./invocations?Qualifier=%241&b";
        std::string text = "POST " + path + "\n";
        for (const auto& [name, value] : plain)
            text.append(name).append(":").append(value).append("\n");
        for (const auto& [name, value] :
             sigv4::sign({"POST", path, plain}, sigv4::payload_hash("{}"), key_,
                         {"us-east-1", "lambda"}, now_))
            text.append(name).append(":").append(value).append("\n");
        const std::pair<std::string_view, std::string_view> host[] = {{"Host", "h:9"}};
        const std::string link =
            sigv4::presign({"GET", "/a//b/../c?d=e%20f", host}, key_, {"us-east-1", "lambda"}, now_,
                           std::chrono::seconds(600));
        seeds_ = {text, "GET " + link + "\nHost:h:9\n"};
        for (const std::string& seed : seeds_) signed_.insert(believed(seed));
        promise(signed_.size() == 2 && !signed_.contains(""), "a seed is not believed");
    }

    std::vector<std::string> seeds() override { return seeds_; }
    void run(std::string_view input) override {
        const std::string canonical = believed(input);
        promise(canonical.empty() || signed_.contains(canonical), "a forgery is believed");
    }

  private:
    /// What is believed, as it was signed; empty when nothing is.
    std::string believed(std::string_view input) const {
        const auto take_line = [&] {
            const std::string_view line = input.substr(0, input.find('\n'));
            input.remove_prefix(std::min(line.size() + 1, input.size()));
            return line;
        };
        const std::string_view first = take_line();
        const auto space = first.find(' ');
        if (space == first.npos) return {};
        std::vector<std::pair<std::string_view, std::string_view>> fields;
        while (!input.empty()) {
            const std::string_view line = take_line();
            if (const auto colon = line.find(':'); colon != line.npos)
                fields.emplace_back(line.substr(0, colon), line.substr(colon + 1));
        }
        const sigv4::request r{first.substr(0, space), first.substr(space + 1), fields};
        const auto read = sigv4::read_claim(r);
        const auto* c = std::get_if<sigv4::claim>(&read);
        if (!c || sigv4::check_scope(*c, "lambda", now_)) return {};
        const std::string hash = c->stated_hash.empty() ? sigv4::payload_hash("") : c->stated_hash;
        const auto key =
            sigv4::make_signing_key(key_.secret_access_key, c->date, {c->region, c->service});
        if (!sigv4::verify(*c, r, hash, key)) return {};
        return sigv4::canonical_request(r, c->signed_headers, hash);
    }

    const sigv4::credentials key_{"AKIAFUZZ", "a secret that no mutation has", ""};
    const sigv4::time_point now_ = std::chrono::sys_days(std::chrono::year(2026) / 1 / 2);
    std::vector<std::string> seeds_;
    std::set<std::string> signed_;
};

}  // namespace

std::unique_ptr<target> make_signature() { return std::make_unique<signature>(); }

}  // namespace hearth::fuzz
