//! Asks the agent beside the proxy for tokens of the mesh, on the socket that its certificate comes from.
//!
//! One connection is kept. Where it has ended meanwhile, as after a restart of the agent, the question is put once more on
//! a new one. A deadline holds for all of it: the caller's.

use std::error::Error as _;
use std::path::PathBuf;

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use self::proto::token_exchange_client::TokenExchangeClient;
use self::proto::{ExchangeRequest, ExchangeResponse, UserAssertion, exchange_request};
use super::cache::ExchangedToken;
use super::exchanger::ExchangeFailure;
use super::question::{ExchangeQuestion, ExchangeSubject};
use crate::http::grpc_channel;

/// The generated messages and client, from `proto/token_exchange.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
pub(super) mod proto {
    tonic::include_proto!("postern.agent.v1");
}

/// Questions at the agent at a time; the others wait.
const MOST_CALLS: usize = 64;
/// The largest answer that is read, in bytes: one token.
const MAX_ANSWER: usize = 32 * 1024;
/// The longest life that is believed, in seconds: five minutes, and what clocks may differ by.
const MAX_LIFETIME: u64 = 330;
/// Every call carries the header that marks a caller as a workload (SPIFFE Workload Endpoint §3).
const SECURITY_HEADER: &str = "workload.spiffe.io";

/// The agent.
pub(super) struct AgentClient {
    socket: PathBuf,
    kept: Mutex<Option<TokenExchangeClient<Channel>>>,
    turns: Semaphore,
}

impl AgentClient {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, kept: Mutex::default(), turns: Semaphore::new(MOST_CALLS) }
    }

    /// Puts a question, once more where the kept connection has ended. `now`: Unix seconds.
    ///
    /// # Errors
    /// [`ExchangeFailure`].
    pub(super) async fn exchange(
        &self,
        question: &ExchangeQuestion,
        now: u64,
    ) -> Result<ExchangedToken, ExchangeFailure> {
        let _turn = self.turns.acquire().await.map_err(|_| unavailable("no turn"))?;
        let kept = self.kept.lock().clone();
        let mut answered = None;
        if let Some(mut client) = kept {
            let asked = client.exchange(request(question)).await;
            answered = Some(asked).filter(|asked| !asked.as_ref().is_err_and(is_broken));
        }
        let answer = match answered {
            Some(answer) => answer,
            None => {
                let mut client = self.connect().await?;
                *self.kept.lock() = Some(client.clone());
                client.exchange(request(question)).await
            }
        };
        let answer = answer.map_err(|status| refused(&status, question))?;
        believed(answer.into_inner(), now)
    }

    async fn connect(&self) -> Result<TokenExchangeClient<Channel>, ExchangeFailure> {
        let shown = self.socket.display();
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            unavailable(&format!("the agent cannot be reached at {shown}: {error}"))
        })?;
        let endpoint = Endpoint::from_static("http://agent");
        let channel = grpc_channel::over(stream, endpoint).await;
        let channel = channel.map_err(|error| {
            unavailable(&format!("the agent at {shown} does not speak gRPC: {error}"))
        })?;
        Ok(TokenExchangeClient::new(channel).max_decoding_message_size(MAX_ANSWER))
    }
}

fn request(question: &ExchangeQuestion) -> Request<ExchangeRequest> {
    let subject = match &question.subject {
        ExchangeSubject::User { subject, issuer, claims, .. } => {
            exchange_request::Subject::Assertion(UserAssertion {
                subject: subject.to_string(),
                original_issuer: issuer.to_string(),
                claims: claims.to_string(),
            })
        }
        ExchangeSubject::Token(token) => {
            exchange_request::Subject::SubjectToken(token.as_str().to_owned())
        }
    };
    let mut request = Request::new(ExchangeRequest {
        audience: question.audience.to_string(),
        lifetime: question.lifetime,
        subject: Some(subject),
    });
    request.metadata_mut().insert(SECURITY_HEADER, MetadataValue::from_static("true"));
    request
}

/// The connection's mistake, and not the agent's answer: that one has no source.
fn is_broken(status: &Status) -> bool {
    status.source().is_some()
}

/// What an agent's status means for the request (`proto/token_exchange.proto`). Its words hold no part of a token.
fn refused(status: &Status, question: &ExchangeQuestion) -> ExchangeFailure {
    let why = format!("the agent says {:?}: {}", status.code(), status.message());
    match (status.code(), &question.subject) {
        // That this workload may not vouch for users is no fault of the user's; that a token is for another workload is
        // one of the app's that sends it.
        (Code::InvalidArgument | Code::Unauthenticated, _)
        | (Code::PermissionDenied, ExchangeSubject::Token(_)) => {
            ExchangeFailure::Refused(why.into())
        }
        _ => ExchangeFailure::Unavailable(why.into()),
    }
}

/// An answer that can be sent on: a token, not too long, and good for a while that a token of the mesh may have.
fn believed(answer: ExchangeResponse, now: u64) -> Result<ExchangedToken, ExchangeFailure> {
    let ExchangeResponse { token, not_after } = answer;
    let not_after = u64::try_from(not_after).unwrap_or(0);
    if not_after <= now || not_after > now.saturating_add(MAX_LIFETIME) {
        return Err(unavailable("the agent's token has ended, or lives longer than five minutes"));
    }
    let is_token = token.split('.').count() == 3 && token.len() <= identity::jws::MAX_TOKEN;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| is_token);
    let mut bearer = bearer.ok_or_else(|| unavailable("the agent's answer holds no token"))?;
    bearer.set_sensitive(true);
    Ok(ExchangedToken { bearer, not_after })
}

fn unavailable(why: &str) -> ExchangeFailure {
    ExchangeFailure::Unavailable(why.into())
}
