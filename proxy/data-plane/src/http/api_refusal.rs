//! Why a request or an answer is not as the description of its API says, and what the caller is told.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

/// Why a request or an answer is not as the description of its API says. It holds words of the description alone, never
/// anything that a client or an app wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRefusal {
    /// The ApiSchema, `namespace/name`, for the log.
    pub policy: Arc<str>,
    /// What is wrong.
    pub kind: ApiRefusalKind,
    /// Where, as far as there is a place: `/body/lines/3/price`, `query.limit`.
    pub place: Option<Box<str>>,
    /// What failed there: `maxLength`, `required`.
    pub keyword: Option<Box<str>>,
    /// The methods of a described path, where the request has another one.
    pub allow: Option<Box<str>>,
}

/// What is wrong with a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiRefusalKind {
    /// The path is not described.
    OperationUnknown,
    /// The path is described, but not with this method.
    MethodNotAllowed,
    /// The media type is none of those described.
    ContentTypeUnexpected,
    /// The body's content coding cannot be undone, or is not what it says.
    BodyNotInspectable,
    /// The body is longer than `json.maxBytes`, or becomes too long when its coding is undone.
    BodyTooLarge,
    /// The body is no JSON, or exceeds the limits of `json`.
    JsonLimits,
    /// The request is another than the one described.
    SchemaMismatch,
    /// The answer is another than the one described.
    AnswerMismatch,
    /// As many requests are being looked through as may be.
    Overloaded,
    /// There is no description yet that could be read, or comparing failed.
    Unavailable,
}

impl ApiRefusalKind {
    /// The status for the caller.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::OperationUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentTypeUnexpected | Self::BodyNotInspectable => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::JsonLimits => StatusCode::BAD_REQUEST,
            Self::SchemaMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::AnswerMismatch => StatusCode::BAD_GATEWAY,
            Self::Overloaded | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::OperationUnknown => "operation_unknown",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ContentTypeUnexpected => "content_type_unexpected",
            Self::BodyNotInspectable => "body_not_inspectable",
            Self::BodyTooLarge => "body_too_large_to_inspect",
            Self::JsonLimits => "json_limits",
            Self::SchemaMismatch => "schema_mismatch",
            Self::AnswerMismatch => "answer_mismatch",
            Self::Overloaded => "inspection_overloaded",
            Self::Unavailable => "inspection_unavailable",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::OperationUnknown => "The API has no such path",
            Self::MethodNotAllowed => "The path does not take this method",
            Self::ContentTypeUnexpected => "The operation does not take this content type",
            Self::BodyNotInspectable => "The content coding of the body cannot be undone",
            Self::BodyTooLarge => "The body is too long to be looked at",
            Self::JsonLimits => "The body is no JSON, or too large a structure",
            Self::SchemaMismatch => "The request is not as the API describes it",
            Self::AnswerMismatch => "The answer is not as the API describes it",
            Self::Overloaded => "Too many requests are being looked through",
            Self::Unavailable => "The description of the API cannot be read",
        }
    }
}

impl ApiRefusal {
    /// Of a policy, without a place.
    #[must_use]
    pub fn new(policy: &Arc<str>, kind: ApiRefusalKind) -> Self {
        Self { policy: Arc::clone(policy), kind, place: None, keyword: None, allow: None }
    }

    /// The body: problem details (RFC 9457). Where an answer does not fit its caller is told no more: it is not the
    /// caller's to mend.
    #[must_use]
    pub fn problem(&self) -> String {
        let Self { kind, place, keyword, .. } = self;
        let mut problem = json!({
            "type": "about:blank",
            "title": kind.title(),
            "status": kind.status().as_u16(),
            "reason": kind.reason(),
        });
        if let (Some(place), Some(keyword)) = (place, keyword)
            && *kind != ApiRefusalKind::AnswerMismatch
        {
            problem["errors"] = json!([{ "place": place, "keyword": keyword }]);
        }
        problem.to_string()
    }
}

impl fmt::Display for ApiRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.policy)?;
        if let (Some(place), Some(keyword)) = (&self.place, &self.keyword) {
            write!(f, ": {place}: {keyword}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::RequestError;

    #[test]
    fn what_a_refused_caller_is_told() {
        for (kind, status, reason, tells_place) in [
            (ApiRefusalKind::OperationUnknown, 404, "operation_unknown", true),
            (ApiRefusalKind::MethodNotAllowed, 405, "method_not_allowed", true),
            (ApiRefusalKind::ContentTypeUnexpected, 415, "content_type_unexpected", true),
            (ApiRefusalKind::BodyNotInspectable, 415, "body_not_inspectable", true),
            (ApiRefusalKind::BodyTooLarge, 413, "body_too_large_to_inspect", true),
            (ApiRefusalKind::JsonLimits, 400, "json_limits", true),
            (ApiRefusalKind::SchemaMismatch, 422, "schema_mismatch", true),
            (ApiRefusalKind::AnswerMismatch, 502, "answer_mismatch", false),
            (ApiRefusalKind::Overloaded, 503, "inspection_overloaded", true),
            (ApiRefusalKind::Unavailable, 503, "inspection_unavailable", true),
        ] {
            let refusal = ApiRefusal {
                place: Some("/body/price".into()),
                keyword: Some("minimum".into()),
                allow: (kind == ApiRefusalKind::MethodNotAllowed).then(|| "GET, HEAD".into()),
                ..ApiRefusal::new(&"shop/secret-name".into(), kind)
            };
            let body = refusal.problem();
            let response = RequestError::Api(Box::new(refusal)).response(false);
            let field = |name: &str| response.headers().get(name).map(|value| value.as_bytes());
            assert_eq!(response.status().as_u16(), status, "{reason}");
            assert_eq!(field("x-postern-reason"), Some(reason.as_bytes()));
            assert_eq!(field("content-type"), Some(&b"application/problem+json"[..]), "{reason}");
            let allow = (status == 405).then_some(&b"GET, HEAD"[..]);
            assert_eq!(field("allow"), allow, "{reason}");
            assert!(body.contains(reason) && !body.contains("secret-name"), "{body}");
            assert_eq!(body.contains("/body/price"), tells_place, "{body}");
        }
    }
}
