#include "control/storage.hpp"

#include <mutex>

namespace hearth::control {
namespace {

/// For runtimes without a data directory: packages are kept for GetFunction, records need no second
/// copy.
class memory_storage final : public storage {
  public:
    result<std::vector<loaded_function>> load() override { return std::vector<loaded_function>(); }
    result<void> put(const stored_function&) override { return {}; }
    result<void> put_version(const function_configuration&) override { return {}; }
    result<void> put_both(const stored_function&, const function_configuration&) override {
        return {};
    }
    result<void> remove(const std::string&) override { return {}; }
    result<void> remove_version(const std::string&, std::uint64_t) override { return {}; }

    result<std::vector<stored_layer>> load_layers() override { return std::vector<stored_layer>(); }
    result<void> put_layer(const stored_layer&) override { return {}; }
    result<void> remove_layer(const std::string&, std::uint64_t) override { return {}; }

    result<std::vector<code_signing_config>> load_code_signing() override {
        return std::vector<code_signing_config>();
    }
    result<void> put_code_signing(const code_signing_config&) override { return {}; }
    result<void> remove_code_signing(const std::string&) override { return {}; }

    result<std::vector<event_rule>> load_rules() override { return std::vector<event_rule>(); }
    result<void> put_rule(const event_rule&) override { return {}; }
    result<void> remove_rule(const std::string&) override { return {}; }

    result<std::vector<http_api>> load_apis() override { return std::vector<http_api>(); }
    result<void> put_api(const http_api&) override { return {}; }
    result<void> remove_api(const std::string&) override { return {}; }

    result<std::vector<std::string>> load_documents(const std::string&) override {
        return std::vector<std::string>();
    }
    result<void> put_document(const std::string&, const std::string&, const std::string&) override {
        return {};
    }
    result<void> remove_document(const std::string&, const std::string&) override { return {}; }

    result<void> put_package(const std::string& sha256, std::string_view zip) override {
        const std::scoped_lock lock(mutex_);
        packages_.try_emplace(sha256, zip);
        return {};
    }
    result<std::string> get_package(const std::string& sha256) override {
        const std::scoped_lock lock(mutex_);
        const auto at = packages_.find(sha256);
        if (at == packages_.end())
            return error(errc::storage_failed, "package " + sha256 + " is not in memory");
        return at->second;
    }
    result<void> remove_package(const std::string& sha256) override {
        const std::scoped_lock lock(mutex_);
        packages_.erase(sha256);
        return {};
    }

  private:
    std::mutex mutex_;
    std::map<std::string, std::string> packages_;  // under mutex_
};

}  // namespace

std::unique_ptr<storage> open_memory_storage() { return std::make_unique<memory_storage>(); }

}  // namespace hearth::control
