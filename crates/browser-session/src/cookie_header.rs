//! The header `cookie` (RFC 6265 §4.2): which cookies are ours, and what is left for the app.

use std::borrow::Cow;

/// How the names of all our cookies begin, and nobody else's: browsers take such a name from this very host alone, over
/// https.
pub const OUR_PREFIX: &str = "__Host-postern-";
/// The most cookies of ours that are looked at: five chunks of a session and five flows, for a few policies.
const MOST: usize = 64;

/// The cookies of one request.
#[derive(Debug, Default)]
pub struct RequestCookies<'h> {
    ours: Vec<(&'h str, &'h [u8])>,
    others: Vec<Cow<'h, [u8]>>,
    any_ours: bool,
}

impl<'h> RequestCookies<'h> {
    /// Reads all lines of the header. A cookie ends at the next semicolon, whatever quotes stand around it: who sees it
    /// otherwise could be made to hand ours on within another one.
    pub fn of(lines: impl IntoIterator<Item = &'h [u8]>) -> Self {
        let mut read = Self::default();
        for line in lines {
            read.add_line(line);
        }
        read
    }

    fn add_line(&mut self, line: &'h [u8]) {
        let pairs = || line.split(|byte| *byte == b';');
        if !pairs().any(|pair| our_name(pair).is_some()) {
            self.others.push(Cow::Borrowed(line));
            return;
        }
        self.any_ours = true;
        let mut rest: Vec<&[u8]> = Vec::new();
        for pair in pairs() {
            match our_name(pair) {
                None => rest.push(pair),
                Some(name) if self.ours.len() < MOST => {
                    let value = pair.trim_ascii().get(name.len()..).unwrap_or_default();
                    let value = value.trim_ascii_start().strip_prefix(b"=").unwrap_or_default();
                    self.ours.push((name, value.trim_ascii()));
                }
                Some(_) => {}
            }
        }
        let rest = rest.join(&b';');
        if !rest.trim_ascii().is_empty() {
            self.others.push(Cow::Owned(rest.trim_ascii_start().to_vec()));
        }
    }

    /// Whether there is any of ours, and so the header must be replaced before the app sees it.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.any_ours
    }

    /// What the app is given: the lines without ours, everything else as it was. Empty: no header.
    #[must_use]
    pub fn others(&self) -> &[Cow<'h, [u8]>] {
        &self.others
    }

    /// The names of ours, in the order they were sent in.
    pub fn our_names(&self) -> impl Iterator<Item = &'h str> {
        self.ours.iter().map(|(name, _)| *name)
    }

    /// The value of a cookie of ours. `None`: it is not there. `Some(None)`: it is there more than once, and which one
    /// counts nobody knows.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Option<&'h [u8]>> {
        let mut found = self.ours.iter().filter(|(known, _)| *known == name);
        let (_, value) = found.next()?;
        Some(found.next().is_none().then_some(*value))
    }
}

/// The name of the cookie, where it is one of ours.
fn our_name(pair: &[u8]) -> Option<&str> {
    let pair = pair.trim_ascii();
    let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    let name = pair.get(..end)?.trim_ascii_end();
    let start = name.get(..OUR_PREFIX.len())?;
    // Readers of cookies that ignore case find ours under any spelling.
    let ours = start.eq_ignore_ascii_case(OUR_PREFIX.as_bytes());
    ours.then(|| std::str::from_utf8(name).unwrap_or(OUR_PREFIX))
}
