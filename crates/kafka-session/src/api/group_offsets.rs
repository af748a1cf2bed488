//! The offsets of groups: OffsetCommit (8), OffsetFetch (9), OffsetDelete (47). Each needs the group; what is committed or
//! deleted needs subscribe on its topic too.

use message_access::{Operation, SessionEnd};

use super::{Api, error, error_only};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{
    Field, array, boolean, int16, int32, int64, nullable_array, nullable_text, text, values,
};
use crate::sift::{all_refused, sift, topic_error};

pub(super) static COMMIT: Api = Api {
    key: 8,
    name: "OffsetCommit",
    versions: 2..=9,
    flexible: 8,
    request: &[
        text("group_id"),
        int32("generation_id_or_member_epoch"),
        text("member_id"),
        nullable_text("group_instance_id").since(7),
        int64("retention_time_ms").until(4),
        array(
            "topics",
            &[
                text("name"),
                array(
                    "partitions",
                    &[
                        int32("partition_index"),
                        int64("committed_offset"),
                        int32("committed_leader_epoch").since(6),
                        nullable_text("committed_metadata"),
                    ],
                ),
            ],
        ),
    ],
    response: &[int32("throttle_time_ms").since(3), array("topics", PARTITION_ERRORS)],
    judge: judge_commit,
};

pub(super) static FETCH: Api = Api {
    key: 9,
    name: "OffsetFetch",
    versions: 1..=9,
    flexible: 6,
    request: &[
        text("group_id").until(7),
        nullable_array("topics", PARTITIONS).until(7),
        array(
            "groups",
            &[
                text("group_id"),
                nullable_text("member_id").since(9),
                int32("member_epoch").since(9),
                nullable_array("topics", PARTITIONS),
            ],
        )
        .since(8),
        boolean("require_stable").since(7),
    ],
    response: &[
        int32("throttle_time_ms").since(3),
        array("topics", OFFSETS).until(7),
        int16("error_code").since(2).until(7),
        array("groups", &[text("group_id"), array("topics", OFFSETS), int16("error_code")])
            .since(8),
    ],
    judge: judge_fetch,
};

pub(super) static DELETE: Api = Api {
    key: 47,
    name: "OffsetDelete",
    versions: 0..=0,
    flexible: super::NEVER,
    request: &[
        text("group_id"),
        array("topics", &[text("name"), array("partitions", &[int32("partition_index")])]),
    ],
    response: &[int16("error_code"), int32("throttle_time_ms"), array("topics", PARTITION_ERRORS)],
    judge: judge_delete,
};

const PARTITIONS: &[Field] =
    &[text("name"), values("partition_indexes", &[int32("partition_index")])];

const OFFSETS: &[Field] = &[
    text("name"),
    array(
        "partitions",
        &[
            int32("partition_index"),
            int64("committed_offset").or(-1),
            int32("committed_leader_epoch").or(-1).since(5),
            nullable_text("metadata"),
            int16("error_code"),
        ],
    ),
];

/// Topics of an answer with an error for each partition.
pub(super) const PARTITION_ERRORS: &[Field] =
    &[text("name"), array("partitions", &[int32("partition_index"), int16("error_code")])];

fn judge_commit(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if !context.may_group(request.body.text("group_id")?)? {
        return refuse_topics(request, error::GROUP_AUTHORIZATION_FAILED);
    }
    judge_topics(request, context)
}

fn judge_fetch(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    const CODE: i64 = error::GROUP_AUTHORIZATION_FAILED;
    if request.form().version >= 8 {
        let groups = sift(request, "groups", |group| context.may_group(group.text("group_id")?))?;
        return groups.act(request, "groups", |group| {
            Ok(vec![("group_id", group.text("group_id")?.into()), ("error_code", CODE.into())])
        });
    }
    if context.may_group(request.body.text("group_id")?)? {
        return Ok(request.forward());
    }
    if request.form().version >= 2 {
        return Ok(request.reply(&error_only(CODE)));
    }
    let topics = all_refused(request, "topics", |topic| {
        let (partitions, index) = (("partition_indexes", "partitions"), "partition_index");
        topic_error(topic, ("name", "name"), partitions, (index, index), CODE)
    })?;
    Ok(request.reply(&vec![("topics", topics.into())]))
}

fn judge_delete(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if !context.may_group(request.body.text("group_id")?)? {
        return Ok(request.reply(&error_only(error::GROUP_AUTHORIZATION_FAILED)));
    }
    judge_topics(request, context)
}

/// Each topic needs subscribe.
pub(super) fn judge_topics(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    let topics = sift(request, "topics", |topic| {
        context.may_topic(Operation::Subscribe, topic.text("name")?)
    })?;
    topics.act(request, "topics", |topic| refused(topic, error::TOPIC_AUTHORIZATION_FAILED))
}

/// Every partition has this error.
pub(super) fn refuse_topics(request: &Request<'_>, code: i64) -> Judged {
    let topics = all_refused(request, "topics", |topic| refused(topic, code))?;
    Ok(request.reply(&vec![("topics", topics.into())]))
}

fn refused<'a>(topic: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    let (partitions, index) = ("partitions", "partition_index");
    topic_error(topic, ("name", "name"), (partitions, partitions), (index, index), code)
}
