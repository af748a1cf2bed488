//! One operation: what it takes and answers.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};

use crate::body::{BodyKind, Content};
use crate::limits::JsonLimits;
use crate::parameter::{Fields, Parameter, Place};
use crate::refusal::SchemaRefusal;
use crate::schema::CompiledSchemas;

/// What one method of one path takes and answers.
#[derive(Debug)]
pub struct Operation {
    pub(crate) parts: OperationParts,
    pub(crate) schemas: Arc<CompiledSchemas>,
}

/// An operation as it was read.
#[derive(Debug)]
pub(crate) struct OperationParts {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) id: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) security: Vec<SecurityRequirement>,
    pub(crate) parameters: Vec<Parameter>,
    /// Fields of the query that prove who calls: `apiKey` schemes.
    pub(crate) keys_in_query: Vec<String>,
    pub(crate) body: Option<RequestBody>,
    pub(crate) answers: Vec<(Statuses, Answer)>,
}

/// What a request carries.
#[derive(Debug)]
pub(crate) struct RequestBody {
    pub(crate) required: bool,
    pub(crate) content: Content,
}

/// Which statuses an answer is described for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statuses {
    One(u16),
    /// `2XX`: all of the same first digit.
    Class(u16),
    Default,
}

impl Statuses {
    fn takes(self, status: StatusCode) -> bool {
        match self {
            Self::One(one) => one == status.as_u16(),
            Self::Class(class) => class == status.as_u16() / 100,
            Self::Default => true,
        }
    }

    fn narrowness(self) -> u8 {
        match self {
            Self::One(_) => 2,
            Self::Class(_) => 1,
            Self::Default => 0,
        }
    }
}

/// What an answer carries.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: Vec<Parameter>,
    pub(crate) content: Content,
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
#[derive(Debug, Clone)]
pub enum BodyPlan {
    /// Nothing: let it through unread.
    Unread,
    /// Read it whole, undo its content coding, and hand it to [`BodyCheck::check`].
    Read(BodyCheck),
}

/// What a body is to be. It holds what it needs, so that another thread can look.
#[derive(Debug, Clone)]
pub struct BodyCheck {
    schemas: Arc<CompiledSchemas>,
    kind: Arc<BodyKind>,
    boundary: Option<String>,
}

impl BodyCheck {
    /// Looks whether a body is as described.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check(&self, body: &[u8], limits: &JsonLimits) -> Result<(), SchemaRefusal> {
        self.kind.check(&self.schemas, self.boundary.as_deref(), body, limits)
    }
}

impl Operation {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The path as the description writes it (`/accounts/{id}`), without a base path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.parts.path
    }

    /// Its `operationId`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.parts.id.as_deref()
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.parts.tags
    }

    /// The ways in which a caller may prove itself, of the operation or of the whole; empty where nothing is said.
    #[must_use]
    pub fn security(&self) -> &[SecurityRequirement] {
        &self.parts.security
    }

    /// Looks whether a request's head is as described, and what is to be done with its body.
    ///
    /// A field of the query that is not described is refused; headers and cookies that are not are let through, because
    /// browsers and proxies add their own.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn check_request_head(&self, head: &RequestHead<'_>) -> Result<BodyPlan, SchemaRefusal> {
        self.check_parameters(head)?;
        let body = match (&self.parts.body, head.has_body) {
            (None, true) => return Err(SchemaRefusal::mismatch("body", "requestBody")),
            (Some(body), false) if body.required => {
                return Err(SchemaRefusal::mismatch("body", "required"));
            }
            (Some(body), true) => body,
            (_, false) => return Ok(BodyPlan::Unread),
        };
        self.plan(&body.content, head.headers)
    }

    fn check_parameters(&self, head: &RequestHead<'_>) -> Result<(), SchemaRefusal> {
        let mut query = Fields::read(head.query.unwrap_or_default(), "query")?;
        for parameter in &self.parts.parameters {
            match parameter.place {
                Place::Path => parameter.check_path(&self.schemas, head.path_parameters)?,
                Place::Query => parameter.check_query(&self.schemas, &mut query)?,
                Place::Header => parameter.check_header(&self.schemas, head.headers)?,
                Place::Cookie => parameter.check_cookie(&self.schemas, head.headers)?,
            }
        }
        for key in &self.parts.keys_in_query {
            query.take(key);
        }
        if query.is_left() {
            return Err(SchemaRefusal::mismatch("query", "unknownParameter"));
        }
        Ok(())
    }

    fn plan(&self, content: &Content, headers: &HeaderMap) -> Result<BodyPlan, SchemaRefusal> {
        let (kind, media) = content.of(headers)?;
        let Some(kind) = kind else { return Ok(BodyPlan::Unread) };
        let boundary = media.parameter("boundary").map(str::to_owned);
        let (schemas, kind) = (Arc::clone(&self.schemas), Arc::clone(kind));
        Ok(BodyPlan::Read(BodyCheck { schemas, kind, boundary }))
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
    pub fn check_answer_head(&self, head: &AnswerHead<'_>) -> Result<BodyPlan, SchemaRefusal> {
        let described =
            self.parts.answers.iter().filter(|(statuses, _)| statuses.takes(head.status));
        let (_, answer) = described
            .max_by_key(|(statuses, _)| statuses.narrowness())
            .ok_or_else(|| SchemaRefusal::mismatch("status", "responses"))?;
        for header in &answer.headers {
            header.check_header(&self.schemas, head.headers)?;
        }
        if !head.has_body {
            return Ok(BodyPlan::Unread);
        }
        self.plan(&answer.content, head.headers)
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
