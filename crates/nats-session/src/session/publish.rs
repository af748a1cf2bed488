//! What the client publishes: its subject, where it wants answers, the subjects that its headers name, and what requests to
//! JetStream ask for.

use bytes::Bytes;
use message_access::{AccessRequest, Judge, Operation, SessionEnd};

use super::NatsSession;
use super::client::{Hearing, Step};
use super::payload::{END, Payload};
use crate::client_line::{ClientLine, Publish};
use crate::headers::{self, Headers};
use crate::jetstream::{self, Call};
use crate::line::malformed;
use crate::refusal;
use crate::subject::{self, Destination};

/// A message whose beginning has to be read before it is judged: its headers, or all of it.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) line: Bytes,
    /// How much has to be read, behind the line.
    pub(super) length: usize,
}

impl NatsSession {
    /// Judges a message by its control line, as far as that goes.
    pub(super) fn weigh_publish(
        &mut self,
        message: &Publish<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<Step, SessionEnd> {
        if message.bytes > self.message_bytes {
            return Err(SessionEnd::Limit("Maximum Payload Violation".to_owned()));
        }
        if let Some(told) = self.refuse_line(message, hearing) {
            return Ok(Step::Swallow(told, Payload::new(message.bytes, false)));
        }
        let destination = Destination::of(message.subject);
        if let Destination::Api(api) = destination {
            return read_request(api, message);
        }
        if let Some(header_bytes) = message.header_bytes {
            return Ok(Step::Read(header_bytes));
        }
        self.order.await_okay();
        let payload = Payload::new(message.bytes, true);
        match self.stamp(destination, hearing.judge) {
            None => Ok(Step::Stream(payload)),
            Some(principal) => {
                let block = headers::stamp_alone(principal)?;
                self.fits(block.len(), message.bytes)?;
                let line = line_with_headers(message, block.len(), message.bytes);
                Ok(Step::StreamAs(vec![line, block], payload))
            }
        }
    }

    /// Judges what the control line says: the subject, and where answers shall go.
    fn refuse_line(&mut self, message: &Publish<'_>, hearing: &mut Hearing<'_>) -> Option<Bytes> {
        if !self.may_publish(message.subject, hearing) {
            return Some(refusal::publish(message.subject));
        }
        let reply = message.reply?;
        (!self.may_be_answered_at(reply, hearing)).then(|| refusal::reply(reply))
    }

    fn may_publish(&mut self, subject: &str, hearing: &mut Hearing<'_>) -> bool {
        let judge = &mut *hearing.judge;
        match Destination::of(subject) {
            // What a request needs is judged once it is read.
            Destination::Api(api) if jetstream::is_request(api) => true,
            Destination::Api(_) => {
                judge.note_refusal(&AccessRequest::on_topic(Operation::Publish, subject));
                false
            }
            Destination::Delivered { stream } => {
                let request = AccessRequest {
                    stream: Some(stream),
                    ..AccessRequest::new(Operation::Subscribe)
                };
                may_reach(subject, &request, judge)
            }
            Destination::Reserved(topic) => {
                may_reach(subject, &AccessRequest::on_topic(Operation::Admin, topic), judge)
            }
            Destination::Plain(topic) => self.may_say(topic, hearing),
        }
    }

    /// A message to an ordinary subject: an answer, where one is awaited there.
    fn may_say(&mut self, topic: &str, hearing: &mut Hearing<'_>) -> bool {
        let reply = self.replies.awaits(topic, hearing.now);
        let request = AccessRequest { reply, ..AccessRequest::on_topic(Operation::Publish, topic) };
        let allowed = may_reach(topic, &request, hearing.judge);
        if allowed && reply {
            self.replies.answered(topic);
        }
        allowed
    }

    /// Whether others may be told to answer there. Whoever answers is allowed to because it was asked; so the subject is the
    /// caller's own inbox, or one that the caller may publish to itself: the inbox of whoever asked it, for one.
    fn may_be_answered_at(&mut self, reply: &str, hearing: &mut Hearing<'_>) -> bool {
        let listens = AccessRequest::on_topic(Operation::Subscribe, reply);
        if subject::is_inbox_of(hearing.judge.principal(), reply)
            && hearing.judge.would_allow(&listens)
        {
            return true;
        }
        if let Destination::Plain(topic) = Destination::of(reply) {
            return self.may_say(topic, hearing);
        }
        hearing.judge.note_refusal(&AccessRequest::on_topic(Operation::Publish, reply));
        false
    }

    /// Judges what has been read behind the line.
    pub(super) fn weigh_block(
        &mut self,
        block: &Block,
        bytes: &Bytes,
        hearing: &mut Hearing<'_>,
    ) -> Result<Step, SessionEnd> {
        let ClientLine::Publish(message) = ClientLine::parse(&block.line)? else {
            return Err(malformed("a message without its line"));
        };
        match Destination::of(message.subject) {
            Destination::Api(api) => self.weigh_request(api, &message, block, bytes, hearing),
            destination => self.weigh_headers(destination, &message, block, bytes, hearing),
        }
    }

    /// A message with headers, which have been read. The rest streams through behind them.
    fn weigh_headers(
        &mut self,
        destination: Destination<'_>,
        message: &Publish<'_>,
        block: &Block,
        bytes: &Bytes,
        hearing: &mut Hearing<'_>,
    ) -> Result<Step, SessionEnd> {
        let headers = Headers::read(bytes)?;
        let rest = message.bytes.saturating_sub(bytes.len());
        if let Some(told) = refuse_headers(&headers, message, hearing) {
            return Ok(Step::Swallow(told, Payload::new(rest, false)));
        }
        self.order.await_okay();
        let stamp = self.stamp(destination, hearing.judge);
        let parts = if headers.is_changed() || stamp.is_some() {
            let anew = headers::rewritten(bytes, stamp)?;
            self.fits(anew.len(), rest)?;
            vec![line_with_headers(message, anew.len(), rest), anew]
        } else {
            vec![block.line.clone(), bytes.clone()]
        };
        Ok(Step::StreamAs(parts, Payload::new(rest, true)))
    }

    /// A request to JetStream, which has been read whole.
    fn weigh_request(
        &mut self,
        api: &str,
        message: &Publish<'_>,
        block: &Block,
        bytes: &Bytes,
        hearing: &mut Hearing<'_>,
    ) -> Result<Step, SessionEnd> {
        let header_bytes = message.header_bytes.unwrap_or(0);
        let message_bytes = bytes
            .strip_suffix(END)
            .ok_or_else(|| malformed("a message that does not end where its control line says"))?;
        let (head, body) = message_bytes.split_at_checked(header_bytes).unwrap_or_default();
        let headers = match message.header_bytes {
            Some(_) => Headers::read(head)?,
            None => Headers::default(),
        };
        let call = jetstream::call(api, body)?;
        if !allows(&call, hearing.judge) {
            return Ok(Step::Refuse(refusal::publish(message.subject)));
        }
        if let Some(told) = refuse_headers(&headers, message, hearing) {
            return Ok(Step::Refuse(told));
        }
        self.order.await_okay();
        if headers.is_changed() {
            let anew = headers::rewritten(head, None)?;
            let rest = bytes.slice(header_bytes..);
            self.fits(anew.len(), body.len())?;
            let line = line_with_headers(message, anew.len(), body.len());
            return Ok(Step::Send(vec![line, anew, rest]));
        }
        Ok(Step::Send(vec![block.line.clone(), bytes.clone()]))
    }

    /// Refuses a message that is longer than a client's may be once its headers are written anew: the broker would end the
    /// connection as well, with words that nobody understands who counts what the client sent.
    fn fits(&self, header_bytes: usize, rest: usize) -> Result<(), SessionEnd> {
        let bytes = header_bytes.saturating_add(rest);
        if bytes > self.message_bytes {
            return Err(SessionEnd::Limit(format!(
                "Maximum Payload Violation: {bytes} bytes with the headers that the proxy writes"
            )));
        }
        Ok(())
    }

    /// The principal that a message is stamped with: none, where that is not asked for, the message is for the server, or one
    /// of the two knows no headers.
    fn stamp<'a>(&self, destination: Destination<'_>, judge: &'a dyn Judge) -> Option<&'a str> {
        let known = self.info.is_some_and(|info| info.headers)
            && self.options.is_some_and(|options| options.headers);
        let stamped = self.stamp_source && known && matches!(destination, Destination::Plain(_));
        judge.principal().filter(|_| stamped)
    }
}

/// A request to JetStream is read whole, so that a body is not forwarded before it is judged.
fn read_request(api: &str, message: &Publish<'_>) -> Result<Step, SessionEnd> {
    if message.bytes > jetstream::BODY_BYTES {
        let api: String = api.chars().take(64).collect();
        return Err(SessionEnd::Limit(format!("a request to JetStream ({api}) that is too long")));
    }
    Ok(Step::Read(message.bytes + END.len()))
}

fn allows(call: &Call, judge: &mut dyn Judge) -> bool {
    let needs = call.needs.iter().all(|need| judge.decide(&need.request()));
    needs && call.delivers_to.as_deref().is_none_or(|subject| may_deliver_to(subject, judge))
}

/// Whether the server may deliver to a subject by itself: the caller's own inbox, if it has one, or where it may publish.
fn may_deliver_to(subject: &str, judge: &mut dyn Judge) -> bool {
    let request = if subject::is_inbox_of(judge.principal(), subject) {
        AccessRequest::on_topic(Operation::Subscribe, subject)
    } else {
        jetstream::publish(subject)
    };
    may_reach(subject, &request, judge)
}

/// Asks whether a message may go to a subject, if one can.
fn may_reach(subject: &str, request: &AccessRequest<'_>, judge: &mut dyn Judge) -> bool {
    if subject::is_literal(subject) {
        return judge.decide(request);
    }
    judge.note_refusal(request);
    false
}

/// Judges the subjects that headers name.
fn refuse_headers(
    headers: &Headers<'_>,
    message: &Publish<'_>,
    hearing: &mut Hearing<'_>,
) -> Option<Bytes> {
    if headers.is_refused() {
        let request = AccessRequest::on_topic(Operation::Publish, message.subject);
        hearing.judge.note_refusal(&request);
        return Some(refusal::publish(message.subject));
    }
    for destination in headers.destinations() {
        let request = jetstream::publish(destination);
        if !may_reach(destination, &request, hearing.judge) {
            return Some(refusal::publish(destination));
        }
    }
    let asked_for = |request| hearing.judge.decide(&request);
    (!headers.requests().all(asked_for)).then(|| refusal::publish(message.subject))
}

/// A control line for a message whose headers are not what the client sent.
fn line_with_headers(message: &Publish<'_>, header_bytes: usize, rest: usize) -> Bytes {
    let bytes = header_bytes.saturating_add(rest);
    match message.reply {
        Some(reply) => format!("HPUB {} {reply} {header_bytes} {bytes}\r\n", message.subject),
        None => format!("HPUB {} {header_bytes} {bytes}\r\n", message.subject),
    }
    .into()
}
