#pragma once

/// Metrics as Prometheus scrapes them: its text format, version 0.0.4
/// (prometheus.io/docs/instrumenting/exposition_formats). Times are in seconds, memory in bytes,
/// names end in _total where they only grow.

#include <hearth/metrics.hpp>

#include <string>
#include <string_view>

namespace hearth::http {

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

std::string write_metrics(const metrics& m);

}  // namespace hearth::http
