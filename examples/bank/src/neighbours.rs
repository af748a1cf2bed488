//! Other services of the bank, asked as the user who asks here.

use bytes::Bytes;
use example_web::Fetcher;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Call, Refused};

/// Another service.
#[derive(Clone)]
pub struct Neighbour {
    url: String,
    fetcher: Fetcher,
}

impl Neighbour {
    /// The one at this address, such as `http://audit:8080`.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), fetcher: Fetcher::default() }
    }

    /// Reads what it has at a path.
    ///
    /// # Errors
    /// Its own refusal; 502 when it does not answer.
    pub async fn get(&self, path: &str, call: &Call) -> Result<Value, Refused> {
        let url = format!("{}{path}", self.url);
        let asked = self.fetcher.fetch_for(Method::GET, &url, call.authorization.as_ref());
        value(asked.await)
    }

    /// Sends it JSON.
    ///
    /// # Errors
    /// Its own refusal; 502 when it does not answer.
    pub async fn post(&self, path: &str, what: &Value, call: &Call) -> Result<Value, Refused> {
        let url = format!("{}{path}", self.url);
        let who: Option<&HeaderValue> = call.authorization.as_ref();
        value(self.fetcher.post_json(&url, what, who).await)
    }
}

/// Where everything that is done is written down. What cannot be written down is not done.
#[derive(Clone)]
pub struct Record(Neighbour);

impl Record {
    /// The audit service at this address.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self(Neighbour::at(url))
    }

    /// Writes what is about to happen to something.
    ///
    /// # Errors
    /// It was not written.
    pub async fn note(&self, event: &str, subject: &str, call: &Call) -> Result<(), Refused> {
        let record = json!({"event": event, "subject": subject});
        self.0.post("/records", &record, call).await.map(drop)
    }
}

fn value(asked: anyhow::Result<(StatusCode, Bytes)>) -> Result<Value, Refused> {
    let Ok((status, body)) = asked else {
        return Err(Refused::of(StatusCode::BAD_GATEWAY, "another service does not answer"));
    };
    if status.is_success() {
        return Ok(serde_json::from_slice(&body)?);
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let why = said["error"]
        .as_str()
        .map_or_else(|| format!("another service answered {}", status.as_u16()), str::to_owned);
    Err(Refused::of(status, why))
}
