//! The order of answers. A verbose client gets one answer for each thing it does, in order: an answer of ours waits for
//! those of the broker to what came before.

use std::collections::VecDeque;

use bytes::Bytes;

/// What is awaited next.
#[derive(Debug)]
enum Awaited {
    /// The broker's answer to something of the client's.
    Okay,
    /// The broker's answer to a ping: everything before it has been answered when it comes.
    Pong,
    /// The broker's answer to something of ours, that the client does not get.
    Ours,
    /// An answer of ours.
    Answer(Bytes),
}

/// What is awaited, in order. Nothing, unless the client is verbose.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) verbose: bool,
    awaited: VecDeque<Awaited>,
}

impl Order {
    pub(super) fn len(&self) -> usize {
        self.awaited.len()
    }

    /// How many bytes the answers hold that wait.
    pub(super) fn held(&self) -> usize {
        let answer = |awaited: &Awaited| match awaited {
            Awaited::Answer(answer) => answer.len(),
            Awaited::Okay | Awaited::Pong | Awaited::Ours => 0,
        };
        size_of::<Awaited>() * self.awaited.len() + self.awaited.iter().map(answer).sum::<usize>()
    }

    /// Something of the client's went to the broker.
    pub(super) fn await_okay(&mut self) {
        self.push(Awaited::Okay);
    }

    /// A ping of the client's went to the broker.
    pub(super) fn await_pong(&mut self) {
        self.push(Awaited::Pong);
    }

    /// Something of ours went to the broker.
    pub(super) fn await_ours(&mut self) {
        self.push(Awaited::Ours);
    }

    fn push(&mut self, awaited: Awaited) {
        if self.verbose {
            self.awaited.push_back(awaited);
        }
    }

    /// An answer of ours: it is returned if its turn has come.
    pub(super) fn answer(&mut self, answer: Bytes) -> Option<Bytes> {
        if self.awaited.is_empty() {
            return Some(answer);
        }
        self.push(Awaited::Answer(answer));
        None
    }

    /// The broker said `+OK`: whether it is for the client.
    pub(super) fn okay(&mut self) -> bool {
        match self.awaited.front() {
            Some(Awaited::Okay) => drop(self.awaited.pop_front()),
            Some(Awaited::Ours) => {
                self.awaited.pop_front();
                return false;
            }
            _ => {}
        }
        true
    }

    /// The broker refused something in place of `+OK`.
    pub(super) fn refused(&mut self) {
        if let Some(Awaited::Okay) = self.awaited.front() {
            self.awaited.pop_front();
        }
    }

    /// The broker answered a ping: the answers that come before it.
    pub(super) fn pong(&mut self) -> Vec<Bytes> {
        let mut before = Vec::new();
        let pong = self.awaited.iter().position(|awaited| matches!(awaited, Awaited::Pong));
        let answered = pong.map_or(0, |place| place + 1);
        for awaited in self.awaited.drain(..answered) {
            if let Awaited::Answer(answer) = awaited {
                before.push(answer);
            }
        }
        before
    }

    /// The answers of ours whose turn has come.
    pub(super) fn next_answer(&mut self) -> Option<Bytes> {
        match self.awaited.pop_front()? {
            Awaited::Answer(answer) => Some(answer),
            other => {
                self.awaited.push_front(other);
                None
            }
        }
    }
}
