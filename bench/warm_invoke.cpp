// A warm function invoked from C++ on the caller's own thread: over the native path (one exit), and
// through the Runtime API on plain sockets, which costs one exit per system call the bootstrap
// makes.

#include "base/try.hpp"
#include "bench.hpp"

#include <hearth/hearth.hpp>

#include <memory>

namespace hearth::bench {
namespace {

result<function> deploy(runtime& rt, const std::string& name, package code) {
    function_config config;
    config.name = name;
    config.package = std::move(code);
    HEARTH_TRY(function fn, rt.deploy(config));
    return fn;
}

context::contender invoking(const std::string& variant, function fn) {
    return {variant, [fn]() mutable -> result<void> {
                HEARTH_TRY(const response reply, fn.invoke("{}"));
                if (!reply.ok())
                    return error(errc::invalid_argument, "the function failed: " + reply.payload);
                return {};
            }};
}

}  // namespace

result<rows> warm_invoke(context& ctx) {
    const pinned here;
    HEARTH_TRY(runtime rt, runtime::create());
    HEARTH_TRY(const function native,
               deploy(rt, "native", package::elf(ctx.guest("native_empty"))));
    HEARTH_TRY(const function sockets,
               deploy(rt, "sockets", package::zip(ctx.function_package("socket_bootstrap"))));
    return ctx.race("warm_invoke", {invoking("native", native), invoking("runtime_api", sockets)},
                    5000, 20);
}

}  // namespace hearth::bench
