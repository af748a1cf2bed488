//! Produce (0): each topic needs publish, a transactional id is one of the client's.

use message_access::{Operation, SessionEnd};

use super::{Api, error};
use crate::answer::Said;
use crate::context::Context;
use crate::edit::Edit;
use crate::pending::Answer;
use crate::record::Record;
use crate::request::{Action, Judged, Request};
use crate::schema::{Field, array, bytes, int16, int32, int64, nullable_text, text};
use crate::sift::{all_refused, sift, topic_error};
use crate::wire;

pub(super) static API: Api = Api {
    key: 0,
    name: "Produce",
    versions: 3..=12,
    flexible: 9,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const REQUEST: &[Field] = &[
    nullable_text("transactional_id"),
    int16("acks"),
    int32("timeout_ms"),
    array(
        "topic_data",
        &[text("name"), array("partition_data", &[int32("index"), bytes("records")])],
    ),
];

const RESPONSE: &[Field] = &[
    array(
        "responses",
        &[
            text("name"),
            array(
                "partition_responses",
                &[
                    int32("index"),
                    int16("error_code"),
                    int64("base_offset").or(-1),
                    int64("log_append_time_ms").or(-1),
                    int64("log_start_offset").or(-1).since(5),
                    array(
                        "record_errors",
                        &[int32("batch_index"), nullable_text("batch_index_error_message")],
                    )
                    .since(8),
                    nullable_text("error_message").since(8),
                ],
            ),
        ],
    ),
    int32("throttle_time_ms"),
];

fn judge(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let is_answered = request.body.number("acks")? != 0;
    if let Some(id) = request.body.nullable("transactional_id")?
        && !context.may_transactional_id(id)?
    {
        let code = error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        let topics = all_refused(request, "topic_data", |topic| refused(topic, code))?;
        return answered(is_answered, request.reply(&vec![("responses", topics.into())]));
    }
    let topics = sift(request, "topic_data", |topic| {
        context.may_topic(Operation::Publish, topic.text("name")?)
    })?;
    let code = error::TOPIC_AUTHORIZATION_FAILED;
    if !is_answered && topics.denied.is_empty() {
        return Ok(request.forward_for(Answer::None));
    }
    let action = topics.act(request, "responses", |topic| refused(topic, code))?;
    let names_nodes = !context.advertised.is_empty() && request.form().version >= 10;
    answered(is_answered, if names_nodes { without_nodes(action) } else { action })
}

/// From version 10 on an answer may say where the leaders of partitions are reached, in tagged fields. Where other addresses
/// are advertised these are left out, and a client asks for metadata.
fn without_nodes(action: Action) -> Action {
    let Action::Forward { frame, answer } = action else { return action };
    let (inserted, items) = match answer {
        Answer::Inserted(insertion) => (insertion.count, insertion.bytes),
        _ => (0, Vec::new()),
    };
    let rewrite = move |body: &Record<'_>, _: &mut Context<'_>| {
        let responses = body.items("responses")?;
        let mut with = wire::count(responses.total() + inserted, body.form().flexible);
        with.extend_from_slice(&items);
        Ok(vec![Edit::replace(responses.count_span(), with), Edit::replace(body.tags()?, vec![0])])
    };
    Action::Forward { frame, answer: Answer::Rewritten(Box::new(rewrite)) }
}

/// A client that waits for no answer learns of a refusal when its connection closes, as from a broker.
fn answered(is_answered: bool, action: Action) -> Judged {
    if is_answered { Ok(action) } else { Err(SessionEnd::Denied) }
}

fn refused<'a>(topic: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    topic_error(
        topic,
        ("name", "name"),
        ("partition_data", "partition_responses"),
        ("index", "index"),
        code,
    )
}
