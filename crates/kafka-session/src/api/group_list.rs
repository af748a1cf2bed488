//! Groups that are named, or listed, together: DescribeGroups (15), ListGroups (16), DeleteGroups (42),
//! ConsumerGroupDescribe (69). Each group is judged by itself.

use message_access::SessionEnd;

use super::nodes::set_number;
use super::{Api, error};
use crate::answer::Said;
use crate::context::{Context, group_request};
use crate::edit::{self, Edit};
use crate::pending::Answer;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{
    Field, array, boolean, bytes, id, int8, int16, int32, nullable_text, record, text, values,
};
use crate::sift::sift;
use crate::wire::{self, Read};

/// How an answer says that it does not tell which operations are authorized.
const NOT_TOLD: i64 = -2_147_483_648;

pub(super) static DESCRIBE: Api = Api {
    key: 15,
    name: "DescribeGroups",
    versions: 0..=6,
    flexible: 5,
    request: &[
        values("groups", &[text("group_id")]),
        boolean("include_authorized_operations").since(3),
    ],
    response: &[
        int32("throttle_time_ms").since(1),
        array(
            "groups",
            &[
                int16("error_code"),
                nullable_text("error_message").since(6),
                text("group_id"),
                text("group_state"),
                text("protocol_type"),
                text("protocol_data"),
                array(
                    "members",
                    &[
                        text("member_id"),
                        nullable_text("group_instance_id").since(4),
                        text("client_id"),
                        text("client_host"),
                        bytes("member_metadata"),
                        bytes("member_assignment"),
                    ],
                ),
                int32("authorized_operations").or(NOT_TOLD).since(3),
            ],
        ),
    ],
    judge: |request, context| judge_each(request, context, "groups", "groups", masks(request)?),
};

pub(super) static LIST: Api = Api {
    key: 16,
    name: "ListGroups",
    versions: 0..=5,
    flexible: 3,
    request: &[
        values("states_filter", &[text("state")]).since(4),
        values("types_filter", &[text("type")]).since(5),
    ],
    response: &[
        int32("throttle_time_ms").since(1),
        int16("error_code"),
        array(
            "groups",
            &[
                text("group_id"),
                text("protocol_type"),
                text("group_state").since(4),
                text("group_type").since(5),
            ],
        ),
    ],
    judge: |request, _| Ok(request.forward_for(Answer::Rewritten(Box::new(leave_out)))),
};

pub(super) static DELETE: Api = Api {
    key: 42,
    name: "DeleteGroups",
    versions: 0..=2,
    flexible: 2,
    request: &[values("groups_names", &[text("group_id")])],
    response: &[
        int32("throttle_time_ms"),
        array("results", &[text("group_id"), int16("error_code")]),
    ],
    judge: |request, context| judge_each(request, context, "groups_names", "results", None),
};

pub(super) static CONSUMER_DESCRIBE: Api = Api {
    key: 69,
    name: "ConsumerGroupDescribe",
    versions: 0..=1,
    flexible: 0,
    request: &[values("group_ids", &[text("group_id")]), boolean("include_authorized_operations")],
    response: &[
        int32("throttle_time_ms"),
        array(
            "groups",
            &[
                int16("error_code"),
                nullable_text("error_message"),
                text("group_id"),
                text("group_state"),
                int32("group_epoch"),
                int32("assignment_epoch"),
                text("assignor_name"),
                array("members", CONSUMER),
                int32("authorized_operations").or(NOT_TOLD),
            ],
        ),
    ],
    judge: |request, context| judge_each(request, context, "group_ids", "groups", masks(request)?),
};

const CONSUMER: &[Field] = &[
    text("member_id"),
    nullable_text("instance_id"),
    nullable_text("rack_id"),
    int32("member_epoch"),
    text("client_id"),
    text("client_host"),
    values("subscribed_topic_names", &[text("topic")]),
    nullable_text("subscribed_topic_regex"),
    record("assignment", &[array("topic_partitions", ASSIGNED)]),
    record("target_assignment", &[array("topic_partitions", ASSIGNED)]),
    int8("member_type").or(-1).since(1),
];

const ASSIGNED: &[Field] =
    &[id("topic_id"), text("topic_name"), values("partitions", &[int32("partition")])];

fn judge_each(
    request: &Request<'_>,
    context: &mut Context<'_>,
    array: &str,
    answer: &'static str,
    masks: Option<Edit>,
) -> Judged {
    let mut groups = sift(request, array, |group| context.may_group(group.text("group_id")?))?;
    groups.cut.extend(masks);
    groups.act(request, answer, refused)
}

/// What the client is authorized to do the broker does not know, and is not asked for.
fn masks(request: &Request<'_>) -> Read<Option<Edit>> {
    set_number(&request.body, "include_authorized_operations", 0, 1)
}

fn refused<'a>(group: &Record<'a>) -> Result<Said<'a>, SessionEnd> {
    Ok(vec![
        ("group_id", group.text("group_id")?.into()),
        ("error_code", error::GROUP_AUTHORIZATION_FAILED.into()),
    ])
}

/// Groups that the client may not use are not listed.
fn leave_out(answer: &Record<'_>, context: &mut Context<'_>) -> Result<Vec<Edit>, SessionEnd> {
    let groups = answer.items("groups")?;
    let (mut left, count_span) = (groups.total(), groups.count_span());
    let mut edits = Vec::new();
    for group in groups {
        let group = group?;
        if !context.might(&group_request(group.text("group_id")?))? {
            left = left.saturating_sub(1);
            edit::push(&mut edits, Edit::remove(group.span()));
        }
    }
    if !edits.is_empty() {
        edits.insert(0, Edit::replace(count_span, wire::count(left, answer.form().flexible)));
    }
    Ok(edits)
}
