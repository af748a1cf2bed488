//! One request of a client: its header, its body, and how it is answered or passed on.

use std::ops::Range;

use bytes::Bytes;
use message_access::SessionEnd;

use crate::answer::{self, Said};
use crate::api::{self, Api};
use crate::context::bounded;
use crate::edit::{self, Edit};
use crate::frame::LENGTH_BYTES;
use crate::pending::{Answer, Insertion};
use crate::record::Record;
use crate::schema::Form;
use crate::wire::{Reader, Writer};

/// A request that was read as far as it is understood: header and body are what the table of its version says.
pub(crate) struct Request<'a> {
    /// Which API it is of.
    pub(crate) api: &'static Api,
    /// What the client matches the answer by.
    pub(crate) correlation: i32,
    /// Its body.
    pub(crate) body: Record<'a>,
    frame: &'a Bytes,
}

/// What is done with a request.
pub(crate) enum Action {
    /// It goes to the broker.
    Forward {
        /// With these changes.
        frame: Bytes,
        /// This is done with the answer.
        answer: Answer,
    },
    /// It is answered without the broker.
    Reply(Bytes),
}

/// What a judgement gives.
pub(crate) type Judged = Result<Action, SessionEnd>;

/// The beginning of every request.
pub(crate) struct Head {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
}

impl Head {
    /// Reads it from a frame.
    pub(crate) fn read(frame: &[u8]) -> Result<Self, SessionEnd> {
        let mut reader = Reader::at(frame, LENGTH_BYTES);
        let (key, version) = (reader.number(2)?, reader.number(2)?);
        let correlation = reader.number(4)?;
        match (i16::try_from(key), i16::try_from(version), i32::try_from(correlation)) {
            (Ok(key), Ok(version), Ok(correlation)) => Ok(Self { key, version, correlation }),
            _ => Err(SessionEnd::Malformed("a number of more bytes than it has".to_owned())),
        }
    }
}

/// Where the header of a request ends: client ids are not compact in any version.
const FIXED_HEADER_BYTES: usize = LENGTH_BYTES + 8;

impl<'a> Request<'a> {
    /// Reads a request of which the API and version are known.
    ///
    /// # Errors
    /// What is not what the table of the version says, to the last byte, and what has too many things in its arrays.
    pub(crate) fn read(
        frame: &'a Bytes,
        head: &Head,
        api: &'static Api,
    ) -> Result<Self, SessionEnd> {
        let form = api.form(head.version);
        let mut reader = Reader::at(frame, FIXED_HEADER_BYTES);
        reader.text(false)?;
        if form.flexible {
            reader.tags()?;
        }
        let body = Record::read(frame, reader.position(), api.request, form)?;
        if frame.len() - body.span().end > api::surplus_bytes(api, &body)? {
            return Err(SessionEnd::Malformed(format!("bytes behind a request of {}", api.name)));
        }
        bounded(&body)?;
        Ok(Self { api, correlation: head.correlation, body, frame })
    }

    /// How it is written, and its answer.
    pub(crate) const fn form(&self) -> Form {
        self.body.form()
    }

    /// The bytes behind the body, which only few requests may have.
    pub(crate) fn surplus(&self) -> Range<usize> {
        self.body.span().end..self.frame.len()
    }

    /// Passes it on as it came, and the answer too.
    pub(crate) fn forward(&self) -> Action {
        self.forward_for(Answer::Passed)
    }

    /// Passes it on as it came; this is done with the answer.
    pub(crate) fn forward_for(&self, answer: Answer) -> Action {
        Action::Forward { frame: self.frame.clone(), answer }
    }

    /// Passes it on with changes.
    pub(crate) fn forward_edited(&self, edits: &[Edit], answer: Answer) -> Judged {
        if edits.is_empty() {
            return Ok(self.forward_for(answer));
        }
        let frame = edit::apply(self.frame, edits)
            .ok_or_else(|| SessionEnd::Limit("a request of more than 2 GiB".to_owned()))?;
        Ok(Action::Forward { frame, answer })
    }

    /// Answers it without the broker.
    pub(crate) fn reply(&self, said: &Said<'_>) -> Action {
        Action::Reply(self.answer(said))
    }

    /// An answer without the broker.
    pub(crate) fn answer(&self, said: &Said<'_>) -> Bytes {
        api::answer_frame(self.api, self.form(), self.correlation, said)
    }

    /// Has these items stand in an array of the broker's answer, before its own.
    pub(crate) fn insertion(&self, array: &'static str, items: &[Said<'_>]) -> Answer {
        if items.is_empty() {
            return Answer::Passed;
        }
        let bytes = self.items(array, items);
        Answer::Inserted(Insertion { array, count: items.len(), bytes })
    }

    /// Items of an array of the answer as they stand there.
    pub(crate) fn items(&self, array: &'static str, items: &[Said<'_>]) -> Vec<u8> {
        let mut writer = Writer::default();
        for item in items {
            answer::write(&mut writer, self.api.items_of(array), self.form(), item);
        }
        writer.into_bytes()
    }
}
