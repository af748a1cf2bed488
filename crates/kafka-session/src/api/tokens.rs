//! Delegation tokens: CreateDelegationToken (38), RenewDelegationToken (39), ExpireDelegationToken (40) and
//! DescribeDelegationToken (41). A token lets others act as its owner, so that they need admin on the broker.

use super::Api;
use super::broker::judge_whole;
use crate::schema::{
    Field, array, bytes, int16, int32, int64, nullable_array, nullable_text, text,
};

pub(super) static CREATE: Api = Api {
    key: 38,
    name: "CreateDelegationToken",
    versions: 1..=3,
    flexible: 2,
    request: &[
        nullable_text("owner_principal_type").since(3),
        nullable_text("owner_principal_name").since(3),
        array("renewers", PRINCIPAL),
        int64("max_lifetime_ms"),
    ],
    response: &[
        int16("error_code"),
        text("principal_type"),
        text("principal_name"),
        text("token_requester_principal_type").since(3),
        text("token_requester_principal_name").since(3),
        int64("issue_timestamp_ms"),
        int64("expiry_timestamp_ms"),
        int64("max_timestamp_ms"),
        text("token_id"),
        bytes("hmac"),
        int32("throttle_time_ms"),
    ],
    judge: judge_whole,
};

pub(super) static RENEW: Api = Api {
    key: 39,
    name: "RenewDelegationToken",
    versions: 1..=2,
    flexible: 2,
    request: &[bytes("hmac"), int64("renew_period_ms")],
    response: EXPIRY,
    judge: judge_whole,
};

pub(super) static EXPIRE: Api = Api {
    key: 40,
    name: "ExpireDelegationToken",
    versions: 1..=2,
    flexible: 2,
    request: &[bytes("hmac"), int64("expiry_time_period_ms")],
    response: EXPIRY,
    judge: judge_whole,
};

pub(super) static DESCRIBE: Api = Api {
    key: 41,
    name: "DescribeDelegationToken",
    versions: 1..=3,
    flexible: 2,
    request: &[nullable_array("owners", PRINCIPAL)],
    response: &[
        int16("error_code"),
        array(
            "tokens",
            &[
                text("principal_type"),
                text("principal_name"),
                text("token_requester_principal_type").since(3),
                text("token_requester_principal_name").since(3),
                int64("issue_timestamp"),
                int64("expiry_timestamp"),
                int64("max_timestamp"),
                text("token_id"),
                bytes("hmac"),
                array("renewers", PRINCIPAL),
            ],
        ),
        int32("throttle_time_ms"),
    ],
    judge: judge_whole,
};

const PRINCIPAL: &[Field] = &[text("principal_type"), text("principal_name")];

const EXPIRY: &[Field] =
    &[int16("error_code"), int64("expiry_timestamp_ms"), int32("throttle_time_ms")];
