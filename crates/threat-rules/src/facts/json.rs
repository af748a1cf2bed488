//! A JSON body as arguments: each text, number and truth by the path that leads to it, `json.user.name`.
//!
//! Elements of an array have its name. Members of one name are all kept: which of them an application takes is not known here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Facts, MOST_VALUES};
use crate::inspection::NotRead;

/// Deeper documents are looked at as text.
const DEEPEST: usize = 64;
/// The names of values are no longer than about this.
const LONGEST_PATH: usize = 512;

/// Adds what the document says, of one that was cut what is there of it; whether it could be read.
pub(super) fn add(facts: &mut Facts<'_>, body: &[u8], complete: bool) -> bool {
    facts.processor = "JSON";
    let body = without_mark(body);
    if body.trim_ascii().is_empty() {
        return true;
    }
    let mut walk = Walk::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Node(&mut walk).deserialize(&mut reader).and_then(|()| reader.end());
    if walk.is_too_much {
        facts.leave_out(NotRead::TooMany);
    }
    walk.add_to(facts);
    if read.is_err() && complete {
        facts.body_error = Some("the body is no JSON, or too much of it");
        facts.leave_out(NotRead::Malformed);
    }
    read.is_ok()
}

/// Adds what a text says that may be JSON, or several documents of it, one after the other; whether it begins so. Many
/// applications read JSON whatever the content type.
pub(super) fn add_from_text(facts: &mut Facts<'_>, text: &[u8]) -> bool {
    let text = without_mark(text);
    if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return false;
    }
    let mut walk = Walk::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    while Node(&mut walk).deserialize(&mut reader).is_ok() {}
    if walk.is_too_much {
        facts.leave_out(NotRead::TooMany);
    }
    walk.add_to(facts);
    true
}

/// Without the mark of UTF-8, which many applications skip.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Where the reading is, and what it found.
struct Walk {
    path: Vec<u8>,
    depth: usize,
    found: Vec<(Vec<u8>, Vec<u8>)>,
    is_too_much: bool,
}

impl Walk {
    fn new() -> Self {
        Self { path: b"json".to_vec(), depth: 0, found: Vec::new(), is_too_much: false }
    }

    fn add_to(self, facts: &mut Facts<'_>) {
        for (name, value) in self.found {
            facts.add_argument(Cow::Owned(name), Cow::Owned(value));
        }
    }

    fn add<E: Error>(&mut self, value: impl Into<Vec<u8>>) -> Result<(), E> {
        if self.found.len() >= MOST_VALUES {
            self.is_too_much = true;
            return Err(E::custom("too many values"));
        }
        self.found.push((self.path.clone(), value.into()));
        Ok(())
    }

    /// What is empty has a name all the same: a value without text.
    fn add_if<E: Error>(&mut self, is_empty: bool) -> Result<(), E> {
        if is_empty { self.add("") } else { Ok(()) }
    }

    /// Does `read` with one more name at the end of the path. A name that would make the path longer than it may be is
    /// cut there, and looked at whole as a value of its own: otherwise each value below would carry a copy of it.
    fn below<T, E: Error>(
        &mut self,
        name: &[u8],
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let length = self.path.len();
        let room = LONGEST_PATH.saturating_sub(length + 1);
        if name.len() > room {
            self.add::<E>(name)?;
        }
        self.path.push(b'.');
        self.path.extend(name.iter().take(room));
        let done = self.deeper(read);
        self.path.truncate(length);
        done
    }

    fn deeper<T, E: Error>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.depth >= DEEPEST {
            self.is_too_much = true;
            return Err(E::custom("too deep"));
        }
        self.depth += 1;
        let done = read(self);
        self.depth -= 1;
        done
    }
}

struct Node<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.add("")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.add(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.add(value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.add(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        // All elements have the name of their array.
        let mut is_empty = true;
        while self.0.deeper(|walk| elements.next_element_seed(Node(walk)))?.is_some() {
            is_empty = false;
        }
        self.0.add_if(is_empty)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut is_empty = true;
        while let Some(name) = members.next_key::<String>()? {
            is_empty = false;
            self.0.below(name.as_bytes(), |walk| members.next_value_seed(Node(walk)))?;
        }
        self.0.add_if(is_empty)
    }
}
