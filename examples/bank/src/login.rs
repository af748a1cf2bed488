//! The login service: people of a file, and tokens that say what somebody is.
//!
//! `POST /login` takes `{"name": …, "password": …}`. Nobody registers at a bank: the people, with the hashes of their
//! passwords and their roles, are a file that an operator writes.

use std::collections::HashMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use example_issuer::passwords::{PasswordError, Passwords};
use example_issuer::tokens::Tokens;
use example_web::Answer;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use crate::call::{Call, Outcome, Refused, answered, said};
use crate::people::{Role, is_name};

/// For whom tokens are: every service of the bank.
pub const AUDIENCE: &str = "bank";

/// Somebody who may log in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    role: Role,
    /// The argon2id hash.
    password: String,
}

/// Everything the service has.
pub struct Login {
    people: HashMap<String, Known>,
    passwords: Passwords,
    tokens: Tokens,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

/// How long a token is good, in seconds. What somebody may approve, and an auditor read, is shown to be still theirs
/// every two minutes.
#[must_use]
pub fn lifetime(role: Role) -> i64 {
    match role {
        Role::Customer | Role::Teller => 15 * 60,
        Role::Approver | Role::Auditor => 2 * 60,
    }
}

impl Login {
    /// With the people of this file: JSON, from names to `role` and `password`, which is an argon2id hash.
    ///
    /// # Errors
    /// The file cannot be read, or is not of this form.
    pub fn open(people: &Path, passwords: Passwords, tokens: Tokens) -> anyhow::Result<Self> {
        let text = std::fs::read(people).with_context(|| people.display().to_string())?;
        let people: HashMap<String, Known> =
            serde_json::from_slice(&text).with_context(|| people.display().to_string())?;
        let misnamed = people.keys().find(|name| !is_name(name));
        anyhow::ensure!(misnamed.is_none(), "a name has 1 to 32 of a-z, 0-9 and _");
        Ok(Self { people, passwords, tokens })
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Answer {
        answered(self.outcome(request).await)
    }

    async fn outcome(&self, request: Request<Incoming>) -> Outcome {
        let call = Call::read(request).await?;
        match (&call.method, call.path.as_str()) {
            (&Method::POST, "/login") => self.log_in(&call).await,
            (&Method::GET, "/jwks.json") => Ok(said(StatusCode::OK, &self.tokens.keys())),
            (&Method::GET, "/.well-known/openid-configuration") => {
                Ok(said(StatusCode::OK, &self.tokens.discovery()))
            }
            _ => Err(Refused::absent()),
        }
    }

    async fn log_in(&self, call: &Call) -> Outcome {
        let Credentials { name, password } = call.body()?;
        let known = self.people.get(&name);
        let hash = known.map(|known| known.password.clone());
        let same = self.passwords.is(password, hash).await.map_err(|error| busy(&error))?;
        // One answer, whether the name or the password is wrong.
        let Some(known) = known.filter(|_| same) else {
            return Err(Refused::of(StatusCode::UNAUTHORIZED, "no such name and password"));
        };
        let (role, lifetime) = (known.role.name(), lifetime(known.role));
        let token = self.tokens.issue(&name, &[("role", role)], now(), lifetime)?;
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
        Ok(said(StatusCode::OK, &body))
    }
}

fn busy(error: &PasswordError) -> Refused {
    let status = match error {
        PasswordError::Length => StatusCode::UNPROCESSABLE_ENTITY,
        PasswordError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        PasswordError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refused::of(status, error.to_string())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
