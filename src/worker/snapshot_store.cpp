#include "worker/snapshot_store.hpp"

#include "base/codec.hpp"
#include "image/sha256.hpp"
#include "sandbox/snapshot_format.hpp"

#include <hearth/observer.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace hearth::codec {

template <>
inline constexpr std::uint64_t enumerators<worker::runtime_api::stage> = 8;
template <>
inline constexpr std::uint64_t enumerators<worker::runtime_api::target> = 15;
template <>
inline constexpr std::uint64_t enumerators<worker::runtime_api::reading> = 8;
template <>
inline constexpr std::uint64_t enumerators<worker::extensions::stage> = 6;

}  // namespace hearth::codec

namespace hearth::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view extension = ".snapshot";

class string_writer {
  public:
    void bytes(const void* from, std::size_t n) { text.append(static_cast<const char*>(from), n); }
    std::string text;
};

/// "name.version.": what all snapshots of a version begin with. Neither has a dot.
std::string prefix_of(const version_spec& spec) {
    std::string version = spec.version;
    std::erase(version, '$');
    return spec.function_name + '.' + version + '.';
}

std::string file_name(const version_spec& spec, const std::string& key) {
    return prefix_of(spec) + image::to_hex(image::sha256_of(key)).substr(0, 32) +
           std::string(extension);
}

}  // namespace

result<std::unique_ptr<snapshot_store>> snapshot_store::open(const worker_options& options) {
    const fs::path& directory = options.snapshot_directory;
    if (!directory.empty()) {
        std::error_code failed;
        fs::create_directories(directory, failed);
        if (failed)
            return error(errc::storage_failed,
                         fmt::format("the directory for snapshots, {}, cannot be made: {}",
                                     directory.string(), failed.message()));
        detail::remove_unfinished(directory);
    }
    return std::unique_ptr<snapshot_store>(new snapshot_store(
        directory, options.region, options.guest_root.string(), options.observer));
}

snapshot_store::snapshot_store(fs::path directory,
                               std::string region,
                               std::string guest_root,
                               std::shared_ptr<hearth::observer> observer)
    : directory_(std::move(directory)),
      region_(std::move(region)),
      guest_root_(std::move(guest_root)),
      observer_(std::move(observer)) {
    if (!directory_.empty()) writer_ = std::thread([this] { write(); });
}

snapshot_store::~snapshot_store() { finish(); }

void snapshot_store::finish() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    if (writer_.joinable()) writer_.join();
}

/// Everything that init could see.
std::string snapshot_store::key_of(const version_spec& spec) const {
    string_writer w;
    // Of what the guest is told, and of the attachment: 2 added the log stream, 3 extensions and
    // credentials.
    codec::put(w, std::uint32_t{3});
    codec::put(w, spec.handler);
    codec::put(w, spec.memory.bytes());
    codec::put(w, spec.ephemeral_storage.bytes());
    codec::put(w, spec.log_group);
    codec::put(w, spec.environment);
    codec::put(w, spec.network);
    codec::put(w, region_);
    codec::put(w, guest_root_);
    if (spec.runtime) {
        codec::put(w, spec.runtime->program);
        codec::put(w, spec.runtime->prefix.string());
        codec::put(w, spec.runtime->client_sha256);
    }
    if (spec.layers) codec::put(w, spec.layers->code_sha256());
    return fmt::format("{}\n{}\n{}\n{}", spec.function_arn, spec.version, spec.code->code_sha256(),
                       image::to_hex(image::sha256_of(w.text)));
}

void snapshot_store::tell(const version_spec& spec, const std::string& what) const {
    if (observer_)
        observer_->on_log({log_record::severity::warning, "worker",
                           "the snapshot of " + spec.function_name + ' ' + what});
}

bool snapshot_store::keeps(const version_data& version) const noexcept {
    return !directory_.empty() && version.spec.code && version.files.has_value();
}

std::shared_ptr<const version_snapshot> snapshot_store::load(const version_data& version) {
    if (!keeps(version)) return nullptr;
    const version_spec& spec = version.spec;
    const std::string key = key_of(spec);
    auto stored = detail::load_snapshot(directory_ / file_name(spec, key), key,
                                        detail::guest_files(**version.files));
    if (stored.has_error()) {
        if (!(stored.error() == errc::not_found))
            tell(spec, "cannot be used and will be made again: " + stored.error().message());
        return nullptr;
    }
    auto loaded = std::make_shared<version_snapshot>();
    codec::byte_reader reader(std::as_bytes(std::span(stored->attachment)));
    if (!codec::get(reader, loaded->api) || !codec::get(reader, loaded->log_stream) ||
        reader.left() != 0) {
        tell(spec, "cannot be used and will be made again: its connections are damaged");
        return nullptr;
    }
    loaded->image = std::make_shared<const detail::snapshot_image>(std::move(stored->image));
    return loaded;
}

void snapshot_store::save(const version_data& version, const version_snapshot& snapshot) {
    if (!keeps(version)) return;
    const version_spec& spec = version.spec;
    string_writer api;
    codec::put(api, snapshot.api);
    codec::put(api, snapshot.log_stream);
    const std::string key = key_of(spec);
    const std::string name = file_name(spec, key);
    const std::lock_guard files(files_mutex_);
    const auto saved = detail::save_snapshot(directory_ / name, key, *snapshot.image, api.text,
                                             detail::guest_files(**version.files));
    if (saved.has_error())
        return tell(spec, "could not be stored, so the first start after a restart will be cold: " +
                              saved.error().message());
    const std::string prefix = prefix_of(spec);
    remove_files([&](const std::string& f) { return f.starts_with(prefix) && f != name; });
}

void snapshot_store::save_later(std::shared_ptr<const version_data> version,
                                std::shared_ptr<const version_snapshot> snapshot) {
    if (directory_.empty()) return;
    {
        const std::lock_guard lock(mutex_);
        pending_.push_back({std::move(version), std::move(snapshot)});
    }
    changed_.notify_one();
}

void snapshot_store::write() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || !pending_.empty(); });
        if (pending_.empty()) return;
        const pending p = std::move(pending_.front());
        pending_.pop_front();
        lock.unlock();
        save(*p.version, *p.snapshot);
        lock.lock();
    }
}

template <class Unwanted>
void snapshot_store::remove_files(Unwanted unwanted) {
    std::error_code ignored;  // a file that stays costs space only
    for (fs::directory_iterator it(directory_, ignored), end; !ignored && it != end;
         it.increment(ignored)) {
        const std::string name = it->path().filename().string();
        if (name.ends_with(extension) && unwanted(name)) fs::remove(it->path(), ignored);
    }
}

void snapshot_store::keep_only(const std::vector<std::string>& functions) {
    if (directory_.empty()) return;
    const std::lock_guard files(files_mutex_);
    remove_files([&](const std::string& f) {
        return std::ranges::find(functions, f.substr(0, f.find('.'))) == functions.end();
    });
}

void snapshot_store::remove(const std::string& function) {
    if (directory_.empty()) return;
    const std::lock_guard files(files_mutex_);
    remove_files([&](const std::string& f) { return f.starts_with(function + '.'); });
}

}  // namespace hearth::worker
