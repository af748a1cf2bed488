//! Internal JWTs from the authority: asked for with a signature by the key of the X.509-SVID that is held, over one
//! connection that is kept, and checked before they are believed. Nothing is cached: the proxy keeps what it uses again.

use std::time::Duration;

use identity::SpiffeId;
use identity::jws::Jws;
use identity::jwt::LEEWAY;
use identity::jwt::internal::{InternalJwt, verify_internal_jwt};
use identity::{TrustBundle, jwt::JwtBundle};
use rustls_pki_types::UnixTime;
use tokio::sync::{Mutex, Semaphore};
use tonic::{Code, Status};
use zeroize::Zeroizing;

use issuance_messages::exchange_token_request::Subject;
use issuance_messages::{ExchangeTokenRequest, ExchangeTokenResponse};

use crate::renewal::authority_client::{AuthorityAddress, CallError, KeptConnection};
use crate::renewal::clock_skew::ClockSkew;
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::{CurrentIdentity, StateView};

/// Questions to the authority at a time: as many as it takes on one connection. The others wait.
const AT_ONCE: usize = 16;
/// For a place among them, and the answer: a request of a user waits behind it.
const DEADLINE: Duration = Duration::from_secs(5);

/// The source.
#[derive(Debug)]
pub struct ExchangeSource {
    address: AuthorityAddress,
    view: StateView,
    /// Locked while a new one is made: whoever comes meanwhile waits for it.
    kept: Mutex<Option<Kept>>,
    at_once: Semaphore,
}

/// A connection, and the roots that it was verified by.
#[derive(Debug, Clone)]
struct Kept {
    number: u64,
    roots: TrustBundle,
    connection: KeptConnection,
}

/// What a caller wants.
#[derive(Debug)]
pub struct Wanted {
    /// For whom the token is.
    pub audience: String,
    /// How long it shall be good, seconds; 0: as long as may be.
    pub lifetime: u32,
    /// Whom it names.
    pub subject: Subject,
}

/// What it gets.
pub struct Exchanged {
    /// JWS compact serialization.
    pub token: Zeroizing<String>,
    /// When it ends, Unix seconds.
    pub not_after: u64,
}

impl ExchangeSource {
    /// Asks at `address`; what comes is verified against the keys in `view`.
    #[must_use]
    pub fn new(address: AuthorityAddress, view: StateView) -> Self {
        let (kept, at_once) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Self { address, view, kept, at_once }
    }

    /// A token, asked for by the identity held.
    ///
    /// # Errors
    /// A status for the caller, with the reason.
    pub async fn exchange(
        &self,
        held: &CurrentIdentity,
        wanted: Wanted,
    ) -> Result<Exchanged, Status> {
        let asked = tokio::time::timeout(DEADLINE, self.ask(held, wanted)).await;
        asked.unwrap_or_else(|_| {
            // Perhaps nobody is at its other end any more. Whoever holds the lock is making a new one.
            if let Ok(mut kept) = self.kept.try_lock() {
                kept.take();
            }
            Err(Status::unavailable("no internal token within 5 s"))
        })
    }

    async fn ask(&self, held: &CurrentIdentity, wanted: Wanted) -> Result<Exchanged, Status> {
        let stopping = |_| Status::unavailable("the agent is stopping");
        let _place = self.at_once.acquire().await.map_err(stopping)?;
        let asked = ClockReading::now();
        let request = request(held, &wanted, asked)?;
        let answer = self.call(request).await;
        let now = ClockReading::now();
        let measured =
            answer.as_ref().ok().and_then(|a| ClockSkew::measured(asked, now, a.server_time));
        let skew = measured.or(self.view.status.borrow().skew);
        let answer = answer.map_err(|error| status(&error, skew))?;
        let own = self.view.holding.borrow().trust.own.jwt.clone();
        believe(answer, held.svid.id(), &wanted, own.as_ref(), now).map_err(|reason| {
            tracing::error!(reason, "the authority's internal token is refused");
            let remark = ClockSkew::remark(skew);
            Status::unavailable(format!(
                "the authority's internal token cannot be used: {reason}{remark}"
            ))
        })
    }

    /// On the connection that is kept; once more on a new one when that has ended meanwhile.
    async fn call(
        &self,
        request: ExchangeTokenRequest,
    ) -> Result<ExchangeTokenResponse, CallError> {
        let mut kept = self.connection(None).await?;
        match kept.connection.exchange_token(request.clone()).await {
            Err(CallError::Unreachable { .. }) => {}
            answer => return answer,
        }
        let mut new = self.connection(Some(kept.number)).await?;
        new.connection.exchange_token(request).await
    }

    /// The connection that is kept, if it was verified by the roots of now and is not the one that has ended.
    async fn connection(&self, ended: Option<u64>) -> Result<Kept, CallError> {
        let mut kept = self.kept.lock().await;
        let roots = self.view.holding.borrow().trust.own.roots.clone();
        let good = |kept: &&Kept| kept.roots == roots && ended != Some(kept.number);
        if let Some(good) = kept.as_ref().filter(good) {
            return Ok(good.clone());
        }
        let number = kept.take().map_or(0, |last| last.number.wrapping_add(1));
        let connection = KeptConnection::open(&self.address, &roots).await?;
        let new = Kept { number, roots, connection };
        *kept = Some(new.clone());
        Ok(new)
    }
}

/// The request, signed by the key of the certificate that is held.
fn request(
    held: &CurrentIdentity,
    wanted: &Wanted,
    now: ClockReading,
) -> Result<ExchangeTokenRequest, Status> {
    let mut request = ExchangeTokenRequest {
        certificate_chain: held.chain_der(),
        signed_at: i64::try_from(now.unix()).unwrap_or(i64::MAX),
        signature: Vec::new(),
        audience: wanted.audience.clone(),
        lifetime: wanted.lifetime,
        subject: Some(wanted.subject.clone()),
    };
    let message = Zeroizing::new(request.signed_bytes());
    request.signature = held.sign(&message).map_err(Status::internal)?;
    Ok(request)
}

/// The token must say what was asked for, and be signed by a key of ours that is published: whoever gets it from the
/// proxy will ask the same.
fn believe(
    answer: ExchangeTokenResponse,
    actor: &SpiffeId,
    wanted: &Wanted,
    own: Option<&JwtBundle>,
    now: ClockReading,
) -> Result<Exchanged, String> {
    let token = Zeroizing::new(answer.token);
    let own = own.ok_or("the trust domain's keys have not come yet")?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
    let said = verify_internal_jwt(&token, own, at, LEEWAY).map_err(|error| error.to_string())?;
    if said.audience != [wanted.audience.as_str()] {
        return Err("it is for another audience".to_owned());
    }
    if said.actors.first() != Some(actor) {
        return Err("it does not name us as the actor".to_owned());
    }
    if !names_whom_we_meant(&said, &wanted.subject) {
        return Err("it names another user".to_owned());
    }
    Ok(Exchanged { token, not_after: said.expires })
}

fn names_whom_we_meant(said: &InternalJwt, subject: &Subject) -> bool {
    match subject {
        Subject::Assertion(user) => {
            said.subject == user.subject && said.original_issuer == user.original_issuer
        }
        // The authority has verified it; here it says only whom we meant.
        Subject::SubjectToken(token) => {
            let claims = Jws::open(token.as_bytes()).and_then(|jws| jws.claims());
            let same = |name: &str, value: &str| {
                claims.as_ref().is_ok_and(|claims| claims.get(name).is_some_and(|c| c == value))
            };
            same("sub", &said.subject) && same("orig_iss", &said.original_issuer)
        }
    }
}

/// What the caller hears: the authority's own code, where it has answered.
fn status(error: &CallError, skew: Option<ClockSkew>) -> Status {
    let message = format!("{error}{}", ClockSkew::remark(skew));
    match error {
        CallError::Refused {
            code:
                code @ (Code::InvalidArgument
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::Unimplemented),
            ..
        } => Status::new(*code, message),
        _ => Status::unavailable(message),
    }
}
