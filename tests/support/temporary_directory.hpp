#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace hearth::test {

/// A directory of the test's own, gone with it.
class temporary_directory {
  public:
    temporary_directory() {
        std::string name = (std::filesystem::temp_directory_path() / "hearth-test-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace hearth::test
