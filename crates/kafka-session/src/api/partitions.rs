//! DescribeTopicPartitions (75): each topic needs describe; all of them at once, that for every topic, because the cursor
//! of a long answer names the next one.

use message_access::{Operation, SessionEnd};

use super::nodes::{UNKNOWN_OPERATIONS, mask_operations};
use super::{Api, error};
use crate::answer::Said;
use crate::context::Context;
use crate::edit::Edit;
use crate::pending::Answer;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{
    Field, array, boolean, id, int16, int32, nullable_text, optional, text, values,
};
use crate::sift::sift;
use crate::wire;

pub(super) static API: Api = Api {
    key: 75,
    name: "DescribeTopicPartitions",
    versions: 0..=0,
    flexible: 0,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const CURSOR: Field = optional("cursor", &[text("topic_name"), int32("partition_index")]);

const REQUEST: &[Field] =
    &[array("topics", &[text("name")]), int32("response_partition_limit"), CURSOR];

const RESPONSE: &[Field] = &[
    int32("throttle_time_ms"),
    array(
        "topics",
        &[
            int16("error_code"),
            nullable_text("name"),
            id("topic_id"),
            boolean("is_internal"),
            array(
                "partitions",
                &[
                    int16("error_code"),
                    int32("partition_index"),
                    int32("leader_id"),
                    int32("leader_epoch"),
                    values("replica_nodes", &[int32("id")]),
                    values("isr_nodes", &[int32("id")]),
                    values("eligible_leader_replicas", &[int32("id")]),
                    values("last_known_elr", &[int32("id")]),
                    values("offline_replicas", &[int32("id")]),
                ],
            ),
            int32("topic_authorized_operations").or(UNKNOWN_OPERATIONS),
        ],
    ),
    CURSOR,
];

fn judge(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if request.body.items("topics")?.total() == 0 {
        let is_allowed = context.may_topic(Operation::Describe, "*")?;
        return Ok(if is_allowed {
            request.forward_for(masked(0, Vec::new()))
        } else {
            request.reply(&Said::new())
        });
    }
    let topics = sift(request, "topics", |topic| {
        context.may_topic(Operation::Describe, topic.text("name")?)
    })?;
    let refused = topics.denied.iter().map(refused).collect::<Result<Vec<_>, _>>()?;
    if topics.allowed == 0 {
        return Ok(request.reply(&vec![("topics", refused.into())]));
    }
    let count = refused.len();
    request.forward_edited(&topics.cut, masked(count, request.items("topics", &refused)))
}

fn refused<'a>(topic: &Record<'a>) -> Result<Said<'a>, SessionEnd> {
    let code = error::TOPIC_AUTHORIZATION_FAILED;
    Ok(vec![("error_code", code.into()), ("name", topic.text("name")?.into())])
}

/// The answer with those that were refused, and without what the broker says of the client's rights.
fn masked(refused_count: usize, refused: Vec<u8>) -> Answer {
    Answer::Rewritten(Box::new(move |body, _| {
        let topics = body.items("topics")?;
        let mut with = wire::count(topics.total() + refused_count, body.form().flexible);
        with.extend_from_slice(&refused);
        let mut edits = vec![Edit::replace(topics.count_span(), with)];
        for topic in topics {
            edits.extend(mask_operations(&topic?, "topic_authorized_operations")?);
        }
        Ok(edits)
    }))
}
