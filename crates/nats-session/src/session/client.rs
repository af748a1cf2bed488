//! What the client says.

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};
use message_access::{Judge, Moment, SessionEnd};

use super::NatsSession;
use super::payload::Payload;
use super::publish::Block;
use crate::client_line::ClientLine;
use crate::connect::Options;
use crate::feed::{Feed, Piece};
use crate::line::{CONTROL_LINE_BYTES, malformed};
use crate::{refusal, subject};

/// Where the client is in what it says.
#[derive(Debug, Default)]
pub(super) struct ClientSide {
    held: BytesMut,
    state: State,
}

/// What is read next.
#[derive(Debug, Default)]
enum State {
    #[default]
    Line,
    /// The beginning of a message, or all of it, that has to be read before it is judged.
    Block(Block),
    /// What is left of a message.
    Payload(Payload),
}

impl ClientSide {
    /// How many bytes wait for the rest of their line or message.
    pub(super) fn held(&self) -> usize {
        let line = match &self.state {
            State::Block(block) => block.line.len(),
            State::Line | State::Payload(_) => 0,
        };
        self.held.len() + line
    }

    /// Whether a message is half on its way to the broker.
    pub(super) const fn is_within_message(&self) -> bool {
        matches!(self.state, State::Payload(payload) if payload.passes)
    }
}

/// What is done with a line, or with a message's beginning.
pub(super) enum Step {
    /// It passes.
    Pass,
    /// It does not, and the client is told.
    Refuse(Bytes),
    /// It passes, and the message that it begins.
    Stream(Payload),
    /// This is sent in its place, and the rest of the message behind it.
    StreamAs(Vec<Bytes>, Payload),
    /// It does not pass, nor does the rest of the message; the client is told.
    Swallow(Bytes, Payload),
    /// So much of the message has to be read first.
    Read(usize),
    /// These are sent in its place: a whole message.
    Send(Vec<Bytes>),
}

/// The line that closes a subscription.
pub(super) fn unsubscribe(sid: &str) -> Bytes {
    format!("UNSUB {sid}\r\n").into()
}

/// What is at hand while the client is heard.
pub(super) struct Hearing<'a> {
    pub(super) now: Moment,
    pub(super) judge: &'a mut dyn Judge,
    pub(super) to_client: &'a mut VecDeque<Bytes>,
}

impl NatsSession {
    pub(super) fn hear_client(
        &mut self,
        bytes: Bytes,
        now: Moment,
        judge: &mut dyn Judge,
        to_client: &mut VecDeque<Bytes>,
        to_broker: &mut VecDeque<Bytes>,
    ) -> Result<(), SessionEnd> {
        let mut held = mem::take(&mut self.client.held);
        let mut feed = Feed::new(bytes, &mut held, to_broker);
        let mut hearing = Hearing { now, judge, to_client };
        let heard = self.hear_client_feed(&mut feed, &mut hearing);
        feed.flush();
        self.client.held = held;
        heard
    }

    fn hear_client_feed(
        &mut self,
        feed: &mut Feed<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<(), SessionEnd> {
        while !feed.is_empty() {
            match &mut self.client.state {
                State::Payload(payload) => {
                    if payload.go_on(feed)? {
                        self.client.state = State::Line;
                        self.asked_later.drain(..).for_each(|ours| feed.say(ours));
                    }
                }
                State::Block(block) => {
                    if let Some(piece) = feed.block(block.length) {
                        self.hear_block(piece, feed, hearing)?;
                    }
                }
                State::Line => {
                    let line = feed.line(CONTROL_LINE_BYTES).map_err(|_| {
                        SessionEnd::Limit("Maximum Control Line Exceeded".to_owned())
                    })?;
                    if let Some(piece) = line {
                        self.hear_line(piece, feed, hearing)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn hear_line(
        &mut self,
        piece: Piece,
        feed: &mut Feed<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<(), SessionEnd> {
        let line = feed.bytes(&piece);
        let step = ClientLine::parse(&line).and_then(|line| self.weigh_line(&line, hearing));
        match step {
            Ok(Step::Pass) => feed.pass(piece),
            Ok(Step::Stream(payload)) => {
                feed.pass(piece);
                self.client.state = State::Payload(payload);
            }
            step => {
                let line = feed.take(piece);
                self.take_step(step?, line, feed, hearing);
            }
        }
        Ok(())
    }

    /// What has been read of a message that had to be.
    fn hear_block(
        &mut self,
        piece: Piece,
        feed: &mut Feed<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<(), SessionEnd> {
        let bytes = feed.take(piece);
        if let State::Block(block) = mem::take(&mut self.client.state) {
            let step = self.weigh_block(&block, &bytes, hearing)?;
            self.take_step(step, block.line, feed, hearing);
        }
        Ok(())
    }

    fn take_step(
        &mut self,
        step: Step,
        line: Bytes,
        feed: &mut Feed<'_>,
        hearing: &mut Hearing<'_>,
    ) {
        match step {
            Step::Pass => feed.say(line),
            Step::Stream(payload) => {
                feed.say(line);
                self.client.state = State::Payload(payload);
            }
            Step::Refuse(told) => self.tell(told, hearing.to_client),
            Step::Swallow(told, payload) => {
                self.tell(told, hearing.to_client);
                self.client.state = State::Payload(payload);
            }
            Step::StreamAs(parts, payload) => {
                parts.into_iter().for_each(|part| feed.say(part));
                self.client.state = State::Payload(payload);
            }
            Step::Send(parts) => parts.into_iter().for_each(|part| feed.say(part)),
            Step::Read(length) => self.client.state = State::Block(Block { line, length }),
        }
    }

    fn weigh_line(
        &mut self,
        line: &ClientLine<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<Step, SessionEnd> {
        if self.options.is_none() && !matches!(line, ClientLine::Connect(_)) {
            return Err(malformed("the client did not begin with CONNECT"));
        }
        match line {
            ClientLine::Connect(text) => self.connect(text),
            ClientLine::Publish(message) => self.weigh_publish(message, hearing),
            ClientLine::Subscribe { subject, queue, sid } => {
                self.subscribe(subject, *queue, sid, hearing)
            }
            ClientLine::Unsubscribe { sid, messages } => {
                let stays = self.subscriptions.unsubscribe(sid, *messages);
                self.order.await_okay();
                // The broker may have counted fewer messages than we did: what is closed here is closed there.
                Ok(if stays { Step::Pass } else { Step::Send(vec![unsubscribe(sid)]) })
            }
            ClientLine::Ping => {
                self.order.await_pong();
                self.subscriptions.ping();
                Ok(Step::Pass)
            }
            ClientLine::Pong => Ok(Step::Pass),
        }
    }

    fn connect(&mut self, text: &str) -> Result<Step, SessionEnd> {
        if self.options.is_some() {
            return Err(malformed("a second CONNECT"));
        }
        let options = Options::read(text)?;
        self.options = Some(options);
        self.order.verbose = options.verbose;
        self.order.await_okay();
        Ok(Step::Pass)
    }

    fn subscribe(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        sid: &str,
        hearing: &mut Hearing<'_>,
    ) -> Result<Step, SessionEnd> {
        self.subscriptions.may_open(sid)?;
        if !hearing.judge.decide(&subject::subscription(subject, queue)) {
            return Ok(Step::Refuse(refusal::subscription(subject, queue)));
        }
        self.subscriptions.open(sid, subject, queue);
        self.order.await_okay();
        Ok(Step::Pass)
    }
}
