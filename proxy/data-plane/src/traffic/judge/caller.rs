//! Who asks, by the state of this proxy: what has been found out of a request, and whether it still counts where other
//! rules have come into force since.

use std::sync::Arc;

use policy::{ApiKeyTable, GatewayListener, Snapshot, TokenRules};

use super::RequestJudge;
use super::token;
use crate::http::TokenRefusal;
use crate::http::error::RequestError;
use crate::http::gate;
use crate::traffic::api_key;
use crate::traffic::caller::AuthenticatedCaller;
use crate::traffic::exchange::Exchange;
use crate::traffic::jwt::AuthenticatedToken;

/// A caller, and the rules by which it was found out who that is.
pub(super) struct JudgedCaller {
    pub(super) caller: AuthenticatedCaller,
    /// `None` where it is nobody: all of it can be judged anew.
    by: Option<(Arc<TokenRules>, Arc<ApiKeyTable>)>,
}

impl RequestJudge {
    /// Finds out who asks, by the rules of a snapshot. `before`: what was found out by another one a moment ago.
    pub(super) fn caller(
        &self,
        exchange: &mut Exchange<'_>,
        snapshot: &Snapshot,
        before: Option<JudgedCaller>,
    ) -> Result<JudgedCaller, RequestError> {
        if let Some(before) = before {
            // The gate has let its names in by rules that are gone.
            gate::refuse_other_spellings(&exchange.parts.headers, snapshot.header_names())
                .map_err(RequestError::Gate)?;
            if before.by.is_some() {
                return before.still_counts(snapshot, exchange.listener.as_ref());
            }
        }
        let caller = self.authenticated(exchange, snapshot)?;
        let rules = || (snapshot.tokens().clone(), snapshot.api_keys().clone());
        let by = (!caller.is_nobody()).then(rules);
        Ok(JudgedCaller { caller, by })
    }

    fn authenticated(
        &self,
        exchange: &mut Exchange<'_>,
        snapshot: &Snapshot,
    ) -> Result<AuthenticatedCaller, RequestError> {
        let known = exchange.known.take();
        let Exchange { parts, admitted, path, listener, .. } = exchange;
        let peer = self.connection.peer();
        let token =
            token::authenticate(&self.worker, peer, snapshot, parts, admitted.host(), path)?;
        let token = token::joined(token, known, snapshot, (parts, listener.as_ref()))?;
        refuse_revoked(&token, snapshot)?;
        let rules = snapshot.api_keys().rules(listener.as_ref().map(|listener| listener.place()));
        let now = self.worker.state.clock.unix();
        let api_key = api_key::authenticate(rules, parts, path.query(), now);
        Ok(AuthenticatedCaller { token, api_key: api_key.map_err(RequestError::ApiKey)? })
    }
}

/// However the token was verified, and whenever.
fn refuse_revoked(token: &AuthenticatedToken, snapshot: &Snapshot) -> Result<(), RequestError> {
    match token.claims().is_some_and(|claims| snapshot.revoked_tokens().is_revoked(claims)) {
        true => Err(RequestError::Token(TokenRefusal::Revoked)),
        false => Ok(()),
    }
}

impl JudgedCaller {
    /// Token and key are out of the request by now, and the headers that were made of the token are in: where the rules are
    /// others, nobody could tell what they would have made of it, and the request ends ([0402]).
    ///
    /// [0402]: ../../../../../docs/decisions/0402-in-doubt-a-request-under-way-ends.md
    fn still_counts(
        self,
        snapshot: &Snapshot,
        listener: Option<&Arc<GatewayListener>>,
    ) -> Result<Self, RequestError> {
        let same = |(tokens, api_keys): &(Arc<TokenRules>, Arc<ApiKeyTable>)| {
            *tokens == *snapshot.tokens() && *api_keys == *snapshot.api_keys()
        };
        refuse_revoked(&self.caller.token, snapshot)?;
        let known = self.caller.token.known();
        let known = known.is_none_or(|known| known.is_accepted(snapshot, listener));
        if known && self.by.as_ref().is_none_or(same) {
            Ok(self)
        } else {
            Err(RequestError::Withdrawn)
        }
    }
}
