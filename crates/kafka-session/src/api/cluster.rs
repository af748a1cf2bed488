//! DescribeCluster (60): the brokers, for who administers them.

use message_access::{AccessRequest, Operation};

use super::nodes::{UNKNOWN_OPERATIONS, mask_operations, rewrite_array};
use super::{Api, error, error_only};
use crate::context::Context;
use crate::pending::Answer;
use crate::request::{Judged, Request};
use crate::schema::{Field, array, boolean, int8, int16, int32, nullable_text, text};

pub(super) static API: Api = Api {
    key: 60,
    name: "DescribeCluster",
    versions: 0..=2,
    flexible: 0,
    request: REQUEST,
    response: RESPONSE,
    judge,
};

const REQUEST: &[Field] = &[
    boolean("include_cluster_authorized_operations"),
    int8("endpoint_type").since(1),
    boolean("include_fenced_brokers").since(2),
];

const RESPONSE: &[Field] = &[
    int32("throttle_time_ms"),
    int16("error_code"),
    nullable_text("error_message"),
    int8("endpoint_type").or(1).since(1),
    text("cluster_id"),
    int32("controller_id").or(-1),
    array(
        "brokers",
        &[
            int32("broker_id"),
            text("host"),
            int32("port"),
            nullable_text("rack"),
            boolean("is_fenced").since(2),
        ],
    ),
    int32("cluster_authorized_operations").or(UNKNOWN_OPERATIONS),
];

fn judge(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if !context.may(&AccessRequest::new(Operation::Admin))? {
        return Ok(request.reply(&error_only(error::CLUSTER_AUTHORIZATION_FAILED)));
    }
    Ok(request.forward_for(Answer::Rewritten(Box::new(|body, context| {
        let mut edits = rewrite_array(body, "brokers", "broker_id", context.advertised)?;
        edits.extend(mask_operations(body, "cluster_authorized_operations")?);
        Ok(edits)
    }))))
}
