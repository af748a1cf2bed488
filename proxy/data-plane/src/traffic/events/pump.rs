//! Moves the bytes of a session: what client and broker say goes in, what may pass comes out. Both directions in one task,
//! and no more is read than can be written.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use message_access::{Dismissal, Judge, Moment, Output, Session, SessionEnd};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::outgoing::Outgoing;
use super::review::SessionReview;
use super::upkeep::Upkeep;
use crate::connection::net::{CHUNK, Io};
use crate::labels::CloseReason;

/// How many bytes are taken in before the other tasks of the worker have their turn: about a millisecond of work, where a
/// client sends the smallest messages. As many as for opaque bytes, because each turn asks the kernel who is ready.
const TURN: usize = 256 << 10;

/// A side is not heard any more while the *other* direction has this much to be written to it: its own answers, and what
/// it does not read. It is not zero, because a client may write a batch before it reads.
const UNREAD: usize = 2 * CHUNK;

/// The time for what a session says last, and for the other side to take it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why the bytes of a session do not move any more.
#[derive(Debug)]
pub(super) enum PumpEnd {
    /// Both sides have ended.
    Done,
    /// A side broke.
    Broken(io::Error),
    /// The session ended itself.
    Session(SessionEnd),
    /// The client has not introduced itself in time.
    Silent,
    /// It may not be open any longer.
    Cut(CloseReason),
}

impl From<io::Error> for PumpEnd {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<SessionEnd> for PumpEnd {
    fn from(end: SessionEnd) -> Self {
        Self::Session(end)
    }
}

/// A session, and who speaks for it.
pub(super) struct Spoken<'a> {
    pub(super) session: &'a mut dyn Session,
    pub(super) judge: &'a mut (dyn Judge + Send),
    pub(super) review: &'a SessionReview,
    pub(super) upkeep: Upkeep,
}

/// A session between the two ends of its connection.
pub(super) struct Pump<'a, C, B> {
    client: C,
    broker: B,
    spoken: Spoken<'a>,
    to_client: Outgoing,
    to_broker: Outgoing,
    /// How much waited to be written to the broker when the client was heard last.
    of_client: usize,
    output: Output,
    began: Instant,
    /// When the client must have introduced itself; nothing once it has.
    greeting: Option<Pin<Box<Sleep>>>,
}

impl<'a, C: Io, B: Io> Pump<'a, C, B> {
    /// Nothing has moved yet; the client has so long to introduce itself.
    pub(super) fn new(client: C, broker: B, spoken: Spoken<'a>, greeting: Duration) -> Self {
        Self {
            client,
            broker,
            spoken,
            to_client: Outgoing::default(),
            to_broker: Outgoing::default(),
            of_client: 0,
            output: Output::default(),
            began: Instant::now(),
            greeting: Some(Box::pin(sleep(greeting))),
        }
    }

    /// Moves bytes until both directions have ended, the session ends or a side breaks.
    pub(super) async fn run(&mut self) -> PumpEnd {
        poll_fn(|cx| self.poll(cx)).await.err().unwrap_or(PumpEnd::Done)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PumpEnd>> {
        self.expect_greeting(cx)?;
        self.judge_again(cx)?;
        let mut passed = 0;
        loop {
            self.write(cx)?;
            self.give_back()?;
            if passed >= TURN {
                return yield_now(cx);
            }
            match self.hear_client(cx)? + self.hear_broker(cx)? {
                0 => break,
                more => passed += more,
            }
        }
        self.poll_finish(cx)
    }

    /// Nobody is served who does not say who it is, in the words of the protocol.
    fn expect_greeting(&mut self, cx: &mut Context<'_>) -> Result<(), PumpEnd> {
        let Some(deadline) = &mut self.greeting else { return Ok(()) };
        if self.spoken.session.is_established() {
            self.greeting = None;
        } else if deadline.poll_unpin(cx).is_ready() {
            return Err(PumpEnd::Silent);
        }
        Ok(())
    }

    /// What is open is judged by the policy that came into force.
    fn judge_again(&mut self, cx: &mut Context<'_>) -> Result<(), PumpEnd> {
        if !self.spoken.session.has_unjudged() && !self.spoken.review.has_changed(cx) {
            return Ok(());
        }
        let now = self.now();
        self.say(|Spoken { session, judge, .. }, output| {
            session.policy_changed(now, *judge, output)
        })?;
        // What is left, and what has changed meanwhile.
        let _: Poll<()> = yield_now(cx);
        Ok(())
    }

    /// Reads of the client, unless what it said is still on its way, or it reads nothing itself. Returns how much it was; an end is
    /// as much as a byte.
    fn hear_client(&mut self, cx: &mut Context<'_>) -> Result<usize, PumpEnd> {
        let may = self.to_broker.is_open()
            && self.to_broker.is_empty()
            && self.to_client.waiting() <= UNREAD
            && self.spoken.session.wants_more();
        let Some(chunk) = read(may, &mut self.client, cx)? else { return Ok(0) };
        if chunk.is_empty() {
            self.spoken.session.client_closed(&mut self.output);
            self.take_output();
            self.to_broker.end();
            return Ok(1);
        }
        let (heard, now) = (chunk.len(), self.now());
        self.say(|Spoken { session, judge, .. }, output| {
            session.client_said(chunk, now, *judge, output)
        })?;
        self.of_client = self.to_broker.waiting();
        Ok(heard)
    }

    /// The same for the broker. What waits because the client said it keeps nobody from hearing the broker: one that answers
    /// before it reads on (Kafka's do) would wait for ever, with a client whose message is longer than what may be unread.
    fn hear_broker(&mut self, cx: &mut Context<'_>) -> Result<usize, PumpEnd> {
        let may = self.to_client.is_open()
            && self.to_client.is_empty()
            && self.to_broker.waiting() <= self.of_client.saturating_add(UNREAD);
        let Some(chunk) = read(may, &mut self.broker, cx)? else { return Ok(0) };
        if chunk.is_empty() {
            self.to_client.end();
            return Ok(1);
        }
        let (heard, now) = (chunk.len(), self.now());
        self.say(|Spoken { session, judge, .. }, output| {
            session.broker_said(chunk, now, *judge, output)
        })?;
        Ok(heard)
    }

    /// Lets the session take in something, and takes what it wants sent, also where it ends with that.
    fn say(
        &mut self,
        take_in: impl FnOnce(&mut Spoken<'a>, &mut Output) -> Result<(), SessionEnd>,
    ) -> Result<(), PumpEnd> {
        let heard = take_in(&mut self.spoken, &mut self.output);
        self.take_output();
        heard?;
        self.note()
    }

    /// Room that was asked for goes back to the others as soon as what waited is written: a client that has what it wanted
    /// may say nothing for hours.
    fn give_back(&mut self) -> Result<(), PumpEnd> {
        if self.spoken.upkeep.has_asked() { self.note() } else { Ok(()) }
    }

    fn note(&mut self) -> Result<(), PumpEnd> {
        let waiting = self.to_client.waiting() + self.to_broker.waiting();
        let session = &*self.spoken.session;
        Ok(self.spoken.upkeep.note(session.subscriptions(), session.held() + waiting)?)
    }

    fn take_output(&mut self) {
        self.to_client.add(&mut self.output.to_client);
        self.to_broker.add(&mut self.output.to_broker);
    }

    /// Both directions, each as far as its side takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), PumpEnd> {
        let _ = self.to_broker.poll_write(&mut self.broker, cx)?;
        let _ = self.to_client.poll_write(&mut self.client, cx)?;
        Ok(())
    }

    /// What was written is flushed before this waits; ready at the end of both directions.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PumpEnd>> {
        let to_broker = self.to_broker.poll_finish(&mut self.broker, cx)?;
        let to_client = self.to_client.poll_finish(&mut self.client, cx)?;
        // A client that waits for a broker which has ended waits for ever.
        let waits = self.to_client.is_over() && !self.spoken.session.wants_more();
        match both(to_broker, to_client) {
            Poll::Ready(()) if self.to_client.is_over() && (self.to_broker.is_over() || waits) => {
                Poll::Ready(Ok(()))
            }
            _ => Poll::Pending,
        }
    }

    /// Writes what is left, and ends both directions in order. Returns whether that was possible in time; then both sides
    /// have a while to end as well, because a close that finds bytes unread takes the last words back.
    pub(super) async fn say_last_words(&mut self) -> bool {
        self.to_client.end();
        self.to_broker.end();
        let mut said = false;
        let all = poll_fn(|cx| {
            let to_broker = self.to_broker.poll_finish(&mut self.broker, cx)?;
            let to_client = self.to_client.poll_finish(&mut self.client, cx)?;
            ready!(both(to_broker, to_client));
            said = true;
            let client = poll_ended(&mut self.client, cx)?;
            let broker = poll_ended(&mut self.broker, cx)?;
            both(client, broker).map(Ok::<_, io::Error>)
        });
        // What goes wrong after the last words is of no interest, nor is who does not end.
        let _ = timeout(LAST_WORDS, all).await;
        said
    }

    /// Ends both directions from outside of the protocol. Returns whether that was in order: a session that has nothing to
    /// say to that leaves both sides to find out.
    pub(super) async fn dismiss(&mut self, why: Dismissal) -> bool {
        self.spoken.session.dismissed(why, &mut self.output);
        let speaks = !self.output.is_empty();
        self.take_output();
        speaks && self.say_last_words().await
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }
}

/// Reads a chunk where that may be, empty at the end; `None` while there is none.
fn read(may: bool, from: &mut impl Io, cx: &mut Context<'_>) -> io::Result<Option<Bytes>> {
    if !may {
        return Ok(None);
    }
    match from.poll_read_chunk(cx)? {
        Poll::Ready(chunk) => Ok(Some(chunk)),
        Poll::Pending => Ok(None),
    }
}

/// Reads and forgets, until the end.
fn poll_ended(from: &mut impl Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut passed = 0;
    loop {
        let chunk = ready!(from.poll_read_chunk(cx))?;
        passed += chunk.len();
        if chunk.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if passed >= TURN {
            return yield_now(cx);
        }
    }
}

fn both(one: Poll<()>, other: Poll<()>) -> Poll<()> {
    if one.is_ready() && other.is_ready() { Poll::Ready(()) } else { Poll::Pending }
}

/// Resumes after all other tasks, sockets and timers included.
fn yield_now<T>(cx: &mut Context<'_>) -> Poll<T> {
    let _ = pin!(tokio::task::yield_now()).poll_unpin(cx);
    Poll::Pending
}

#[cfg(test)]
mod tests;
