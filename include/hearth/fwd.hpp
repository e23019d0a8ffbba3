#pragma once

namespace hearth {

class byte_count;
class control_plane;
class data_stream;
class error;
class function;
class hypervisor;
class observer;
class package;
class queue;
class queue_service;
class runtime;
class sandbox;
class snapshot;
class stream_service;
struct function_config;
struct invocation_report;
struct invoke_options;
struct metrics;
struct pool_policy;
struct response;
struct runtime_options;
struct sandbox_config;

namespace http {
class server;
}

}  // namespace hearth
