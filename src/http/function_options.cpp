/// The operations on runtime management, recursion and scaling, and their shapes.

#include "http/handlers.hpp"
#include "http/json_reader.hpp"

namespace hearth::http::handlers {
namespace {

using boost::beast::http::status;

std::string write_runtime_management(const runtime_management_config& r) {
    json::object o{{"UpdateRuntimeOn", r.update_runtime_on}, {"FunctionArn", r.function_arn}};
    o["RuntimeVersionArn"] =
        r.runtime_version_arn.empty() ? json::value() : json::value(r.runtime_version_arn);
    return json::serialize(o);
}

std::optional<std::uint64_t> environments(const reader& r, const char* name) {
    const auto n = r.number(name);
    if (!n) return std::nullopt;
    if (*n < 0)
        refuse(errc::invalid_argument, "1 validation error detected: Value '" + std::to_string(*n) +
                                           "' at '" + name +
                                           "' failed to satisfy constraint: Member must have "
                                           "value greater than or equal to 0");
    return static_cast<std::uint64_t>(*n);
}

json::object scaling_object(const function_scaling_config& s) {
    json::object o;
    if (s.min_execution_environments) o["MinExecutionEnvironments"] = *s.min_execution_environments;
    if (s.max_execution_environments) o["MaxExecutionEnvironments"] = *s.max_execution_environments;
    return o;
}

}  // namespace

reply put_runtime_management_config(const call& c) {
    const auto request = read_document(c.body, [](const reader& r) {
        return runtime_management_config{
            .update_runtime_on = r.required_text("UpdateRuntimeOn", "updateRuntimeOn"),
            .runtime_version_arn = r.text("RuntimeVersionArn").value_or("")};
    });
    if (request.has_error()) return refused(request.error());
    return answer(c.control.put_runtime_management_config(c.asked.argument,
                                                          c.asked.parameter("Qualifier"), *request),
                  write_runtime_management);
}

reply get_runtime_management_config(const call& c) {
    return answer(
        c.control.get_runtime_management_config(c.asked.argument, c.asked.parameter("Qualifier")),
        write_runtime_management);
}

reply put_function_recursion_config(const call& c) {
    const auto loop = read_document(
        c.body, [](const reader& r) { return r.required_text("RecursiveLoop", "recursiveLoop"); });
    if (loop.has_error()) return refused(loop.error());
    const auto put = c.control.put_function_recursion_config(c.asked.argument, *loop);
    if (put.has_error()) return make_error(put.error());
    return {.body = json::serialize(json::object{{"RecursiveLoop", *loop}})};
}

reply get_function_recursion_config(const call& c) {
    return answer(c.control.get_function_recursion_config(c.asked.argument),
                  [](const std::string& loop) {
                      return json::serialize(json::object{{"RecursiveLoop", loop}});
                  });
}

reply put_function_scaling_config(const call& c) {
    const auto request = read_document(c.body, [](const reader& r) {
        function_scaling_config s;
        if (const auto given = r.object("FunctionScalingConfig")) {
            s.min_execution_environments = environments(*given, "MinExecutionEnvironments");
            s.max_execution_environments = environments(*given, "MaxExecutionEnvironments");
        }
        return s;
    });
    if (request.has_error()) return refused(request.error());
    return answer(
        c.control.put_function_scaling_config(c.asked.argument, c.asked.parameter("Qualifier"),
                                              *request),
        [](function_state s) {
            const std::string_view name = to_string(s);
            return json::serialize(
                json::object{{"FunctionState", json::string_view(name.data(), name.size())}});
        },
        status::accepted);
}

reply get_function_scaling_config(const call& c) {
    return answer(
        c.control.get_function_scaling_config(c.asked.argument, c.asked.parameter("Qualifier")),
        [](const function_scaling& s) {
            json::object o{{"FunctionArn", s.function_arn}};
            if (s.requested) o["RequestedFunctionScalingConfig"] = scaling_object(*s.requested);
            if (s.applied) o["AppliedFunctionScalingConfig"] = scaling_object(*s.applied);
            return json::serialize(o);
        });
}

}  // namespace hearth::http::handlers
