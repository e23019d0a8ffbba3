#include "sandbox/snapshot_codec.hpp"

#include "base/codec.hpp"
#include "base/try.hpp"
#include "sandbox/stored_layout.hpp"  // made by stored_layout.cmake

#include <hearth/version.hpp>

#include <sys/stat.h>

#include <map>
#include <optional>
#include <tuple>
#include <utility>

namespace hearth::codec {

template <>
inline constexpr std::uint64_t enumerators<guest::description_id> = any_enumerator;
template <>
inline constexpr std::uint64_t enumerators<guest::vfs::pipe_id> = any_enumerator;
template <>
inline constexpr std::uint64_t enumerators<guest::vfs::pair_id> = any_enumerator;
template <>
inline constexpr std::uint64_t enumerators<guest::vfs::inode_id> = any_enumerator;
template <>
inline constexpr std::uint64_t enumerators<guest::stream> = 3;
template <>
inline constexpr std::uint64_t enumerators<guest::vfs::device_kind> = 4;

}  // namespace hearth::codec

namespace hearth::detail {
namespace {

using guest::mm::file_backing;
using guest::vfs::byte_queue;
using guest::vfs::cow_bytes;
using guest::vfs::tree_file;
using image_memory = std::shared_ptr<const memory_image>;
using root_snapshot = std::shared_ptr<const snapshot_image>;

/// What stands for a file_backing, where it comes for the first time.
struct stored_backing {
    std::optional<stored_file> file;  ///< or else
    std::shared_ptr<const std::vector<std::byte>> bytes;
    std::uint64_t fd_offset = 0, size = 0;
    std::string path;
};

bool same_file(int a, int b) {
    struct stat x {
    }, y{};
    return ::fstat(a, &x) == 0 && ::fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

class writer {
  public:
    writer(byte_sink& to, const guest_files& files) : to_(to), files_(files) {}

    void bytes(const void* from, std::size_t n) {
        const auto* const p = static_cast<const std::byte*>(from);
        if (n >= buffer_size) {
            flush();
            to_.write({p, n});
            return;
        }
        if (buffer_.size() + n > buffer_size) flush();
        buffer_.insert(buffer_.end(), p, p + n);
    }
    void flush() {
        to_.write(buffer_);
        buffer_.clear();
    }

    // Memory is stored beside the state.
    void custom(const image_memory&) {}
    void custom(const memory_diff&) {}

    /// A root has none itself.
    void custom(const root_snapshot& root) {
        codec::put(*this, root != nullptr);
        if (root) codec::put(*this, *root);
    }

    void custom(const byte_queue& queue) { codec::put(*this, std::string(queue.view())); }
    void custom(const cow_bytes& chunk) { codec::put(*this, chunk.get()); }

    /// The guest may have thousands of mappings of one file: what it is comes once, then its
    /// number.
    void custom(const file_backing& b) {
        const auto [it, is_new] = backings_.try_emplace(
            std::tuple(static_cast<const void*>(b.fd.get()),
                       static_cast<const void*>(b.bytes.get()), b.fd_offset, b.size, b.path),
            backings_.size());
        codec::put(*this, std::uint64_t{it->second});
        if (!is_new) return;
        stored_backing s{std::nullopt, b.bytes, b.fd_offset, b.size, b.path};
        if (b.fd) s.file = identify(b);
        codec::put(*this, s);
    }

    /// Without an identity if the file is not the one any more: then the guest's next access fails,
    /// as it would without a snapshot.
    void custom(const tree_file& f) {
        codec::put(*this, f.node);
        codec::put(*this, f.device);
        codec::put(*this, f.host_inode);
        std::optional<stored_file> identity;
        if (auto now = files_.open(files_.path_of(f.node));
            now && now->identity.device == f.device && now->identity.inode == f.host_inode)
            identity = std::move(now->identity);
        codec::put(*this, identity);
    }

    [[nodiscard]] const std::optional<error>& fault() const noexcept { return fault_; }

  private:
    static constexpr std::size_t buffer_size = 256 * 1024;

    std::optional<stored_file> identify(const file_backing& b) {
        auto now = files_.open(b.path);
        if (now && now->content.fd && same_file(now->content.fd->get(), b.fd->get()) &&
            now->content.fd_offset == b.fd_offset && now->content.size == b.size)
            return std::move(now->identity);
        if (!fault_)
            fault_ = error(errc::not_snapshotable,
                           "a file that the guest has mapped has changed or is gone: " + b.path);
        return std::nullopt;
    }

    byte_sink& to_;
    const guest_files& files_;
    std::vector<std::byte> buffer_;
    std::map<std::tuple<const void*, const void*, std::uint64_t, std::uint64_t, std::string>,
             std::size_t>
        backings_;
    std::optional<error> fault_;
};

class reader : public codec::byte_reader {
  public:
    reader(std::span<const std::byte> from, const guest_files& files, image_memory base)
        : byte_reader(from), files_(files), base_(std::move(base)) {}

    bool custom(image_memory& base) {
        base = base_;
        return true;
    }
    bool custom(memory_diff&) { return true; }
    bool custom(root_snapshot& root) {
        bool there = false;
        root.reset();
        if (!codec::get(*this, there)) return false;
        if (!there) return true;
        if (std::exchange(in_root_, true)) return false;
        auto made = std::make_shared<snapshot_image>();
        if (!codec::get(*this, *made)) return false;
        in_root_ = false;
        root = std::move(made);
        return true;
    }

    bool custom(byte_queue& queue) {
        std::string waiting;
        if (!codec::get(*this, waiting)) return false;
        queue = {};
        queue.append(waiting);
        return true;
    }
    bool custom(cow_bytes& chunk) { return codec::get(*this, chunk.own()); }

    bool custom(file_backing& b) {
        std::uint64_t number = 0;
        if (!codec::get(*this, number) || number > backings_.size()) return false;
        if (number < backings_.size()) {
            b = backings_[number];
            return true;
        }
        stored_backing s;
        if (!codec::get(*this, s)) return false;
        b = {nullptr, std::move(s.bytes), s.fd_offset, s.size, std::move(s.path)};
        if (s.file) {
            auto now = again(*s.file);
            if (!now) return false;
            b.fd = std::move(now->content.fd);
        }
        backings_.push_back(b);
        return true;
    }

    bool custom(tree_file& f) {
        std::optional<stored_file> identity;
        if (!codec::get(*this, f.node) || !codec::get(*this, f.device) ||
            !codec::get(*this, f.host_inode) || !codec::get(*this, identity))
            return false;
        if (!identity) return true;
        const auto now = again(*identity);
        if (!now) return false;
        f.device = now->identity.device;
        return true;
    }

    [[nodiscard]] const std::optional<error>& fault() const noexcept { return fault_; }

  private:
    std::optional<guest_files::opened> again(const stored_file& known) {
        auto now = files_.open_again(known);
        if (now) return std::move(*now);
        if (!fault_) fault_ = now.error();
        return std::nullopt;
    }

    const guest_files& files_;
    image_memory base_;
    bool in_root_ = false;
    std::vector<file_backing> backings_;
    std::optional<error> fault_;
};

}  // namespace

result<void> encode_state(byte_sink& to,
                          const snapshot_image& image,
                          std::string_view attachment,
                          const guest_files& files) {
    writer w(to, files);
    codec::put(w, files.mount_table());
    codec::put(w, std::uint64_t{attachment.size()});
    w.bytes(attachment.data(), attachment.size());
    codec::put(w, image);
    w.flush();
    if (w.fault()) return *w.fault();
    return {};
}

result<void> decode_state(std::span<const std::byte> from,
                          const guest_files& files,
                          snapshot_image& image,
                          std::string& attachment) {
    const error damaged(errc::snapshot_unusable, "its state is damaged");
    reader r(from, files, image.base);
    std::string mounts;
    if (!codec::get(r, mounts)) return damaged;
    if (mounts != files.mount_table())
        return error(errc::snapshot_unusable,
                     "it is stale: the guest's mounts are others than they were");
    if (!codec::get(r, attachment) || !codec::get(r, image) || r.left() != 0)
        return r.fault() ? *r.fault() : damaged;
    return {};
}

const std::string& state_schema() {
    static const std::string text = [] {
        codec::schema s;
        s.add<snapshot_image>();
        s.add<stored_backing>();
        return std::string(version()) + '\n' + stored_layout + '\n' + s.text();
    }();
    return text;
}

}  // namespace hearth::detail
