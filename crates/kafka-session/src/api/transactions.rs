//! Transactions: InitProducerId (22), AddPartitionsToTxn (24), AddOffsetsToTxn (25), EndTxn (26), TxnOffsetCommit (28).
//! Each needs the transactional id, and what it brings into the transaction: topics to publish to, a group.

use message_access::{AccessRequest, Operation, SessionEnd};

use super::group_offsets::{PARTITION_ERRORS, judge_topics, refuse_topics};
use super::{Api, error, error_only};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{array, boolean, int16, int32, int64, nullable_text, text, values};
use crate::sift::{all_refused, topic_error};

pub(super) static INIT: Api = Api {
    key: 22,
    name: "InitProducerId",
    versions: 0..=5,
    flexible: 2,
    request: &[
        nullable_text("transactional_id"),
        int32("transaction_timeout_ms"),
        int64("producer_id").since(3),
        int16("producer_epoch").since(3),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        int64("producer_id").or(-1),
        int16("producer_epoch").or(-1),
    ],
    judge: judge_init,
};

pub(super) static ADD_PARTITIONS: Api = Api {
    key: 24,
    name: "AddPartitionsToTxn",
    versions: 0..=3,
    flexible: 3,
    request: &[
        text("transactional_id"),
        int64("producer_id"),
        int16("producer_epoch"),
        array("topics", &[text("name"), values("partitions", &[int32("partition_index")])]),
    ],
    response: &[int32("throttle_time_ms"), array("topics", PARTITION_ERRORS)],
    judge: judge_add_partitions,
};

pub(super) static ADD_OFFSETS: Api = Api {
    key: 25,
    name: "AddOffsetsToTxn",
    versions: 0..=4,
    flexible: 3,
    request: &[
        text("transactional_id"),
        int64("producer_id"),
        int16("producer_epoch"),
        text("group_id"),
    ],
    response: &[int32("throttle_time_ms"), int16("error_code")],
    judge: judge_add_offsets,
};

pub(super) static END: Api = Api {
    key: 26,
    name: "EndTxn",
    versions: 0..=5,
    flexible: 3,
    request: &[
        text("transactional_id"),
        int64("producer_id"),
        int16("producer_epoch"),
        boolean("committed"),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        int64("producer_id").or(-1).since(5),
        int16("producer_epoch").or(-1).since(5),
    ],
    judge: judge_end,
};

pub(super) static COMMIT_OFFSETS: Api = Api {
    key: 28,
    name: "TxnOffsetCommit",
    versions: 0..=5,
    flexible: 3,
    request: &[
        text("transactional_id"),
        text("group_id"),
        int64("producer_id"),
        int16("producer_epoch"),
        int32("generation_id").since(3),
        text("member_id").since(3),
        nullable_text("group_instance_id").since(3),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int64("committed_offset"),
                        int32("committed_leader_epoch").since(2),
                        nullable_text("committed_metadata"),
                    ],
                ),
            ],
        ),
    ],
    response: &[int32("throttle_time_ms"), array("topics", PARTITION_ERRORS)],
    judge: judge_commit_offsets,
};

/// A producer that is idempotent and no more has no transactional id: it must be allowed to publish something.
fn judge_init(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let (allowed, code) = match request.body.nullable("transactional_id")? {
        Some(id) => {
            (context.may_transactional_id(id)?, error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        }
        None => (
            context.may(&AccessRequest::new(Operation::Publish))?,
            error::CLUSTER_AUTHORIZATION_FAILED,
        ),
    };
    Ok(if allowed { request.forward() } else { request.reply(&error_only(code)) })
}

/// Partitions are added all or none: where one is refused, the others are not attempted.
fn judge_add_partitions(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if !may_id(request, context)? {
        return refuse_partitions(request, &[], error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    let mut codes = Vec::new();
    for topic in request.body.items("topics")? {
        let allowed = context.may_topic(Operation::Publish, topic?.text("name")?)?;
        codes.push((!allowed).then_some(error::TOPIC_AUTHORIZATION_FAILED));
    }
    if codes.iter().all(Option::is_none) {
        return Ok(request.forward());
    }
    refuse_partitions(request, &codes, error::OPERATION_NOT_ATTEMPTED)
}

/// Every partition has its topic's code, or this one.
fn refuse_partitions(request: &Request<'_>, codes: &[Option<i64>], otherwise: i64) -> Judged {
    let mut codes = codes.iter();
    let topics = all_refused(request, "topics", |topic| {
        refused(topic, codes.next().copied().flatten().unwrap_or(otherwise))
    })?;
    Ok(request.reply(&vec![("topics", topics.into())]))
}

fn refused<'a>(topic: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    let (partitions, index) = ("partitions", "partition_index");
    topic_error(topic, ("name", "name"), (partitions, partitions), (index, index), code)
}

fn judge_add_offsets(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let code = if !may_id(request, context)? {
        error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    } else if !context.may_group(request.body.text("group_id")?)? {
        error::GROUP_AUTHORIZATION_FAILED
    } else {
        return Ok(request.forward());
    };
    Ok(request.reply(&error_only(code)))
}

fn judge_end(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if may_id(request, context)? {
        return Ok(request.forward());
    }
    Ok(request.reply(&error_only(error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)))
}

fn judge_commit_offsets(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if !may_id(request, context)? {
        return refuse_topics(request, error::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if !context.may_group(request.body.text("group_id")?)? {
        return refuse_topics(request, error::GROUP_AUTHORIZATION_FAILED);
    }
    judge_topics(request, context)
}

fn may_id(request: &Request<'_>, context: &mut Context<'_>) -> Result<bool, SessionEnd> {
    context.may_transactional_id(request.body.text("transactional_id")?)
}
