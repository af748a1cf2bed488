//! The login service: accounts, tokens, and taking them back.
//!
//! `POST /register` and `POST /login` take `{"name": …, "password": …}`. `/logout` and `/logout-everywhere` are for whoever
//! shows a token; that it is good, the sidecar has checked, and says what is in it by headers.

#![allow(clippy::print_stderr, reason = "a service that says what broke, for whoever runs it")]

use std::sync::Arc;

use example_issuer::passwords::{PasswordError, Passwords};
use example_issuer::tokens::Tokens;
use example_web::{Answer, json as json_answer, read_body, text};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use crate::accounts::Accounts;
use crate::people;
use crate::publisher::now;

/// How long a token is good, seconds.
pub const LIFETIME: i64 = 15 * 60;
/// For whom tokens are: every service of the network.
pub const AUDIENCE: &str = "social";

/// Headers by which the sidecar tells what is in a token: its id, and when it ends.
const TOKEN_ID: &str = "x-token-id";
const TOKEN_ENDS: &str = "x-token-ends";

/// Everything the service has.
pub struct Login {
    accounts: Arc<Accounts>,
    passwords: Passwords,
    tokens: Tokens,
    /// Who tells the mesh waits for it.
    changed: Arc<Notify>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

impl Login {
    /// With all its parts; `changed` is notified when something was taken back.
    #[must_use]
    pub fn new(
        accounts: Arc<Accounts>,
        passwords: Passwords,
        tokens: Tokens,
        changed: Arc<Notify>,
    ) -> Self {
        Self { accounts, passwords, tokens, changed }
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answered = match (method, path.as_str()) {
            (Method::POST, "/register") => self.register(request).await,
            (Method::POST, "/login") => self.log_in(request).await,
            (Method::POST, "/logout") => self.log_out(request.headers()),
            (Method::POST, "/logout-everywhere") => self.log_out_everywhere(request.headers()),
            (Method::GET, "/jwks.json") => Ok(json_answer(StatusCode::OK, &self.tokens.keys())),
            (Method::GET, "/.well-known/openid-configuration") => {
                Ok(json_answer(StatusCode::OK, &self.tokens.discovery()))
            }
            _ => Ok(text(StatusCode::NOT_FOUND, "the login service has nothing here\n")),
        };
        answered.unwrap_or_else(|error| {
            eprintln!("login: {path}: {error:#}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "something broke\n")
        })
    }

    async fn register(&self, request: Request<Incoming>) -> anyhow::Result<Answer> {
        let Some(Credentials { name, password }) = credentials(request).await else {
            return Ok(malformed());
        };
        if !people::is_name(&name) {
            let rule = "a name has 1 to 32 of a-z, 0-9 and _\n";
            return Ok(text(StatusCode::UNPROCESSABLE_ENTITY, rule));
        }
        let hash = match self.passwords.hash(password).await {
            Ok(hash) => hash,
            Err(error) => return Ok(refused(error)),
        };
        Ok(match self.accounts.add(&name, &hash)? {
            true => json_answer(StatusCode::CREATED, &json!({"name": name})),
            false => text(StatusCode::CONFLICT, "the name is taken\n"),
        })
    }

    async fn log_in(&self, request: Request<Incoming>) -> anyhow::Result<Answer> {
        let Some(Credentials { name, password }) = credentials(request).await else {
            return Ok(malformed());
        };
        let hash = self.accounts.password(&name)?;
        match self.passwords.is(password, hash).await {
            Ok(true) => {}
            // One answer, whether the name or the password is wrong.
            Ok(false) => return Ok(text(StatusCode::UNAUTHORIZED, "no such name and password\n")),
            Err(error) => return Ok(refused(error)),
        }
        let token =
            self.tokens.issue(&name, &[], self.accounts.issued_from(&name, now())?, LIFETIME)?;
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME});
        Ok(json_answer(StatusCode::OK, &body))
    }

    /// Takes back the token that was shown.
    fn log_out(&self, headers: &HeaderMap) -> anyhow::Result<Answer> {
        let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let ends = text_of(TOKEN_ENDS).and_then(|ends| ends.parse().ok());
        let (Some(_), Some(id), Some(ends)) = (people::user(headers), text_of(TOKEN_ID), ends)
        else {
            return Ok(people::nobody());
        };
        self.accounts.revoke_token(id, ends, now())?;
        self.changed.notify_one();
        Ok(text(StatusCode::NO_CONTENT, ""))
    }

    /// Takes back all tokens of whoever shows one.
    fn log_out_everywhere(&self, headers: &HeaderMap) -> anyhow::Result<Answer> {
        let Some(user) = people::user(headers) else { return Ok(people::nobody()) };
        // Tokens count in whole seconds: those of this second go too, and the next one is of the next.
        let before = now() + 1;
        self.accounts.revoke_user(user, before, before + LIFETIME)?;
        self.changed.notify_one();
        Ok(text(StatusCode::NO_CONTENT, ""))
    }
}

async fn credentials(request: Request<Incoming>) -> Option<Credentials> {
    let body = read_body(request).await.ok()?;
    serde_json::from_slice(&body).ok()
}

fn malformed() -> Answer {
    text(StatusCode::BAD_REQUEST, "send {\"name\": …, \"password\": …}\n")
}

fn refused(error: PasswordError) -> Answer {
    let status = match error {
        PasswordError::Length => StatusCode::UNPROCESSABLE_ENTITY,
        PasswordError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        PasswordError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    text(status, format!("{error}\n"))
}
