//! Metadata (3): which topics there are, and where. Topics that are named need describe; a listing of all leaves out what
//! the client may not know of; those asked for by their ids are judged when the broker has said their names.

use std::collections::HashSet;

use message_access::{AccessRequest, Operation, SessionEnd};

use super::nodes::{UNKNOWN_OPERATIONS, mask_operations, rewrite_array};
use super::{Api, error};
use crate::answer::{self, Said};
use crate::context::{Context, within};
use crate::edit::{self, Edit};
use crate::pending::Answer;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{
    Field, array, boolean, id, int16, int32, nullable_array, nullable_text, text, values,
};
use crate::sift::{Sifted, sift};
use crate::wire::{self, Read, Writer};

pub(super) static API: Api = Api {
    key: 3,
    name: "Metadata",
    versions: 4..=13,
    flexible: 9,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const REQUEST: &[Field] = &[
    nullable_array("topics", &[id("topic_id").since(10), nullable_text("name")]),
    boolean("allow_auto_topic_creation"),
    boolean("include_cluster_authorized_operations").since(8).until(10),
    boolean("include_topic_authorized_operations").since(8),
];

const RESPONSE: &[Field] = &[
    int32("throttle_time_ms"),
    array("brokers", &[int32("node_id"), text("host"), int32("port"), nullable_text("rack")]),
    nullable_text("cluster_id"),
    int32("controller_id").or(-1),
    array("topics", TOPIC),
    int32("cluster_authorized_operations").or(UNKNOWN_OPERATIONS).since(8).until(10),
    int16("error_code").since(13),
];

const TOPIC: &[Field] = &[
    int16("error_code"),
    nullable_text("name"),
    id("topic_id").since(10),
    boolean("is_internal"),
    array(
        "partitions",
        &[
            int16("error_code"),
            int32("partition_index"),
            int32("leader_id"),
            int32("leader_epoch").since(7),
            values("replica_nodes", &[int32("id")]),
            values("isr_nodes", &[int32("id")]),
            values("offline_replicas", &[int32("id")]).since(5),
        ],
    ),
    int32("topic_authorized_operations").or(UNKNOWN_OPERATIONS).since(8),
];

fn judge(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let (mut named, mut ids) = (HashSet::new(), HashSet::new());
    let topics = sift(request, "topics", |topic| {
        let id = topic.id("topic_id")?;
        if id != [0; 16] {
            if topic.nullable("name")?.is_some() {
                return Err(SessionEnd::Malformed("a topic by its id and by a name".to_owned()));
            }
            ids.insert(id);
            return Ok(true);
        }
        let name = topic.text("name")?;
        let is_allowed = context.may_topic(Operation::Describe, name)?;
        if is_allowed {
            named.insert(name.to_owned());
        }
        Ok(is_allowed)
    })?;
    within(ids.len())?;
    let mut edits = topics.cut.clone();
    edits.extend(no_creation(request, &named, !ids.is_empty(), context)?);
    if !request.surplus().is_empty() {
        edits.push(Edit::remove(request.surplus()));
    }
    let listing = Listing {
        is_of_all: request.body.items("topics")?.is_null(),
        named,
        ids,
        refused: refused(request, &topics)?,
        refused_count: topics.denied.len(),
    };
    let rewrite =
        move |body: &Record<'_>, context: &mut Context<'_>| listing.rewrite(body, context);
    request.forward_edited(&edits, Answer::Rewritten(Box::new(rewrite)))
}

/// librdkafka asks for all topics with a count of four bytes where one is due, from version 9 on. What a broker reads of it
/// is a request for all topics, and up to three bytes more.
pub(super) fn surplus_bytes(body: &Record<'_>) -> Read<usize> {
    let is_mistaken = body.form().flexible && body.items("topics")?.is_null();
    Ok(if is_mistaken { 3 } else { 0 })
}

/// Asking about a topic creates it in many brokers, where the request does not say otherwise. By an id nothing is created
/// that policy was asked about.
fn no_creation(
    request: &Request<'_>,
    named: &HashSet<String>,
    has_ids: bool,
    context: &mut Context<'_>,
) -> Read<Option<Edit>> {
    let mut may_create = !has_ids;
    for name in named {
        may_create =
            may_create && context.might_too(&AccessRequest::on_topic(Operation::Create, name));
    }
    if may_create {
        return Ok(None);
    }
    super::nodes::set_number(&request.body, "allow_auto_topic_creation", 0, 1)
}

fn refused(request: &Request<'_>, topics: &Sifted<'_>) -> Result<Vec<u8>, SessionEnd> {
    let code = error::TOPIC_AUTHORIZATION_FAILED;
    let said = topics.denied.iter().map(|topic| -> Result<Said<'_>, SessionEnd> {
        Ok(vec![("error_code", code.into()), ("name", topic.text("name")?.into())])
    });
    Ok(request.items("topics", &said.collect::<Result<Vec<_>, _>>()?))
}

/// What a client asked for, and may see of the answer.
struct Listing {
    is_of_all: bool,
    /// What was asked for by name, and allowed.
    named: HashSet<String>,
    /// What was asked for by its id.
    ids: HashSet<[u8; 16]>,
    /// What was asked for by name, and not allowed: items of the answer.
    refused: Vec<u8>,
    refused_count: usize,
}

impl Listing {
    fn rewrite(
        &self,
        body: &Record<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Edit>, SessionEnd> {
        let mut edits = rewrite_array(body, "brokers", "node_id", context.advertised)?;
        let topics = body.items("topics")?;
        let (count_span, mut count) = (topics.count_span(), self.refused_count);
        let at = edits.len();
        for topic in topics {
            let topic = topic?;
            let change = self.change(&topic, context)?;
            count += usize::from(!matches!(&change, Some(edit) if edit.with.is_empty()));
            change.into_iter().for_each(|edit| edit::push(&mut edits, edit));
        }
        if count != body.items("topics")?.total() || self.refused_count > 0 {
            let mut with = wire::count(count, body.form().flexible);
            with.extend_from_slice(&self.refused);
            edits.insert(at, Edit::replace(count_span, with));
        }
        edits.extend(mask_operations(body, "cluster_authorized_operations")?);
        Ok(edits)
    }

    fn is_named(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| self.named.contains(name))
    }

    /// What is changed of a topic that the broker tells of. One that was not asked for is left out: some brokers take a
    /// request for none as one for all.
    fn change(
        &self,
        topic: &Record<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<Edit>, SessionEnd> {
        let name = topic.nullable("name")?;
        let asked = AccessRequest::on_topic(Operation::Describe, name.unwrap_or_default());
        if self.is_of_all {
            if name.is_none() || !context.might(&asked)? {
                return Ok(Some(Edit::remove(topic.span())));
            }
        } else if self.ids.contains(&topic.id("topic_id")?) {
            if name.is_some() && !self.is_named(name) && !context.may(&asked)? {
                return Ok(Some(Edit::replace(topic.span(), unknown(topic)?)));
            }
        } else if !self.is_named(name) {
            return Ok(Some(Edit::remove(topic.span())));
        }
        Ok(mask_operations(topic, "topic_authorized_operations")?)
    }
}

/// A topic whose id does not exist, as far as the client may know.
fn unknown(topic: &Record<'_>) -> Result<Vec<u8>, SessionEnd> {
    let form = topic.form();
    let mut said = vec![
        ("error_code", error::UNKNOWN_TOPIC_ID.into()),
        ("topic_id", topic.id("topic_id")?.into()),
    ];
    if form.version < 12 {
        said.push(("name", "".into()));
    }
    let mut writer = Writer::default();
    answer::write(&mut writer, TOPIC, form, &said);
    Ok(writer.into_bytes())
}
