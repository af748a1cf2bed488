//! A request as the bank's services look at it, and their answers.

#![allow(clippy::print_stderr, reason = "services that say what broke, for whoever runs them")]

use bytes::Bytes;
use example_web::{Answer, json as json_answer, read_body};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::people::Person;

/// The header by which a caller says that a request is the same one again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request, whole.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// What follows the `?`; empty without one.
    pub query: String,
    /// Who asks, where somebody vouches for it.
    person: Option<Person>,
    /// As whom other services are asked.
    pub authorization: Option<HeaderValue>,
    /// The idempotency key: 8 to 64 visible characters.
    pub key: Option<String>,
    body: Bytes,
}

impl Call {
    /// Reads it, with its body of at most 1 MiB.
    ///
    /// # Errors
    /// The body is larger, or breaks off.
    pub async fn read(request: Request<Incoming>) -> Result<Self, Refused> {
        let headers = request.headers();
        let key = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
        let key = key.filter(|key| (8..=64).contains(&key.len())).map(str::to_owned);
        let (person, authorization) =
            (Person::asking(headers), headers.get(AUTHORIZATION).cloned());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = read_body(request).await;
        let body = body.map_err(|error| Refused::of(StatusCode::BAD_REQUEST, error.to_string()))?;
        Ok(Self { method, path, query, person, authorization, key, body })
    }

    /// The path without its slashes, for a `match`.
    #[must_use]
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').skip(1).collect()
    }

    /// Who asks.
    ///
    /// # Errors
    /// Nobody vouches for anybody. In the mesh no such request gets this far.
    pub fn person(&self) -> Result<&Person, Refused> {
        self.person.as_ref().ok_or_else(|| Refused::of(StatusCode::UNAUTHORIZED, "log in first"))
    }

    /// What the body says.
    ///
    /// # Errors
    /// It is not JSON of this form.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refused::of(StatusCode::BAD_REQUEST, error.to_string()))
    }
}

/// Why a request is not answered as it was meant.
pub struct Refused {
    status: StatusCode,
    why: String,
}

/// What becomes of a request.
pub type Outcome = Result<Answer, Refused>;

impl Refused {
    /// With this status, and these words for the caller.
    #[must_use]
    pub fn of(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// There is no such thing, or none that the caller may know of.
    #[must_use]
    pub fn absent() -> Self {
        Self::of(StatusCode::NOT_FOUND, "there is no such thing here")
    }

    /// With which status it is answered.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        eprintln!("something broke: {:#}", error.into());
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, "something broke")
    }
}

/// The answer to whoever asked.
#[must_use]
pub fn answered(outcome: Outcome) -> Answer {
    outcome.unwrap_or_else(|refused| said(refused.status, &json!({"error": refused.why})))
}

/// An answer of JSON.
#[must_use]
pub fn said(status: StatusCode, what: &Value) -> Answer {
    json_answer(status, what)
}
