//! Configuration: DescribeConfigs (32), AlterConfigs (33), IncrementalAlterConfigs (44). Each resource is judged by itself:
//! a topic or a group needs admin on it, and all others admin on the broker.

use message_access::{AccessRequest, Operation, SessionEnd};

use super::{Api, error};
use crate::answer::Said;
use crate::context::Context;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::schema::{Field, array, boolean, int8, int16, int32, nullable_text, text, values};
use crate::sift::sift;

pub(super) static DESCRIBE: Api = Api {
    key: 32,
    name: "DescribeConfigs",
    versions: 1..=4,
    flexible: 4,
    request: &[
        array(
            "resources",
            &[
                int8("resource_type"),
                text("resource_name"),
                values("configuration_keys", &[text("key")]),
            ],
        ),
        boolean("include_synonyms"),
        boolean("include_documentation").since(3),
    ],
    response: &[
        int32("throttle_time_ms"),
        array(
            "results",
            &[
                int16("error_code"),
                nullable_text("error_message"),
                int8("resource_type"),
                text("resource_name"),
                array("configs", DESCRIBED),
            ],
        ),
    ],
    judge: |request, context| judge_resources(request, context, "results"),
};

const DESCRIBED: &[Field] = &[
    text("name"),
    nullable_text("value"),
    boolean("read_only"),
    int8("config_source"),
    boolean("is_sensitive"),
    array("synonyms", &[text("name"), nullable_text("value"), int8("source")]),
    int8("config_type").since(3),
    nullable_text("documentation").since(3),
];

pub(super) static ALTER: Api = Api {
    key: 33,
    name: "AlterConfigs",
    versions: 0..=2,
    flexible: 2,
    request: &[
        array(
            "resources",
            &[
                int8("resource_type"),
                text("resource_name"),
                array("configs", &[text("name"), nullable_text("value")]),
            ],
        ),
        boolean("validate_only"),
    ],
    response: ALTERED,
    judge: |request, context| judge_resources(request, context, "responses"),
};

pub(super) static INCREMENTAL_ALTER: Api = Api {
    key: 44,
    name: "IncrementalAlterConfigs",
    versions: 0..=1,
    flexible: 1,
    request: &[
        array(
            "resources",
            &[
                int8("resource_type"),
                text("resource_name"),
                array("configs", &[text("name"), int8("config_operation"), nullable_text("value")]),
            ],
        ),
        boolean("validate_only"),
    ],
    response: ALTERED,
    judge: |request, context| judge_resources(request, context, "responses"),
};

const ALTERED: &[Field] = &[
    int32("throttle_time_ms"),
    array(
        "responses",
        &[
            int16("error_code"),
            nullable_text("error_message"),
            int8("resource_type"),
            text("resource_name"),
        ],
    ),
];

fn judge_resources(
    request: &Request<'_>,
    context: &mut Context<'_>,
    answered: &'static str,
) -> Judged {
    let resources = sift(request, "resources", |resource| {
        let name = resource.text("resource_name")?;
        match Resource::of(resource)? {
            Resource::Topic => context.may_topic(Operation::Admin, name),
            Resource::Group => context
                .may(&AccessRequest { group: Some(name), ..AccessRequest::new(Operation::Admin) }),
            Resource::Broker => context.may_broker(),
        }
    })?;
    resources.act(request, answered, refused)
}

fn refused<'a>(resource: &Record<'a>) -> Result<Said<'a>, SessionEnd> {
    let code = match Resource::of(resource)? {
        Resource::Topic => error::TOPIC_AUTHORIZATION_FAILED,
        Resource::Group => error::GROUP_AUTHORIZATION_FAILED,
        Resource::Broker => error::CLUSTER_AUTHORIZATION_FAILED,
    };
    Ok(vec![
        ("error_code", code.into()),
        ("resource_type", resource.number("resource_type")?.into()),
        ("resource_name", resource.text("resource_name")?.into()),
    ])
}

/// Whose configuration it is, as far as a policy tells them apart.
enum Resource {
    Topic,
    Group,
    /// Brokers, their loggers, client metrics, and what is not known yet.
    Broker,
}

impl Resource {
    fn of(resource: &Record<'_>) -> Result<Self, SessionEnd> {
        Ok(match resource.number("resource_type")? {
            2 => Self::Topic,
            32 => Self::Group,
            _ => Self::Broker,
        })
    }
}
