//! Requests that make a consumer: which messages of its stream it delivers, and where to.

use message_access::SessionEnd;

use super::{Call, Need, agree};
use crate::json::Object;
use crate::line::malformed;

/// The fields of a consumer's configuration. What is not known may name subjects, and is refused.
const FIELDS: [&str; 34] = [
    "durable_name",
    "name",
    "description",
    "deliver_policy",
    "opt_start_seq",
    "opt_start_time",
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "backoff",
    "filter_subject",
    "filter_subjects",
    "replay_policy",
    "rate_limit_bps",
    "sample_freq",
    "max_waiting",
    "max_ack_pending",
    "flow_control",
    "headers_only",
    "max_batch",
    "max_expires",
    "max_bytes",
    "deliver_subject",
    "deliver_group",
    "idle_heartbeat",
    "inactive_threshold",
    "num_replicas",
    "mem_storage",
    "metadata",
    "pause_until",
    "priority_groups",
    "priority_policy",
    "priority_timeout",
    "direct",
];

/// `CONSUMER.CREATE.<stream>`, `CONSUMER.CREATE.<stream>.<name>`, `CONSUMER.CREATE.<stream>.<name>.<filter>` and
/// `CONSUMER.DURABLE.CREATE.<stream>.<name>`.
pub(super) fn created(
    stream: &str,
    name: Option<&str>,
    filter: Option<&str>,
    body: &[u8],
) -> Result<Call, SessionEnd> {
    let what = "a request to create a consumer";
    let request = Object::read(body, what)?;
    request.only(&["stream_name", "config", "action", "pedantic"], what)?;
    agree(Some(stream), request.text("stream_name")?, "stream")?;
    let config =
        request.object("config")?.ok_or_else(|| malformed("a consumer without a `config`"))?;
    config.only(&FIELDS, "the configuration of a consumer")?;
    if config.flag("direct")? == Some(true) {
        return Err(malformed("a consumer with `direct`, which is for servers"));
    }
    agree_on_name(name, config)?;
    let needs = filters(stream, filter, config)?;
    let delivers_to = config.text("deliver_subject")?.map(str::to_owned);
    Ok(Call { needs, delivers_to })
}

/// The consumer has one name, wherever it is said.
fn agree_on_name(subject: Option<&str>, config: &Object) -> Result<(), SessionEnd> {
    let (name, durable) = (config.text("name")?, config.text("durable_name")?);
    agree(subject, name, "consumer")?;
    agree(subject, durable, "consumer")?;
    agree(name, durable, "consumer")
}

/// The body's filters count; the subject may repeat the only one. Without any, it is all that the stream has.
fn filters(stream: &str, filter: Option<&str>, config: &Object) -> Result<Vec<Need>, SessionEnd> {
    let mut filters = config.texts("filter_subjects")?;
    filters.extend(config.text("filter_subject")?);
    if let Some(filter) = filter
        && filters != [filter]
    {
        return Err(malformed(
            "the subject of a request for a consumer has another filter than its body",
        ));
    }
    let mut needs: Vec<Need> =
        filters.iter().map(|filter| Need::read(stream, Some(filter))).collect();
    if filters.iter().all(|filter| filter.is_empty()) {
        needs = vec![Need::read(stream, None)];
    }
    Ok(needs)
}
