//! What concerns a broker as a whole: UpdateFeatures (57), DescribeTransactions (65), ListTransactions (66),
//! ListConfigResources (74). They need admin without a topic: who may administer one topic, or all of them, may not
//! change what holds for others' clients.

use message_access::SessionEnd;

use super::{Api, error, error_only};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{array, boolean, int8, int16, int32, int64, nullable_text, text, values};
use crate::sift::all_refused;

pub(super) static UPDATE_FEATURES: Api = Api {
    key: 57,
    name: "UpdateFeatures",
    versions: 0..=2,
    flexible: 0,
    request: &[
        int32("timeout_ms"),
        array(
            "feature_updates",
            &[
                text("feature"),
                int16("max_version_level"),
                boolean("allow_downgrade").until(0),
                int8("upgrade_type").since(1),
            ],
        ),
        boolean("validate_only").since(1),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        nullable_text("error_message"),
        array("results", &[text("feature"), int16("error_code"), nullable_text("error_message")])
            .until(1),
    ],
    judge: judge_whole,
};

pub(super) static DESCRIBE_TRANSACTIONS: Api = Api {
    key: 65,
    name: "DescribeTransactions",
    versions: 0..=0,
    flexible: 0,
    request: &[values("transactional_ids", &[text("transactional_id")])],
    response: &[
        int32("throttle_time_ms"),
        array(
            "transaction_states",
            &[
                int16("error_code"),
                text("transactional_id"),
                text("transaction_state"),
                int32("transaction_timeout_ms"),
                int64("transaction_start_time_ms").or(-1),
                int64("producer_id").or(-1),
                int16("producer_epoch").or(-1),
                array("topics", &[text("topic"), values("partitions", &[int32("partition")])]),
            ],
        ),
    ],
    judge: |request, context| {
        judge_each(request, context, &["transactional_ids"], "transaction_states", refused_id)
    },
};

pub(super) static LIST_TRANSACTIONS: Api = Api {
    key: 66,
    name: "ListTransactions",
    versions: 0..=2,
    flexible: 0,
    request: &[
        values("state_filters", &[text("state")]),
        values("producer_id_filters", &[int64("producer_id")]),
        int64("duration_filter").since(1),
        nullable_text("transactional_id_pattern").since(2),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        values("unknown_state_filters", &[text("state")]),
        array(
            "transaction_states",
            &[text("transactional_id"), int64("producer_id"), text("transaction_state")],
        ),
    ],
    judge: judge_whole,
};

/// Called ListClientMetricsResources before Kafka 4.1.
pub(super) static LIST_CONFIG_RESOURCES: Api = Api {
    key: 74,
    name: "ListConfigResources",
    versions: 0..=1,
    flexible: 0,
    request: &[values("resource_types", &[int8("resource_type")]).since(1)],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        array("config_resources", &[text("resource_name"), int8("resource_type").since(1)]),
    ],
    judge: judge_whole,
};

/// One question, and one error for all of the request.
pub(super) fn judge_whole(request: &Request<'_>, context: &mut Context<'_>) -> Judged {
    if context.may_broker()? {
        return Ok(request.forward());
    }
    Ok(request.reply(&error_only(error::CLUSTER_AUTHORIZATION_FAILED)))
}

/// One question, and an error for each item of some arrays of the request, in `answered` of the answer.
pub(super) fn judge_each<'a>(
    request: &Request<'a>,
    context: &mut Context<'_>,
    arrays: &[&str],
    answered: &'static str,
    refused: fn(&Record<'a>, i64) -> Result<Said<'a>, SessionEnd>,
) -> Judged {
    if context.may_broker()? {
        return Ok(request.forward());
    }
    let mut results = Vec::new();
    for array in arrays {
        results.extend(all_refused(request, array, |item| {
            refused(item, error::CLUSTER_AUTHORIZATION_FAILED)
        })?);
    }
    Ok(request.reply(&vec![(answered, results.into())]))
}

fn refused_id<'a>(id: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    Ok(vec![("transactional_id", id.text("transactional_id")?.into()), ("error_code", code.into())])
}
