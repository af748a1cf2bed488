//! The session: its phases, and the order in which packets of either side are taken.

mod from_broker;
mod from_client;
mod opening;
mod subscribing;

use std::collections::VecDeque;

use bytes::Bytes;
use message_access::{
    AccessRequest, Dismissal, Judge, Moment, Operation, Output, Session, SessionEnd,
    SessionSettings,
};

use crate::aliases::Aliases;
use crate::codes::{self, NOT_AUTHORIZED, Problem, UNSPECIFIED};
use crate::compose;
use crate::frames::{Frame, Frames, Run};
use crate::packet::Version;
use crate::packet_ids::PacketIds;
use crate::subscriptions::{Filter, Subscriptions};

/// One client's connection to a MQTT broker.
///
/// A client without an id of its own is given one below its own name (`shop.cart.00c0ffee…`), made of the number that the
/// session was made with. Topic aliases of the client end here: the broker is told every topic by name.
pub struct MqttSession {
    limits: Limits,
    unique: u64,
    phase: Phase,
    version: Version,
    client: Side,
    broker: Side,
    introduced: Introduced,
    subscriptions: Subscriptions,
    /// Up to which filter what is open has been judged again, while others are left.
    judged: Option<Box<str>>,
    /// The longest packet that the broker takes, where it has said so.
    broker_takes: Option<u32>,
}

/// How many subscriptions are judged again in one go: with hundreds of rules, a few milliseconds of work.
const TURN: usize = 256;

/// What of the settings concerns MQTT.
struct Limits {
    message_bytes: usize,
    in_flight: usize,
    subscriptions: usize,
    stamp_source: bool,
    hide_servers: bool,
}

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was said.
    Silent,
    /// CONNECT was passed on; the broker has not answered.
    Asked,
    /// The broker has taken the client.
    Open,
    /// One side has taken leave, or the session has ended.
    Over,
}

/// What one side has said, and what is kept of it.
#[derive(Default)]
struct Side {
    frames: Frames,
    run: Run,
    aliases: Aliases,
    /// Messages of QoS 2 that were refused: what follows of them is answered here.
    refused: PacketIds,
}

/// What the client has introduced itself with, as far as it is judged again.
#[derive(Default)]
struct Introduced {
    client_id: String,
    /// Whether the id is the session's choice.
    is_assigned: bool,
    /// Whether the broker and the client prove to each other who they are (5.0 §4.12).
    authenticates: bool,
    will: Option<String>,
}

/// What becomes of a packet.
enum Outcome {
    /// It goes on as it came.
    Pass,
    /// It goes no further.
    Drop,
    /// It goes no further, and whoever sent it is answered.
    Answer(Bytes),
    /// This goes on in its place, in two pieces.
    Instead(Bytes, Bytes),
}

/// Why no more packets are taken.
enum Stop {
    Problem(Problem),
    End(SessionEnd),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<SessionEnd> for Stop {
    fn from(end: SessionEnd) -> Self {
        Self::End(end)
    }
}

/// The longest CONNECT: a client that has not introduced itself gets no more room than its longest fields need.
const CONNECT_BYTES: usize = 256 * 1024;

impl MqttSession {
    /// A session of a client that has said nothing yet. `unique` becomes part of its client id if it brings none: it is
    /// to differ from those of other sessions, and need not be secret.
    #[must_use]
    pub fn new(settings: &SessionSettings, unique: u64) -> Self {
        Self {
            limits: Limits {
                message_bytes: settings.message_bytes,
                in_flight: settings.in_flight.max(1),
                subscriptions: settings.subscriptions,
                stamp_source: settings.stamp_source,
                hide_servers: settings.hide_servers,
            },
            unique,
            phase: Phase::Silent,
            version: Version::Three,
            client: Side::default(),
            broker: Side::default(),
            introduced: Introduced::default(),
            subscriptions: Subscriptions::default(),
            judged: None,
            broker_takes: None,
        }
    }

    /// Whether a packet of the client may be taken now. One that may not waits for the broker's answer to those before.
    fn takes_client(&self) -> bool {
        match self.phase {
            Phase::Silent => true,
            Phase::Asked => self.introduced.authenticates,
            Phase::Open => self.subscriptions.waiting() < self.limits.in_flight,
            Phase::Over => false,
        }
    }

    fn read_client(
        &mut self,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let result = self.take_of_client(judge, output);
        output.to_broker.extend(self.client.run.take());
        result.map_err(|stop| self.stopped(stop, true, output))
    }

    fn take_of_client(&mut self, judge: &mut dyn Judge, output: &mut Output) -> Result<(), Stop> {
        while self.takes_client() {
            let limit = match self.phase {
                Phase::Silent => self.limits.message_bytes.min(CONNECT_BYTES),
                _ => self.limits.message_bytes,
            };
            let rules = self.rules();
            let next = self.client.frames.next(limit, |first| rules.client_may(first))?;
            let Some(frame) = next else { return Ok(()) };
            let outcome = self.client_packet(&frame, judge, output)?;
            let Output { to_client, to_broker } = output;
            settle(outcome, frame, &mut self.client.run, to_broker, to_client);
        }
        Ok(())
    }

    fn read_broker(
        &mut self,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let result = self.take_of_broker(judge, output);
        output.to_client.extend(self.broker.run.take());
        result.map_err(|stop| self.stopped(stop, false, output))
    }

    fn take_of_broker(&mut self, judge: &mut dyn Judge, output: &mut Output) -> Result<(), Stop> {
        while self.phase != Phase::Over {
            let (limit, rules) = (self.limits.message_bytes, self.rules());
            let next = self.broker.frames.next(limit, |first| rules.broker_may(first))?;
            let Some(frame) = next else { return Ok(()) };
            let waited = !self.takes_client();
            let outcome = self.broker_packet(&frame, judge)?;
            let Output { to_client, to_broker } = &mut *output;
            settle(outcome, frame, &mut self.broker.run, to_client, to_broker);
            if waited && self.takes_client() {
                // What the client has said meanwhile comes before what the broker says next.
                to_client.extend(self.broker.run.take());
                self.read_client(judge, output)?;
            }
        }
        Ok(())
    }

    /// The session ends. A client of MQTT 5 is told why; if its own packet was at fault, by the code of that.
    fn stopped(&mut self, stop: Stop, of_client: bool, output: &mut Output) -> SessionEnd {
        let problem = match stop {
            Stop::End(end) => {
                self.end();
                return end;
            }
            Stop::Problem(problem) => problem,
        };
        if self.phase == Phase::Open {
            let code = if of_client { problem.code } else { UNSPECIFIED };
            output.to_client.extend(compose::disconnect(self.version, code));
        }
        self.end();
        let side = if of_client { "the client" } else { "the broker" };
        let words = format!("{side} sent {}", problem.what);
        match problem.is_limit() {
            true => SessionEnd::Limit(words),
            false => SessionEnd::Malformed(words),
        }
    }

    /// Takes leave of both sides: the client is told why, the broker publishes no will.
    fn leave(&mut self, why: Dismissal, output: &mut Output) {
        let (old, refused, code) = match why {
            Dismissal::NotAllowed => (codes::old::NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED),
            Dismissal::Ending => (
                codes::old::SERVER_UNAVAILABLE,
                codes::SERVER_UNAVAILABLE,
                codes::SERVER_SHUTTING_DOWN,
            ),
        };
        match self.phase {
            Phase::Silent | Phase::Over => {}
            Phase::Asked => {
                let refusal = compose::connack(self.version, old, refused);
                output.to_client.push_back(refusal);
                output.to_broker.push_back(compose::LEAVE);
            }
            Phase::Open => {
                output.to_client.extend(compose::disconnect(self.version, code));
                output.to_broker.push_back(compose::LEAVE);
            }
        }
        self.end();
    }

    /// No more is taken of either side.
    fn end(&mut self) {
        self.phase = Phase::Over;
        self.client.frames.clear();
        self.broker.frames.clear();
    }

    /// Whether what the client has open may stay so: of its subscriptions the next few in turn.
    fn may_stay(&mut self, judge: &mut dyn Judge) -> bool {
        let judged = self.judged.take();
        let mut keeps = |request: AccessRequest<'_>| {
            // Asked once more where it is refused: that is counted and says in the log what was closed for.
            judge.would_allow(&request) || judge.decide(&request)
        };
        let will = self.introduced.will.as_deref();
        let mut left = self.subscriptions.filters(judged.as_deref());
        let mut last = None;
        let turn = left.by_ref().take(TURN).inspect(|filter| last = Some(*filter));
        let stays = keeps(opening::connects_as(&self.introduced.client_id))
            && will.is_none_or(|topic| keeps(AccessRequest::on_topic(Operation::Publish, topic)))
            && turn.filter_map(Filter::read).all(|filter| keeps(filter.request()));
        self.judged = last.filter(|_| left.next().is_some()).map(Box::from);
        stays
    }
}

/// Does with a packet what was decided; packets before it that pass go first.
fn settle(
    outcome: Outcome,
    frame: Frame,
    run: &mut Run,
    forward: &mut VecDeque<Bytes>,
    back: &mut VecDeque<Bytes>,
) {
    match outcome {
        Outcome::Pass => forward.extend(run.add(frame)),
        Outcome::Drop => forward.extend(run.take()),
        Outcome::Answer(answer) => {
            forward.extend(run.take());
            back.push_back(answer);
        }
        Outcome::Instead(beginning, rest) => {
            forward.extend(run.take());
            forward.extend([beginning, rest].into_iter().filter(|piece| !piece.is_empty()));
        }
    }
}

impl Session for MqttSession {
    fn client_said(
        &mut self,
        bytes: Bytes,
        _now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        // What follows a DISCONNECT is of nobody.
        if self.phase == Phase::Over {
            return Ok(());
        }
        self.client.frames.push(bytes);
        self.read_client(judge, output)
    }

    fn broker_said(
        &mut self,
        bytes: Bytes,
        _now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        if self.phase == Phase::Over {
            return Ok(());
        }
        self.broker.frames.push(bytes);
        self.read_broker(judge, output)
    }

    fn policy_changed(
        &mut self,
        _now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let is_open = matches!(self.phase, Phase::Asked | Phase::Open);
        if !is_open {
            self.judged = None;
            return Ok(());
        }
        if self.may_stay(judge) {
            return Ok(());
        }
        self.leave(Dismissal::NotAllowed, output);
        Err(SessionEnd::Denied)
    }

    fn has_unjudged(&self) -> bool {
        self.judged.is_some()
    }

    fn dismissed(&mut self, why: Dismissal, output: &mut Output) {
        self.leave(why, output);
    }

    fn wants_more(&self) -> bool {
        self.phase == Phase::Over || self.takes_client()
    }

    fn is_established(&self) -> bool {
        self.phase != Phase::Silent
    }

    fn subscriptions(&self) -> usize {
        self.subscriptions.open()
    }

    fn held(&self) -> usize {
        let sides = [&self.client, &self.broker];
        let of_sides = sides.into_iter().map(|side| side.frames.held() + side.aliases.held());
        of_sides.sum::<usize>() + self.subscriptions.held()
    }
}
