#pragma once

/// Hearth: an embeddable function runtime. This header is the whole core; the HTTP front is
/// <hearth/http/server.hpp>.

#include <hearth/data_stream.hpp>
#include <hearth/error.hpp>
#include <hearth/event_policy.hpp>
#include <hearth/event_source_mapping.hpp>
#include <hearth/function.hpp>
#include <hearth/fwd.hpp>
#include <hearth/histogram.hpp>
#include <hearth/logs.hpp>
#include <hearth/metrics.hpp>
#include <hearth/observer.hpp>
#include <hearth/package.hpp>
#include <hearth/pool_policy.hpp>
#include <hearth/queue.hpp>
#include <hearth/response.hpp>
#include <hearth/response_stream.hpp>
#include <hearth/runtime.hpp>
#include <hearth/units.hpp>
#include <hearth/version.hpp>
