//! Content codings of request bodies (RFC 9110 §8.4.1), undone for whoever looks into them: `gzip` and `deflate`.
//!
//! The app gets the body as it came. What is undone is bounded as it grows (SECURITY-CASES S-49): by a number of bytes, and
//! by how much of it each byte that came may become. There is one coding at most: layers of them multiply.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::BodyBeginning;

/// The most bytes that one byte of a coded body may become. Text becomes a tenth; a bomb is a thousandth.
pub const MOST_RATIO: usize = 100;
/// So much may always come of it: short bodies of one repeated letter are no bombs.
const ALWAYS: usize = 4 << 10;
const CHUNK: usize = 8 << 10;

/// How the bytes of a body are coded (`content-encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// As they are.
    Identity,
    /// RFC 1952; `x-gzip` means the same (RFC 9110 §8.4.1.3).
    Gzip,
    /// RFC 1950, which is what `deflate` means (RFC 9110 §8.4.1.2). A bare stream of RFC 1951 is malformed.
    Deflate,
}

/// Why a body cannot be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableBody {
    /// Neither `gzip` nor `deflate`, or more than one coding.
    #[error("its content coding is not undone here")]
    Coding,
    /// The bytes are not what the coding says.
    #[error("its bytes are not of the content coding that it names")]
    Malformed,
    /// It becomes more than [`MOST_RATIO`] times as long.
    #[error("it becomes more than 100 times as long when its content coding is undone")]
    Bomb,
}

impl ContentCoding {
    /// The coding that a message's fields name.
    ///
    /// # Errors
    /// [`UnreadableBody::Coding`].
    pub fn of(headers: &HeaderMap) -> Result<Self, UnreadableBody> {
        let mut coding = Self::Identity;
        for line in headers.get_all(CONTENT_ENCODING) {
            let line = line.to_str().map_err(|_| UnreadableBody::Coding)?;
            for name in line.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let next = Self::named(name)?;
                coding = match (coding, next) {
                    (Self::Identity, next) => next,
                    (one, Self::Identity) => one,
                    _ => return Err(UnreadableBody::Coding),
                };
            }
        }
        Ok(coding)
    }

    fn named(name: &str) -> Result<Self, UnreadableBody> {
        let known = [
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
        ];
        let found = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, coding)| coding).ok_or(UnreadableBody::Coding)
    }

    /// The first `most` bytes of what a body says. It is complete when all of it came, and is no longer.
    ///
    /// # Errors
    /// [`UnreadableBody::Malformed`], [`UnreadableBody::Bomb`].
    pub(crate) fn decoded(
        self,
        body: &BodyBeginning,
        most: usize,
    ) -> Result<BodyBeginning, UnreadableBody> {
        let coded = &*body.bytes;
        match self {
            _ if coded.is_empty() => Ok(body.clone()),
            Self::Identity => {
                let bytes = body.bytes.slice(..most.min(coded.len()));
                Ok(BodyBeginning { complete: body.complete && bytes.len() == coded.len(), bytes })
            }
            Self::Gzip => {
                let left = |decoder: &MultiGzDecoder<&[u8]>| decoder.get_ref().len();
                read_all(MultiGzDecoder::new(coded), left, body, most)
            }
            Self::Deflate => {
                let left = |decoder: &ZlibDecoder<&[u8]>| decoder.get_ref().len();
                read_all(ZlibDecoder::new(coded), left, body, most)
            }
        }
    }
}

/// `left` says how many bytes of the body have not been read.
fn read_all<D: Read>(
    mut decoder: D,
    left: impl Fn(&D) -> usize,
    body: &BodyBeginning,
    most: usize,
) -> Result<BodyBeginning, UnreadableBody> {
    let mut decoded = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        let read = match decoder.read(&mut chunk) {
            Ok(read) => read,
            // The rest has not been read of the client.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !body.complete => {
                return Ok(BodyBeginning { bytes: Bytes::from(decoded), complete: false });
            }
            Err(_) => return Err(UnreadableBody::Malformed),
        };
        if read == 0 {
            break;
        }
        let consumed = body.bytes.len().saturating_sub(left(&decoder));
        let allowed = consumed.saturating_mul(MOST_RATIO).max(ALWAYS);
        if decoded.len() + read > allowed {
            return Err(UnreadableBody::Bomb);
        }
        let taken = chunk.get(..read.min(most.saturating_sub(decoded.len()))).unwrap_or_default();
        decoded.extend_from_slice(taken);
        if taken.len() < read {
            return Ok(BodyBeginning { bytes: Bytes::from(decoded), complete: false });
        }
    }
    // An app may read on behind the end, and see what nobody has looked at.
    match left(&decoder) {
        0 => Ok(BodyBeginning { bytes: Bytes::from(decoded), complete: body.complete }),
        _ => Err(UnreadableBody::Malformed),
    }
}

#[cfg(test)]
mod tests;
