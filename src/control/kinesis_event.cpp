#include "control/kinesis_event.hpp"

#include "control/base64.hpp"

#include <boost/json.hpp>

#include <string>
#include <utility>

namespace hearth::control {

namespace json = boost::json;

namespace {

json::string_view json_view(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace

json::object kinesis_record(const stream_record& r, const kinesis_origin& from) {
    std::string id(from.shard_id);
    (id += ':') += r.sequence_number;
    const double arrived = static_cast<double>(r.arrived.time_since_epoch().count()) / 1000;
    return {{"kinesis",
             {{"kinesisSchemaVersion", "1.0"},
              {"partitionKey", r.partition_key},
              {"sequenceNumber", r.sequence_number},
              {"data", to_base64(r.data)},
              {"approximateArrivalTimestamp", arrived}}},
            {"eventSource", "aws:kinesis"},
            {"eventVersion", "1.0"},
            {"eventID", std::move(id)},
            {"eventName", "aws:kinesis:record"},
            {"invokeIdentityArn", json_view(from.role)},
            {"awsRegion", json_view(from.region)},
            {"eventSourceARN", json_view(from.stream_arn)}};
}

json::object filtered_form(const json::object& record, std::string_view data) {
    json::object form = record.at("kinesis").get_object();
    boost::system::error_code ec;
    json::value said = json::parse(json_view(data), ec);
    if (!ec && said.is_structured())
        form["data"] = std::move(said);
    else
        form["data"] = json_view(data);
    return form;
}

}  // namespace hearth::control
