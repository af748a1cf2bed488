//! An answer compared with what its operation is described to answer.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, IF_RANGE, RANGE};
use http::{Method, Response, StatusCode};
use http_body::Body as _;

use api_schema::{AnswerHead, BodyPlan, Operation, OperationMatch, SchemaRefusal};
use policy::api_schema::AnswerCheck;

use super::body::{BodyProblem, ReadBody};
use super::{DescribedApi, action, count, refusal};
use crate::http::body::Body;
use crate::http::body::decoded::ContentCoding;
use crate::http::error::RequestError;
use crate::http::headers::REASON_HEADER;
use crate::http::{ApiRefusal, ApiRefusalKind};
use crate::traffic::exchange::Exchange;
use crate::traffic::inspect_phase::{LateBody, ReadFailure, read_answer_within};
use crate::traffic::record::RequestRecord;
use crate::traffic::state::ProxyState;

/// An answer that is still to come, and the operation that it is compared with.
pub(crate) struct DescribedAnswer {
    api: DescribedApi,
    method: Method,
    path: Box<str>,
}

impl DescribedAnswer {
    /// Of a request that is one of the described operations. It asks the app for an answer that can be read: in no content coding, and whole.
    pub(super) fn of(api: DescribedApi, exchange: &mut Exchange<'_>) -> Option<Box<Self>> {
        for name in [ACCEPT_ENCODING, RANGE, IF_RANGE] {
            exchange.parts.headers.remove(name);
        }
        let method = exchange.parts.method.clone();
        Some(Box::new(Self { api, method, path: exchange.path.as_str().into() }))
    }

    /// Compares the answer, whose body is read first where it is JSON.
    ///
    /// # Errors
    /// It is not as described, and the ApiSchema says to block then.
    pub(crate) async fn compare(
        &self,
        state: &ProxyState,
        response: Response<Body>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        // The refusal of a proxy is not the app's answer.
        if response.headers().contains_key(REASON_HEADER) {
            return Ok(response);
        }
        let (mut response, found) = self.look(state, response).await;
        let Some(refused) = found else {
            count(&state.metrics, "answer_ok", "allowed");
            return Ok(response);
        };
        let blocks = self.api.settings.answers == AnswerCheck::Block;
        count(&state.metrics, refused.kind.reason(), action(blocks));
        record.answer_differs(&refused, blocks);
        if blocks {
            *response.body_mut() = Body::empty();
            return Err(RequestError::Api(Box::new(refused)));
        }
        Ok(response)
    }

    async fn look(
        &self,
        state: &ProxyState,
        mut response: Response<Body>,
    ) -> (Response<Body>, Option<ApiRefusal>) {
        let found = match self.operation() {
            Some(operation) => self.look_at(state, operation, &mut response).await.err(),
            None => None,
        };
        (response, found.map(|problem| self.refusal(problem)))
    }

    fn refusal(&self, problem: BodyProblem) -> ApiRefusal {
        let settings = &self.api.settings;
        match problem {
            BodyProblem::Differs(refused) => {
                ApiRefusal { kind: ApiRefusalKind::AnswerMismatch, ..refusal(settings, refused) }
            }
            BodyProblem::Missed(kind) => ApiRefusal::new(&settings.policy, kind),
        }
    }

    async fn look_at(
        &self,
        state: &ProxyState,
        operation: &Operation,
        response: &mut Response<Body>,
    ) -> Result<(), BodyProblem> {
        let has_body = self.method != Method::HEAD && !response.body().is_end_stream();
        let (status, headers) = (response.status(), response.headers());
        // "What you have is current" is the same answer as before, without a body (RFC 9110, section 15.4.5); nobody
        // describes it.
        let reads = matches!(self.method, Method::GET | Method::HEAD);
        if status == StatusCode::NOT_MODIFIED && reads && !has_body {
            return Ok(());
        }
        let head = AnswerHead { status, headers, has_body };
        let plan = operation.check_answer_head(&head).map_err(BodyProblem::Differs)?;
        let BodyPlan::Read(check) = plan else { return Ok(()) };
        if response.headers().contains_key(CONTENT_ENCODING) {
            return Err(differs("header.content-encoding", "encoding"));
        }
        let json = self.api.settings.json;
        let late = match self.api.settings.answers {
            AnswerCheck::Block => LateBody::Fails,
            _ => LateBody::GoesOn,
        };
        let body = response.body_mut();
        let read = match read_answer_within(state, body, json.max_bytes, late).await {
            Ok(read) if read.complete => read,
            Ok(late) if late.bytes.len() < json.max_bytes => {
                return Err(differs("/body", "incomplete"));
            }
            Ok(_) => return Err(differs("/body", "maxBytes")),
            Err(ReadFailure::Full) => return Err(BodyProblem::Missed(ApiRefusalKind::Overloaded)),
            Err(ReadFailure::Body(_)) => return Err(differs("/body", "incomplete")),
        };
        ReadBody { read, coding: ContentCoding::Identity }.compare(state, check, json).await
    }

    fn operation(&self) -> Option<&Operation> {
        let description = self.api.description.as_deref()?;
        match description.find(&self.method, &self.path) {
            OperationMatch::Found(operation, _) => Some(operation),
            _ => None,
        }
    }
}

fn differs(place: &str, keyword: &str) -> BodyProblem {
    let kind = api_schema::RefusalKind::SchemaMismatch;
    BodyProblem::Differs(SchemaRefusal { kind, place: place.into(), keyword: keyword.into() })
}
