//! The policies that one request meets: whether its caller is blocked, and what its answer says about it.

use std::net::IpAddr;
use std::sync::Arc;

use abuse_score::Answer;
use http::{HeaderMap, StatusCode};
use policy::abuse::BlockStatus;
use policy::client_traffic::ListenerPlace;
use policy::rate_limit::CallerFacts;
use rate_limit::KeyDigest;

use super::AbuseWatch;
use super::blocks::BlockedCaller;
use super::in_force::{PoliciesInForce, PolicyInForce};
use crate::connection::registry::Connection;
use crate::http::{BlockRefusal, SignInRefusal};
use crate::traffic::caller::AuthenticatedCaller;

/// The policies that one request meets.
pub(crate) struct MetAbuse {
    watch: Arc<AbuseWatch>,
    connection: Arc<Connection>,
    client: IpAddr,
    policies: Vec<MetPolicy>,
}

struct MetPolicy {
    of: Arc<PolicyInForce>,
    caller: KeyDigest,
    /// Who it is by a token or an API key, where it is by one.
    named: Option<BlockedCaller>,
}

impl MetAbuse {
    pub(super) fn of(
        watch: &Arc<AbuseWatch>,
        in_force: &PoliciesInForce,
        connection: &Arc<Connection>,
        client: IpAddr,
        listener: Option<&ListenerPlace<'_>>,
    ) -> Option<Self> {
        let facts = facts(connection, client, None);
        let about = in_force.policies().iter().filter(|of| of.settings.is_about(listener));
        let met = about.map(|of| MetPolicy {
            of: Arc::clone(of),
            caller: digest(watch, of, &facts),
            named: None,
        });
        let policies: Vec<_> = met.collect();
        let (watch, connection) = (Arc::clone(watch), Arc::clone(connection));
        (!policies.is_empty()).then_some(Self { watch, connection, client, policies })
    }

    /// Before credentials are looked at: whether the caller is blocked by what its connection tells.
    pub(crate) fn refusal_by_connection(&self) -> Option<Box<BlockRefusal>> {
        self.refusal(|met| !met.of.settings.is_keyed_by_credential())
    }

    /// Credentials are good: whether the caller is blocked that they name.
    pub(crate) fn refusal_by_credential(
        &mut self,
        caller: &AuthenticatedCaller,
    ) -> Option<Box<BlockRefusal>> {
        let Self { watch, connection, client, policies } = self;
        let facts = facts(connection, *client, Some(caller));
        let by_credential = |met: &&mut MetPolicy| met.of.settings.is_keyed_by_credential();
        for met in policies.iter_mut().filter(by_credential) {
            met.caller = digest(watch, &met.of, &facts);
            let caller = met.of.settings.caller(&facts);
            met.named = Some(BlockedCaller::new(caller.kind(), &caller.to_string()));
        }
        self.refusal(|met| met.of.settings.is_keyed_by_credential())
    }

    /// Credentials are not good: whether whoever has none is blocked at this address.
    pub(crate) fn refusal_without_credential(&self) -> Option<Box<BlockRefusal>> {
        self.refusal(|met| met.of.settings.is_keyed_by_credential())
    }

    fn refusal(&self, asked: impl Fn(&MetPolicy) -> bool) -> Option<Box<BlockRefusal>> {
        let now = self.watch.now();
        let mut refusal = None;
        for MetPolicy { of, caller, .. } in self.policies.iter().filter(|met| asked(met)) {
            let Some(blocked) = of.callers.blocked(*caller, now) else { continue };
            let enforced = of.is_enforced();
            let action = if enforced { "refused" } else { "would_refuse" };
            self.watch.metrics.abuse(&of.settings.policy, action);
            if enforced && refusal.is_none() {
                let status = match of.settings.status {
                    BlockStatus::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
                    BlockStatus::Forbidden => StatusCode::FORBIDDEN,
                };
                let policy = Arc::clone(&of.settings.policy);
                refusal = Some(Box::new(BlockRefusal { policy, left: blocked.left, status }));
            }
        }
        refusal
    }

    /// The head of the answer is known, whoever gives it.
    pub(crate) fn answered(self, answer: AnswerHead<'_>) {
        let Some(answer) = answer.means(&self.watch) else { return };
        let now = self.watch.now();
        for met in &self.policies {
            let who = || met.who(&self.connection, self.client);
            if let Some(block) = met.of.callers.answered(met.caller, answer, now, who) {
                met.of.tell_begin(&block, &self.watch.metrics);
            }
        }
    }
}

impl MetPolicy {
    fn who(&self, connection: &Connection, client: IpAddr) -> BlockedCaller {
        self.named.clone().unwrap_or_else(|| {
            let facts = facts(connection, client, None);
            let caller = self.of.settings.caller(&facts);
            BlockedCaller::new(caller.kind(), &caller.to_string())
        })
    }
}

/// What is known of an answer before its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerHead<'a> {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

impl AnswerHead<'_> {
    /// What it says about the caller; `None`: it is not counted. A blocked request is not, or a client that tries again would
    /// never get out; nor is one that wants its user to sign in, which is what an open page gets when its session has ended.
    fn means(&self, watch: &AbuseWatch) -> Option<Answer> {
        let sign_in = [SignInRefusal::Required, SignInRefusal::StepUp].map(SignInRefusal::as_str);
        if self.reason == BlockRefusal::REASON || sign_in.contains(&self.reason) {
            return None;
        }
        Some(match (self.status, self.grpc_status()) {
            (404, _) | (200, Some(b"5")) => {
                let key = [self.host.as_bytes(), b"\0", self.path.as_bytes()].concat();
                Answer::Missing(watch.digests.of(&key))
            }
            (401 | 403, _) | (200, Some(b"7" | b"16")) => Answer::Refused,
            _ => Answer::Accepted,
        })
    }

    /// An answer of gRPC without a message says in its head how it ended: NOT_FOUND is 5, PERMISSION_DENIED 7,
    /// UNAUTHENTICATED 16.
    fn grpc_status(&self) -> Option<&[u8]> {
        self.headers.get("grpc-status").map(|status| status.as_bytes())
    }
}

fn facts<'a>(
    connection: &'a Connection,
    client: IpAddr,
    caller: Option<&'a AuthenticatedCaller>,
) -> CallerFacts<'a> {
    CallerFacts {
        principal: connection.peer().map(|peer| peer.id.without_scheme()),
        client,
        token: caller.and_then(AuthenticatedCaller::claims),
        api_key: caller.and_then(AuthenticatedCaller::api_key),
        route: None,
    }
}

fn digest(watch: &AbuseWatch, of: &PolicyInForce, facts: &CallerFacts<'_>) -> KeyDigest {
    let mut key = Vec::with_capacity(64);
    of.settings.key(facts, &mut key);
    watch.digests.of(&key)
}
