//! JSON read strictly: a second member of one name is refused (RFC 7515 §4, RFC 7519 §4 leave a choice, and two readers
//! would choose differently), and nesting is bounded.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The deepest nesting taken.
pub const MAX_DEPTH: u8 = 32;

/// Reads one JSON object.
///
/// # Errors
/// It is no object, has a member twice, nests deeper than 32, or something follows it.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = StrictJson { left: MAX_DEPTH }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Error::custom("not an object")),
    }
}

/// Reads a value that may hold this many levels.
#[derive(Clone, Copy)]
struct StrictJson {
    left: u8,
}

impl StrictJson {
    fn within<E: Error>(self) -> Result<Self, E> {
        self.left
            .checked_sub(1)
            .map(|left| Self { left })
            .ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for StrictJson {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictJson {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let within = self.within()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(within)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let within = self.within()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(within)?;
            if map.insert(name, value).is_some() {
                return Err(Error::custom("a member stands there twice"));
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s39_claims_strict_json() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for (name, text, expect) in [
            ("plain", r#"{"a":[1,-2,1.5,true,null,"x",{"a":{}}]}"#.to_owned(), true),
            ("twice", r#"{"a":1,"a":1}"#.to_owned(), false),
            ("twice by an escape", r#"{"a":1,"\u0061":2}"#.to_owned(), false),
            ("twice within", r#"{"b":[{"a":1,"a":2}]}"#.to_owned(), false),
            ("list", "[]".to_owned(), false),
            ("text", "\"x\"".to_owned(), false),
            ("followed", "{} {}".to_owned(), false),
            ("empty", String::new(), false),
            ("s40 depth 32", nested(31), true),
            ("s40 depth 33", nested(32), false),
            ("s40 depth 4000", nested(4000), false),
        ] {
            assert_eq!(object(text.as_bytes()).is_ok(), expect, "{name}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
    }
}
