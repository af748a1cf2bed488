//! `ValidateJWTSVID`: verifies a token on a workload's behalf, with the keys of the trust domain of
//! its subject (Workload API §6.2.3, §6.3).

use std::collections::BTreeMap;
use std::time::Duration;

use identity::jwt::{JwtError, verify_jwt_svid};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use rustls_pki_types::UnixTime;
use serde_json::Value as Json;
use tonic::Status;

use crate::proto::workload::ValidateJwtsvidResponse;
use crate::renewal::bundle_set::BundleSet;
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::rotation::ClockReading;

/// Verifies `token` for `audience` at `now`.
///
/// # Errors
/// InvalidArgument with the rule that the token breaks; the token itself is in no message.
pub fn validate(
    token: &str,
    audience: &str,
    trust: &BundleSet,
    now: ClockReading,
    skew: Option<ClockSkew>,
) -> Result<ValidateJwtsvidResponse, Status> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
    let svid = verify_jwt_svid(token, audience, &trust.jwt_bundles(), at).map_err(|error| {
        let time = matches!(error, JwtError::Expired { .. } | JwtError::NotYet);
        let remark = if time { ClockSkew::remark(skew) } else { String::new() };
        Status::invalid_argument(format!("{error}{remark}"))
    })?;
    let fields = svid.claims.into_iter().map(|(name, claim)| (name, value(claim))).collect();
    Ok(ValidateJwtsvidResponse { spiffe_id: svid.id.to_string(), claims: Some(Struct { fields }) })
}

/// JSON as protobuf has it. Its depth was bounded when it was read.
fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(list) => {
            Kind::ListValue(ListValue { values: list.into_iter().map(value).collect() })
        }
        Json::Object(members) => {
            let fields: BTreeMap<_, _> =
                members.into_iter().map(|(name, member)| (name, value(member))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    Value { kind: Some(kind) }
}
