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
    let found = operation(description, &exchange.parts.method, exchange.path, api);
    let (operation, parameters) = match found {
        Ok(found) => found,
        Err(refused) if may_be_unknown(&refused, api) => return Ok(false),
        Err(refused) => return Err(refused.into()),
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

/// A path that is described does not come to be none by another method.
fn may_be_unknown(refused: &ApiRefusal, api: &DescribedApi) -> bool {
    let allows = api.settings.unknown_operations == UnknownOperations::Allow;
    allows && refused.kind == ApiRefusalKind::OperationUnknown
}

/// The operation that a request is. An app may undo escapes before it looks for slashes: where it would then take the path
/// for that of another operation, it is none.
fn operation<'d, 'p>(
    description: &'d ApiDescription,
    method: &Method,
    path: &'p CanonicalPath<'_>,
    api: &DescribedApi,
) -> Result<(&'d Operation, PathParameters<'d, 'p>), ApiRefusal> {
    let none = |kind| ApiRefusal::new(&api.settings.policy, kind);
    let found = match description.find(method, path.as_str()) {
        OperationMatch::Found(operation, parameters) => (operation, parameters),
        OperationMatch::UnknownPath => return Err(none(ApiRefusalKind::OperationUnknown)),
        OperationMatch::MethodNotAllowed { allow } => {
            let allow = Some(allow.into());
            return Err(ApiRefusal { allow, ..none(ApiRefusalKind::MethodNotAllowed) });
        }
    };
    let other = path.decoded().map(|decoded| description.find(method, decoded));
    match other {
        Some(OperationMatch::Found(other, _)) if !std::ptr::eq(other, found.0) => {
            Err(none(ApiRefusalKind::OperationUnknown))
        }
        _ => Ok(found),
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
