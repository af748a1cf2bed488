//! The tokens of the mesh that one proxy has got, and how it asks for more: once for all that want to know the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;

use super::agent::AgentClient;
use super::cache::{ExchangedToken, ExchangedTokens};
use super::question::ExchangeQuestion;
use crate::clock::Clock;
use crate::http::error::RequestError;
use crate::telemetry::metrics::Metrics;
use crate::traffic::single_flight::SingleFlight;

/// For an answer of the agent, waiting for a turn included.
const WITHIN: Duration = Duration::from_secs(2);
/// Different questions that wait for the agent at the same time.
const MOST_FLIGHTS: usize = 1024;

/// Why there is no token of the mesh. Holds no part of any token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExchangeFailure {
    /// The user's token cannot be exchanged, now or later.
    #[error("{0}")]
    Refused(Arc<str>),
    /// Nobody could be asked, or whoever was asked cannot answer.
    #[error("{0}")]
    Unavailable(Arc<str>),
}

impl ExchangeFailure {
    /// The value of the metric's label.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<ExchangeFailure> for RequestError {
    fn from(failure: ExchangeFailure) -> Self {
        match failure {
            ExchangeFailure::Refused(why) => Self::TokenExchangeRefused(why),
            ExchangeFailure::Unavailable(why) => Self::TokenExchangeUnavailable(why),
        }
    }
}

/// The tokens of the mesh that one proxy has got, and whom it asks for more.
pub struct TokenExchanger {
    agent: Option<Arc<AgentClient>>,
    tokens: Arc<ExchangedTokens>,
    flights: SingleFlight<[u8; 32], Result<ExchangedToken, ExchangeFailure>>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
}

impl TokenExchanger {
    /// Asks the agent at this socket; without one nothing is exchanged.
    #[must_use]
    pub fn new(agent: Option<PathBuf>, clock: Arc<Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            agent: agent.map(|socket| Arc::new(AgentClient::new(socket))),
            tokens: Arc::default(),
            flights: SingleFlight::new(MOST_FLIGHTS),
            clock,
            metrics,
        }
    }

    /// The value of `authorization` that answers a question: one that was got before, or a new one.
    ///
    /// # Errors
    /// [`ExchangeFailure`].
    pub(crate) async fn bearer(
        &self,
        question: ExchangeQuestion,
    ) -> Result<HeaderValue, ExchangeFailure> {
        let key = question.key();
        if let Some(held) = self.tokens.get(&key, self.clock.unix()) {
            self.metrics.token_exchange("cached");
            return Ok(held);
        }
        let asked = self.ask(key, question).await;
        self.metrics.token_exchange(match &asked {
            Ok(_) => "issued",
            Err(failure) => failure.as_str(),
        });
        asked.map(|token| token.bearer)
    }

    /// Asks the agent, once for all that want to know the same.
    async fn ask(
        &self,
        key: [u8; 32],
        question: ExchangeQuestion,
    ) -> Result<ExchangedToken, ExchangeFailure> {
        let unavailable = |why: &str| ExchangeFailure::Unavailable(why.into());
        let Some(agent) = &self.agent else {
            return Err(unavailable(
                "there is no agent to ask: TokenExchange needs `identity.workloadApi`",
            ));
        };
        let (agent, tokens, clock) = (agent.clone(), self.tokens.clone(), self.clock.clone());
        let work = || async move {
            let answered = tokio::time::timeout(WITHIN, agent.exchange(&question, clock.unix()));
            let answered = answered.await;
            let token =
                answered.map_err(|_| unavailable("the agent did not answer within 2 s"))??;
            tokens.put(key, token.clone(), clock.unix());
            Ok(token)
        };
        let landed = self.flights.run(key, work).await;
        landed.map_err(|_| unavailable("too many questions wait for the agent"))?
    }
}
