//! What the broker says: answers in the order of the requests. Most pass in pieces as they arrive; of those that get items
//! inserted only the beginning is held, and only those that are rewritten are held whole.

use bytes::{Bytes, BytesMut};
use message_access::{Output, SessionEnd};

use crate::api;
use crate::context::Context;
use crate::edit::{self, Edit};
use crate::frame::{LENGTH_BYTES, announced};
use crate::pending::{Answer, Asked, Insertion, Pending};
use crate::record::count_of;
use crate::wire::{self, Reader, Unreadable};

/// Length and correlation id, which say whose answer it is.
const HEAD_BYTES: usize = LENGTH_BYTES + 4;
/// How much of an answer may stand before the array that gets items: two errors with their messages.
const BEGINNING_BYTES: usize = 128 * 1024;

/// Where in the broker's answers the session stands.
#[derive(Default)]
pub(crate) struct Replies {
    /// The beginning of an answer, as far as it is held.
    held: BytesMut,
    /// The request that is being answered, where its answer is held.
    asked: Option<Box<Asked>>,
    /// How long the held answer is going to be.
    length: usize,
    /// How much of an answer that passes is still to come.
    passing: usize,
    /// Whether it passes to nobody.
    swallows: bool,
}

impl Replies {
    /// Takes what the broker said.
    ///
    /// # Errors
    /// An answer that nobody asked for, that is not what its API says, or longer than `limit` where it must be held.
    pub(crate) fn said(
        &mut self,
        mut bytes: Bytes,
        limit: usize,
        pending: &mut Pending,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        while !bytes.is_empty() {
            if self.passing > 0 {
                let piece = bytes.split_to(self.passing.min(bytes.len()));
                self.passing -= piece.len();
                if !self.swallows {
                    output.to_client.push_back(piece);
                }
            } else if self.asked.is_none() {
                self.begin(&mut bytes, limit, pending, output)?;
            } else {
                self.hold(&mut bytes, limit, context, output)?;
            }
            if self.passing == 0 && self.asked.is_none() && self.held.is_empty() {
                pending.answered(output);
            }
        }
        Ok(())
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Finds out whose answer begins.
    fn begin(
        &mut self,
        bytes: &mut Bytes,
        limit: usize,
        pending: &mut Pending,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let mut head = [0; HEAD_BYTES];
        if self.held.is_empty() && bytes.len() >= HEAD_BYTES {
            head.copy_from_slice(bytes.get(..HEAD_BYTES).unwrap_or_default());
        } else if self.fill(bytes, HEAD_BYTES) {
            head.copy_from_slice(&self.held);
        } else {
            return length(&self.held).map(drop);
        }
        self.length = length(&head)?.unwrap_or(0);
        let asked = asked_for(&head, pending)?;
        self.swallows = matches!(asked.answer, Answer::Swallowed);
        match asked.answer {
            Answer::None | Answer::Passed | Answer::Swallowed => {
                self.passing = self.length - self.held.len();
                let beginning = self.held.split().freeze();
                if !beginning.is_empty() && !self.swallows {
                    output.to_client.push_back(beginning);
                }
            }
            Answer::Rewritten(_) if self.length > limit.saturating_add(LENGTH_BYTES) => {
                return Err(SessionEnd::Limit(format!(
                    "an answer of {} bytes to {}, allowed are {limit}",
                    self.length, asked.api.name
                )));
            }
            Answer::Inserted(_) | Answer::Rewritten(_) => {
                self.fill(bytes, HEAD_BYTES);
                self.asked = Some(asked);
            }
        }
        Ok(())
    }

    /// Holds more of an answer, and goes on with it where that is enough.
    fn hold(
        &mut self,
        bytes: &mut Bytes,
        limit: usize,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let Some(mut asked) = self.asked.take() else { return Ok(()) };
        match std::mem::replace(&mut asked.answer, Answer::None) {
            Answer::Rewritten(rewrite) => {
                if self.fill(bytes, self.length) {
                    let frame = self.held.split().freeze();
                    context.begin_answer(limit);
                    let body = api::answer_body(asked.api, asked.form, &frame)?;
                    let edits = rewrite(&body, context)?;
                    output.to_client.push_back(changed(frame.clone(), &edits)?);
                    return Ok(());
                }
                asked.answer = Answer::Rewritten(rewrite);
            }
            Answer::Inserted(insertion) => {
                self.fill(bytes, self.length.min(BEGINNING_BYTES));
                match begun(&self.held, &asked, &insertion) {
                    Ok(edit) => return self.insert(&edit, output),
                    Err(Unreadable::Short)
                        if self.held.len() < self.length.min(BEGINNING_BYTES) => {}
                    Err(problem) => return Err(problem.into()),
                }
                asked.answer = Answer::Inserted(insertion);
            }
            Answer::None | Answer::Passed | Answer::Swallowed => {}
        }
        self.asked = Some(asked);
        Ok(())
    }

    /// Passes on the beginning of an answer with what is inserted; the rest follows as it comes.
    fn insert(&mut self, edit: &Edit, output: &mut Output) -> Result<(), SessionEnd> {
        self.passing = self.length - self.held.len();
        let held = self.held.split().freeze();
        let beginning = edit::apply(&held, std::slice::from_ref(edit)).ok_or_else(too_long)?;
        let length = beginning.len().saturating_add(self.passing).saturating_sub(LENGTH_BYTES);
        let length = i32::try_from(length).map_err(|_| too_long())?;
        output.to_client.push_back(Bytes::copy_from_slice(&length.to_be_bytes()));
        output.to_client.push_back(beginning.slice(LENGTH_BYTES..));
        Ok(())
    }

    /// Holds what is missing to this length, as far as it has arrived; whether it has.
    fn fill(&mut self, bytes: &mut Bytes, length: usize) -> bool {
        let missing = length.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes.split_to(missing));
        self.held.len() >= length
    }
}

/// How long an answer is, as far as that is known: it has a correlation id at least.
fn length(head: &[u8]) -> Result<Option<usize>, SessionEnd> {
    let length = announced(head, usize::MAX)?;
    if length.is_some_and(|length| length < HEAD_BYTES) {
        return Err(SessionEnd::Malformed("an answer of no length".to_owned()));
    }
    Ok(length)
}

/// An answer of the session's own, with what was to be inserted in the broker's.
pub(crate) fn with_inserted(reply: Bytes, asked: &Asked) -> Result<Bytes, SessionEnd> {
    let Answer::Inserted(insertion) = &asked.answer else { return Ok(reply) };
    let edit = begun(&reply, asked, insertion)?;
    edit::apply(&reply, &[edit]).ok_or_else(too_long)
}

/// The request that this answers: the one that has waited longest, or nobody asked.
fn asked_for(head: &[u8; HEAD_BYTES], pending: &mut Pending) -> Result<Box<Asked>, SessionEnd> {
    let correlation = Reader::at(head, LENGTH_BYTES).number(4)?;
    let asked = pending
        .take()
        .ok_or_else(|| SessionEnd::Malformed("an answer that nobody asked for".to_owned()))?;
    if i64::from(asked.correlation) == correlation {
        Ok(asked)
    } else {
        Err(SessionEnd::Malformed(format!(
            "an answer of correlation id {correlation}, due is {}",
            asked.correlation
        )))
    }
}

/// The change to the beginning of an answer that gets items.
fn begun(held: &[u8], asked: &Asked, insertion: &Insertion) -> Result<Edit, Unreadable> {
    let (api, form) = (asked.api, asked.form);
    let start = api::answer_start(api, form, held)?;
    let (count, at) = count_of(held, start, api.response, form, insertion.array)?;
    let count = count.unwrap_or(0).saturating_add(insertion.count);
    let mut with = wire::count(count, form.flexible);
    with.extend_from_slice(&insertion.bytes);
    Ok(Edit::replace(at, with))
}

fn changed(frame: Bytes, edits: &[Edit]) -> Result<Bytes, SessionEnd> {
    if edits.is_empty() {
        return Ok(frame);
    }
    edit::apply(&frame, edits).ok_or_else(too_long)
}

fn too_long() -> SessionEnd {
    SessionEnd::Limit("an answer of more than 2 GiB".to_owned())
}
