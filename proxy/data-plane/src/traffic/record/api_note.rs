//! What the description of its API says of a request, for the log.

use std::sync::Arc;

use api_schema::Operation;

use crate::http::ApiRefusal;
use crate::telemetry::log_line::LogLine;

/// What the description of its API says of a request.
#[derive(Debug)]
pub struct ApiNote {
    policy: Arc<str>,
    /// `GET /accounts/{id}`, as the description writes it.
    operation: Option<Box<str>>,
    found: Option<Found>,
}

#[derive(Debug)]
struct Found {
    result: &'static str,
    action: &'static str,
    place: Option<Box<str>>,
    keyword: Option<Box<str>>,
}

impl ApiNote {
    /// Of a request that an ApiSchema is about.
    #[must_use]
    pub fn new(policy: &Arc<str>) -> Self {
        Self { policy: Arc::clone(policy), operation: None, found: None }
    }

    /// The operation that it is.
    pub fn operation(&mut self, operation: &Operation) {
        let text = format!("{} {}", operation.method(), operation.path());
        self.operation = Some(text.into());
    }

    /// Whether it is one.
    #[must_use]
    pub fn has_operation(&self) -> bool {
        self.operation.is_some()
    }

    /// What is not as described, and whether it is refused for that.
    pub fn found(&mut self, refusal: &ApiRefusal, blocked: bool) {
        self.found = Some(Found {
            result: refusal.kind.reason(),
            action: if blocked { "blocked" } else { "detected" },
            place: refusal.place.clone(),
            keyword: refusal.keyword.clone(),
        });
    }

    /// Whether something is not as described.
    pub(super) fn has_found(&self) -> bool {
        self.found.is_some()
    }

    pub(super) fn write(&self, line: &mut LogLine<'_>) {
        line.text("api_schema", &self.policy)
            .optional_text("api_operation", self.operation.as_deref());
        if let Some(Found { result, action, place, keyword }) = &self.found {
            line.word("schema_result", result)
                .word("schema_action", action)
                .optional_text("schema_place", place.as_deref())
                .optional_text("schema_keyword", keyword.as_deref());
        }
    }
}
