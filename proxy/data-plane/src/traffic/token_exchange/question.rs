//! What an agent is asked for, and the key by which an answer is found again. Pure.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use identity::jwt::internal::{MAX_CLAIMS, is_original_issuer, is_user};
use policy::{TokenClaims, TokenExchangeRule};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::exchanger::ExchangeFailure;

/// One question.
pub(crate) struct ExchangeQuestion {
    pub(super) subject: ExchangeSubject,
    /// For whom: a workload's SPIFFE id, or a trust domain.
    pub(super) audience: Arc<str>,
    /// For how many seconds.
    pub(super) lifetime: u32,
}

/// Whom the new token is to name.
pub(super) enum ExchangeSubject {
    /// A user whom this proxy has authenticated.
    User {
        /// The user, as its issuer names it.
        subject: Box<str>,
        /// Who authenticated the user.
        issuer: Box<str>,
        /// Further claims, a JSON object.
        claims: Box<str>,
        /// When the user's own token was issued, as it says; empty: it does not. Nobody is told; but somebody who has signed
        /// in again gets a new token, as the old one may be revoked.
        issued: Box<str>,
    },
    /// The user of a token of the mesh.
    Token(Zeroizing<String>),
}

impl ExchangeQuestion {
    /// For a user with these verified claims.
    ///
    /// # Errors
    /// [`ExchangeFailure::Refused`]: no token of the mesh could name such a user.
    pub(crate) fn of_user(
        user: &TokenClaims,
        rule: &TokenExchangeRule,
        audience: Arc<str>,
    ) -> Result<Self, ExchangeFailure> {
        let refused = |why: &str| ExchangeFailure::Refused(why.into());
        let subject = user.subject.as_deref().unwrap_or("");
        if !is_user(subject) {
            let why = "the user's token has no `sub` of 1 to 255 bytes that names a user, and no workload";
            return Err(refused(why));
        }
        if !is_original_issuer(&user.issuer) {
            return Err(refused(
                "the issuer's name has more than 512 bytes, or control characters",
            ));
        }
        let claims = taken_over(&user.claims, rule);
        if claims.len() > MAX_CLAIMS {
            let why = "the claims that the TokenExchange names have more than 4096 bytes";
            return Err(refused(why));
        }
        let subject = ExchangeSubject::User {
            subject: subject.into(),
            issuer: user.issuer.as_str().into(),
            claims: claims.into(),
            issued: user.claims.get("iat").map_or_else(String::new, Value::to_string).into(),
        };
        Ok(Self { subject, audience, lifetime: seconds(rule) })
    }

    /// For the user of a token of the mesh.
    pub(crate) fn of_token(token: &str, rule: &TokenExchangeRule, audience: Arc<str>) -> Self {
        let subject = ExchangeSubject::Token(Zeroizing::new(token.to_owned()));
        Self { subject, audience, lifetime: seconds(rule) }
    }

    /// A digest of everything that the answer depends on, each part with its length before it (S-42).
    pub(crate) fn key(&self) -> [u8; 32] {
        let lifetime = self.lifetime.to_le_bytes();
        let (kind, parts): (&[u8], [&[u8]; 4]) = match &self.subject {
            ExchangeSubject::User { subject, issuer, claims, issued } => {
                let said = [subject, issuer, claims, issued];
                (b"user", said.map(|part| part.as_bytes()))
            }
            ExchangeSubject::Token(token) => (b"token", [token.as_bytes(), b"", b"", b""]),
        };
        let mut digest = Context::new(&SHA256);
        for part in [kind, self.audience.as_bytes(), &lifetime].into_iter().chain(parts) {
            // Every length fits 64 bits.
            digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(digest.finish().as_ref());
        key
    }
}

/// The claims that the rule names, as far as they are there.
fn taken_over(claims: &Map<String, Value>, rule: &TokenExchangeRule) -> String {
    let named = rule.claims.iter().filter_map(|name| {
        let value = claims.get(&**name)?;
        Some((name.to_string(), value.clone()))
    });
    let taken: Map<String, Value> = named.collect();
    if taken.is_empty() { String::new() } else { Value::Object(taken).to_string() }
}

fn seconds(rule: &TokenExchangeRule) -> u32 {
    u32::try_from(rule.lifetime.as_secs()).unwrap_or(0)
}
