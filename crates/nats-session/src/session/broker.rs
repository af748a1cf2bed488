//! What the broker says.

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};
use message_access::{AccessRequest, Judge, Moment, Operation, SessionEnd};

use super::NatsSession;
use super::payload::Payload;
use crate::broker_line::{BrokerLine, INFO_LINE_BYTES, Message};
use crate::feed::{Feed, Piece};
use crate::info::Info;
use crate::line::malformed;
use crate::open::Delivery;
use crate::subject::{self, Destination};

/// Where the broker is in what it says.
#[derive(Debug, Default)]
pub(super) struct BrokerSide {
    held: BytesMut,
    /// The message that its bytes are of, if they are of one.
    payload: Option<Payload>,
}

impl BrokerSide {
    /// How many bytes wait for the rest of their line.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a message is half on its way to the client.
    pub(super) fn is_within_message(&self) -> bool {
        self.payload.is_some_and(|payload| payload.passes)
    }
}

/// What is done with a line of the broker's.
enum Step {
    /// It passes.
    Pass,
    /// It is not for the client.
    Drop,
    /// This is said in its place.
    Say(Bytes),
    /// These answers of ours come before it.
    After(Vec<Bytes>),
    /// A message begins.
    Begin(Payload),
}

/// What is at hand while the broker is heard.
struct BrokerHearing<'a> {
    now: Moment,
    judge: &'a mut dyn Judge,
    to_broker: &'a mut VecDeque<Bytes>,
}

impl NatsSession {
    pub(super) fn hear_broker(
        &mut self,
        bytes: Bytes,
        now: Moment,
        judge: &mut dyn Judge,
        to_client: &mut VecDeque<Bytes>,
        to_broker: &mut VecDeque<Bytes>,
    ) -> Result<(), SessionEnd> {
        let mut held = mem::take(&mut self.broker.held);
        let mut feed = Feed::new(bytes, &mut held, to_client);
        let mut hearing = BrokerHearing { now, judge, to_broker };
        let heard = self.hear_broker_feed(&mut feed, &mut hearing);
        feed.flush();
        self.broker.held = held;
        heard
    }

    fn hear_broker_feed(
        &mut self,
        feed: &mut Feed<'_>,
        hearing: &mut BrokerHearing<'_>,
    ) -> Result<(), SessionEnd> {
        while !feed.is_empty() {
            if let Some(payload) = &mut self.broker.payload {
                if payload.go_on(feed)? {
                    self.broker.payload = None;
                    self.told_later.drain(..).for_each(|answer| feed.say(answer));
                }
                continue;
            }
            let line = feed.line(INFO_LINE_BYTES).map_err(|_| {
                SessionEnd::Limit("the broker said a line that is too long".to_owned())
            })?;
            if let Some(piece) = line {
                self.hear_broker_line(piece, feed, hearing)?;
            }
        }
        Ok(())
    }

    fn hear_broker_line(
        &mut self,
        piece: Piece,
        feed: &mut Feed<'_>,
        hearing: &mut BrokerHearing<'_>,
    ) -> Result<(), SessionEnd> {
        let line = feed.bytes(&piece);
        match BrokerLine::parse(&line).and_then(|line| self.weigh_broker_line(&line, hearing)) {
            Err(end) => {
                feed.take(piece);
                return Err(end);
            }
            Ok(Step::Pass) => feed.pass(piece),
            Ok(Step::Drop) => drop(feed.take(piece)),
            Ok(Step::Say(bytes)) => {
                feed.take(piece);
                feed.say(bytes);
            }
            Ok(Step::After(answers)) => {
                let line = feed.take(piece);
                answers.into_iter().chain([line]).for_each(|bytes| feed.say(bytes));
            }
            Ok(Step::Begin(payload)) => {
                if payload.passes {
                    feed.pass(piece);
                } else {
                    feed.take(piece);
                }
                self.broker.payload = Some(payload);
                return Ok(());
            }
        }
        while let Some(answer) = self.order.next_answer() {
            feed.say(answer);
        }
        Ok(())
    }

    fn weigh_broker_line(
        &mut self,
        line: &BrokerLine<'_>,
        hearing: &mut BrokerHearing<'_>,
    ) -> Result<Step, SessionEnd> {
        if self.info.is_none() && !matches!(line, BrokerLine::Info(_) | BrokerLine::Error(_)) {
            return Err(malformed("the broker did not begin with INFO"));
        }
        Ok(match line {
            BrokerLine::Info(text) => {
                let (info, anew) = Info::read(text, self.hide_servers)?;
                self.info = Some(info);
                anew.map_or(Step::Pass, Step::Say)
            }
            BrokerLine::Message(message) => self.weigh_message(message, hearing),
            BrokerLine::Okay if self.order.okay() => Step::Pass,
            BrokerLine::Okay => Step::Drop,
            BrokerLine::Error(reason) => {
                if is_answer(reason) {
                    self.order.refused();
                }
                Step::Pass
            }
            BrokerLine::Ping => Step::Pass,
            BrokerLine::Pong => {
                self.subscriptions.pong();
                match self.order.pong() {
                    before if before.is_empty() => Step::Pass,
                    before => Step::After(before),
                }
            }
        })
    }

    /// A message comes: for a subscription that is open, and about what the client may read. Where it asks for an answer, the
    /// client may give one. However long it is: nothing of it is held here, and what a client may send grows with the broker
    /// (headers of its own, base64 around a stored message).
    fn weigh_message(&mut self, message: &Message<'_>, hearing: &mut BrokerHearing<'_>) -> Step {
        let Message { sid, reply, bytes, .. } = *message;
        let delivery = self.subscriptions.delivered(sid);
        if delivery == Delivery::Last {
            // The broker may count otherwise: a message that it makes itself is none to it.
            self.unsubscribe(sid, hearing.to_broker);
        }
        let passes = delivery != Delivery::Dropped && may_be_read(message, hearing.judge);
        if let Some(reply) = reply.filter(|_| passes)
            && matches!(Destination::of(reply), Destination::Plain(_))
        {
            self.replies.delivered(reply, hearing.now);
        }
        Step::Begin(Payload::new(bytes, passes))
    }
}

/// Whether the client may read this message, beside that it may listen where it comes to.
///
/// What a consumer delivers comes to an inbox, whatever it is about, until the consumer ends: its stream and its subject
/// are judged by themselves. So is what a subscription with wildcards finds of the server's own subjects.
fn may_be_read(message: &Message<'_>, judge: &mut dyn Judge) -> bool {
    let request = match message.reply.map(|reply| (reply, Destination::of(reply))) {
        Some((reply, Destination::Delivered { stream })) => AccessRequest {
            // Flow control is about the consumer, at the subject that it delivers to.
            topic: Some(message.subject).filter(|_| !reply.starts_with("$JS.FC.")),
            stream: Some(stream),
            ..AccessRequest::new(Operation::Subscribe)
        },
        _ => match subject::subscription(message.subject, None) {
            AccessRequest { operation: Operation::Subscribe, .. } => return true,
            looks_into_the_server => looks_into_the_server,
        },
    };
    judge.would_allow(&request) || judge.decide(&request)
}

/// Whether an error stands where `+OK` would.
fn is_answer(reason: &str) -> bool {
    ["'Permissions Violation", "'Invalid Subject"].iter().any(|begin| reason.starts_with(begin))
}
