//! Many commands at once on one connection; answers come in the order of the commands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connect::Duplex;
use super::{Ask, unreachable_for};
use crate::StoreError;
use crate::command::words_of;
use crate::reply::{self, Reply};

/// Commands on their way at once. What is more waits in the queue.
const MOST_UNDERWAY: usize = 1_024;
/// Of the queue, taken at once.
const MOST_AT_ONCE: usize = 128;

/// Who waits for the next answer: none where nobody does.
type Waiting = Option<oneshot::Sender<Result<Reply, StoreError>>>;

/// Carries commands until the connection breaks, and says why it did. Whoever waits for an answer then is told so.
pub(super) async fn carry(
    stream: Box<dyn Duplex>,
    asks: &mut mpsc::Receiver<Ask>,
    name: &Arc<str>,
    silence: Duration,
) -> String {
    let mut underway = Underway::new();
    let reason = exchange(stream, asks, &mut underway, silence).await;
    underway.fail(&unreachable_for(name, &reason));
    reason
}

async fn exchange(
    stream: Box<dyn Duplex>,
    asks: &mut mpsc::Receiver<Ask>,
    underway: &mut Underway,
    silence: Duration,
) -> String {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut received, mut unsent) = (BytesMut::new(), Unsent::default());
    let mut taken = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        received.reserve(reply::LONGEST_REPLY);
        tokio::select! {
            read = reader.read_buf(&mut received) => match read {
                Ok(0) => return "it closed the connection".to_owned(),
                Ok(_) => if let Err(reason) = underway.answer(&mut received) { return reason },
                Err(error) => return error.to_string(),
            },
            sent = unsent.send(&mut writer), if unsent.wants_sending() => {
                if let Err(error) = sent { return error.to_string() }
            }
            _ = asks.recv_many(&mut taken, underway.room()), if underway.room() > 0 => {
                taken.drain(..).for_each(|ask| underway.begin(ask, &mut unsent));
            }
            () = tokio::time::sleep_until(underway.heard_at + silence), if underway.is_waiting() => {
                return format!("no answer for {silence:?}");
            }
        }
    }
}

/// Whose answers are awaited, in their order.
struct Underway {
    waiting: VecDeque<Waiting>,
    /// When the store last said anything, or was first asked after it had said everything.
    heard_at: Instant,
}

impl Underway {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), heard_at: Instant::now() }
    }

    /// How many commands are taken out of the queue next.
    fn room(&self) -> usize {
        MOST_UNDERWAY.saturating_sub(self.waiting.len()).min(MOST_AT_ONCE)
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn begin(&mut self, ask: Ask, unsent: &mut Unsent) {
        // Its deadline has passed: whoever asked goes on without it.
        if ask.is_forgotten() {
            return;
        }
        if self.waiting.is_empty() {
            self.heard_at = Instant::now();
        }
        if ask.asking {
            unsent.add(&words_of(&[b"ASKING"]));
            self.waiting.push_back(None);
        }
        unsent.add(&ask.command);
        self.waiting.push_back(ask.answer);
    }

    /// Hands on every answer that is whole.
    fn answer(&mut self, received: &mut BytesMut) -> Result<(), String> {
        self.heard_at = Instant::now();
        while let Some((reply, length)) =
            reply::read(received).map_err(|error| error.to_string())?
        {
            received.advance(length);
            let fell_back = is_read_only(&reply);
            match self.waiting.pop_front() {
                // Whoever waited may be gone.
                Some(Some(waiting)) => drop(waiting.send(Ok(reply))),
                Some(None) => {}
                None => return Err("it says what nobody asked".to_owned()),
            }
            if fell_back {
                return Err("it is a read-only replica by now".to_owned());
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: &StoreError) {
        for waiting in self.waiting.drain(..).flatten() {
            let _ = waiting.send(Err(error.clone()));
        }
    }
}

/// Whether the store has become a replica: its name may mean another server by now, which a new connection finds.
fn is_read_only(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(words) if words.starts_with("READONLY"))
}

/// Commands that are not on their way yet.
#[derive(Default)]
struct Unsent {
    bytes: BytesMut,
    /// TLS may hold back what was written until it is flushed.
    unflushed: bool,
}

impl Unsent {
    fn add(&mut self, command: &[u8]) {
        self.bytes.extend_from_slice(command);
        self.unflushed = true;
    }

    fn wants_sending(&self) -> bool {
        self.unflushed
    }

    /// Sends all of it. Dropped halfway it goes on where it was.
    async fn send(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        writer.write_all_buf(&mut self.bytes).await?;
        writer.flush().await?;
        self.unflushed = false;
        Ok(())
    }
}
