#include "../guest/vfs_world.hpp"
#include "target.hpp"

namespace hearth::fuzz {
namespace {

/// Lines. "NAME>TARGET" makes a symbolic link in /tmp, anything else is a path to resolve.
class paths final : public target {
  public:
    paths() {
        w_.root.link("etc/up", "../../../../..");
        w_.root.link("etc/self", "/etc/name");
        w_.root.link("loop", "loop");
        w_.root.file("beside", "");
        std::ofstream(secret_) << "not in the root";
        struct stat st {};
        ::stat(secret_.c_str(), &st);
        secret_inode_ = st.st_ino;
        begin_ = w_.kernel->state();
    }
    ~paths() override {
        std::error_code ec;
        std::filesystem::remove(secret_, ec);
    }

    std::vector<std::string> seeds() override {
        const std::string name = secret_.filename().string();
        return {"/etc/../etc/./name\n/own/up/er/leaf\n//tmp//\n/etc/up/etc/name\n..",
                "l>/etc/up\nm>l/../own\n/tmp/m/hello\n/tmp/l/" + name + "\n/../" + name,
                "a>b\nb>a\n/tmp/a\n/tmp/a/\nc>c/c/c\n/tmp/c/x\n/loop/x",
                "/proc/self/fd/0\n/proc/self/exe\n/proc/self/cwd/../../" + name +
                    "\n/dev/stdin\n/proc/1/maps\n/proc/self/root/" + name};
    }

    void run(std::string_view input) override {
        w_.kernel->restore(begin_);
        for (int lines = 0; !input.empty() && lines < 64; ++lines) {
            const auto end = input.find('\n');
            const std::string line(input.substr(0, std::min<std::size_t>(end, 5000)));
            input = end == std::string_view::npos ? "" : input.substr(end + 1);
            if (const auto arrow = line.find('>'); arrow != std::string::npos)
                (void)w_.call(SYS_symlink, {w_.path(line.substr(arrow + 1)),
                                            w_.path("/tmp/" + line.substr(0, arrow))});
            else
                resolve(line);
        }
    }

  private:
    using last = guest::vfs::filesystem::last;

    void resolve(const std::string& line) {
        for (const char* base : {"/", "/tmp", "/own/deep"})
            for (const last l : {last::follow, last::no_follow}) {
                const auto found = w_.files->resolve(w_.context(), base, line, l);
                if (!found) {
                    promise(found.error().number > 0 && found.error().number < 4096, "errno");
                    continue;
                }
                check(found->path);
                if (found->what == guest::vfs::location::kind::node)
                    promise(found->attr.inode != secret_inode_ || found->path == secret_ ||
                                found->path.starts_with("/proc"),
                            "a path left the root");
                const auto walk = w_.files->walk(w_.context(), base, line, l);
                if (walk) check(walk->directory);
            }
    }
    static void check(const std::string& path) {
        promise(path.starts_with('/') && path.size() < 8192, "no absolute path");
        promise(path == "/" || !path.ends_with('/'), "a slash at the end");
        const std::string slashed = path + "/";
        for (const char* part : {"//", "/./", "/../"})
            promise(path == "/" || slashed.find(part) == std::string::npos, "not canonical");
    }

    vfs_test::world w_;
    std::filesystem::path secret_ = w_.root.path.string() + ".secret";
    ino_t secret_inode_ = 0;
    guest::kernel_state begin_;
};

}  // namespace

std::unique_ptr<target> make_paths() { return std::make_unique<paths>(); }

}  // namespace hearth::fuzz
