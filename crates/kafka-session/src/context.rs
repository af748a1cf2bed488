//! What the judgement of a request may ask and know beside the request.

use std::collections::HashMap;
use std::net::SocketAddr;

use message_access::{AccessRequest, Judge, Operation, SessionEnd};

use crate::record::Record;

/// How many names one request may ask about: far more than a client has topics, and few enough to judge between two
/// other connections.
const QUESTIONS: usize = 10_000;
/// How many items the arrays of one request may have together, partitions too: what is refused is answered item by item,
/// with more bytes than it may have been asked in.
const THINGS: usize = 200_000;
/// An answer may tell of as many names as it has room for: for each of them it has more bytes than this.
const BYTES_OF_A_NAME: usize = 16;

/// Questions about one request, or one answer, and the settings.
pub(crate) struct Context<'a> {
    judge: &'a mut dyn Judge,
    left: usize,
    /// Where clients reach the brokers, by node id.
    pub(crate) advertised: &'a HashMap<i32, SocketAddr>,
}

impl<'a> Context<'a> {
    /// For one request or answer.
    pub(crate) fn new(judge: &'a mut dyn Judge, advertised: &'a HashMap<i32, SocketAddr>) -> Self {
        Self { judge, left: QUESTIONS, advertised }
    }

    /// The next request may name as much again.
    pub(crate) const fn begin_request(&mut self) {
        self.left = QUESTIONS;
    }

    /// An answer may be this long: a listing tells of all that a cluster has.
    pub(crate) fn begin_answer(&mut self, bytes: usize) {
        self.left = QUESTIONS.max(bytes / BYTES_OF_A_NAME);
    }

    /// Whether the client may do this: it is counted, and a refusal logged.
    pub(crate) fn may(&mut self, request: &AccessRequest<'_>) -> Result<bool, SessionEnd> {
        self.count()?;
        Ok(self.judge.decide(request))
    }

    /// Whether the client might do what it did not ask for by name.
    pub(crate) fn might(&mut self, request: &AccessRequest<'_>) -> Result<bool, SessionEnd> {
        self.count()?;
        Ok(self.judge.would_allow(request))
    }

    /// Whether the client might do something more to what its request names.
    pub(crate) fn might_too(&mut self, request: &AccessRequest<'_>) -> bool {
        self.judge.would_allow(request)
    }

    /// Whether the client may do this to a topic.
    pub(crate) fn may_topic(
        &mut self,
        operation: Operation,
        topic: &str,
    ) -> Result<bool, SessionEnd> {
        self.may(&AccessRequest::on_topic(operation, topic))
    }

    /// Whether the client may be a member of a group, or know of it.
    pub(crate) fn may_group(&mut self, group: &str) -> Result<bool, SessionEnd> {
        self.may(&group_request(group))
    }

    /// Whether the client may publish under a transactional id.
    pub(crate) fn may_transactional_id(&mut self, id: &str) -> Result<bool, SessionEnd> {
        self.may(&AccessRequest {
            transactional_id: Some(id),
            ..AccessRequest::new(Operation::Publish)
        })
    }

    /// Whether the client may administer the broker as a whole.
    pub(crate) fn may_broker(&mut self) -> Result<bool, SessionEnd> {
        self.may(&AccessRequest::new(Operation::Admin))
    }

    fn count(&mut self) -> Result<(), SessionEnd> {
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }
}

/// That a message that is refused as a whole names no more things than one that is judged by each of them.
///
/// # Errors
/// It names more.
pub(crate) fn within(things: usize) -> Result<(), SessionEnd> {
    if things <= QUESTIONS { Ok(()) } else { Err(too_many()) }
}

/// That what a request has in its arrays may be answered.
///
/// # Errors
/// It has more.
pub(crate) fn bounded(request: &Record<'_>) -> Result<(), SessionEnd> {
    if request.things() <= THINGS { Ok(()) } else { Err(too_many()) }
}

fn too_many() -> SessionEnd {
    SessionEnd::Limit("a message that names too many things".to_owned())
}

/// The question about a group.
pub(crate) fn group_request(group: &str) -> AccessRequest<'_> {
    AccessRequest { group: Some(group), ..AccessRequest::new(Operation::Subscribe) }
}
