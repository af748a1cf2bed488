//! JSON as every reader understands it: no name twice, nothing behind the value.
//!
//! nats-server takes names in any case and the last of several. What is read here has to be what it reads, so that whoever
//! looks at an object refuses the names that it does not know ([`Object::only`]).

use std::collections::BTreeMap;
use std::fmt;

use message_access::SessionEnd;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::line::malformed;

/// A value. Numbers are not looked at by anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Flag(bool),
    Number,
    Text(String),
    List(Vec<Self>),
    Object(Object),
}

/// The members of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object(BTreeMap<String, Json>);

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// Anything else, with `what` named.
    pub(crate) fn read(text: &[u8], what: &str) -> Result<Self, SessionEnd> {
        match serde_json::from_slice(text) {
            Ok(Json::Object(object)) => Ok(object),
            Ok(_) => Err(malformed(&format!("{what} is no JSON object"))),
            Err(problem) => Err(malformed(&format!("{what} is no JSON object: {problem}"))),
        }
    }

    /// Refuses members that are not in the list.
    ///
    /// # Errors
    /// The first that is not, by name.
    pub(crate) fn only(&self, known: &[&str], what: &str) -> Result<(), SessionEnd> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(64).collect();
                Err(SessionEnd::Version(format!("{what} has the unknown field {name:?}")))
            }
        }
    }

    /// Whether the member is there, whatever it is.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| *value != Json::Null)
    }

    /// A text; `null` and the empty text are as good as none.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, SessionEnd> {
        match self.0.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong(name, "a text")),
        }
    }

    /// A flag.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, SessionEnd> {
        match self.0.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, SessionEnd> {
        let mut texts = Vec::new();
        for value in self.list(name)? {
            let Json::Text(text) = value else {
                return Err(wrong(name, "a list of texts"));
            };
            texts.push(text.as_str());
        }
        Ok(texts)
    }

    /// A list of objects.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<&Self>, SessionEnd> {
        let mut objects = Vec::new();
        for value in self.list(name)? {
            let Json::Object(object) = value else {
                return Err(wrong(name, "a list of objects"));
            };
            objects.push(object);
        }
        Ok(objects)
    }

    /// An object.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn object(&self, name: &str) -> Result<Option<&Self>, SessionEnd> {
        match self.0.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong(name, "an object")),
        }
    }

    fn list(&self, name: &str) -> Result<&[Json], SessionEnd> {
        match self.0.get(name) {
            None | Some(Json::Null) => Ok(&[]),
            Some(Json::List(list)) => Ok(list),
            Some(_) => Err(wrong(name, "a list")),
        }
    }
}

fn wrong(name: &str, expected: &str) -> SessionEnd {
    malformed(&format!("the field `{name}` is not {expected}"))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name that comes twice in one object"));
            }
        }
        Ok(Json::Object(Object(object)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn one_meaning_or_none() {
        for (text, good) in [
            ("{}", true),
            (r#"{"a": {"b": [1, -2, 3.5, true, null, "x"]}}"#, true),
            (r#"{"a": 1, "A": 2}"#, true),
            (r#"{"a": 1, "a": 2}"#, false),
            (r#"{"a": {"b": 1, "b": 1}}"#, false),
            (r#"{"a": 1, "\u0061": 2}"#, false),
            (r#"{"a": "\ud800"}"#, false),
            (r#"{"a": 1} x"#, false),
            (r#"{"a": 1,}"#, false),
            ("[]", false),
            ("", false),
        ] {
            assert_eq!(Object::read(text.as_bytes(), "it").is_ok(), good, "{text}");
        }
        assert!(Object::read(b"{\"a\": \"\xff\"}", "it").is_err());
        assert!(Object::read("[".repeat(4096).as_bytes(), "it").is_err());
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let object = Object::read(br#"{"name": "a", "Subjects": ["b"]}"#, "it").unwrap();
        let problem = object.only(&["name", "subjects"], "it").unwrap_err();
        assert_eq!(
            problem,
            SessionEnd::Version("it has the unknown field \"Subjects\"".to_owned())
        );
    }
}
