//! JWT-SVIDs from the authority: asked for with a signature by the key of the X.509-SVID that is
//! held, checked before they are believed, and cached.

use std::time::Duration;

use identity::jwt::verify_jwt_svid;
use parking_lot::Mutex;
use rustls_pki_types::UnixTime;
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use zeroize::Zeroizing;

use issuance_messages::{IssueJwtRequest, IssueJwtResponse};

use crate::renewal::authority_client::{self, AuthorityAddress, CallError};
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::jwt_cache::{CacheKey, CacheLookup, TokenCache};
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::{CurrentIdentity, StateView};

/// Audiences in one request (`proto/authority.proto`).
pub const MAX_AUDIENCES: usize = 16;
/// Bytes of one audience.
pub const MAX_AUDIENCE: usize = 512;
/// Questions to the authority at a time; the others wait.
const AT_ONCE: usize = 4;
/// For a place among them, and the answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// What the signature is for, and for nothing else.
const PURPOSE: &[u8] = b"postern jwt request v1\0";

/// The source.
#[derive(Debug)]
pub struct JwtSource {
    address: AuthorityAddress,
    view: StateView,
    cache: Mutex<TokenCache>,
    at_once: Semaphore,
}

impl JwtSource {
    /// Asks at `address`; what comes is verified against the keys in `view`.
    #[must_use]
    pub fn new(address: AuthorityAddress, view: StateView) -> Self {
        let (cache, at_once) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Self { address, view, cache, at_once }
    }

    /// A token of the identity held, for these audiences.
    ///
    /// # Errors
    /// A status for the caller of the Workload API, with the reason. While a token that was issued
    /// before is still good, an authority that is away is no error.
    pub async fn fetch(
        &self,
        held: &CurrentIdentity,
        audience: &[String],
    ) -> Result<Zeroizing<String>, Status> {
        let key = CacheKey::new(held.svid.id(), audience);
        let aging = match self.cache.lock().find(&key, ClockReading::now().unix()) {
            CacheLookup::Fresh(token) => return Ok(token),
            CacheLookup::Aging(token) => Some(token),
            CacheLookup::Nothing => None,
        };
        let asked = tokio::time::timeout(DEADLINE, self.ask(held, audience, &key)).await;
        let outcome = asked.unwrap_or_else(|_| Err(Status::unavailable("no JWT-SVID within 20 s")));
        match (outcome, aging) {
            (Err(status), Some(token)) if status.code() == Code::Unavailable => {
                tracing::warn!(reason = status.message(), "giving a JWT-SVID of before again");
                Ok(token)
            }
            (outcome, _) => outcome,
        }
    }

    async fn ask(
        &self,
        held: &CurrentIdentity,
        audience: &[String],
        key: &CacheKey,
    ) -> Result<Zeroizing<String>, Status> {
        let stopping = |_| Status::unavailable("the agent is stopping");
        let _place = self.at_once.acquire().await.map_err(stopping)?;
        // Whoever had the place before may have asked for the same.
        if let CacheLookup::Fresh(token) = self.cache.lock().find(key, ClockReading::now().unix()) {
            return Ok(token);
        }
        let asked = ClockReading::now();
        let request = request(held, audience, asked)?;
        let trust = self.view.holding.borrow().trust.clone();
        let answer = authority_client::issue_jwt(&self.address, &trust.own.roots, request).await;
        let answered = ClockReading::now();
        let measured = answer
            .as_ref()
            .ok()
            .and_then(|answer| ClockSkew::measured(asked, answered, answer.server_time));
        let skew = measured.or(self.view.status.borrow().skew);
        let answer = answer.map_err(|error| status(&error, skew))?;
        let (token, until) = self.believe(answer, held, audience, answered, skew)?;
        self.cache.lock().put(key.clone(), token.clone(), answered.unix(), until);
        Ok(token)
    }

    /// The token must be ours, for these audiences, and signed by a key that is published: whoever
    /// gets it from the workload will ask the same.
    fn believe(
        &self,
        answer: IssueJwtResponse,
        held: &CurrentIdentity,
        audience: &[String],
        now: ClockReading,
        skew: Option<ClockSkew>,
    ) -> Result<(Zeroizing<String>, u64), Status> {
        let token = Zeroizing::new(answer.svid);
        let bundles = self.view.holding.borrow().trust.jwt_bundles();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
        let wrong = |reason: String| {
            let remark = ClockSkew::remark(skew);
            tracing::error!(reason, "the authority's JWT-SVID is refused");
            Status::unavailable(format!(
                "the authority's JWT-SVID cannot be used: {reason}{remark}"
            ))
        };
        let mut until = 0;
        for name in audience {
            let svid = verify_jwt_svid(&token, name, &bundles, at)
                .map_err(|error| wrong(error.to_string()))?;
            if &svid.id != held.svid.id() {
                return Err(wrong(format!("it is of {}", svid.id)));
            }
            until = svid.expires;
        }
        Ok((token, until))
    }
}

/// The request, signed by the key of the certificate that is held.
fn request(
    held: &CurrentIdentity,
    audience: &[String],
    now: ClockReading,
) -> Result<IssueJwtRequest, Status> {
    let signed_at = i64::try_from(now.unix()).unwrap_or(i64::MAX);
    let signature = held.sign(&signed_bytes(signed_at, audience)).map_err(Status::internal)?;
    Ok(IssueJwtRequest {
        certificate_chain: held.chain_der(),
        signed_at,
        signature,
        audience: audience.to_vec(),
    })
}

/// `proto/authority.proto`, `IssueJwtRequest.signature`.
fn signed_bytes(signed_at: i64, audience: &[String]) -> Vec<u8> {
    let mut bytes = PURPOSE.to_vec();
    bytes.extend_from_slice(&signed_at.to_be_bytes());
    for name in audience {
        // Bounded by MAX_AUDIENCE.
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes
}

/// What the caller hears (Workload Endpoint §6): what it asked wrongly is its own fault, everything
/// else passes.
fn status(error: &CallError, skew: Option<ClockSkew>) -> Status {
    let message = format!("{error}{}", ClockSkew::remark(skew));
    match error {
        CallError::Refused { code: Code::InvalidArgument, .. } => Status::invalid_argument(message),
        CallError::Refused { code: Code::Unimplemented, .. } => Status::unimplemented(message),
        _ => Status::unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_signed_bytes_are_what_the_contract_says() {
        let bytes = signed_bytes(1, &["ab".to_owned(), String::new()]);
        let mut expect = b"postern jwt request v1\0".to_vec();
        expect.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0]);
        assert_eq!(bytes, expect);
    }
}
