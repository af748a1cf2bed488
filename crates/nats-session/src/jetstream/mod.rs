//! Requests to JetStream's API, and what each of them needs. They are messages to `$JS.API.…`; what they do says the
//! subject, and for some of them the body.

mod consumer;
mod stream;

use message_access::{AccessRequest, Operation, SessionEnd};

use crate::json::Object;
use crate::line::malformed;
use crate::subject::{self, Destination};

/// The longest body of a request that is read whole. The longest of real ones is a stream with thousands of subjects.
pub(crate) const BODY_BYTES: usize = 256 * 1024;

/// Something that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) operation: Operation,
    pub(crate) topic: Option<String>,
    pub(crate) stream: Option<String>,
}

impl Need {
    pub(crate) fn request(&self) -> AccessRequest<'_> {
        AccessRequest {
            topic: self.topic.as_deref(),
            stream: self.stream.as_deref(),
            ..AccessRequest::new(self.operation)
        }
    }

    fn topic(operation: Operation, topic: &str) -> Self {
        Self { operation, topic: Some(topic.to_owned()), stream: None }
    }

    fn stream(operation: Operation, stream: &str) -> Self {
        Self { operation, topic: None, stream: Some(stream.to_owned()) }
    }

    /// Read what a stream has under this subject, or all of it.
    fn read(stream: &str, filter: Option<&str>) -> Self {
        let topic = Some(filter.unwrap_or(">").to_owned());
        Self { operation: Operation::Subscribe, topic, stream: Some(stream.to_owned()) }
    }

    /// Let the server publish to a subject, or to all that a pattern matches.
    fn publish(destination: &str) -> Self {
        let request = publish(destination);
        Self::topic(request.operation, request.topic.unwrap_or(destination))
    }
}

/// What publishing to a subject needs that the server is told of, not that of a control line: its own subjects are out of
/// reach of whoever may only publish.
pub(crate) fn publish(destination: &str) -> AccessRequest<'_> {
    let wild = destination.starts_with(['*', '>']);
    match Destination::of(destination) {
        Destination::Plain(topic) if !wild => AccessRequest::on_topic(Operation::Publish, topic),
        _ => AccessRequest::on_topic(Operation::Admin, destination),
    }
}

/// What a request needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) needs: Vec<Need>,
    /// The subject that the server shall deliver to by itself: the caller's own inbox, or one it may publish to.
    pub(crate) delivers_to: Option<String>,
}

impl Call {
    fn of(needs: Vec<Need>) -> Self {
        Self { needs, ..Self::default() }
    }
}

/// Whether this is the subject of a request at all: without wildcards, but for the filter of a consumer that stands behind
/// its name (`CONSUMER.CREATE.<stream>.<name>.<filter>`).
pub(crate) fn is_request(api: &str) -> bool {
    let filter = tail(api, 4).filter(|_| api.starts_with("CONSUMER.CREATE."));
    let head = filter.and_then(|filter| api.strip_suffix(filter)?.strip_suffix('.'));
    match (head, filter) {
        (Some(head), Some(filter)) => subject::is_literal(head) && subject::is_pattern(filter),
        _ => subject::is_literal(api),
    }
}

/// What a request needs: `api` is its subject behind `$JS.API.`.
///
/// # Errors
/// A body that is not the request's, that has fields nobody knows, or that disagrees with the subject.
pub(crate) fn call(api: &str, body: &[u8]) -> Result<Call, SessionEnd> {
    use Operation::{Admin, Delete, Describe, Subscribe};
    let tokens: Vec<&str> = api.splitn(5, '.').collect();
    let need = match tokens.as_slice() {
        ["INFO"] => Need { operation: Describe, topic: None, stream: None },
        ["STREAM", "NAMES"] => {
            Need::topic(Describe, listing(body)?.text("subject")?.unwrap_or(">"))
        }
        ["STREAM", "LIST"] => {
            listing(body)?;
            Need::topic(Describe, ">")
        }
        ["STREAM", "INFO", stream] => described(stream, body)?,
        ["CONSUMER", "NAMES" | "LIST", stream] | ["CONSUMER", "INFO", stream, _] => {
            Need::stream(Describe, stream)
        }
        ["STREAM", "CREATE" | "UPDATE", name] => return stream::configured(name, body),
        ["STREAM", "RESTORE", name] => return stream::restored(name, body),
        ["STREAM", "MSG", "GET", stream] => return read(stream, body, &ONE_MESSAGE),
        ["DIRECT", "GET", stream] => return read(stream, body, &MESSAGES),
        ["DIRECT", "GET", stream, ..] => {
            let what = "a request for the last message of a subject";
            optional(body, what)?.only(&["no_hdr"], what)?;
            Need::read(stream, tail(api, 3))
        }
        ["CONSUMER", "CREATE", stream] => return consumer::created(stream, None, None, body),
        ["CONSUMER", "CREATE", stream, name, ..] => {
            return consumer::created(stream, Some(name), tail(api, 4), body);
        }
        ["CONSUMER", "DURABLE", "CREATE", stream, name] => {
            return consumer::created(stream, Some(name), None, body);
        }
        ["CONSUMER", "MSG", "NEXT", stream, name] if !name.contains('.') => {
            Need::stream(Subscribe, stream)
        }
        // Whoever asked for a consumer of this name has not made it, perhaps: the server may have answered that another has.
        ["CONSUMER", "DELETE", stream, _] => Need::stream(Delete, stream),
        ["STREAM", "SNAPSHOT", stream] => return snapshot(stream, body),
        ["STREAM", "DELETE" | "PURGE" | "CANCEL_MOVE", stream]
        | ["STREAM", "MSG", "DELETE", stream]
        | ["STREAM", "PEER", _, stream]
        | ["STREAM", "LEADER", "STEPDOWN", stream]
        | ["CONSUMER", "PAUSE" | "UNPIN" | "RESET", stream, _] => Need::stream(Admin, stream),
        _ => Need::topic(Admin, &format!("$JS.API.{api}")),
    };
    Ok(Call::of(vec![need]))
}

/// What stands behind the first tokens of a subject.
fn tail(subject: &str, tokens: usize) -> Option<&str> {
    subject.splitn(tokens + 1, '.').nth(tokens)
}

/// Which streams are listed: those of one subject, or all.
fn listing(body: &[u8]) -> Result<Object, SessionEnd> {
    let what = "a request for the names of streams";
    let object = optional(body, what)?;
    object.only(&["subject", "offset", "limit"], what)?;
    Ok(object)
}

/// What a stream is; which subjects it has, where the body asks for those.
fn described(stream: &str, body: &[u8]) -> Result<Need, SessionEnd> {
    let what = "a request for what a stream is";
    let object = optional(body, what)?;
    object.only(&["subjects_filter", "deleted_details", "offset"], what)?;
    let topic = object.text("subjects_filter")?.map(str::to_owned);
    Ok(Need { topic, ..Need::stream(Operation::Describe, stream) })
}

/// The server publishes the copy to a subject that the body names.
fn snapshot(stream: &str, body: &[u8]) -> Result<Call, SessionEnd> {
    let what = "a request for a snapshot of a stream";
    let object = optional(body, what)?;
    object.only(&["deliver_subject", "no_consumers", "chunk_size", "window_size", "jsck"], what)?;
    let delivers_to = object.text("deliver_subject")?.map(str::to_owned);
    let needs = vec![Need::stream(Operation::Admin, stream)];
    Ok(Call { needs, delivers_to })
}

/// The fields of a request for one message, `STREAM.MSG.GET`. Servers ignore those of the other.
const ONE_MESSAGE: [&str; 5] = ["seq", "last_by_subj", "next_by_subj", "start_time", "no_hdr"];
/// The fields of a request for messages, `DIRECT.GET`.
const MESSAGES: [&str; 10] = [
    "seq",
    "last_by_subj",
    "next_by_subj",
    "batch",
    "max_bytes",
    "start_time",
    "multi_last",
    "up_to_seq",
    "up_to_time",
    "no_hdr",
];

/// Messages of a stream: those of the subjects that are named, or any. A message that is chosen by its number or its time
/// may have any subject, whatever subjects stand beside; but for the next one of a subject from there on.
fn read(stream: &str, body: &[u8], fields: &[&str]) -> Result<Call, SessionEnd> {
    let what = "a request for messages of a stream";
    let object = optional(body, what)?;
    object.only(fields, what)?;
    let next = object.text("next_by_subj")?;
    let mut filters = object.texts("multi_last")?;
    filters.extend(object.text("last_by_subj")?);
    filters.extend(next);
    let chosen = object.has("seq") || object.has("start_time");
    let mut needs: Vec<Need> =
        filters.into_iter().map(|filter| Need::read(stream, Some(filter))).collect();
    if needs.is_empty() || (chosen && next.is_none()) {
        needs.push(Need::read(stream, None));
    }
    Ok(Call::of(needs))
}

/// An object, where there is a body at all.
fn optional(body: &[u8], what: &str) -> Result<Object, SessionEnd> {
    match body.trim_ascii() {
        b"" | b"null" => Ok(Object::default()),
        body => Object::read(body, what),
    }
}

/// Refuses a body that says another name than the subject.
fn agree(subject: Option<&str>, body: Option<&str>, what: &str) -> Result<(), SessionEnd> {
    match (subject, body) {
        (Some(subject), Some(body)) if subject != body => Err(malformed(&format!(
            "the subject of a request to JetStream and its body name another {what}"
        ))),
        _ => Ok(()),
    }
}

/// All that a subject pattern with placeholders (`{{wildcard(1)}}`, `$1`) can become: what stands behind a placeholder may
/// be any number of tokens.
fn reach(pattern: &str) -> String {
    let is_placeholder = |token: &str| {
        token.contains("{{")
            || token.strip_prefix('$').is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut reached = String::new();
    for token in pattern.split('.') {
        if !reached.is_empty() {
            reached.push('.');
        }
        if is_placeholder(token) {
            reached.push('>');
            break;
        }
        reached.push_str(token);
    }
    reached
}

#[cfg(test)]
mod tests;
