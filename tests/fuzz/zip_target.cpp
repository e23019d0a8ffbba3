#include "image/package_builder.hpp"
#include "image/package_image.hpp"
#include "image/zip_directory.hpp"
#include "target.hpp"
#include "zip_maker.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <sys/stat.h>

namespace hearth::fuzz {
namespace {

/// As a packer writes it: deflated, sizes behind the data.
std::string deflated() {
    std::string out(16 * 1024, '\0');
    std::size_t used = 0;
    archive* a = archive_write_new();
    archive_write_set_format_zip(a);
    archive_write_open_memory(a, out.data(), out.size(), &used);
    for (const char* name : {"bootstrap", "lib/one.py", "lib/two.py"}) {
        archive_entry* e = archive_entry_new();
        archive_entry_set_pathname(e, name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0755);
        archive_write_header(a, e);
        const std::string text(700, 'x');
        archive_write_data(a, text.data(), text.size());
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
    out.resize(used);
    return out;
}

class zip final : public target {
  public:
    std::vector<std::string> seeds() override {
        test::zip_maker plain, links;
        plain.file("bootstrap", "#!/bin/sh\n", 0755).directory("lib").file("lib/a", "text");
        links.file("a/b/c", "x").symlink("a/l", "b/c").symlink("up", "a/../a/b").symlink("z", "z");
        return {plain.bytes(), links.bytes(), deflated()};
    }
    void run(std::string_view input) override {
        if (const auto directory = image::read_zip_directory(input, image::max_entries)) {
            promise(directory->size() <= image::max_entries, "more entries than asked for");
            std::uint64_t last = 0;
            for (const auto& e : *directory) {
                promise(e.local_offset >= last, "entries out of order");
                last = e.local_offset;
            }
        }
        const auto package = image::package_image::from_zip(input);
        if (!package) return;
        std::uint64_t sum = 0;
        for (const auto& [path, e] : (*package)->entries()) {
            const std::string slashed = "/" + path + "/";
            promise(slashed.find("/../") == std::string::npos, "a path leads upwards");
            promise(path.empty() || slashed.find("//") == std::string::npos, "an empty name");
            promise(path.find('\0') == std::string::npos, "a zero byte in a path");
            promise((e.mode & ~0777u) == 0, "more than permission bits");
            if (e.type != image::package_entry::kind::file) continue;
            promise(e.offset % 4096 == 0, "content beside a page's start");
            struct stat contents {};
            promise(::fstat((*package)->contents(e)->get(), &contents) == 0, "contents");
            promise(e.offset + e.size <= static_cast<std::uint64_t>(contents.st_size), "content");
            sum += e.size;
        }
        promise(sum <= image::max_unzipped, "more than 250 MB");
    }
};

}  // namespace

std::unique_ptr<target> make_zip() { return std::make_unique<zip>(); }

}  // namespace hearth::fuzz
