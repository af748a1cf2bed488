//! The APIs that are understood, a file for each family: the tables of their requests and answers, and how a request is
//! judged. What is not here is not offered to clients, and ends the session where it is sent anyway.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::answer::{self, Said};
use crate::context::Context;
use crate::frame::{self, LENGTH_BYTES};
use crate::record::Record;
use crate::request::{Head, Judged, Request};
use crate::schema::{Field, Form, Kind};
use crate::wire::{Read, Reader, Unreadable, Writer};

mod access_lists;
mod broker;
mod cluster;
mod configs;
mod coordinator;
pub(crate) mod fetch;
mod group_list;
mod group_offsets;
mod membership;
mod metadata;
mod nodes;
mod offsets;
mod partitions;
mod placement;
mod produce;
mod sasl;
mod tokens;
mod topics;
mod transactions;
mod users;
mod versions;

/// Errors that refusals are told by, as Kafka numbers them.
pub(crate) mod error {
    pub(crate) const NONE: i64 = 0;
    pub(crate) const COORDINATOR_NOT_AVAILABLE: i64 = 15;
    pub(crate) const TOPIC_AUTHORIZATION_FAILED: i64 = 29;
    pub(crate) const GROUP_AUTHORIZATION_FAILED: i64 = 30;
    pub(crate) const CLUSTER_AUTHORIZATION_FAILED: i64 = 31;
    pub(crate) const UNSUPPORTED_VERSION: i64 = 35;
    pub(crate) const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i64 = 53;
    pub(crate) const OPERATION_NOT_ATTEMPTED: i64 = 55;
    pub(crate) const FETCH_SESSION_ID_NOT_FOUND: i64 = 70;
    pub(crate) const INVALID_REQUEST: i64 = 42;
    pub(crate) const UNKNOWN_TOPIC_ID: i64 = 100;
}

/// One API.
pub(crate) struct Api {
    /// Kafka's number of it.
    pub(crate) key: i16,
    /// Kafka's name of it.
    pub(crate) name: &'static str,
    /// The versions whose requests and answers are in the tables below.
    pub(crate) versions: RangeInclusive<i16>,
    /// The first version with compact lengths and tagged fields.
    pub(crate) flexible: i16,
    /// The body of a request.
    pub(crate) request: &'static [Field],
    /// The body of an answer.
    pub(crate) response: &'static [Field],
    /// What is done with a request.
    pub(crate) judge: fn(&Request<'_>, &mut Context<'_>) -> Judged,
}

/// Of no API's version: tags and compact lengths never came.
pub(crate) const NEVER: i16 = i16::MAX;

/// The API of this number, where it is understood.
pub(crate) fn find(key: i16) -> Option<&'static Api> {
    Some(match key {
        0 => &produce::API,
        1 => &fetch::API,
        2 => &offsets::LIST_OFFSETS,
        3 => &metadata::API,
        8 => &group_offsets::COMMIT,
        9 => &group_offsets::FETCH,
        10 => &coordinator::API,
        11 => &membership::JOIN,
        12 => &membership::HEARTBEAT,
        13 => &membership::LEAVE,
        14 => &membership::SYNC,
        15 => &group_list::DESCRIBE,
        16 => &group_list::LIST,
        17 => &sasl::HANDSHAKE,
        18 => &versions::API,
        19 => &topics::CREATE,
        20 => &topics::DELETE,
        21 => &topics::DELETE_RECORDS,
        22 => &transactions::INIT,
        23 => &offsets::LEADER_EPOCH,
        24 => &transactions::ADD_PARTITIONS,
        25 => &transactions::ADD_OFFSETS,
        26 => &transactions::END,
        28 => &transactions::COMMIT_OFFSETS,
        29 => &access_lists::DESCRIBE,
        30 => &access_lists::CREATE,
        31 => &access_lists::DELETE,
        32 => &configs::DESCRIBE,
        33 => &configs::ALTER,
        34 => &placement::ALTER_LOG_DIRS,
        35 => &placement::DESCRIBE_LOG_DIRS,
        36 => &sasl::AUTHENTICATE,
        37 => &topics::CREATE_PARTITIONS,
        38 => &tokens::CREATE,
        39 => &tokens::RENEW,
        40 => &tokens::EXPIRE,
        41 => &tokens::DESCRIBE,
        42 => &group_list::DELETE,
        43 => &placement::ELECT_LEADERS,
        44 => &configs::INCREMENTAL_ALTER,
        45 => &placement::REASSIGN,
        46 => &placement::LIST_REASSIGNMENTS,
        47 => &group_offsets::DELETE,
        48 => &users::DESCRIBE_QUOTAS,
        49 => &users::ALTER_QUOTAS,
        50 => &users::DESCRIBE_CREDENTIALS,
        51 => &users::ALTER_CREDENTIALS,
        57 => &broker::UPDATE_FEATURES,
        60 => &cluster::API,
        61 => &placement::DESCRIBE_PRODUCERS,
        65 => &broker::DESCRIBE_TRANSACTIONS,
        66 => &broker::LIST_TRANSACTIONS,
        68 => &membership::CONSUMER_HEARTBEAT,
        69 => &group_list::CONSUMER_DESCRIBE,
        74 => &broker::LIST_CONFIG_RESOURCES,
        75 => &partitions::API,
        _ => return None,
    })
}

/// The highest number that [`find`] is asked for when all are listed.
const HIGHEST_KEY: i16 = 100;

/// An API that is understood, for documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiVersion {
    /// Kafka's number of it.
    pub key: i16,
    /// Kafka's name of it.
    pub name: &'static str,
    /// The versions that pass.
    pub versions: RangeInclusive<i16>,
}

/// The APIs that are understood, by their numbers.
pub fn supported() -> impl Iterator<Item = ApiVersion> {
    (0..=HIGHEST_KEY).filter_map(find).map(|api| ApiVersion {
        key: api.key,
        name: api.name,
        versions: api.versions.clone(),
    })
}

impl Api {
    /// How messages of a version are written.
    pub(crate) const fn form(&self, version: i16) -> Form {
        Form { version, flexible: version >= self.flexible }
    }

    /// The fields of the items of an array of the answer.
    pub(crate) fn items_of(&self, array: &str) -> &'static [Field] {
        let field = self.response.iter().find(|field| field.name == array);
        debug_assert!(field.is_some(), "{array} is in no table");
        match field.map(|field| &field.kind) {
            Some(Kind::Array { fields, .. }) => fields,
            _ => &[],
        }
    }
}

/// Whether the header of an answer has tagged fields. That of ApiVersions never has: a client must be able to read it
/// before it knows what the broker speaks.
fn has_tagged_header(api: &Api, form: Form) -> bool {
    form.flexible && api.key != versions::API.key
}

/// Where the body of an answer begins.
pub(crate) fn answer_start(api: &Api, form: Form, frame: &[u8]) -> Read<usize> {
    let mut reader = Reader::at(frame, LENGTH_BYTES + 4);
    if has_tagged_header(api, form) {
        reader.tags()?;
    }
    Ok(reader.position())
}

/// The body of a whole answer of the broker.
pub(crate) fn answer_body<'a>(api: &Api, form: Form, frame: &'a [u8]) -> Read<Record<'a>> {
    let start = answer_start(api, form, frame)?;
    let form = versions::form_of_answer(api, form, frame, start)?;
    let body = Record::read(frame, start, api.response, form)?;
    if body.span().end == frame.len() {
        Ok(body)
    } else {
        Err(Unreadable::Wrong("bytes behind an answer"))
    }
}

/// An answer of the session's own, framed.
pub(crate) fn answer_frame(api: &Api, form: Form, correlation: i32, said: &Said<'_>) -> Bytes {
    let mut writer = Writer::default();
    writer.raw(&[0; LENGTH_BYTES]);
    writer.number(i64::from(correlation), 4);
    if has_tagged_header(api, form) {
        writer.varint(0);
    }
    answer::write(&mut writer, api.response, form, said);
    frame::with_length(writer.into_bytes())
}

/// The answer to a version that is not supported, where the protocol has one: ApiVersions tells in its oldest form which
/// it can be asked in.
pub(crate) fn version_reply(api: &'static Api, head: &Head) -> Option<Bytes> {
    (api.key == versions::API.key && head.version >= 0).then(|| {
        let form = api.form(0);
        answer_frame(api, form, head.correlation, &versions::unsupported())
    })
}

/// How many bytes may stand behind a request, which are not passed on: none, but for a mistake that is in use.
pub(crate) fn surplus_bytes(api: &Api, body: &Record<'_>) -> Read<usize> {
    if api.key == metadata::API.key { metadata::surplus_bytes(body) } else { Ok(0) }
}

/// Whether this introduces a client and asks for nothing yet.
pub(crate) const fn is_introduction(api: &Api) -> bool {
    matches!(api.key, 17 | 18 | 36)
}

/// One record of an answer that says an error and nothing else.
pub(crate) fn error_only<'a>(error: i64) -> Said<'a> {
    vec![("error_code", error.into())]
}
