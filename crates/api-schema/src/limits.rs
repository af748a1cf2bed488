//! What a JSON body may cost, looked at in one pass over its bytes before anything is built of it.
//!
//! The pass is a reader of the whole grammar (RFC 8259), stricter where readers differ: a name that stands twice in an
//! object is refused also where it is spelled in two ways (`"a"`, `"\u0061"`), and so are half surrogates, a byte-order
//! mark, and numbers that no double can hold. What passes is read by everybody alike.

use std::borrow::Cow;

use serde_json::Value;

use crate::refusal::{RefusalKind, SchemaRefusal};

/// The longest number taken, in bytes: a 128-bit integer has 39, a double that is written out to the last digit 25.
const MAX_NUMBER_BYTES: usize = 64;
/// The deepest nesting that can be allowed: where the parser behind this pass ends.
const MAX_DEPTH: usize = 120;

/// What a JSON body may cost before a schema looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// The most bytes of a body (1 MiB).
    pub max_bytes: usize,
    /// The deepest nesting of lists and objects (32); more than 120 counts as 120.
    pub max_depth: usize,
    /// The most values of a body, names of objects not counted (10 000).
    pub max_nodes: usize,
    /// The most names in one object (1 000).
    pub max_keys: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_depth: 32, max_nodes: 10_000, max_keys: 1_000 }
    }
}

impl JsonLimits {
    /// Looks whether `body` is JSON within these limits.
    ///
    /// # Errors
    /// [`RefusalKind::JsonLimits`] with the limit as its keyword: `maxBytes`, `maxDepth`, `maxNodes`, `maxKeys`,
    /// `duplicateKey`, `number`, `encoding` (not UTF-8), `byteOrderMark` or `syntax`.
    pub fn check(&self, body: &[u8]) -> Result<(), SchemaRefusal> {
        Scan::run(body, self).map_err(refusal)
    }

    /// Reads `body` once it is within these limits.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Value, SchemaRefusal> {
        self.check(body)?;
        serde_json::from_slice(body).map_err(|_| refusal("syntax"))
    }
}

fn refusal(keyword: &'static str) -> SchemaRefusal {
    SchemaRefusal {
        kind: RefusalKind::JsonLimits,
        place: "body".to_owned(),
        keyword: keyword.to_owned(),
    }
}

/// A list or an object that is still open.
enum Open {
    List,
    /// With the place of its first name among all names.
    Object {
        first: usize,
    },
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    open: Vec<Open>,
    /// The names of all objects that are open, one object behind the other.
    names: Vec<Cow<'a, str>>,
    limits: &'a JsonLimits,
}

type Scanned<T> = Result<T, &'static str>;

impl<'a> Scan<'a> {
    fn run(body: &'a [u8], limits: &'a JsonLimits) -> Scanned<()> {
        if body.len() > limits.max_bytes {
            return Err("maxBytes");
        }
        if body.starts_with(b"\xef\xbb\xbf") {
            return Err("byteOrderMark");
        }
        let text = std::str::from_utf8(body).map_err(|_| "encoding")?;
        let mut scan = Self { text, at: 0, nodes: 0, open: Vec::new(), names: Vec::new(), limits };
        loop {
            scan.value()?;
            if scan.until_next_value()? {
                return Ok(());
            }
        }
    }

    /// A value, or the beginning of a list or an object up to its first value.
    fn value(&mut self) -> Scanned<()> {
        loop {
            self.nodes += 1;
            if self.nodes > self.limits.max_nodes {
                return Err("maxNodes");
            }
            match self.after_space() {
                Some(b'{') => {
                    self.enter(Open::Object { first: self.names.len() })?;
                    if self.after_space() == Some(b'}') {
                        return Ok(());
                    }
                    self.name()?;
                }
                Some(b'[') => {
                    self.enter(Open::List)?;
                    if self.after_space() == Some(b']') {
                        return Ok(());
                    }
                }
                Some(b'"') => return self.string().map(|_| ()),
                Some(b'-' | b'0'..=b'9') => return self.number(),
                Some(b't') => return self.literal("true"),
                Some(b'f') => return self.literal("false"),
                Some(b'n') => return self.literal("null"),
                _ => return Err("syntax"),
            }
        }
    }

    /// What stands behind a value; true at the end of the body.
    fn until_next_value(&mut self) -> Scanned<bool> {
        loop {
            let next = self.after_space();
            match (self.open.last(), next) {
                (None, None) => return Ok(true),
                (Some(Open::List), Some(b',')) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(Open::Object { .. }), Some(b',')) => {
                    self.at += 1;
                    self.after_space();
                    self.name()?;
                    return Ok(false);
                }
                (Some(Open::List), Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                }
                (Some(&Open::Object { first }), Some(b'}')) => {
                    self.at += 1;
                    self.open.pop();
                    self.leave_object(first)?;
                }
                _ => return Err("syntax"),
            }
        }
    }

    fn enter(&mut self, open: Open) -> Scanned<()> {
        if self.open.len() >= self.limits.max_depth.min(MAX_DEPTH) {
            return Err("maxDepth");
        }
        self.at += 1;
        self.open.push(open);
        Ok(())
    }

    /// Names are told apart by sorting: that costs the same whatever they are, and needs no table.
    fn leave_object(&mut self, first: usize) -> Scanned<()> {
        let names = self.names.get_mut(first..).unwrap_or_default();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err("duplicateKey");
        }
        self.names.truncate(first);
        Ok(())
    }

    /// A name and its colon.
    fn name(&mut self) -> Scanned<()> {
        if self.byte() != Some(b'"') {
            return Err("syntax");
        }
        let Some(&Open::Object { first }) = self.open.last() else {
            return Err("syntax");
        };
        if self.names.len() - first >= self.limits.max_keys {
            return Err("maxKeys");
        }
        let name = self.string()?;
        self.names.push(name);
        if self.after_space() != Some(b':') {
            return Err("syntax");
        }
        self.at += 1;
        Ok(())
    }

    /// A string, its escapes undone.
    fn string(&mut self) -> Scanned<Cow<'a, str>> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.byte().ok_or("syntax")? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                ..=0x1f => return Err("syntax"),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if escaped {
            let quoted = self.text.get(start..self.at).ok_or("syntax")?;
            return serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| "syntax");
        }
        self.text.get(start + 1..self.at - 1).map(Cow::Borrowed).ok_or("syntax")
    }

    fn escape(&mut self) -> Scanned<()> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                // A high surrogate means nothing without its low one (RFC 8259, section 7).
                let half = match self.code_unit()? {
                    0xd800..=0xdbff => !matches!(self.code_unit()?, 0xdc00..=0xdfff),
                    unit => matches!(unit, 0xdc00..=0xdfff),
                };
                if half {
                    return Err("encoding");
                }
            }
            _ => return Err("syntax"),
        }
        Ok(())
    }

    /// `\uXXXX`.
    fn code_unit(&mut self) -> Scanned<u16> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 6)
            .and_then(|escape| escape.strip_prefix(b"\\u"))
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .ok_or("encoding")?;
        self.at += 6;
        u16::from_str_radix(digits, 16).map_err(|_| "encoding")
    }

    fn number(&mut self) -> Scanned<()> {
        let start = self.at;
        while matches!(self.byte(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let number = self.text.get(start..self.at).unwrap_or_default();
        check_number(number)
    }

    fn literal(&mut self, word: &str) -> Scanned<()> {
        if !self
            .text
            .as_bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            return Err("syntax");
        }
        self.at += word.len();
        Ok(())
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn after_space(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                next => return next,
            }
        }
    }
}

/// A number of the grammar of RFC 8259 (section 6), short, and neither endless nor rounded to nothing.
pub(crate) fn check_number(number: &str) -> Scanned<()> {
    if number.len() > MAX_NUMBER_BYTES {
        return Err("number");
    }
    if !has_form_of_number(number) {
        return Err("syntax");
    }
    let Some((mantissa, _)) = number.split_once(['e', 'E']) else {
        return Ok(());
    };
    let value: f64 = number.parse().map_err(|_| "number")?;
    let zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'));
    if value.is_finite() && (value != 0.0 || zero) { Ok(()) } else { Err("number") }
}

fn has_form_of_number(number: &str) -> bool {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent
            .is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn json_within_its_limits() {
        let small = JsonLimits { max_bytes: 64, max_depth: 3, max_nodes: 8, max_keys: 3 };
        let rows: &[(&str, &[u8], Result<(), &str>)] = &[
            ("an object", br#"{"a": [1, 2.5e-1, true, null], "b": "\u00e9\n"}"#, Ok(())),
            ("a scalar alone", b" \"x\"\r\n", Ok(())),
            ("a pair of surrogates", br#""\ud83d\ude00""#, Ok(())),
            ("the deepest", b"[[[1]]]", Ok(())),
            ("too deep", b"[[[[1]]]]", Err("maxDepth")),
            ("too many values", b"[1,2,3,4,5,6,7,8]", Err("maxNodes")),
            ("many empty lists", b"[[],[],[],[],[],[],[],[]]", Err("maxNodes")),
            ("the most names", br#"{"a":1,"b":2,"c":3}"#, Ok(())),
            ("too many names", br#"{"a":1,"b":2,"c":3,"d":4}"#, Err("maxKeys")),
            ("names of a neighbour", br#"[{"a":1,"b":2},{"a":1,"b":2}]"#, Ok(())),
            ("names of a parent", br#"{"a":{"a":{"a":1}}}"#, Ok(())),
            ("a name twice", br#"{"a":1,"b":2,"a":3}"#, Err("duplicateKey")),
            ("a name in two spellings", br#"{"a":1,"\u0061":3}"#, Err("duplicateKey")),
            ("a name twice below", br#"[{"b":{"a":1,"a":1}}]"#, Err("duplicateKey")),
            ("an empty name twice", br#"{"":1,"":1}"#, Err("duplicateKey")),
            ("too many bytes", &[b' '; 65], Err("maxBytes")),
            ("nothing", b"", Err("syntax")),
            ("a byte-order mark", b"\xef\xbb\xbf{}", Err("byteOrderMark")),
            ("no UTF-8", b"\"\xff\"", Err("encoding")),
            ("overlong UTF-8", b"\"\xc0\xaf\"", Err("encoding")),
            ("a high surrogate alone", br#""\ud83d""#, Err("encoding")),
            ("a low surrogate alone", br#""\ude00""#, Err("encoding")),
            ("two high surrogates", br#""\ud83d\ud83d""#, Err("encoding")),
            ("an escape cut short", br#""\u00e"#, Err("encoding")),
            ("a sign within an escape", br#""\u+0e9""#, Err("encoding")),
            ("an escape of no letter", br#""\x""#, Err("syntax")),
            ("a line end in a string", b"\"a\nb\"", Err("syntax")),
            ("a string without its end", b"\"a", Err("syntax")),
            ("more behind the end", b"{} {}", Err("syntax")),
            ("a bracket too many", b"[]]", Err("syntax")),
            ("the wrong bracket", b"[}", Err("syntax")),
            ("a comma too many", b"[1,]", Err("syntax")),
            ("a comma too many in an object", br#"{"a":1,}"#, Err("syntax")),
            ("a name without quotes", b"{a:1}", Err("syntax")),
            ("a comment", b"[1/*x*/]", Err("syntax")),
            ("no number", b"NaN", Err("syntax")),
            ("a leading zero", b"01", Err("syntax")),
            ("a leading point", b".5", Err("syntax")),
            ("a plus", b"+1", Err("syntax")),
            ("hexadecimal", b"0x10", Err("syntax")),
            ("an exponent without digits", b"1e", Err("syntax")),
            ("an endless number", b"1e999999", Err("number")),
            ("a number that is rounded to nothing", b"1e-999999", Err("number")),
            ("nothing, in scientific notation", b"0.0e-999999", Ok(())),
            ("minus zero", b"-0", Ok(())),
        ];
        for (name, body, expect) in rows {
            let found = small.check(body).map_err(|refusal| refusal.keyword);
            assert_eq!(found, expect.map_err(str::to_owned), "{name}");
            if expect.is_ok() {
                serde_json::from_slice::<Value>(body)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }

    #[test]
    fn a_number_of_ten_thousand_digits_is_refused() {
        let body = "9".repeat(10_000);
        assert_eq!(JsonLimits::default().check(body.as_bytes()).unwrap_err().keyword, "number");
    }

    #[test]
    fn the_parser_behind_takes_the_deepest_nesting_that_can_be_allowed() {
        let limits = JsonLimits { max_depth: usize::MAX, ..JsonLimits::default() };
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(limits.read(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(limits.read(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().keyword, "maxDepth");
    }
}
