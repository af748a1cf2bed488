//! Requests that say how a stream shall be: what it takes in, and where it publishes what it took in.

use message_access::{Operation, SessionEnd};

use super::{Call, Need, agree, reach};
use crate::json::Object;
use crate::line::malformed;

/// The fields of a stream's configuration. What is not known may name subjects, and is refused.
const FIELDS: [&str; 41] = [
    "name",
    "description",
    "subjects",
    "retention",
    "max_consumers",
    "max_msgs",
    "max_bytes",
    "max_age",
    "max_msgs_per_subject",
    "max_msg_size",
    "discard",
    "storage",
    "num_replicas",
    "no_ack",
    "template_owner",
    "duplicate_window",
    "placement",
    "mirror",
    "sources",
    "compression",
    "first_seq",
    "subject_transform",
    "republish",
    "allow_direct",
    "mirror_direct",
    "discard_new_per_subject",
    "sealed",
    "deny_delete",
    "deny_purge",
    "allow_rollup_hdrs",
    "consumer_limits",
    "allow_msg_ttl",
    "subject_delete_marker_ttl",
    "allow_msg_counter",
    "allow_atomic",
    "allow_msg_schedules",
    "persist_mode",
    "allow_batched",
    "metadata",
    "pedantic",
    "created",
];

/// `STREAM.CREATE.<name>` and `STREAM.UPDATE.<name>`.
pub(super) fn configured(name: &str, body: &[u8]) -> Result<Call, SessionEnd> {
    let config = Object::read(body, "the configuration of a stream")?;
    let mut needs = vec![Need::stream(Operation::Create, name)];
    needs_of(name, &config, &mut needs)?;
    Ok(Call::of(needs))
}

/// `STREAM.RESTORE.<name>`: the stream that is restored is that of the subject, and takes in what its configuration says
/// (CVE-2026-33222).
pub(super) fn restored(name: &str, body: &[u8]) -> Result<Call, SessionEnd> {
    let what = "a request to restore a stream";
    let request = Object::read(body, what)?;
    request.only(&["config", "state"], what)?;
    let config =
        request.object("config")?.ok_or_else(|| malformed("a restore without a `config`"))?;
    let mut needs = vec![Need::stream(Operation::Admin, name)];
    needs_of(name, config, &mut needs)?;
    Ok(Call::of(needs))
}

fn needs_of(name: &str, config: &Object, needs: &mut Vec<Need>) -> Result<(), SessionEnd> {
    config.only(&FIELDS, "the configuration of a stream")?;
    let named = config.text("name")?.ok_or_else(|| malformed("a stream without a name"))?;
    agree(Some(name), Some(named), "stream")?;
    taken_in(name, config, needs)?;
    for source in config.object("mirror")?.into_iter().chain(config.objects("sources")?) {
        needs_of_source(source, needs)?;
    }
    if let Some(transform) = config.object("subject_transform")? {
        transformed(transform, needs)?;
    }
    if let Some(republish) = config.object("republish")? {
        republished(name, republish, needs)?;
    }
    Ok(())
}

/// The subjects that the stream takes in; its name, where it has none and copies no other stream.
fn taken_in(name: &str, config: &Object, needs: &mut Vec<Need>) -> Result<(), SessionEnd> {
    let subjects = config.texts("subjects")?;
    let copies = config.object("mirror")?.is_some() || !config.objects("sources")?.is_empty();
    if subjects.is_empty() && !copies {
        needs.push(Need::topic(Operation::Create, name));
    }
    needs.extend(subjects.into_iter().map(|subject| Need::topic(Operation::Create, subject)));
    Ok(())
}

/// A stream that is copied is read; one of another domain or account is out of this policy's sight.
fn needs_of_source(source: &Object, needs: &mut Vec<Need>) -> Result<(), SessionEnd> {
    source.only(
        &[
            "name",
            "opt_start_seq",
            "opt_start_time",
            "filter_subject",
            "subject_transforms",
            "external",
            "domain",
            "consumer",
        ],
        "the source of a stream",
    )?;
    let name = source.text("name")?.ok_or_else(|| malformed("a source without a name"))?;
    let transforms = source.objects("subject_transforms")?;
    let mut filters: Vec<&str> = source.text("filter_subject")?.into_iter().collect();
    for transform in transforms {
        filters.push(transform.text("src")?.unwrap_or(">"));
        transformed(transform, needs)?;
    }
    if filters.is_empty() {
        needs.push(Need::read(name, None));
    }
    needs.extend(filters.into_iter().map(|filter| Need::read(name, Some(filter))));
    if let Some(domain) = source.text("domain")? {
        needs.push(Need::topic(Operation::Admin, &format!("$JS.{domain}.API.>")));
    }
    if let Some(external) = source.object("external")? {
        foreign(external, needs)?;
    }
    if let Some(consumer) = source.object("consumer")? {
        consumer.only(&["name", "deliver_subject"], "the consumer of a source")?;
        // The server resets it, and stores what it delivers: that is what its own filter says.
        needs.extend([Need::stream(Operation::Admin, name), Need::read(name, None)]);
        needs.extend(consumer.text("deliver_subject")?.map(Need::publish));
    }
    Ok(())
}

fn foreign(external: &Object, needs: &mut Vec<Need>) -> Result<(), SessionEnd> {
    external.only(&["api", "deliver"], "the external source of a stream")?;
    for prefix in [external.text("api")?, external.text("deliver")?].into_iter().flatten() {
        needs.push(Need::topic(Operation::Admin, &format!("{prefix}.>")));
    }
    Ok(())
}

/// What is stored under another subject than it came in: as if it had come in there.
fn transformed(transform: &Object, needs: &mut Vec<Need>) -> Result<(), SessionEnd> {
    transform.only(&["src", "dest"], "a subject transform")?;
    let destination = transform.text("dest")?;
    needs.extend(destination.map(|dest| Need::topic(Operation::Create, &reach(dest))));
    Ok(())
}

/// What is published again: it is read, and published.
fn republished(name: &str, republish: &Object, needs: &mut Vec<Need>) -> Result<(), SessionEnd> {
    republish.only(&["src", "dest", "headers_only"], "the republishing of a stream")?;
    let destination =
        republish.text("dest")?.ok_or_else(|| malformed("a republishing without a `dest`"))?;
    needs.push(Need::read(name, republish.text("src")?));
    needs.push(Need::publish(&reach(destination)));
    Ok(())
}
