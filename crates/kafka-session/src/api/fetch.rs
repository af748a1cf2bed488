//! Fetch (1): each topic needs subscribe. Fetch sessions are not kept: in one, a client names a topic once and gets it for
//! as long as the session lasts. The broker is asked for a whole answer each time, and says that there is no session.

use bytes::Bytes;
use message_access::{AccessRequest, Operation, SessionEnd};

use super::{Api, error, error_only};
use crate::answer::Said;
use crate::context::Context;
use crate::edit::Edit;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{Field, array, bytes, int8, int16, int32, int64, nullable_array, text, values};
use crate::sift::{all_refused, sift, topic_error};

pub(crate) static API: Api = Api {
    key: 1,
    name: "Fetch",
    versions: 4..=12,
    flexible: 12,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const REQUEST: &[Field] = &[
    int32("replica_id"),
    int32("max_wait_ms"),
    int32("min_bytes"),
    int32("max_bytes"),
    int8("isolation_level"),
    int32("session_id").since(7),
    int32("session_epoch").or(-1).since(7),
    array(
        "topics",
        &[
            text("topic"),
            array(
                "partitions",
                &[
                    int32("partition"),
                    int32("current_leader_epoch").since(9),
                    int64("fetch_offset"),
                    int32("last_fetched_epoch").since(12),
                    int64("log_start_offset").since(5),
                    int32("partition_max_bytes"),
                ],
            ),
        ],
    ),
    array("forgotten_topics_data", &[text("topic"), values("partitions", &[int32("partition")])])
        .since(7),
    text("rack_id").since(11),
];

const RESPONSE: &[Field] = &[
    int32("throttle_time_ms"),
    int16("error_code").since(7),
    int32("session_id").since(7),
    array(
        "responses",
        &[
            text("topic"),
            array(
                "partitions",
                &[
                    int32("partition_index"),
                    int16("error_code"),
                    int64("high_watermark").or(-1),
                    int64("last_stable_offset").or(-1),
                    int64("log_start_offset").or(-1).since(5),
                    nullable_array(
                        "aborted_transactions",
                        &[int64("producer_id"), int64("first_offset")],
                    ),
                    int32("preferred_read_replica").or(-1).since(11),
                    bytes("records"),
                ],
            ),
        ],
    ),
];

fn judge(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if request.body.number("replica_id")? != -1
        && !context.may(&AccessRequest::new(Operation::Cluster))?
    {
        let code = error::CLUSTER_AUTHORIZATION_FAILED;
        let topics = all_refused(request, "topics", |topic| refused(topic, code))?;
        return Ok(request.reply(&vec![("responses", topics.into())]));
    }
    if request.body.number("session_id")? != 0 {
        return Ok(request.reply(&error_only(error::FETCH_SESSION_ID_NOT_FOUND)));
    }
    let topics = sift(request, "topics", |topic| {
        context.may_topic(Operation::Subscribe, topic.text("topic")?)
    })?;
    let code = error::TOPIC_AUTHORIZATION_FAILED;
    topics.act_with(request, "responses", |topic| refused(topic, code), no_session(request)?)
}

/// Asks the broker to keep no session.
fn no_session(request: &Request<'_>) -> Result<Vec<Edit>, SessionEnd> {
    if request.body.number("session_epoch")? == -1 {
        return Ok(Vec::new());
    }
    let (_, place) = request.body.find("session_epoch")?;
    Ok(place
        .map(|place| Edit::replace(place, (-1_i32).to_be_bytes().to_vec()))
        .into_iter()
        .collect())
}

/// The answer to a fetch that the broker has and that names a topic that is refused by now; `None` where all may stay. The
/// others stand in it without records, because clients expect all that they asked for.
pub(crate) fn refused_by_now(
    request: &Request<'_>,
    context: &mut Context<'_>,
) -> Result<Option<Bytes>, SessionEnd> {
    let (mut topics, mut is_refused) = (Vec::new(), false);
    for topic in request.body.items("topics")? {
        let topic = topic?;
        let asked = AccessRequest::on_topic(Operation::Subscribe, topic.text("topic")?);
        let may_stay = context.might(&asked)? || context.may(&asked)?;
        let code = if may_stay { error::NONE } else { error::TOPIC_AUTHORIZATION_FAILED };
        is_refused |= !may_stay;
        topics.push(refused(&topic, code)?);
    }
    Ok(is_refused.then(|| request.answer(&vec![("responses", topics.into())])))
}

fn refused<'a>(topic: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    topic_error(
        topic,
        ("topic", "topic"),
        ("partitions", "partitions"),
        ("partition", "partition_index"),
        code,
    )
}
