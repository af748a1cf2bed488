//! What a Redis answers (RESP2, the protocol of Redis), as far as our commands can be answered: a word, an error, a
//! few whole numbers, a string of bytes, or nothing. Anything else is no answer, and ends the connection.

/// The longest answer that is no string of bytes: errors of scripts come with a few lines of Lua.
pub const LONGEST_REPLY: usize = 4 * 1024;
/// The longest string of bytes: a sealed session, or a thousand revocations.
pub const LONGEST_BULK: usize = 64 * 1024;
/// Numbers in an answer: the script gives two.
pub const MOST_NUMBERS: usize = 4;
/// With its length before it, and the ends of lines.
const LONGEST_BULK_REPLY: usize = LONGEST_BULK + 32;
/// Of an error, characters: enough to know it by.
const LONGEST_ERROR: usize = 200;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A word, as `OK`, which means nothing more.
    Okay,
    /// An error in the store's own words, cut, and without control characters.
    Error(String),
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// A string of bytes (a bulk string).
    Bulk(Vec<u8>),
    /// There is none (the null bulk string).
    Nil,
}

/// Bytes that are no answer to anything we ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// More bytes than an answer has.
    #[error(
        "an answer of more than {LONGEST_REPLY} bytes, or a string of more than {LONGEST_BULK}"
    )]
    TooLong,
    /// It begins with another type than ours, or is malformed.
    #[error("it does not answer as a Redis does")]
    Malformed,
}

/// Reads the answer at the beginning of `bytes`, and how many of them it takes; none where it is not whole yet.
///
/// # Errors
/// [`ReplyError`] as soon as it is known; more bytes change nothing.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    let mut lines = Lines { bytes, at: 0 };
    let found = lines.reply()?;
    let most = if bytes.first() == Some(&b'$') { LONGEST_BULK_REPLY } else { LONGEST_REPLY };
    match found {
        Some(reply) => Ok(Some((reply, lines.at))),
        None if bytes.len() > most => Err(ReplyError::TooLong),
        None => Ok(None),
    }
}

struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        // The type is known by the first byte, before the line is whole.
        match self.bytes.first() {
            None => return Ok(None),
            Some(b'+' | b'-' | b':' | b'*' | b'$') => {}
            Some(_) => return Err(ReplyError::Malformed),
        }
        let Some((kind, rest)) = self.line()? else { return Ok(None) };
        match kind {
            b'+' => Ok(Some(Reply::Okay)),
            b'-' => Ok(Some(Reply::Error(readable(rest)))),
            b':' => Ok(Some(Reply::Numbers(vec![number(rest)?]))),
            b'$' => self.bulk(number(rest)?),
            _ => self.numbers(number(rest)?),
        }
    }

    /// What follows its length.
    fn bulk(&mut self, length: i64) -> Result<Option<Reply>, ReplyError> {
        if length == -1 {
            return Ok(Some(Reply::Nil));
        }
        let length = usize::try_from(length).map_err(|_| ReplyError::Malformed)?;
        if length > LONGEST_BULK {
            return Err(ReplyError::TooLong);
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((content, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        match rest {
            [b'\r', b'\n', ..] => {
                self.at += length + 2;
                Ok(Some(Reply::Bulk(content.to_vec())))
            }
            [] | [b'\r'] => Ok(None),
            _ => Err(ReplyError::Malformed),
        }
    }

    fn numbers(&mut self, count: i64) -> Result<Option<Reply>, ReplyError> {
        let count = usize::try_from(count).ok().filter(|count| *count <= MOST_NUMBERS);
        let count = count.ok_or(ReplyError::Malformed)?;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            match self.line()? {
                Some((b':', digits)) => numbers.push(number(digits)?),
                Some(_) => return Err(ReplyError::Malformed),
                None => return Ok(None),
            }
        }
        Ok(Some(Reply::Numbers(numbers)))
    }

    /// The next line, without its end: its type and the rest.
    fn line(&mut self) -> Result<Option<(u8, &'a [u8])>, ReplyError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        if self.at + end.unwrap_or(rest.len()) >= LONGEST_REPLY {
            return Err(ReplyError::TooLong);
        }
        let Some(end) = end else { return Ok(None) };
        self.at += end + 1;
        let line = rest.get(..end).and_then(|line| line.strip_suffix(b"\r"));
        let (kind, rest) = line.and_then(<[u8]>::split_first).ok_or(ReplyError::Malformed)?;
        Ok(Some((*kind, rest)))
    }
}

fn number(digits: &[u8]) -> Result<i64, ReplyError> {
    let text = std::str::from_utf8(digits).map_err(|_| ReplyError::Malformed)?;
    text.parse().map_err(|_| ReplyError::Malformed)
}

/// Fit for a log line.
fn readable(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    text.chars()
        .take(LONGEST_ERROR)
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, bytes: &[u8], expect: Result<Option<(Reply, usize)>, ReplyError>) {
        assert_eq!(read(bytes), expect, "{name}");
    }

    #[test]
    fn answers_of_a_redis() {
        let numbers = |numbers: &[i64]| Reply::Numbers(numbers.to_vec());
        let error = |text: &str| Reply::Error(text.to_owned());
        check("a word", b"+OK\r\n", Ok(Some((Reply::Okay, 5))));
        check("an error", b"-ERR no\r\n", Ok(Some((error("ERR no"), 9))));
        check("what follows is left", b"+OK\r\n:7\r\n", Ok(Some((Reply::Okay, 5))));
        check("a number", b":-7\r\n", Ok(Some((numbers(&[-7]), 5))));
        check("of the script", b"*2\r\n:1\r\n:600\r\n", Ok(Some((numbers(&[1, 600]), 14))));
        check("no numbers", b"*0\r\n", Ok(Some((numbers(&[]), 4))));
        check("nothing yet", b"", Ok(None));
        check("a line that is not whole", b"-ERR", Ok(None));
        check("a list that is not whole", b"*2\r\n:1\r\n:6", Ok(None));
        check("control characters", b"-a\x1b[0m\r\n", Ok(Some((error("a?[0m"), 8))));
    }

    #[test]
    fn what_is_no_answer_ends_at_once() {
        let malformed = Err(ReplyError::Malformed);
        check("another protocol", b"HTTP/1.1 400 Bad Request\r\n", malformed.clone());
        check("a string that is longer than it says", b"$3\r\nabcd", malformed.clone());
        check("a string of less than nothing", b"$-2\r\n", malformed.clone());
        check("a list of strings", b"*1\r\n$1\r\na\r\n", malformed.clone());
        check("a list of lists", b"*1\r\n*1\r\n:1\r\n", malformed.clone());
        check("a long list, before it is there", b"*5\r\n", malformed.clone());
        check("a list of less than nothing", b"*-1\r\n", malformed.clone());
        check("a number that is none", b":1a\r\n", malformed.clone());
        check("a number that is too large", b":9223372036854775808\r\n", malformed.clone());
        check("an empty line", b"*1\r\n\r\n", malformed.clone());
        check("an end of line that is half of one", b"+OK\n", malformed);
        let endless = [b"-".as_slice(), &[b'x'; LONGEST_REPLY]].concat();
        check("a line without end", &endless, Err(ReplyError::TooLong));
        let long = [endless.as_slice(), b"\r\n"].concat();
        check("a long line", &long, Err(ReplyError::TooLong));
        check("a long string, before it is there", b"$65537\r\n", Err(ReplyError::TooLong));
        let endless = [b"$".as_slice(), &[b'1'; LONGEST_REPLY]].concat();
        check("a length without end", &endless, Err(ReplyError::TooLong));
    }

    #[test]
    fn strings_of_bytes() {
        let bulk = |bytes: &[u8]| Reply::Bulk(bytes.to_vec());
        check("one", b"$3\r\nabc\r\n+OK", Ok(Some((bulk(b"abc"), 9))));
        check("with ends of lines", b"$4\r\na\r\nb\r\n", Ok(Some((bulk(b"a\r\nb"), 10))));
        check("empty", b"$0\r\n\r\n", Ok(Some((bulk(b""), 6))));
        check("none", b"$-1\r\n", Ok(Some((Reply::Nil, 5))));
        check("not whole", b"$3\r\nab", Ok(None));
        check("without its end", b"$3\r\nabc", Ok(None));
        check("with half of its end", b"$3\r\nabc\r", Ok(None));
        let longest = vec![b'x'; LONGEST_BULK];
        let bytes = [b"$65536\r\n".as_slice(), &longest, b"\r\n"].concat();
        check("the longest", &bytes, Ok(Some((bulk(&longest), bytes.len()))));
        check("the longest, not whole", &bytes[..bytes.len() - 1], Ok(None));
    }

    #[test]
    fn errors_are_cut() {
        let long = [b"-".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        check("to 200 characters", &long, Ok(Some((Reply::Error("x".repeat(200)), 1003))));
    }
}
