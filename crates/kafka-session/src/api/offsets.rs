//! ListOffsets (2) and OffsetForLeaderEpoch (23): how far a topic goes, which needs describe.

use message_access::{AccessRequest, Operation, SessionEnd};

use super::{Api, error};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{array, int8, int16, int32, int64, text};
use crate::sift::{all_refused, sift, topic_error};

pub(super) static LIST_OFFSETS: Api = Api {
    key: 2,
    name: "ListOffsets",
    versions: 1..=10,
    flexible: 6,
    request: &[
        int32("replica_id"),
        int8("isolation_level").since(2),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int32("current_leader_epoch").since(4),
                        int64("timestamp"),
                    ],
                ),
            ],
        ),
        int32("timeout_ms").since(10),
    ],
    response: &[
        int32("throttle_time_ms").since(2),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        int64("timestamp").or(-1),
                        int64("offset").or(-1),
                        int32("leader_epoch").or(-1).since(4),
                    ],
                ),
            ],
        ),
    ],
    judge: |request, context| judge(request, "name", "partition_index", context),
};

pub(super) static LEADER_EPOCH: Api = Api {
    key: 23,
    name: "OffsetForLeaderEpoch",
    versions: 2..=4,
    flexible: 4,
    request: &[
        int32("replica_id").or(-1).since(3),
        array(
            "topics",
            &[
                text("topic"),
                array(
                    "partitions",
                    &[int32("partition"), int32("current_leader_epoch"), int32("leader_epoch")],
                ),
            ],
        ),
    ],
    response: &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                text("topic"),
                array(
                    "partitions",
                    &[
                        int16("error_code"),
                        int32("partition"),
                        int32("leader_epoch").or(-1),
                        int64("end_offset").or(-1),
                    ],
                ),
            ],
        ),
    ],
    judge: |request, context| judge(request, "topic", "partition", context),
};

fn judge(
    request: &Request<'_>,
    name: &'static str,
    index: &'static str,
    context: &mut Context<'_>,
) -> Judged {
    if !is_consumer(&request.body)? && !context.may(&AccessRequest::new(Operation::Cluster))? {
        let code = error::CLUSTER_AUTHORIZATION_FAILED;
        let topics = all_refused(request, "topics", |topic| refused(topic, name, index, code))?;
        return Ok(request.reply(&vec![("topics", topics.into())]));
    }
    let topics =
        sift(request, "topics", |topic| context.may_topic(Operation::Describe, topic.text(name)?))?;
    let code = error::TOPIC_AUTHORIZATION_FAILED;
    topics.act(request, "topics", |topic| refused(topic, name, index, code))
}

/// Replicas have numbers from 0 on; -1 is a consumer, and -2 one that asked for no epoch before.
fn is_consumer(body: &Record<'_>) -> Result<bool, SessionEnd> {
    Ok(matches!(body.number("replica_id")?, -1 | -2))
}

fn refused<'a>(
    topic: &Record<'a>,
    name: &'static str,
    index: &'static str,
    code: i64,
) -> Result<Said<'a>, SessionEnd> {
    topic_error(topic, (name, name), ("partitions", "partitions"), (index, index), code)
}
