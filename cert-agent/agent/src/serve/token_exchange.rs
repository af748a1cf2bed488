//! The token exchange (`proto/token_exchange.proto`), on the socket of the Workload API and for the same users.

use issuance_messages::UserAssertion;
use issuance_messages::exchange_token_request::Subject;
use tonic::{Request, Response, Status};

use crate::proto::own::exchange_request::Subject as AskedSubject;
use crate::proto::own::token_exchange_server::TokenExchange;
use crate::proto::own::{ExchangeRequest, ExchangeResponse};
use crate::renewal::exchange_source::{ExchangeSource, Wanted};
use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::StateView;
use crate::serve::callers::{AllowedCallers, check_security_header};

/// The service.
#[derive(Debug)]
pub struct TokenExchangeService {
    view: StateView,
    source: ExchangeSource,
    callers: AllowedCallers,
}

impl TokenExchangeService {
    /// Serves what `source` gets for the identity in `view` to these callers.
    #[must_use]
    pub fn new(view: StateView, source: ExchangeSource, callers: AllowedCallers) -> Self {
        Self { view, source, callers }
    }
}

#[tonic::async_trait]
impl TokenExchange for TokenExchangeService {
    async fn exchange(
        &self,
        request: Request<ExchangeRequest>,
    ) -> Result<Response<ExchangeResponse>, Status> {
        check_security_header(&request)?;
        self.callers.check(&request)?;
        let wanted = wanted(request.into_inner())?;
        let nothing = || Status::unavailable("no certificate is held");
        let held = self.view.current(ClockReading::now().unix()).ok_or_else(nothing)?;
        let exchanged = self.source.exchange(&held, wanted).await?;
        let not_after = i64::try_from(exchanged.not_after).unwrap_or(i64::MAX);
        Ok(Response::new(ExchangeResponse { token: exchanged.token.to_string(), not_after }))
    }
}

/// The request as the authority hears it. What may stand in it, the authority says: its rules are in one place.
fn wanted(request: ExchangeRequest) -> Result<Wanted, Status> {
    let ExchangeRequest { audience, lifetime, subject } = request;
    let subject = match subject {
        Some(AskedSubject::Assertion(user)) => Subject::Assertion(UserAssertion {
            subject: user.subject,
            original_issuer: user.original_issuer,
            claims: user.claims,
        }),
        Some(AskedSubject::SubjectToken(token)) => Subject::SubjectToken(token),
        None => return Err(Status::invalid_argument("give an assertion or a subject token")),
    };
    Ok(Wanted { audience, lifetime, subject })
}
