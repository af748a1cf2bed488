//! The audit service: what was done, for auditors. Who may write and who may read is said by policy.

use std::time::{SystemTime, UNIX_EPOCH};

use example_web::Answer;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, Outcome, Refused, answered, said};
use crate::records::{Record, Records};

/// The longest word of a line, in bytes.
const MOST_WORD: usize = 64;

/// Everything the service has.
pub struct Audit {
    /// The record.
    pub records: Records,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    event: String,
    subject: String,
}

#[derive(Deserialize)]
struct Paid {
    transfer: i64,
    by: String,
}

impl Audit {
    /// Writes what the bus has told: a transfer was paid. Whose word it is, is said by who may tell it there.
    ///
    /// # Errors
    /// The event is none, or the database's.
    pub fn paid(&self, event: &[u8]) -> anyhow::Result<()> {
        let Paid { transfer, by } = serde_json::from_slice(event)?;
        anyhow::ensure!(is_word(&by), "nobody has this name");
        self.records.add(now(), &by, "paid", &format!("transfer-{transfer}")).map(drop)
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Answer {
        answered(self.outcome(request).await)
    }

    async fn outcome(&self, request: Request<Incoming>) -> Outcome {
        let call = Call::read(request).await?;
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["records"]) => self.add(&call),
            (&Method::GET, ["records"]) => self.list(&call),
            _ => Err(Refused::absent()),
        }
    }

    /// Who did it is whoever the request is for: no service can write in somebody else's name.
    fn add(&self, call: &Call) -> Outcome {
        let Event { event, subject } = call.body()?;
        if !is_word(&event) || !is_word(&subject) {
            let why = "a word has 1 to 64 of a-z, 0-9, - and _";
            return Err(Refused::of(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
        let number = self.records.add(now(), &call.person()?.name, &event, &subject)?;
        Ok(said(StatusCode::CREATED, &json!({"number": number})))
    }

    fn list(&self, call: &Call) -> Outcome {
        let after = match call.query.as_str() {
            "" => Some(0),
            query => query.strip_prefix("after=").and_then(|number| number.parse().ok()),
        };
        let Some(after) = after else {
            return Err(Refused::of(StatusCode::BAD_REQUEST, "the query is after=NUMBER"));
        };
        let records: Vec<Value> = self.records.after(after)?.iter().map(shown).collect();
        Ok(said(StatusCode::OK, &json!({"records": records})))
    }
}

fn shown(record: &Record) -> Value {
    let Record { number, time, person, event, subject, hash } = record;
    json!({
        "number": number, "time": time, "person": person, "event": event, "subject": subject,
        "hash": hash,
    })
}

fn is_word(word: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    (1..=MOST_WORD).contains(&word.len()) && word.bytes().all(plain)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_told_is_written_down() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(&directory.path().join("audit.db")).unwrap();
        let audit = Audit { records };
        for (event, fine) in [
            (r#"{"transfer": 7, "by": "ann", "cents": 2500}"#, true),
            (r#"{"transfer": 7, "by": "ann\nbob"}"#, false),
            (r#"{"transfer": "7", "by": "ann"}"#, false),
            ("", false),
        ] {
            assert_eq!(audit.paid(event.as_bytes()).is_ok(), fine, "{event}");
        }
        let records = audit.records.after(0).unwrap();
        let said =
            |record: &Record| format!("{} {} {}", record.person, record.event, record.subject);
        assert_eq!(records.iter().map(said).collect::<Vec<_>>(), ["ann paid transfer-7"]);
    }
}
