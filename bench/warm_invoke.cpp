// A warm function invoked from C++ on the caller's own thread: over the native path (one exit), and
// through the Runtime API on plain sockets, which costs one exit per system call the bootstrap
// makes. And what it costs to keep what it writes, whose thread shares the core here.

#include "base/try.hpp"
#include "bench.hpp"
#include "data_directory.hpp"

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
    const data_directory logs(ctx);
    runtime_options keeping;
    keeping.logs.directory = logs.path();
    HEARTH_TRY(runtime with_logs, runtime::create(keeping));
    HEARTH_TRY(const function logged,
               deploy(with_logs, "logged", package::elf(ctx.guest("native_empty"))));
    return ctx.race("warm_invoke",
                    {invoking("native", native), invoking("native_logged", logged),
                     invoking("runtime_api", sockets)},
                    5000, 20);
}

}  // namespace hearth::bench
