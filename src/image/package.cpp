#include "image/package_source.hpp"

#include <hearth/package.hpp>

#include <utility>

namespace hearth {
namespace {

template <class Source>
std::shared_ptr<const detail::package_source> remember(Source source) {
    return std::make_shared<const detail::package_source>(
        detail::package_source{std::move(source)});
}

}  // namespace

package package::zip(std::filesystem::path file) {
    return package(remember(detail::zip_file{std::move(file)}));
}
package package::zip_bytes(std::string bytes) {
    return package(remember(detail::zip_memory{std::move(bytes)}));
}
package package::elf(std::filesystem::path file) {
    return package(remember(detail::elf_file{std::move(file)}));
}
package package::elf_bytes(std::string bytes) {
    return package(remember(detail::elf_memory{std::move(bytes)}));
}
package package::directory(std::filesystem::path dir) {
    return package(remember(detail::directory_tree{std::move(dir)}));
}
package package::in_process(in_process_handler handler) {
    return package(remember(std::move(handler)));
}

}  // namespace hearth
