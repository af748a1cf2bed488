//! Making and removing topics: CreateTopics (19) needs create, DeleteTopics (20) and DeleteRecords (21) delete,
//! CreatePartitions (37) admin, because messages of a key then go elsewhere. Each topic is judged by itself.

use message_access::{Operation, SessionEnd};

use super::{Api, error};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{
    array, boolean, id, int8, int16, int32, int64, nullable_array, nullable_text, text, values,
};
use crate::sift::{sift, topic_error};

pub(super) static CREATE: Api = Api {
    key: 19,
    name: "CreateTopics",
    versions: 2..=7,
    flexible: 5,
    request: &[
        array(
            "topics",
            &[
                text("name"),
                int32("num_partitions"),
                int16("replication_factor"),
                array(
                    "assignments",
                    &[int32("partition_index"), values("broker_ids", &[int32("broker_id")])],
                ),
                array("configs", &[text("name"), nullable_text("value")]),
            ],
        ),
        int32("timeout_ms"),
        boolean("validate_only"),
    ],
    response: &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                text("name"),
                id("topic_id").since(7),
                int16("error_code"),
                nullable_text("error_message"),
                int32("num_partitions").or(-1).since(5),
                int16("replication_factor").or(-1).since(5),
                nullable_array(
                    "configs",
                    &[
                        text("name"),
                        nullable_text("value"),
                        boolean("read_only"),
                        int8("config_source"),
                        boolean("is_sensitive"),
                    ],
                )
                .since(5),
            ],
        ),
    ],
    judge: |request, context| {
        judge_named(request, context, Operation::Create, ("topics", "topics"))
    },
};

/// Up to version 5: later ones name topics by their ids.
pub(super) static DELETE: Api = Api {
    key: 20,
    name: "DeleteTopics",
    versions: 1..=5,
    flexible: 4,
    request: &[values("topic_names", &[text("name")]), int32("timeout_ms")],
    response: &[
        int32("throttle_time_ms"),
        array(
            "responses",
            &[text("name"), int16("error_code"), nullable_text("error_message").since(5)],
        ),
    ],
    judge: |request, context| {
        judge_named(request, context, Operation::Delete, ("topic_names", "responses"))
    },
};

pub(super) static DELETE_RECORDS: Api = Api {
    key: 21,
    name: "DeleteRecords",
    versions: 0..=2,
    flexible: 2,
    request: &[
        array(
            "topics",
            &[text("name"), array("partitions", &[int32("partition_index"), int64("offset")])],
        ),
        int32("timeout_ms"),
    ],
    response: &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[int32("partition_index"), int64("low_watermark").or(-1), int16("error_code")],
                ),
            ],
        ),
    ],
    judge: judge_delete_records,
};

pub(super) static CREATE_PARTITIONS: Api = Api {
    key: 37,
    name: "CreatePartitions",
    versions: 0..=3,
    flexible: 2,
    request: &[
        array(
            "topics",
            &[
                text("name"),
                int32("count"),
                nullable_array("assignments", &[values("broker_ids", &[int32("broker_id")])]),
            ],
        ),
        int32("timeout_ms"),
        boolean("validate_only"),
    ],
    response: &[
        int32("throttle_time_ms"),
        array("results", &[text("name"), int16("error_code"), nullable_text("error_message")]),
    ],
    judge: |request, context| {
        judge_named(request, context, Operation::Admin, ("topics", "results"))
    },
};

/// Each topic needs the operation; the arrays of the request and of the answer.
fn judge_named(
    request: &Request<'_>,
    context: &mut Context<'_>,
    operation: Operation,
    (asked, answered): (&str, &'static str),
) -> Judged {
    let topics = sift(request, asked, |topic| context.may_topic(operation, topic.text("name")?))?;
    topics.act(request, answered, refused)
}

fn refused<'a>(topic: &Record<'a>) -> Result<Said<'a>, SessionEnd> {
    Ok(vec![
        ("name", topic.text("name")?.into()),
        ("error_code", error::TOPIC_AUTHORIZATION_FAILED.into()),
    ])
}

fn judge_delete_records(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let topics =
        sift(request, "topics", |topic| context.may_topic(Operation::Delete, topic.text("name")?))?;
    topics.act(request, "topics", |topic| {
        let (partitions, index) = ("partitions", "partition_index");
        let code = error::TOPIC_AUTHORIZATION_FAILED;
        topic_error(topic, ("name", "name"), (partitions, partitions), (index, index), code)
    })
}
