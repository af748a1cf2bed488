//! Members of consumer groups: JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14) and the one request that
//! does all of this since Kafka 4, ConsumerGroupHeartbeat (68). Each needs the group.

use message_access::{Operation, SessionEnd};

use super::{Api, error, error_only};
use crate::context::Context;
use crate::request::{Judged, Request};
use crate::schema::{
    Field, array, boolean, bytes, id, int16, int32, nullable_array, nullable_text, optional, text,
    values,
};

pub(super) static JOIN: Api = Api {
    key: 11,
    name: "JoinGroup",
    versions: 0..=9,
    flexible: 6,
    request: &[
        text("group_id"),
        int32("session_timeout_ms"),
        int32("rebalance_timeout_ms").since(1),
        text("member_id"),
        nullable_text("group_instance_id").since(5),
        text("protocol_type"),
        array("protocols", &[text("name"), bytes("metadata")]),
        nullable_text("reason").since(8),
    ],
    response: &[
        int32("throttle_time_ms").since(2),
        int16("error_code"),
        int32("generation_id").or(-1),
        nullable_text("protocol_type").since(7),
        text("protocol_name").until(6),
        nullable_text("protocol_name").since(7),
        text("leader"),
        boolean("skip_assignment").since(9),
        text("member_id"),
        array(
            "members",
            &[text("member_id"), nullable_text("group_instance_id").since(5), bytes("metadata")],
        ),
    ],
    judge: judge_group,
};

pub(super) static HEARTBEAT: Api = Api {
    key: 12,
    name: "Heartbeat",
    versions: 0..=4,
    flexible: 4,
    request: &[
        text("group_id"),
        int32("generation_id"),
        text("member_id"),
        nullable_text("group_instance_id").since(3),
    ],
    response: &[int32("throttle_time_ms").since(1), int16("error_code")],
    judge: judge_group,
};

pub(super) static LEAVE: Api = Api {
    key: 13,
    name: "LeaveGroup",
    versions: 0..=5,
    flexible: 4,
    request: &[
        text("group_id"),
        text("member_id").until(2),
        array(
            "members",
            &[
                text("member_id"),
                nullable_text("group_instance_id"),
                nullable_text("reason").since(5),
            ],
        )
        .since(3),
    ],
    response: &[
        int32("throttle_time_ms").since(1),
        int16("error_code"),
        array(
            "members",
            &[text("member_id"), nullable_text("group_instance_id"), int16("error_code")],
        )
        .since(3),
    ],
    judge: judge_group,
};

pub(super) static SYNC: Api = Api {
    key: 14,
    name: "SyncGroup",
    versions: 0..=5,
    flexible: 4,
    request: &[
        text("group_id"),
        int32("generation_id"),
        text("member_id"),
        nullable_text("group_instance_id").since(3),
        nullable_text("protocol_type").since(5),
        nullable_text("protocol_name").since(5),
        array("assignments", &[text("member_id"), bytes("assignment")]),
    ],
    response: &[
        int32("throttle_time_ms").since(1),
        int16("error_code"),
        nullable_text("protocol_type").since(5),
        nullable_text("protocol_name").since(5),
        bytes("assignment"),
    ],
    judge: judge_group,
};

pub(super) static CONSUMER_HEARTBEAT: Api = Api {
    key: 68,
    name: "ConsumerGroupHeartbeat",
    versions: 0..=1,
    flexible: 0,
    request: &[
        text("group_id"),
        text("member_id"),
        int32("member_epoch"),
        nullable_text("instance_id"),
        nullable_text("rack_id"),
        int32("rebalance_timeout_ms"),
        values("subscribed_topic_names", &[text("topic")]),
        nullable_text("subscribed_topic_regex").since(1),
        nullable_text("server_assignor"),
        nullable_array("topic_partitions", OWNED),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        nullable_text("error_message"),
        nullable_text("member_id"),
        int32("member_epoch"),
        int32("heartbeat_interval_ms"),
        optional("assignment", &[array("topic_partitions", OWNED)]),
    ],
    judge: judge_consumer_heartbeat,
};

const OWNED: &[Field] = &[id("topic_id"), values("partitions", &[int32("partition")])];

fn judge_group(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if context.may_group(request.body.text("group_id")?)? {
        return Ok(request.forward());
    }
    Ok(request.reply(&error_only(error::GROUP_AUTHORIZATION_FAILED)))
}

fn judge_consumer_heartbeat(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if !context.may_group(request.body.text("group_id")?)? {
        return Ok(request.reply(&error_only(error::GROUP_AUTHORIZATION_FAILED)));
    }
    if may_subscribe(request, context)? {
        return Ok(request.forward());
    }
    Ok(request.reply(&error_only(error::TOPIC_AUTHORIZATION_FAILED)))
}

/// Whether the client may know of all topics that it subscribes to. A regular expression is evaluated by the broker, over
/// all the topics that it has.
fn may_subscribe(request: &Request<'_>, context: &mut Context<'_>) -> Result<bool, SessionEnd> {
    for topic in request.body.items("subscribed_topic_names")? {
        if !context.may_topic(Operation::Describe, topic?.text("topic")?)? {
            return Ok(false);
        }
    }
    match request.body.nullable("subscribed_topic_regex")? {
        None | Some("") => Ok(true),
        Some(_) => context.may_topic(Operation::Describe, "*"),
    }
}
