//! The session: the two directions of one connection, and what holds between them.
//!
//! `client` reads what the client says and `publish` judges its messages; `broker` reads what the broker says. Answers of
//! the session's own go between two messages of a direction, never into one that streams through.

mod broker;
mod client;
mod order;
mod payload;
mod publish;

use std::collections::VecDeque;

use bytes::Bytes;
use message_access::{Judge, Moment, Output, Session, SessionEnd, SessionSettings};

use crate::connect::Options;
use crate::info::Info;
use crate::line::malformed;
use crate::open::Subscriptions;
use crate::refusal;
use crate::replies::Replies;
use order::Order;

/// One client's connection to a NATS broker.
#[derive(Debug)]
pub struct NatsSession {
    message_bytes: usize,
    in_flight: usize,
    stamp_source: bool,
    hide_servers: bool,
    /// What the client said of itself: nothing else counts before.
    options: Option<Options>,
    /// What the broker said of itself: it speaks first.
    info: Option<Info>,
    client: client::ClientSide,
    broker: broker::BrokerSide,
    subscriptions: Subscriptions,
    replies: Replies,
    order: Order,
    /// What the client is told once the message that streams to it is complete.
    told_later: VecDeque<Bytes>,
    /// What the broker is told once the message that streams to it is complete.
    asked_later: VecDeque<Bytes>,
}

impl NatsSession {
    /// A connection at its beginning.
    #[must_use]
    pub fn new(settings: &SessionSettings) -> Self {
        Self {
            message_bytes: settings.message_bytes,
            in_flight: settings.in_flight,
            stamp_source: settings.stamp_source,
            hide_servers: settings.hide_servers,
            options: None,
            info: None,
            client: client::ClientSide::default(),
            broker: broker::BrokerSide::default(),
            subscriptions: Subscriptions::new(settings.subscriptions),
            replies: Replies::default(),
            order: Order::default(),
            told_later: VecDeque::new(),
            asked_later: VecDeque::new(),
        }
    }

    /// Closes a subscription at the broker.
    fn unsubscribe(&mut self, sid: &str, to_broker: &mut VecDeque<Bytes>) {
        let line = client::unsubscribe(sid);
        if self.client.is_within_message() {
            self.asked_later.push_back(line);
        } else {
            to_broker.push_back(line);
        }
        self.order.await_ours();
    }

    /// Answers the client, in its turn.
    fn tell(&mut self, answer: Bytes, to_client: &mut VecDeque<Bytes>) {
        if let Some(answer) = self.order.answer(answer) {
            self.tell_now(answer, to_client);
        }
    }

    fn tell_now(&mut self, answer: Bytes, to_client: &mut VecDeque<Bytes>) {
        if self.broker.is_within_message() {
            self.told_later.push_back(answer);
        } else {
            to_client.push_back(answer);
        }
    }

    /// Tells the client why its session ends, where that does not break a message.
    fn ended(&self, end: SessionEnd, to_client: &mut VecDeque<Bytes>) -> SessionEnd {
        if !self.broker.is_within_message() {
            to_client.push_back(refusal::end(&end));
        }
        end
    }
}

impl Session for NatsSession {
    fn client_said(
        &mut self,
        bytes: Bytes,
        now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let Output { to_client, to_broker } = output;
        let said = if self.info.is_none() {
            Err(malformed("the client spoke before the broker"))
        } else {
            self.hear_client(bytes, now, judge, to_client, to_broker)
        };
        said.map_err(|end| self.ended(end, to_client))
    }

    fn broker_said(
        &mut self,
        bytes: Bytes,
        now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let Output { to_client, to_broker } = output;
        let said = self.hear_broker(bytes, now, judge, to_client, to_broker);
        said.map_err(|end| self.ended(end, to_client))
    }

    /// Each open subscription is judged again. What is not allowed any more is closed at the broker, the client is told, and
    /// what is under way for it is not delivered.
    fn policy_changed(
        &mut self,
        _: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        for taken in self.subscriptions.revoke(|request| judge.would_allow(request)) {
            self.unsubscribe(&taken.sid, &mut output.to_broker);
            let told = refusal::revoked(&taken.subject, taken.queue.as_deref(), &taken.sid);
            self.tell(told, &mut output.to_client);
        }
        Ok(())
    }

    fn has_unjudged(&self) -> bool {
        self.subscriptions.has_unjudged()
    }

    fn wants_more(&self) -> bool {
        self.info.is_some()
            && self.order.len() < self.in_flight
            && self.told_later.len() < self.in_flight
    }

    fn is_established(&self) -> bool {
        self.options.is_some()
    }

    fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    fn held(&self) -> usize {
        let later = self.told_later.iter().chain(&self.asked_later).map(Bytes::len).sum::<usize>();
        self.client.held()
            + self.broker.held()
            + self.subscriptions.held()
            + self.replies.held()
            + self.order.held()
            + later
    }
}

#[cfg(test)]
mod tests;
