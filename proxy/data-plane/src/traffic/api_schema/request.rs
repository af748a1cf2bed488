//! A request compared with its description: first the operation, then its head, and its body only where the head says that
//! it has to be read.

use api_schema::{
    ApiDescription, BodyCheck, BodyPlan, Operation, OperationMatch, PathParameters, RequestHead,
};
use http::Method;
use http_body::Body as _;
use policy::CanonicalPath;
use policy::api_schema::UnknownOperations;

use super::body::{BodyProblem, ReadBody, unreadable};
use super::{DescribedApi, refusal};
use crate::http::body::decoded::ContentCoding;
use crate::http::error::RequestError;
use crate::http::{ApiRefusal, ApiRefusalKind};
use crate::traffic::exchange::Exchange;
use crate::traffic::inspect_phase::{ReadFailure, exceeds, read_body_within};
use crate::traffic::record::ApiNote;
use crate::traffic::state::ProxyState;

/// Why a request did not pass.
pub(super) enum NotCompared {
    /// It is not as described.
    Refused(ApiRefusal),
    /// Its body failed, so that there is no request.
    Body(RequestError),
}

impl From<ApiRefusal> for NotCompared {
    fn from(refusal: ApiRefusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Whether the request is one of the described operations, and then as described.
pub(super) async fn compare(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    api: &DescribedApi,
    note: &mut ApiNote,
) -> Result<bool, NotCompared> {
    let policy = &api.settings.policy;
    let unavailable = || ApiRefusal::new(policy, ApiRefusalKind::Unavailable);
    let description = api.description.as_deref().ok_or_else(unavailable)?;
    let (operation, parameters) =
        match operation(description, &exchange.parts.method, exchange.path) {
            Meant::One(operation, parameters) => (operation, parameters),
            Meant::None if api.settings.unknown_operations == UnknownOperations::Allow => {
                return Ok(false);
            }
            Meant::None | Meant::Several => {
                return Err(ApiRefusal::new(policy, ApiRefusalKind::OperationUnknown).into());
            }
            Meant::NotByThisMethod(allow) => {
                let none = ApiRefusal::new(policy, ApiRefusalKind::MethodNotAllowed);
                return Err(ApiRefusal { allow: Some(allow.into()), ..none }.into());
            }
        };
    note.operation(operation);
    let head = RequestHead {
        query: exchange.path.query(),
        headers: &exchange.parts.headers,
        path_parameters: &parameters,
        has_body: !exchange.body.is_end_stream(),
    };
    let plan = operation.check_request_head(&head).map_err(|r| refusal(&api.settings, r))?;
    if let BodyPlan::Read(check) = plan {
        compare_body(state, exchange, api, check).await?;
    }
    Ok(true)
}

/// What a request means to an app, whether it undoes escapes before or after it looks for slashes.
enum Meant<'d, 'p> {
    /// This operation.
    One(&'d Operation, PathParameters<'d, 'p>),
    /// A described path, and none of its methods, which these are.
    NotByThisMethod(&'d str),
    /// One operation or another, or an operation or nothing: never what may be unknown.
    Several,
    /// Nothing that is described.
    None,
}

/// The operation that a request is. Where an app could take its path for that of another one, it is none.
fn operation<'d, 'p>(
    description: &'d ApiDescription,
    method: &Method,
    path: &'p CanonicalPath<'_>,
) -> Meant<'d, 'p> {
    let other = path.decoded().map(|decoded| description.find_decoded(method, decoded));
    match (description.find(method, path.as_str()), other) {
        (OperationMatch::Found(found, _), Some(OperationMatch::Found(other, _)))
            if !std::ptr::eq(other, found) =>
        {
            Meant::Several
        }
        (OperationMatch::Found(found, parameters), _) => Meant::One(found, parameters),
        (OperationMatch::MethodNotAllowed { allow }, _) => Meant::NotByThisMethod(allow),
        (OperationMatch::UnknownPath, None | Some(OperationMatch::UnknownPath)) => Meant::None,
        (OperationMatch::UnknownPath, Some(_)) => Meant::Several,
    }
}

async fn compare_body(
    state: &ProxyState,
    exchange: &mut Exchange<'_>,
    api: &DescribedApi,
    check: BodyCheck,
) -> Result<(), NotCompared> {
    let (settings, json) = (&api.settings, api.settings.json);
    let none = |kind| ApiRefusal::new(&settings.policy, kind);
    let coding = ContentCoding::of(&exchange.parts.headers).map_err(|why| none(unreadable(why)))?;
    if exceeds(exchange.body, json.max_bytes) {
        return Err(none(ApiRefusalKind::BodyTooLarge).into());
    }
    let read = match read_body_within(state, exchange, json.max_bytes).await {
        Ok(read) if read.complete => read,
        Ok(_) => return Err(none(ApiRefusalKind::BodyTooLarge).into()),
        Err(ReadFailure::Full) => return Err(none(ApiRefusalKind::Overloaded).into()),
        Err(ReadFailure::Body(failure)) => {
            return Err(NotCompared::Body(RequestError::ClientBody(failure)));
        }
    };
    let compared = ReadBody { read, coding }.compare(state, check, json).await;
    compared.map_err(|problem| match problem {
        BodyProblem::Differs(refused) => refusal(settings, refused).into(),
        BodyProblem::Missed(kind) => none(kind).into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use policy::PathNormalization;

    use super::*;

    #[test]
    fn a_path_that_an_app_may_read_in_two_ways_is_never_unknown() {
        let of = |path: &str, method: &str| {
            let names: String = ["id", "a"]
                .iter()
                .filter(|name| path.contains(&format!("{{{name}}}")))
                .map(|name| {
                    format!(
                        "{{name: {name}, in: path, required: true, schema: {{type: string}}}}, "
                    )
                })
                .collect();
            format!(
                "  '{path}': {{{method}: {{parameters: [{names}], responses: {{default: {{description: d}}}}}}}}\n"
            )
        };
        let paths = [
            of("/orders/{id}/cancel", "post"),
            of("/pets/{id}", "post"),
            of("/pets/{id}:feed", "post"),
            of("/café/{id}", "post"),
            of("/café/{id}:feed", "post"),
            of("/café/{a}/x", "post"),
        ];
        let text = format!("openapi: 3.1.0\ninfo: {{}}\npaths:\n{}", paths.concat());
        let description = ApiDescription::read(&text).unwrap();
        for (row, path, expect) in [
            ("described", "/orders/7/cancel", "one"),
            ("with a slash escaped", "/orders/7%2Fcancel", "several"),
            ("with an escape that another template begins at", "/pets/7%3Afeed", "several"),
            ("the same below letters that need an escape", "/caf%C3%A9/7%3Afeed", "several"),
            ("a slash escaped below such letters", "/caf%C3%A9/7%2Fx", "several"),
            ("an escape that changes nothing", "/pets/7%20b", "one"),
            ("nothing described", "/other%2Fcancel", "none"),
            ("nothing described, without escapes", "/other", "none"),
        ] {
            let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
            let found = match operation(&description, &Method::POST, &path) {
                Meant::One(..) => "one",
                Meant::NotByThisMethod(_) => "another method",
                Meant::Several => "several",
                Meant::None => "none",
            };
            assert_eq!(found, expect, "{row}");
        }
    }
}
