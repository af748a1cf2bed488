//! Requests that wait for their answers. Kafka answers a connection in the order of its requests, so an answer of the
//! session's own waits until the broker has answered what was asked before it.

use std::collections::VecDeque;

use bytes::Bytes;
use message_access::{Output, SessionEnd};

use crate::api::Api;
use crate::context::Context;
use crate::edit::Edit;
use crate::record::Record;
use crate::reply::with_inserted;
use crate::schema::Form;

/// What a name costs that is looked up, beside its own bytes: where it stands, twice as many places as there are names, and
/// a piece of memory of its own.
const BYTES_BESIDE_A_NAME: usize = 80;

/// What is done with the broker's answer to a request.
pub(crate) enum Answer {
    /// There is none.
    None,
    /// It passes as it comes, in pieces.
    Passed,
    /// It passes with more items in an array; the rest of it in pieces.
    Inserted(Insertion),
    /// It is held until it is complete, and changed.
    Rewritten(Rewrite),
    /// It goes nowhere: the client was answered before.
    Swallowed,
}

/// Items that stand in an array of the broker's answer, before those of the broker. Clients find them by their names.
pub(crate) struct Insertion {
    /// An array of the outermost record.
    pub(crate) array: &'static str,
    pub(crate) count: usize,
    /// The items as they stand in the answer.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// How many bytes are held for it, at most, if the request was this long and had so many things in its arrays: what an
    /// answer is changed by is made of the request's names.
    pub(crate) fn held(&self, request_bytes: usize, things: usize) -> usize {
        match self {
            Self::None | Self::Passed | Self::Swallowed => 0,
            Self::Inserted(insertion) => insertion.bytes.len(),
            Self::Rewritten(_) => {
                request_bytes.saturating_add(things.saturating_mul(BYTES_BESIDE_A_NAME))
            }
        }
    }
}

/// Says what is changed of an answer.
pub(crate) type Rewrite =
    Box<dyn FnOnce(&Record<'_>, &mut Context<'_>) -> Result<Vec<Edit>, SessionEnd> + Send>;

/// A request that the broker has.
pub(crate) struct Asked {
    pub(crate) api: &'static Api,
    pub(crate) form: Form,
    pub(crate) correlation: i32,
    pub(crate) answer: Answer,
    /// The request, where what it waits for is delivered later: it is judged again when another policy is in force.
    pub(crate) delivers: Option<Bytes>,
    /// How many bytes are held until the answer comes.
    pub(crate) held: usize,
}

enum Waiting {
    Broker(Box<Asked>),
    /// An answer of the session's own.
    Reply(Bytes),
}

/// The requests that wait, in their order.
#[derive(Default)]
pub(crate) struct Pending {
    waiting: VecDeque<Waiting>,
    /// Whether the broker's answer to the request before them has begun and not ended.
    answering: bool,
    /// That request, where something is delivered by its answer.
    delivering: Option<(&'static Api, Bytes)>,
    /// How many bytes are held with them.
    held: usize,
}

impl Pending {
    /// Whether one more request may wait.
    pub(crate) fn has_room(&self, requests: usize, bytes: usize) -> bool {
        self.waiting.len() + usize::from(self.answering) < requests && self.held < bytes
    }

    /// How many bytes are held: answers, what is inserted into answers, and fetches that may be judged again.
    pub(crate) fn held(&self) -> usize {
        self.held + self.delivering.as_ref().map_or(0, |(_, frame)| frame.len())
    }

    /// The broker has got this request.
    pub(crate) fn asked(&mut self, asked: Asked) {
        self.held = self.held.saturating_add(asked.held);
        self.waiting.push_back(Waiting::Broker(Box::new(asked)));
    }

    /// The session answers by itself: now, where all that was asked before is answered to its end.
    pub(crate) fn reply(&mut self, reply: Bytes, output: &mut Output) {
        if self.waiting.is_empty() && !self.answering {
            output.to_client.push_back(reply);
        } else {
            self.held = self.held.saturating_add(reply.len());
            self.waiting.push_back(Waiting::Reply(reply));
        }
    }

    /// The request that the broker begins to answer.
    pub(crate) fn take(&mut self) -> Option<Box<Asked>> {
        match self.waiting.pop_front()? {
            Waiting::Broker(asked) => {
                self.held = self.held.saturating_sub(asked.held);
                self.answering = true;
                self.delivering = asked.delivers.clone().map(|frame| (asked.api, frame));
                Some(asked)
            }
            reply @ Waiting::Reply(_) => {
                self.waiting.push_front(reply);
                None
            }
        }
    }

    /// The answer of the broker has passed: those that waited for it alone follow.
    pub(crate) fn answered(&mut self, output: &mut Output) {
        self.answering = false;
        self.delivering = None;
        self.say_replies(output);
    }

    fn say_replies(&mut self, output: &mut Output) {
        while let Some(Waiting::Reply(_)) = self.waiting.front() {
            if let Some(Waiting::Reply(reply)) = self.waiting.pop_front() {
                self.held = self.held.saturating_sub(reply.len());
                output.to_client.push_back(reply);
            }
        }
    }

    /// Judges again what something is delivered for later. What `refuse` gives is the client's answer in the place of the
    /// request; the broker's is swallowed when it comes.
    ///
    /// # Errors
    /// Those of `refuse`. Where the broker's answer to what is refused has begun, nothing but the end of the connection
    /// keeps the rest of it from the client.
    pub(crate) fn judge_deliveries(
        &mut self,
        output: &mut Output,
        mut refuse: impl FnMut(&'static Api, &Bytes) -> Result<Option<Bytes>, SessionEnd>,
    ) -> Result<(), SessionEnd> {
        if let Some((api, frame)) = &self.delivering
            && refuse(api, frame)?.is_some()
        {
            return Err(SessionEnd::Denied);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting::Broker(mut asked) = waiting else {
                self.waiting.push_back(waiting);
                continue;
            };
            let api = asked.api;
            let refused = asked.delivers.as_ref().map(|frame| refuse(api, frame)).transpose()?;
            if let Some(reply) = refused.flatten() {
                let reply = with_inserted(reply, &asked)?;
                self.held = self.held.saturating_sub(asked.held).saturating_add(reply.len());
                self.waiting.push_back(Waiting::Reply(reply));
                (asked.answer, asked.delivers, asked.held) = (Answer::Swallowed, None, 0);
            }
            self.waiting.push_back(Waiting::Broker(asked));
        }
        if !self.answering {
            self.say_replies(output);
        }
        Ok(())
    }
}
