#include "control/storage.hpp"
#include "image/sha256.hpp"

#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace hearth::control {
namespace {

/// For runtimes without a data directory: all of it goes with the object.
class memory_storage final : public storage {
  public:
    result<std::vector<loaded_function>> load() override {
        const std::scoped_lock lock(mutex_);
        std::set<std::string> named;
        const auto keep = [&](const function_configuration& c) {
            each_package(c, [&](const std::string& sha256) {
                named.insert(image::hex_of_base64_digest(sha256));
            });
        };
        for (const auto& [name, each] : functions_) {
            keep(each.function.latest.current);
            if (each.function.latest.update) keep(*each.function.latest.update);
            for (const auto& [number, version] : each.versions) keep(version);
        }
        for (const auto& [key, each] : layers_)
            named.insert(image::hex_of_base64_digest(each.layer.code_sha256));
        if (!named.empty())
            std::erase_if(packages_, [&](const auto& each) { return !named.contains(each.first); });
        return values_of(functions_);
    }

    result<void> put(const stored_function& function) override {
        const std::scoped_lock lock(mutex_);
        functions_[function.latest.current.function_name].function = function;
        return {};
    }
    result<void> put_version(const function_configuration& version) override {
        const std::scoped_lock lock(mutex_);
        functions_[version.function_name].versions.insert_or_assign(number_of(version), version);
        return {};
    }
    result<void> put_both(const stored_function& function,
                          const function_configuration& version) override {
        const std::scoped_lock lock(mutex_);
        loaded_function& f = functions_[version.function_name];
        f.function = function;
        f.versions.insert_or_assign(number_of(version), version);
        return {};
    }
    result<void> remove(const std::string& name) override { return erase(functions_, name); }
    result<void> remove_version(const std::string& name, std::uint64_t version) override {
        const std::scoped_lock lock(mutex_);
        if (const auto at = functions_.find(name); at != functions_.end())
            at->second.versions.erase(version);
        return {};
    }

    result<std::vector<stored_layer>> load_layers() override { return all(layers_); }
    result<void> put_layer(const stored_layer& layer) override {
        return keep(layers_, {layer.layer.name, layer.layer.version}, layer);
    }
    result<void> remove_layer(const std::string& name, std::uint64_t version) override {
        return erase(layers_, {name, version});
    }

    result<std::vector<code_signing_config>> load_code_signing() override {
        return all(code_signing_);
    }
    result<void> put_code_signing(const code_signing_config& config) override {
        return keep(code_signing_, config.id, config);
    }
    result<void> remove_code_signing(const std::string& id) override {
        return erase(code_signing_, id);
    }

    result<std::vector<event_rule>> load_rules() override { return all(rules_); }
    result<void> put_rule(const event_rule& rule) override { return keep(rules_, rule.name, rule); }
    result<void> remove_rule(const std::string& name) override { return erase(rules_, name); }

    result<std::vector<http_api>> load_apis() override { return all(apis_); }
    result<void> put_api(const http_api& api) override { return keep(apis_, api.id, api); }
    result<void> remove_api(const std::string& id) override { return erase(apis_, id); }

    result<std::vector<std::string>> load_documents(const std::string& kind) override {
        const std::scoped_lock lock(mutex_);
        return values_of(documents_[kind]);
    }
    result<void> put_document(const std::string& kind,
                              const std::string& id,
                              const std::string& document) override {
        const std::scoped_lock lock(mutex_);
        documents_[kind].insert_or_assign(id, document);
        return {};
    }
    result<void> remove_document(const std::string& kind, const std::string& id) override {
        const std::scoped_lock lock(mutex_);
        documents_[kind].erase(id);
        return {};
    }

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
        return erase(packages_, sha256);
    }

  private:
    static std::uint64_t number_of(const function_configuration& version) {
        return std::strtoull(version.version.c_str(), nullptr, 10);
    }

    /// In the order of their keys.
    template <class Key, class T>
    static std::vector<T> values_of(const std::map<Key, T>& from) {
        std::vector<T> found;
        found.reserve(from.size());
        for (const auto& [key, each] : from) found.push_back(each);
        return found;
    }
    template <class Key, class T>
    result<std::vector<T>> all(const std::map<Key, T>& from) {
        const std::scoped_lock lock(mutex_);
        return values_of(from);
    }
    template <class Key, class T>
    result<void> keep(std::map<Key, T>& in, Key key, const T& value) {
        const std::scoped_lock lock(mutex_);
        in.insert_or_assign(std::move(key), value);
        return {};
    }
    template <class Key, class T>
    result<void> erase(std::map<Key, T>& from, const Key& key) {
        const std::scoped_lock lock(mutex_);
        from.erase(key);
        return {};
    }

    std::mutex mutex_;  ///< a leaf; guards all below
    std::map<std::string, loaded_function> functions_;
    std::map<std::pair<std::string, std::uint64_t>, stored_layer> layers_;
    std::map<std::string, code_signing_config> code_signing_;
    std::map<std::string, event_rule> rules_;
    std::map<std::string, http_api> apis_;
    std::map<std::string, std::map<std::string, std::string>> documents_;  ///< by kind, then id
    std::map<std::string, std::string> packages_;
};

}  // namespace

std::unique_ptr<storage> open_memory_storage() { return std::make_unique<memory_storage>(); }

}  // namespace hearth::control
