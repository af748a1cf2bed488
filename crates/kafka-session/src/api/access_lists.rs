//! Kafka's own access lists: DescribeAcls (29), CreateAcls (30), DeleteAcls (31). They need admin on the broker.

use super::broker::{judge_each, judge_whole};
use super::{Api, error_only};
use crate::schema::{Field, array, int8, int16, int32, nullable_text, text};

pub(super) static DESCRIBE: Api = Api {
    key: 29,
    name: "DescribeAcls",
    versions: 1..=3,
    flexible: 2,
    request: FILTER,
    response: &[
        int32("throttle_time_ms"),
        int16("error_code"),
        nullable_text("error_message"),
        array(
            "resources",
            &[
                int8("resource_type"),
                text("resource_name"),
                int8("pattern_type"),
                array(
                    "acls",
                    &[text("principal"), text("host"), int8("operation"), int8("permission_type")],
                ),
            ],
        ),
    ],
    judge: judge_whole,
};

pub(super) static CREATE: Api = Api {
    key: 30,
    name: "CreateAcls",
    versions: 1..=3,
    flexible: 2,
    request: &[array("creations", ENTRY)],
    response: &[
        int32("throttle_time_ms"),
        array("results", &[int16("error_code"), nullable_text("error_message")]),
    ],
    judge: |request, context| {
        judge_each(request, context, &["creations"], "results", |_, code| Ok(error_only(code)))
    },
};

pub(super) static DELETE: Api = Api {
    key: 31,
    name: "DeleteAcls",
    versions: 1..=3,
    flexible: 2,
    request: &[array("filters", FILTER)],
    response: &[
        int32("throttle_time_ms"),
        array(
            "filter_results",
            &[
                int16("error_code"),
                nullable_text("error_message"),
                array(
                    "matching_acls",
                    &[
                        int16("error_code"),
                        nullable_text("error_message"),
                        int8("resource_type"),
                        text("resource_name"),
                        int8("pattern_type"),
                        text("principal"),
                        text("host"),
                        int8("operation"),
                        int8("permission_type"),
                    ],
                ),
            ],
        ),
    ],
    judge: |request, context| {
        judge_each(request, context, &["filters"], "filter_results", |_, code| Ok(error_only(code)))
    },
};

const ENTRY: &[Field] = &[
    int8("resource_type"),
    text("resource_name"),
    int8("resource_pattern_type"),
    text("principal"),
    text("host"),
    int8("operation"),
    int8("permission_type"),
];

const FILTER: &[Field] = &[
    int8("resource_type_filter"),
    nullable_text("resource_name_filter"),
    int8("pattern_type_filter"),
    nullable_text("principal_filter"),
    nullable_text("host_filter"),
    int8("operation"),
    int8("permission_type"),
];
