//! Where partitions lie and who leads them: AlterReplicaLogDirs (34), DescribeLogDirs (35), ElectLeaders (43),
//! AlterPartitionReassignments (45), ListPartitionReassignments (46), DescribeProducers (61). Each topic needs admin;
//! a request without topics is about all of them, and needs admin on `*`.

use message_access::{Operation, SessionEnd};

use super::{Api, error, error_only};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{
    Field, array, boolean, int8, int16, int32, int64, nullable_array, nullable_text, text, values,
};
use crate::sift::{sift, topic_error};

pub(super) static ALTER_LOG_DIRS: Api = Api {
    key: 34,
    name: "AlterReplicaLogDirs",
    versions: 1..=2,
    flexible: 2,
    request: &[array(
        "dirs",
        &[
            text("path"),
            array("topics", &[text("name"), values("partitions", &[int32("partition_index")])]),
        ],
    )],
    response: &[
        int32("throttle_time_ms"),
        array(
            "results",
            &[
                text("topic_name"),
                array("partitions", &[int32("partition_index"), int16("error_code")]),
            ],
        ),
    ],
    judge: judge_alter_log_dirs,
};

pub(super) static DESCRIBE_LOG_DIRS: Api = Api {
    key: 35,
    name: "DescribeLogDirs",
    versions: 1..=4,
    flexible: 2,
    request: &[nullable_array(
        "topics",
        &[text("topic"), values("partitions", &[int32("partition_index")])],
    )],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code").since(3),
        array(
            "results",
            &[
                int16("error_code"),
                text("log_dir"),
                array(
                    "topics",
                    &[
                        text("name"),
                        array(
                            "partitions",
                            &[
                                int32("partition_index"),
                                int64("partition_size"),
                                int64("offset_lag"),
                                boolean("is_future_key"),
                            ],
                        ),
                    ],
                ),
                int64("total_bytes").or(-1).since(4),
                int64("usable_bytes").or(-1).since(4),
            ],
        ),
    ],
    judge: judge_describe_log_dirs,
};

pub(super) static ELECT_LEADERS: Api = Api {
    key: 43,
    name: "ElectLeaders",
    versions: 0..=2,
    flexible: 2,
    request: &[
        int8("election_type").since(1),
        nullable_array(
            "topic_partitions",
            &[text("topic"), values("partitions", &[int32("partition_index")])],
        ),
        int32("timeout_ms"),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code").since(1),
        array(
            "replica_election_results",
            &[
                text("topic"),
                array(
                    "partition_result",
                    &[int32("partition_id"), int16("error_code"), nullable_text("error_message")],
                ),
            ],
        ),
    ],
    judge: judge_elect_leaders,
};

pub(super) static REASSIGN: Api = Api {
    key: 45,
    name: "AlterPartitionReassignments",
    versions: 0..=1,
    flexible: 0,
    request: &[
        int32("timeout_ms"),
        boolean("allow_replication_factor_change").since(1),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[int32("partition_index"), values("replicas", &[int32("broker_id")])],
                ),
            ],
        ),
    ],
    response: &[
        int32("throttle_time_ms"),
        boolean("allow_replication_factor_change").since(1),
        int16("error_code"),
        nullable_text("error_message"),
        array(
            "responses",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        nullable_text("error_message"),
                    ],
                ),
            ],
        ),
    ],
    judge: judge_reassign,
};

pub(super) static LIST_REASSIGNMENTS: Api = Api {
    key: 46,
    name: "ListPartitionReassignments",
    versions: 0..=0,
    flexible: 0,
    request: &[int32("timeout_ms"), nullable_array("topics", INDEXED)],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        nullable_text("error_message"),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        values("replicas", &[int32("broker_id")]),
                        values("adding_replicas", &[int32("broker_id")]),
                        values("removing_replicas", &[int32("broker_id")]),
                    ],
                ),
            ],
        ),
    ],
    judge: judge_list_reassignments,
};

pub(super) static DESCRIBE_PRODUCERS: Api = Api {
    key: 61,
    name: "DescribeProducers",
    versions: 0..=0,
    flexible: 0,
    request: &[array("topics", INDEXED)],
    response: &[
        int32("throttle_time_ms"),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int16("error_code"),
                        nullable_text("error_message"),
                        array(
                            "active_producers",
                            &[
                                int64("producer_id"),
                                int32("producer_epoch"),
                                int32("last_sequence"),
                                int64("last_timestamp"),
                                int32("coordinator_epoch"),
                                int64("current_txn_start_offset"),
                            ],
                        ),
                    ],
                ),
            ],
        ),
    ],
    judge: judge_describe_producers,
};

const INDEXED: &[Field] = &[text("name"), values("partition_indexes", &[int32("partition_index")])];

/// The same topic may stand in several directories, so that the request is forwarded whole or not at all.
fn judge_alter_log_dirs(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let mut results = Vec::new();
    let mut is_refused = false;
    for dir in request.body.items("dirs")? {
        for topic in dir?.items("topics")? {
            let topic = topic?;
            let allowed = context.may_topic(Operation::Admin, topic.text("name")?)?;
            is_refused |= !allowed;
            let code = if allowed {
                error::OPERATION_NOT_ATTEMPTED
            } else {
                error::TOPIC_AUTHORIZATION_FAILED
            };
            let (partitions, index) = ("partitions", "partition_index");
            let name = ("name", "topic_name");
            results.push(topic_error(
                &topic,
                name,
                (partitions, partitions),
                (index, index),
                code,
            )?);
        }
    }
    if is_refused {
        return Ok(request.reply(&vec![("results", results.into())]));
    }
    Ok(request.forward())
}

/// The answer has no place for a topic that is refused, so that it is about all of them or none.
fn judge_describe_log_dirs(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let Some(code) = first_refusal(request, context, ("topics", "topic"))? else {
        return Ok(request.forward());
    };
    if request.form().version >= 3 {
        return Ok(request.reply(&error_only(code)));
    }
    Ok(request.reply(&vec![("results", vec![error_only(code)].into())]))
}

fn judge_list_reassignments(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    match first_refusal(request, context, ("topics", "name"))? {
        None => Ok(request.forward()),
        Some(code) => Ok(request.reply(&error_only(code))),
    }
}

/// Whether the client may administer all topics.
fn may_all(context: &mut Context<'_>) -> Result<bool, SessionEnd> {
    context.may_topic(Operation::Admin, "*")
}

/// The error by which the first topic of an array is refused, if any is. No array stands for all topics, and an empty
/// one is not left to the broker to interpret.
fn first_refusal(
    request: &Request<'_>,
    context: &mut Context<'_>,
    (array, name): (&str, &str),
) -> Result<Option<i64>, SessionEnd> {
    let topics = request.body.items(array)?;
    if topics.total() == 0 {
        return Ok((!may_all(context)?).then_some(error::TOPIC_AUTHORIZATION_FAILED));
    }
    for topic in topics {
        if !context.may_topic(Operation::Admin, topic?.text(name)?)? {
            return Ok(Some(error::TOPIC_AUTHORIZATION_FAILED));
        }
    }
    Ok(None)
}

fn judge_elect_leaders(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if request.body.items("topic_partitions")?.total() == 0 && !may_all(context)? {
        return Ok(request.reply(&error_only(error::TOPIC_AUTHORIZATION_FAILED)));
    }
    let topics = sift(request, "topic_partitions", |topic| {
        context.may_topic(Operation::Admin, topic.text("topic")?)
    })?;
    topics.act(request, "replica_election_results", |topic| {
        let partitions = ("partitions", "partition_result");
        refused(topic, ("topic", "topic"), partitions, ("partition_index", "partition_id"))
    })
}

fn judge_reassign(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let topics = sift_topics(request, context)?;
    topics.act(request, "responses", |topic| {
        let partitions = ("partitions", "partitions");
        refused(topic, ("name", "name"), partitions, ("partition_index", "partition_index"))
    })
}

fn judge_describe_producers(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let topics = sift_topics(request, context)?;
    topics.act(request, "topics", |topic| {
        let partitions = ("partition_indexes", "partitions");
        refused(topic, ("name", "name"), partitions, ("partition_index", "partition_index"))
    })
}

fn sift_topics<'a>(
    request: &Request<'a>,
    context: &mut Context<'_>,
) -> Result<crate::sift::Sifted<'a>, SessionEnd> {
    sift(request, "topics", |topic| context.may_topic(Operation::Admin, topic.text("name")?))
}

fn refused<'a>(
    topic: &Record<'a>,
    name: (&str, &'static str),
    partitions: (&str, &'static str),
    index: (&'static str, &'static str),
) -> Result<Said<'a>, SessionEnd> {
    topic_error(topic, name, partitions, index, error::TOPIC_AUTHORIZATION_FAILED)
}
