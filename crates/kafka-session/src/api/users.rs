//! Users and their quotas: DescribeClientQuotas (48), AlterClientQuotas (49), DescribeUserScramCredentials (50),
//! AlterUserScramCredentials (51). They need admin on the broker.

use message_access::SessionEnd;

use super::Api;
use super::broker::{judge_each, judge_whole};
use crate::answer::{Said, Value};
use crate::record::Record;
use crate::schema::{
    Field, array, boolean, bytes, int8, int16, int32, int64, nullable_array, nullable_text, text,
};

pub(super) static DESCRIBE_QUOTAS: Api = Api {
    key: 48,
    name: "DescribeClientQuotas",
    versions: 0..=1,
    flexible: 1,
    request: &[
        array("components", &[text("entity_type"), int8("match_type"), nullable_text("match")]),
        boolean("strict"),
    ],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        nullable_text("error_message"),
        nullable_array(
            "entries",
            &[array("entity", ENTITY), array("values", &[text("key"), int64("value")])],
        ),
    ],
    judge: judge_whole,
};

pub(super) static ALTER_QUOTAS: Api = Api {
    key: 49,
    name: "AlterClientQuotas",
    versions: 0..=1,
    flexible: 1,
    request: &[
        array(
            "entries",
            &[
                array("entity", ENTITY),
                array("ops", &[text("key"), int64("value"), boolean("remove")]),
            ],
        ),
        boolean("validate_only"),
    ],
    response: &[
        int32("throttle_time_ms"),
        array(
            "entries",
            &[int16("error_code"), nullable_text("error_message"), array("entity", ENTITY)],
        ),
    ],
    judge: |request, context| judge_each(request, context, &["entries"], "entries", refused_entry),
};

pub(super) static DESCRIBE_CREDENTIALS: Api = Api {
    key: 50,
    name: "DescribeUserScramCredentials",
    versions: 0..=0,
    flexible: 0,
    request: &[nullable_array("users", &[text("name")])],
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        nullable_text("error_message"),
        array(
            "results",
            &[
                text("user"),
                int16("error_code"),
                nullable_text("error_message"),
                array("credential_infos", &[int8("mechanism"), int32("iterations")]),
            ],
        ),
    ],
    judge: judge_whole,
};

pub(super) static ALTER_CREDENTIALS: Api = Api {
    key: 51,
    name: "AlterUserScramCredentials",
    versions: 0..=0,
    flexible: 0,
    request: &[
        array("deletions", &[text("name"), int8("mechanism")]),
        array(
            "upsertions",
            &[
                text("name"),
                int8("mechanism"),
                int32("iterations"),
                bytes("salt"),
                bytes("salted_password"),
            ],
        ),
    ],
    response: &[
        int32("throttle_time_ms"),
        array("results", &[text("user"), int16("error_code"), nullable_text("error_message")]),
    ],
    judge: |request, context| {
        judge_each(request, context, &["deletions", "upsertions"], "results", refused_user)
    },
};

const ENTITY: &[Field] = &[text("entity_type"), nullable_text("entity_name")];

fn refused_entry<'a>(entry: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    Ok(vec![("error_code", code.into()), ("entity", Value::Repeated(entry.raw("entity")?))])
}

fn refused_user<'a>(change: &Record<'a>, code: i64) -> Result<Said<'a>, SessionEnd> {
    Ok(vec![("user", change.text("name")?.into()), ("error_code", code.into())])
}
