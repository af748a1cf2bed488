//! One operation: what it takes and answers.

use http::{HeaderMap, Method, StatusCode};

use crate::limits::JsonLimits;
use crate::refusal::SchemaRefusal;

/// What one method of one path takes and answers.
#[derive(Debug)]
pub struct Operation {
    method: Method,
    path: String,
    id: Option<String>,
    tags: Vec<String>,
    security: Vec<SecurityRequirement>,
}

/// One of the ways in which a caller may prove itself; all of its schemes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityRequirement {
    /// The schemes by their names in the description, each with its scopes or roles. None: nobody needs to prove
    /// anything.
    pub schemes: Vec<(String, Vec<String>)>,
}

/// The head of a request. Its body's media type is in its headers.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The query without its `?`.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// What [`ApiDescription::find`](crate::ApiDescription::find) gave with the operation.
    pub path_parameters: &'a [(&'a str, &'a str)],
    /// False where the request ends with its head.
    pub has_body: bool,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
pub struct AnswerHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// False where the answer ends with its head, as all answers to HEAD do.
    pub has_body: bool,
}

/// What is to be done with the body of a message whose head is as described.
#[derive(Debug, Clone, Copy)]
pub enum BodyPlan<'d> {
    /// Nothing: let it through unread.
    Unread,
    /// Read it whole, decode its content coding, and hand it to [`BodyCheck::check`].
    Read(BodyCheck<'d>),
}

/// What a body is to be.
#[derive(Debug, Clone, Copy)]
pub struct BodyCheck<'d> {
    operation: &'d Operation,
}

impl BodyCheck<'_> {
    /// Looks whether a body is as described.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check(&self, body: &[u8], limits: &JsonLimits) -> Result<(), SchemaRefusal> {
        let _ = (self.operation, body, limits);
        Ok(())
    }
}

impl Operation {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path as the description writes it (`/accounts/{id}`), without a base path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its `operationId`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The ways in which a caller may prove itself, of the operation or of the whole; empty where nothing is said.
    #[must_use]
    pub fn security(&self) -> &[SecurityRequirement] {
        &self.security
    }

    /// Looks whether a request's head is as described, and what is to be done with its body.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check_request_head(
        &self,
        head: &RequestHead<'_>,
    ) -> Result<BodyPlan<'_>, SchemaRefusal> {
        let _ = head;
        Ok(BodyPlan::Unread)
    }

    /// Looks whether a whole request is as described: its head, and then `body` where that has to be read.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check_request(
        &self,
        head: &RequestHead<'_>,
        body: &[u8],
        limits: &JsonLimits,
    ) -> Result<(), SchemaRefusal> {
        match self.check_request_head(head)? {
            BodyPlan::Unread => Ok(()),
            BodyPlan::Read(check) => check.check(body, limits),
        }
    }

    /// Looks whether an answer's head is as described, and what is to be done with its body.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check_answer_head(&self, head: &AnswerHead<'_>) -> Result<BodyPlan<'_>, SchemaRefusal> {
        let _ = head;
        Ok(BodyPlan::Unread)
    }

    /// Looks whether a whole answer is as described: its head, and then `body` where that has to be read.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check_answer(
        &self,
        head: &AnswerHead<'_>,
        body: &[u8],
        limits: &JsonLimits,
    ) -> Result<(), SchemaRefusal> {
        match self.check_answer_head(head)? {
            BodyPlan::Unread => Ok(()),
            BodyPlan::Read(check) => check.check(body, limits),
        }
    }
}
