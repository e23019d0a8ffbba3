#include "sandbox/snapshot_format.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "image/sha256.hpp"
#include "sandbox/snapshot_codec.hpp"
#include "sandbox/snapshot_header.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace hearth::detail {
namespace {

using vmm::gpa;
using vmm::page_size;
using bytes = std::span<const std::byte>;

constexpr std::string_view unfinished_suffix = ".tmp";
constexpr std::size_t chunk_size = std::size_t{1} << 20;

struct page_run {
    std::uint64_t address = 0, pages = 0;
};
static_assert(sizeof(page_run) == 16);

constexpr std::uint64_t page_up(std::uint64_t n) noexcept {
    return (n + page_size - 1) & ~(page_size - 1);
}

std::string_view text(bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

image::sha256_digest digest_of(snapshot_header header) {
    header.header_digest = {};
    return image::sha256_of(text(std::as_bytes(std::span(&header, 1))));
}

// ---------------------------------------------------------------------------------------------
// Saving

/// Writes a file from front to back and takes the digest of it. After a failure it does nothing
/// more.
class body_sink final : public byte_sink {
  public:
    explicit body_sink(int fd) noexcept : fd_(fd) {
        // Going over it would be a SIGXFSZ for the whole process.
        rlimit limit{};
        if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
            limit_ = limit.rlim_cur;
    }
    void write(bytes what) override {
        if (failure_ || what.empty()) return;
        hash_.update(text(what));
        put(what, at_);
        at_ += what.size();
    }
    /// Zeroes up to the next page.
    void pad() {
        static constexpr std::byte zeroes[page_size]{};
        write(bytes(zeroes).first(page_up(at_) - at_));
    }
    /// The first page, which is in no digest of this.
    void put_header(bytes page) {
        if (!failure_) put(page, 0);
    }
    [[nodiscard]] std::uint64_t size() const noexcept { return at_; }
    image::sha256_digest digest() { return hash_.finish(); }
    [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }

  private:
    void put(bytes what, std::uint64_t at) {
        if (what.size() > limit_ || at > limit_ - what.size()) return fail(EFBIG);
        while (!what.empty()) {
            const ssize_t n = ::pwrite(fd_, what.data(), what.size(), static_cast<off_t>(at));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return fail(n < 0 ? errno : ENOSPC);
            what = what.subspan(static_cast<std::size_t>(n));
            at += static_cast<std::uint64_t>(n);
        }
    }
    void fail(int number) { failure_ = system_failure(errc::storage_failed, "writing it", number); }

    int fd_;
    std::uint64_t at_ = page_size, limit_ = ~std::uint64_t{0};
    image::sha256 hash_;
    std::optional<error> failure_;
};

/// The runs of pages that the image's memfd holds: what is a hole there is zero.
result<std::vector<page_run>> held_pages(const memory_image& image) {
    std::vector<page_run> runs;
    for (const auto& e : image.extents()) {
        const auto end = static_cast<off_t>(e.first.value + e.pages * page_size);
        for (auto at = static_cast<off_t>(e.first.value); at < end;) {
            const off_t data = ::lseek(image.fd(), at, SEEK_DATA);
            if (data < 0 && errno != ENXIO)
                return system_failure(errc::storage_failed, "reading the snapshot's memory");
            if (data < 0 || data >= end) break;
            const off_t hole = ::lseek(image.fd(), data, SEEK_HOLE);
            if (hole <= data)
                return system_failure(errc::storage_failed, "reading the snapshot's memory");
            at = std::min(hole, end);
            runs.push_back({static_cast<std::uint64_t>(data),
                            static_cast<std::uint64_t>(at - data) / page_size});
        }
    }
    return runs;
}

/// A file that has no name of its own until all is well.
class temporary_file {
  public:
    explicit temporary_file(const std::filesystem::path& target)
        : name_(target.string() + ".XXXXXX" + std::string(unfinished_suffix)),
          fd_(::mkostemps(name_.data(), static_cast<int>(unfinished_suffix.size()), O_CLOEXEC)) {}
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file() {
        if (fd_ && !kept_) ::unlink(name_.c_str());
    }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Takes the target's place, durably.
    result<void> become(const std::filesystem::path& target) {
        if (::fsync(fd_.get()) != 0) return system_failure(errc::storage_failed, "flushing it");
        if (::rename(name_.c_str(), target.c_str()) != 0)
            return system_failure(errc::storage_failed, "naming it");
        kept_ = true;
        const std::filesystem::path directory =
            target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
        const unique_fd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!parent || ::fsync(parent.get()) != 0)
            return system_failure(errc::storage_failed, "flushing its directory");
        return {};
    }

  private:
    std::string name_;
    unique_fd fd_;
    bool kept_ = false;
};

result<void> write_snapshot(const std::filesystem::path& path,
                            std::string_view key,
                            const snapshot_image& image,
                            std::string_view attachment,
                            const guest_files& files,
                            const std::string& cpu) {
    snapshot_header header;
    if (key.size() > header.key.size() || cpu.size() > header.cpu.size())
        return error(errc::invalid_argument, "its key is too long");
    if (!image.base || image.written.bytes.size() != image.written.pages.size() * page_size)
        return error(errc::invalid_argument, "it has no memory");
    if (image.root &&
        (image.root->root || image.root->base != image.base || !image.root->written.pages.empty()))
        return error(errc::invalid_argument, "its root is none");
    std::copy(key.begin(), key.end(), header.key.begin());
    header.key_length = static_cast<std::uint32_t>(key.size());
    std::copy(cpu.begin(), cpu.end(), header.cpu.begin());
    header.cpu_length = static_cast<std::uint32_t>(cpu.size());
    header.build = image::sha256_of(state_schema());

    temporary_file file(path);
    if (file.fd() < 0) return system_failure(errc::storage_failed, "creating it");
    body_sink body(file.fd());

    HEARTH_CHECK(encode_state(body, image, attachment, files));
    header.state_size = body.size() - page_size;
    body.pad();

    HEARTH_TRY(const auto runs, held_pages(*image.base));
    body.write(std::as_bytes(std::span(runs)));
    body.pad();
    body.write(std::as_bytes(std::span(image.written.pages)));
    body.pad();
    for (const page_run& r : runs) {
        body.write({image.base->page(gpa{r.address}), r.pages * page_size});
        header.base_pages += r.pages;
        if (body.failure()) break;
    }
    body.write(image.written.bytes);

    header.memory_size = image.base->size();
    header.runs = runs.size();
    header.written_pages = image.written.pages.size();
    header.file_size = body.size();
    header.body_digest = body.digest();
    header.header_digest = digest_of(header);
    body.put_header(std::as_bytes(std::span(&header, 1)));
    if (body.failure()) return *body.failure();
    return file.become(path);
}

// ---------------------------------------------------------------------------------------------
// Loading

error unusable(std::string why) { return {errc::snapshot_unusable, std::move(why)}; }
error shortened() { return unusable("it is cut short"); }
error checksum_wrong() { return unusable("its checksum is wrong: it is damaged"); }

/// Reads a file from front to back and takes the digest of it.
class body_source {
  public:
    explicit body_source(int fd) noexcept : fd_(fd) {}

    result<void> read(std::span<std::byte> into) {
        HEARTH_CHECK(read_at(into, at_));
        at_ += into.size();
        hash_.update(text(into));
        return {};
    }
    /// What pads a part.
    result<void> skip_to_page() {
        std::byte gap[page_size];
        return read(std::span(gap).first(page_up(at_) - at_));
    }
    result<void> read_at(std::span<std::byte> into, std::uint64_t at) const {
        while (!into.empty()) {
            const ssize_t n = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(at));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return system_failure(errc::io_failed, "reading it");
            if (n == 0) return shortened();
            into = into.subspan(static_cast<std::size_t>(n));
            at += static_cast<std::uint64_t>(n);
        }
        return {};
    }
    image::sha256_digest digest() { return hash_.finish(); }

  private:
    int fd_;
    std::uint64_t at_ = page_size;
    image::sha256 hash_;
};

/// Nothing of the header is believed before this.
result<void> check(const snapshot_header& h,
                   std::uint64_t file_size,
                   std::string_view key,
                   std::string_view cpu) {
    if (h.magic != snapshot_header::signature) return unusable("it is not a snapshot");
    if (h.version != snapshot_header::current_version)
        return unusable(
            fmt::format("it is of format {}, {} than this Hearth's {}", h.version,
                        h.version < snapshot_header::current_version ? "older" : "newer",
                        snapshot_header::current_version));
    if (h.header_digest != digest_of(h) || h.key_length > h.key.size() ||
        h.cpu_length > h.cpu.size())
        return checksum_wrong();
    if (h.build != image::sha256_of(state_schema()))
        return unusable("it was stored by another build of Hearth");
    if (const std::string_view its(h.key.data(), h.key_length); its != key)
        return unusable(fmt::format("it was made for {}, not for {}", its, key));
    if (const std::string_view its(h.cpu.data(), h.cpu_length); its != cpu)
        return unusable(fmt::format("it was taken on another CPU ({}; this one is {})", its, cpu));
    if (file_size < h.file_size) return shortened();
    if (file_size > h.file_size) return unusable("it is longer than it was: it is damaged");
    // Bounded by the file's size first, so that no sum overflows.
    for (const std::uint64_t n : {h.state_size, h.runs, h.written_pages, h.base_pages})
        if (n > file_size) return checksum_wrong();
    const std::uint64_t pages = h.base_pages + h.written_pages;
    if (pages > file_size / page_size ||
        page_size + page_up(h.state_size) + page_up(h.runs * sizeof(page_run)) +
                page_up(h.written_pages * sizeof(std::uint64_t)) + pages * page_size !=
            file_size)
        return checksum_wrong();
    return {};
}

template <class T>
result<std::vector<T>> read_part(body_source& body, std::uint64_t count) {
    std::vector<T> part(count);
    HEARTH_CHECK(body.read(std::as_writable_bytes(std::span(part))));
    HEARTH_CHECK(body.skip_to_page());
    return part;
}

/// Copies the base's pages out of the file. The runs are not to be trusted yet: the builder checks
/// them.
result<memory_image::builder> read_base(body_source& body,
                                        const snapshot_header& h,
                                        std::span<const page_run> runs) {
    HEARTH_TRY(auto builder, memory_image::builder::create(byte_count(h.memory_size)));
    std::vector<std::byte> chunk(std::min<std::uint64_t>(chunk_size, h.base_pages * page_size));
    std::uint64_t left = h.base_pages;
    bytes rest;
    for (page_run r : runs) {
        if (r.pages > left + rest.size() / page_size) return checksum_wrong();
        while (r.pages != 0) {
            if (rest.empty()) {
                const std::uint64_t n = std::min<std::uint64_t>(chunk.size() / page_size, left);
                const auto part = std::span(chunk).first(n * page_size);
                HEARTH_CHECK(body.read(part));
                left -= n;
                rest = part;
            }
            const std::uint64_t n = std::min<std::uint64_t>(rest.size() / page_size, r.pages);
            auto added = builder.add(gpa{r.address}, rest.first(n * page_size));
            if (added.has_error())
                return added.error() == errc::invalid_argument ? checksum_wrong() : added.error();
            rest = rest.subspan(n * page_size);
            r.address += n * page_size;
            r.pages -= n;
        }
    }
    if (left != 0 || !rest.empty()) return checksum_wrong();
    return builder;
}

result<stored_snapshot> read_snapshot(int fd,
                                      std::string_view key,
                                      const guest_files& files,
                                      const std::string& cpu) {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return system_failure(errc::io_failed, "reading it");
    if (!S_ISREG(st.st_mode)) return unusable("it is not a regular file");
    const auto file_size = static_cast<std::uint64_t>(st.st_size);

    body_source body(fd);
    snapshot_header header;
    const auto page = std::as_writable_bytes(std::span(&header, 1));
    HEARTH_CHECK(body.read_at(page.first(std::min<std::uint64_t>(page_size, file_size)), 0));
    if (file_size < page_size) {
        const std::size_t known = std::min<std::size_t>(file_size, header.magic.size());
        return known != 0 && std::memcmp(header.magic.data(), header.signature.data(), known) == 0
                   ? shortened()
                   : unusable("it is not a snapshot");
    }
    HEARTH_CHECK(check(header, file_size, key, cpu));

    HEARTH_TRY(const auto state, read_part<std::byte>(body, header.state_size));
    HEARTH_TRY(const auto runs, read_part<page_run>(body, header.runs));
    stored_snapshot stored;
    memory_diff& written = stored.image.written;
    HEARTH_TRY(written.pages, read_part<std::uint64_t>(body, header.written_pages));
    HEARTH_TRY(auto base, read_base(body, header, runs));
    HEARTH_TRY(written.bytes, read_part<std::byte>(body, header.written_pages * page_size));
    if (body.digest() != header.body_digest) return checksum_wrong();

    // From here on the bytes are those that were stored.
    const auto descends = [](std::uint64_t a, std::uint64_t b) { return a >= b; };
    if (std::ranges::adjacent_find(written.pages, descends) != written.pages.end() ||
        (!written.pages.empty() && written.pages.back() >= header.memory_size / page_size))
        return checksum_wrong();
    HEARTH_TRY(stored.image.base, std::move(base).finish());
    HEARTH_CHECK(decode_state(state, files, stored.image, stored.attachment));
    return stored;
}

}  // namespace

result<void> save_snapshot(const std::filesystem::path& path,
                           std::string_view key,
                           const snapshot_image& image,
                           std::string_view attachment,
                           const guest_files& files,
                           const std::string& cpu) {
    auto done = write_snapshot(path, key, image, attachment, files, cpu);
    if (done) return done;
    return error(done.error().code(), fmt::format("cannot store the snapshot {}: {}", path.string(),
                                                  done.error().message()));
}

result<stored_snapshot> load_snapshot(const std::filesystem::path& path,
                                      std::string_view key,
                                      const guest_files& files,
                                      const std::string& cpu) {
    // O_NONBLOCK: a fifo must not hold us.
    const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd && errno == ENOENT)
        return error(errc::not_found, "no snapshot is stored at " + path.string());
    if (!fd) return system_failure(errc::io_failed, "cannot open the snapshot " + path.string());
    auto stored = read_snapshot(fd.get(), key, files, cpu);
    if (stored) return stored;
    const error& e = stored.error();
    return error(
        e.code(),
        fmt::format("the stored snapshot {} cannot be used: {}{}", path.string(), e.message(),
                    e == errc::snapshot_unusable ? "; it is to be made anew" : ""));
}

void remove_unfinished(const std::filesystem::path& directory) {
    std::error_code ec;
    for (std::filesystem::directory_iterator it(directory, ec), end; !ec && it != end;
         it.increment(ec)) {
        std::error_code ignored;
        if (it->path().extension() == unfinished_suffix && it->is_regular_file(ignored))
            std::filesystem::remove(it->path(), ignored);
    }
}

}  // namespace hearth::detail
