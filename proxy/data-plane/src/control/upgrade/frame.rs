//! What the two processes say to each other. Pure: bytes in, a frame or the reason why it is none out.
//!
//! A frame is one message of a `SOCK_SEQPACKET` socket, which keeps their bounds:
//!
//! | bytes | what |
//! |---|---|
//! | 0-3 | `PSTN` |
//! | 4-5 | the version of the exchange, big endian |
//! | 6 | the kind |
//! | 7 | 0 |
//! | 8- | what the kind has to say |
//!
//! The head, and the kind *refused*, are the same in every version: whoever speaks another one can still be told so.

use std::fmt;

/// The version that this program speaks. Another one means that sockets or their order mean something else.
pub(super) const VERSION: u16 = 1;
/// The most bytes of a frame.
pub(super) const MAX_FRAME: usize = HEAD + MAX_TEXT;
/// The most descriptors of one frame; Linux takes 253 (`SCM_MAX_FD`).
pub(super) const MAX_DESCRIPTORS: usize = 128;
/// The most descriptors of an exchange: 512 explicit listeners and those of the pod, for 64 workers, and some.
pub(super) const MAX_SOCKETS: u32 = 40_000;

const HEAD: usize = 8;
const MARK: [u8; 4] = *b"PSTN";
const MAX_TEXT: usize = 1024;

const REQUEST: u8 = 1;
const SOCKETS: u8 = 2;
const ACCEPTING: u8 = 3;
const RELEASED: u8 = 4;
const REFUSED: u8 = 5;

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Successor: I want the sockets.
    Request,
    /// Predecessor: here are some, as the descriptors of this frame, and so many follow in further frames.
    Sockets {
        /// Descriptors still to come.
        remaining: u32,
    },
    /// Successor: I accept connections now.
    Accepting,
    /// Predecessor: and I do not any more.
    Released,
    /// Either: no, and why.
    Refused(String),
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameError {
    /// Fewer bytes than a frame of its kind has.
    Short,
    /// More of them.
    Long,
    /// It does not begin as one.
    Mark,
    /// Another version of the exchange.
    Version(u16),
    /// A kind that this version does not have, or what it says is out of bounds.
    Content,
    /// Descriptors where there are none, none where there are some, or too many.
    Descriptors,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "the other process speaks version {version} of the hand-over and this one {VERSION}: this upgrade needs a restart, stop the running proxy and start the new one without `--upgrade`"
            ),
            Self::Short => f.write_str("a message that is too short"),
            Self::Long => f.write_str("a message that is too long"),
            Self::Mark => f.write_str("the other process is no proxy of ours"),
            Self::Content => f.write_str("a message of no known kind"),
            Self::Descriptors => f.write_str(
                "not the descriptors that belong to the message; is the limit of open files too low?",
            ),
        }
    }
}

impl std::error::Error for FrameError {}

impl Frame {
    /// Its bytes. A text beyond 1 KiB is cut.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Request => (REQUEST, Vec::new()),
            Self::Sockets { remaining } => (SOCKETS, remaining.to_be_bytes().to_vec()),
            Self::Accepting => (ACCEPTING, Vec::new()),
            Self::Released => (RELEASED, Vec::new()),
            Self::Refused(text) => (REFUSED, text.bytes().take(MAX_TEXT).collect()),
        };
        let mut bytes = MARK.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([kind, 0]);
        bytes.extend(content);
        bytes
    }

    /// Reads a message that came with so many descriptors.
    ///
    /// # Errors
    /// Why it is no frame of this version. A refusal is read in every version.
    pub(super) fn decode(bytes: &[u8], descriptors: usize) -> Result<Self, FrameError> {
        let (head, content) = bytes.split_at_checked(HEAD).ok_or(FrameError::Short)?;
        let [a, b, c, d, high, low, kind, zero] = *head else { return Err(FrameError::Short) };
        if [a, b, c, d] != MARK {
            return Err(FrameError::Mark);
        }
        let version = u16::from_be_bytes([high, low]);
        if version != VERSION && kind != REFUSED {
            return Err(FrameError::Version(version));
        }
        if zero != 0 && version == VERSION {
            return Err(FrameError::Content);
        }
        let frame = Self::of_kind(kind, content)?;
        let carries = matches!(frame, Self::Sockets { .. });
        match (carries, descriptors) {
            (true, 1..=MAX_DESCRIPTORS) | (false, 0) => Ok(frame),
            _ => Err(FrameError::Descriptors),
        }
    }

    fn of_kind(kind: u8, content: &[u8]) -> Result<Self, FrameError> {
        match kind {
            REQUEST => nothing(content).map(|()| Self::Request),
            ACCEPTING => nothing(content).map(|()| Self::Accepting),
            RELEASED => nothing(content).map(|()| Self::Released),
            SOCKETS => remaining(content).map(|remaining| Self::Sockets { remaining }),
            REFUSED => text(content).map(Self::Refused),
            _ => Err(FrameError::Content),
        }
    }
}

fn nothing(content: &[u8]) -> Result<(), FrameError> {
    if content.is_empty() { Ok(()) } else { Err(FrameError::Long) }
}

fn remaining(content: &[u8]) -> Result<u32, FrameError> {
    match *content {
        [a, b, c, d] => match u32::from_be_bytes([a, b, c, d]) {
            remaining @ 0..=MAX_SOCKETS => Ok(remaining),
            _ => Err(FrameError::Content),
        },
        [] | [_] | [_, _] | [_, _, _] => Err(FrameError::Short),
        _ => Err(FrameError::Long),
    }
}

/// It ends up in a log line and on a terminal, so control characters are left out.
fn text(content: &[u8]) -> Result<String, FrameError> {
    if content.len() > MAX_TEXT {
        return Err(FrameError::Long);
    }
    let text = String::from_utf8_lossy(content);
    Ok(text.chars().filter(|character| !character.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a peer says: no panic, and what is understood is said in the same bytes.
        #[test]
        fn any_bytes_are_a_frame_or_none(
            head in prop_oneof![Just(b"PSTN\0\x01".to_vec()), any::<Vec<u8>>()],
            rest in any::<Vec<u8>>(),
            descriptors in 0..300usize,
        ) {
            let bytes = [head, rest].concat();
            match Frame::decode(&bytes, descriptors) {
                Ok(Frame::Refused(text)) => prop_assert!(!text.contains(char::is_control)),
                Ok(frame) => prop_assert_eq!(frame.encode(), bytes),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        for (frame, descriptors) in [
            (Frame::Request, 0),
            (Frame::Sockets { remaining: 0 }, 1),
            (Frame::Sockets { remaining: MAX_SOCKETS }, MAX_DESCRIPTORS),
            (Frame::Accepting, 0),
            (Frame::Released, 0),
            (Frame::Refused("another upgrade is under way".into()), 0),
        ] {
            assert_eq!(Frame::decode(&frame.encode(), descriptors), Ok(frame.clone()), "{frame:?}");
        }
    }

    #[test]
    fn hostile_frames_are_refused() {
        use FrameError::{Content, Descriptors, Long, Mark, Short, Version};
        let sockets = |remaining: u32| Frame::Sockets { remaining }.encode();
        let cut = |mut bytes: Vec<u8>, left: usize| {
            bytes.truncate(left);
            bytes
        };
        let grown = |mut bytes: Vec<u8>| {
            bytes.push(0);
            bytes
        };
        for (name, bytes, descriptors, expect) in [
            ("nothing", Vec::new(), 0, Short),
            ("half of a head", b"PSTN\0\x01\x01".to_vec(), 0, Short),
            ("a word of another protocol", b"GET / HTTP/1.1".to_vec(), 0, Mark),
            ("version 0", b"PSTN\0\0\x01\0".to_vec(), 0, Version(0)),
            ("version 2", b"PSTN\0\x02\x01\0".to_vec(), 0, Version(2)),
            ("version 2, other content", b"PSTN\0\x02\x09\x01more".to_vec(), 0, Version(2)),
            ("kind 0", b"PSTN\0\x01\0\0".to_vec(), 0, Content),
            ("kind 6", b"PSTN\0\x01\x06\0".to_vec(), 0, Content),
            ("a last byte of the head", b"PSTN\0\x01\x01\x01".to_vec(), 0, Content),
            ("a request with more", grown(Frame::Request.encode()), 0, Long),
            ("a request with a descriptor", Frame::Request.encode(), 1, Descriptors),
            ("sockets without a number", cut(sockets(1), 8), 1, Short),
            ("sockets with half a number", cut(sockets(1), 10), 1, Short),
            ("sockets with more", grown(sockets(1)), 1, Long),
            ("sockets without sockets", sockets(1), 0, Descriptors),
            ("too many at once", sockets(1), MAX_DESCRIPTORS + 1, Descriptors),
            ("too many to come", sockets(MAX_SOCKETS + 1), 1, Content),
            (
                "a long refusal",
                [Frame::Refused("a".repeat(1024)).encode(), vec![b'a']].concat(),
                0,
                Long,
            ),
        ] {
            assert_eq!(Frame::decode(&bytes, descriptors), Err(expect), "{name}");
        }
    }

    #[test]
    fn a_refusal_is_read_in_every_version_and_shows_no_control_characters() {
        let bytes = b"PSTN\0\x07\x05\x01no\x1b[31m: restart\n";
        assert_eq!(Frame::decode(bytes, 0), Ok(Frame::Refused("no[31m: restart".into())));
        let long = Frame::Refused("é".repeat(1024)).encode();
        assert_eq!(long.len(), MAX_FRAME);
        assert!(Frame::decode(&long, 0).is_ok());
    }
}
