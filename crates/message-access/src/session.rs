//! One connection of a client to a broker, in the broker's protocol and without sockets.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::request::AccessRequest;

/// Monotonic time since some fixed moment, handed in by whoever moves the bytes.
pub type Moment = Duration;

/// Answers the questions of a session. Every call to [`decide`](Self::decide) is counted, and a refusal is logged.
pub trait Judge {
    /// Whether the client may do this now. Asked once for each thing that a client does.
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool;

    /// The same of what reaches the client by a subscription that was decided: it is counted, and a refusal is logged, but
    /// an audit has its line of the subscription already.
    fn delivers(&mut self, request: &AccessRequest<'_>) -> bool {
        self.decide(request)
    }

    /// The same where nothing was asked for by name: neither counted nor logged (what a listing leaves out, whether an
    /// open subscription may stay).
    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool;

    /// Counts and logs a refusal that no policy could lift: the protocol has no such thing, or nobody may do it.
    fn note_refusal(&mut self, _request: &AccessRequest<'_>) {}

    /// The client's principal (`cluster.local/ns/shop/sa/cart`), where it has proved one.
    fn principal(&self) -> Option<&str>;
}

/// Why a session ends before its client ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// Policy does not allow what the client asked for, and its protocol has no way to refuse that alone, or what it had
    /// open is no longer allowed.
    Denied,
    /// A version of the protocol, or a request, that is not supported (`event_version`).
    Version(String),
    /// Bytes that are not of the protocol, from either side (`event_malformed`).
    Malformed(String),
    /// More, or longer, than a limit allows (`event_limit`).
    Limit(String),
}

/// Why a client does not stay connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// It may not be here any longer: its certificate has ended or is not trusted any more, or policy refuses its
    /// connections.
    NotAllowed,
    /// Who carries the connection ends; the client is welcome where it comes to next.
    Ending,
}

/// What a session wants sent, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// To the client: what the broker said, and answers of the session's own.
    pub to_client: VecDeque<Bytes>,
    /// To the broker: what of the client's is allowed.
    pub to_broker: VecDeque<Bytes>,
}

impl Output {
    /// How many bytes wait in both directions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.to_client.iter().chain(&self.to_broker).map(Bytes::len).sum()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to_client.is_empty() && self.to_broker.is_empty()
    }
}

/// What holds for the sessions of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// The longest message, payload or request that a client or a broker may send, in bytes.
    pub message_bytes: usize,
    /// How many requests may wait for the broker's answer, and how many subscriptions may be open.
    pub in_flight: usize,
    /// How many subscriptions one connection may have open.
    pub subscriptions: usize,
    /// Whether each message that a client publishes carries its principal (`Postern-Source`). What a client writes in its
    /// place is removed in any case.
    pub stamp_source: bool,
    /// Where clients reach the brokers, by node id, in place of what brokers say of themselves (Kafka). Empty: nothing is
    /// rewritten.
    pub advertised: HashMap<i32, SocketAddr>,
    /// Whether what a broker says about other servers of its cluster is withheld: clients that dial this port themselves
    /// would get around it.
    pub hide_servers: bool,
}

/// One connection of a client to a broker. Bytes of both sides come in as they arrive, in pieces of any size; what may
/// pass leaves through [`Output`], with the answers of the session's own in between, in the order that the protocol asks
/// for.
///
/// After an `Err` the session is over: what is in the output by then is still sent, then both sides are closed.
pub trait Session: Send {
    /// The client has said this.
    ///
    /// # Errors
    /// The session ends.
    fn client_said(
        &mut self,
        bytes: Bytes,
        now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd>;

    /// The broker has said this.
    ///
    /// # Errors
    /// The session ends; a broker that breaks its protocol costs this connection and no other.
    fn broker_said(
        &mut self,
        bytes: Bytes,
        now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd>;

    /// Another policy is in force: what is open is judged again. Where that is much, a part of it is; see
    /// [`has_unjudged`](Self::has_unjudged).
    ///
    /// # Errors
    /// The session ends.
    fn policy_changed(
        &mut self,
        now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd>;

    /// Whether [`policy_changed`](Self::policy_changed) has left some of what is open for its next call, which follows
    /// without another change, once other connections have had their turn.
    fn has_unjudged(&self) -> bool {
        false
    }

    /// The client has closed its direction. The session may say a last word to the broker.
    fn client_closed(&mut self, _output: &mut Output) {}

    /// The client does not stay connected, whatever it asks for. The session may say last words to both sides; then both
    /// are closed. An MQTT client, for one, takes leave of the broker, so that its will is not published.
    fn dismissed(&mut self, _why: Dismissal, _output: &mut Output) {}

    /// Whether more of the client may be read now. While this is false, the client waits for the broker.
    fn wants_more(&self) -> bool {
        true
    }

    /// Whether the client has introduced itself as its protocol asks. A client that has not within a deadline is
    /// closed.
    fn is_established(&self) -> bool;

    /// How many subscriptions are open.
    fn subscriptions(&self) -> usize;

    /// How many bytes the session holds by now: messages that are not whole yet, answers that wait for their turn, names of
    /// what is open. What it holds in all cases need not be counted. All sessions of a process share what they may hold;
    /// one that finds no room is closed (`event_limit`).
    fn held(&self) -> usize {
        0
    }
}
