//! The PROXY protocol, versions 1 and 2: a load balancer says before the first byte whose connection it passes on
//! (HAProxy, "The PROXY protocol", revision of 2020/03/05).
//!
//! Whoever may send the header may call itself anybody, so it is read from listed peers alone, and demanded of them: the
//! caller asks [`read`] for a connection of a listed peer, and for no other. [`parse`] is pure.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::connection::net::{BoxedIo, canonical, poll_arrival};

/// How version 1 begins (§2.1).
const VERSION_1: &[u8] = b"PROXY ";
/// How version 2 begins (§2.2).
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1 with its end, bytes (§2.1).
const MAX_LINE: usize = 107;
/// The head of version 2: signature, command, family, length.
const HEAD: usize = 16;
/// The most bytes behind the head of version 2: addresses, and what the sender tells besides. Load balancers of clouds
/// send some hundred; one that passes on a client's certificate needs two thousand.
const MAX_BEHIND: usize = 4096;

/// What the first bytes of a listed peer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderSight {
    /// Too few bytes to decide.
    NeedMore,
    /// A header.
    Header {
        /// Whose connection it is, IPv4-mapped addresses as IPv4 (SECURITY-CASES S-47). `None`: the peer's own, which it
        /// opened for itself (`LOCAL`), or whose client it does not know.
        client: Option<SocketAddr>,
        /// How many bytes the header has.
        length: usize,
    },
    /// No header, and why: the connection is closed.
    Malformed(&'static str),
}

/// A header that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// As [`ProxyHeaderSight::Header`] has it.
    pub client: Option<SocketAddr>,
    /// The bytes that came behind it: the first of the connection.
    pub ahead: Bytes,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyProtocolError {
    /// The peer did not send all of it in time.
    #[error("the peer sent no PROXY header within {0:?}")]
    Timeout(Duration),
    /// The peer closed the connection before.
    #[error("the peer closed the connection before a PROXY header")]
    Ended,
    /// What it sent is no header.
    #[error("the peer must send a PROXY header, and this is none: {0}")]
    Malformed(&'static str),
    /// The connection broke.
    #[error("the connection broke before a PROXY header: {0}")]
    Io(#[from] io::Error),
}

impl ProxyProtocolError {
    /// The metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Malformed(_) => "malformed",
            Self::Ended | Self::Io(_) => "io_error",
        }
    }
}

/// Reads the header of a listed peer, which has to come before anything else, within `limit`.
///
/// # Errors
/// [`ProxyProtocolError`]; the connection is to be closed, without an answer.
pub async fn read(io: &mut BoxedIo, limit: Duration) -> Result<ProxyHeader, ProxyProtocolError> {
    tokio::time::timeout(limit, arrive(io)).await.unwrap_or(Err(ProxyProtocolError::Timeout(limit)))
}

async fn arrive(io: &mut BoxedIo) -> Result<ProxyHeader, ProxyProtocolError> {
    let mut bytes = BytesMut::new();
    loop {
        let arrived = poll_fn(|context| poll_arrival(io, context)).await?;
        if arrived.is_empty() {
            return Err(ProxyProtocolError::Ended);
        }
        bytes.extend_from_slice(&arrived);
        match parse(&bytes) {
            ProxyHeaderSight::NeedMore => {}
            ProxyHeaderSight::Malformed(why) => return Err(ProxyProtocolError::Malformed(why)),
            ProxyHeaderSight::Header { client, length } => {
                bytes.advance(length);
                return Ok(ProxyHeader { client, ahead: bytes.freeze() });
            }
        }
    }
}

/// Looks at the first bytes of a listed peer. More than 4,112 of them are never needed.
#[must_use]
pub fn parse(bytes: &[u8]) -> ProxyHeaderSight {
    let begins = |with: &[u8]| bytes.starts_with(with) || with.starts_with(bytes);
    let parsed = match bytes {
        [] => return ProxyHeaderSight::NeedMore,
        _ if begins(VERSION_1) => version_1(bytes),
        _ if begins(VERSION_2) => version_2(bytes),
        _ => Err("it begins with neither version's signature"),
    };
    match parsed {
        Ok(Some((client, length))) => {
            ProxyHeaderSight::Header { client: client.map(canonical), length }
        }
        Ok(None) => ProxyHeaderSight::NeedMore,
        Err(why) => ProxyHeaderSight::Malformed(why),
    }
}

/// Client and length of a header; `None` where bytes are missing.
type Parsed = Result<Option<(Option<SocketAddr>, usize)>, &'static str>;

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`.
fn version_1(bytes: &[u8]) -> Parsed {
    let Some(end) = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return match bytes.len() < MAX_LINE {
            true => Ok(None),
            false => Err("a line of more than 107 bytes"),
        };
    };
    let line = bytes.get(VERSION_1.len()..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or("a line that does not end with CR LF")?;
    let line = std::str::from_utf8(line).map_err(|_| "a line that is no ASCII")?;
    Ok(Some((client_of_line(line)?, end + 1)))
}

/// What stands behind `PROXY `.
fn client_of_line(line: &str) -> Result<Option<SocketAddr>, &'static str> {
    let mut words = line.split(' ');
    let read = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => |text: &str| text.parse().ok().map(IpAddr::V4),
        Some("TCP6") => |text: &str| text.parse().ok().map(IpAddr::V6),
        _ => return Err("a protocol that is none of TCP4, TCP6 and UNKNOWN"),
    };
    let mut address = || words.next().and_then(read).ok_or("an address that is none of its family");
    let (client, _) = (address()?, address()?);
    let mut port = || words.next().and_then(port).ok_or("a port that is none");
    let (client_port, _) = (port()?, port()?);
    match words.next() {
        None => Ok(Some(SocketAddr::new(client, client_port))),
        Some(_) => Err("more words than there may be"),
    }
}

/// A decimal number without signs and zeros in front, which others could read as octal.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| plain && !zeros)
}

/// Signature, version and command, family and transport, length; addresses; then what is passed over (§2.2).
fn version_2(bytes: &[u8]) -> Parsed {
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let [.., command, family, high, low] = *head;
    let behind = usize::from(u16::from_be_bytes([high, low]));
    if behind > MAX_BEHIND {
        return Err("more than 4096 bytes behind its head");
    }
    let length = HEAD + behind;
    // Judged before the rest has come: what is wrong is refused at once.
    let reads = match command {
        // The peer's own connection, such as a health check: its family says nothing (§2.2).
        0x20 => Addresses::None,
        0x21 => Addresses::of(family)?,
        _ => return Err("a version or command that there is not"),
    };
    if behind < reads.length() {
        return Err("fewer bytes than its addresses have");
    }
    match bytes.get(HEAD..length) {
        Some(block) => Ok(Some((reads.client(block), length))),
        None => Ok(None),
    }
}

/// Which addresses a header of version 2 has.
#[derive(Debug, Clone, Copy)]
enum Addresses {
    /// None that name a client: the peer's own count.
    None,
    V4,
    V6,
}

impl Addresses {
    fn of(family: u8) -> Result<Self, &'static str> {
        match family {
            // Unspecified, and unix sockets: no address that a policy could speak of.
            0x00 | 0x31 => Ok(Self::None),
            0x11 => Ok(Self::V4),
            0x21 => Ok(Self::V6),
            0x12 | 0x22 | 0x32 => Err("datagrams, and this is a stream"),
            _ => Err("an address family that there is not"),
        }
    }

    /// Two addresses and two ports, bytes.
    fn length(self) -> usize {
        match self {
            Self::None => 0,
            Self::V4 => 12,
            Self::V6 => 36,
        }
    }

    /// The first address and the first port are the client's.
    fn client(self, block: &[u8]) -> Option<SocketAddr> {
        let (address, port) = match self {
            Self::None => return None,
            Self::V4 => {
                let address = block.first_chunk::<4>()?;
                (Ipv4Addr::from(*address).into(), block.get(8..10)?)
            }
            Self::V6 => {
                let address = block.first_chunk::<16>()?;
                (IpAddr::from(Ipv6Addr::from(*address)), block.get(32..34)?)
            }
        };
        Some(SocketAddr::new(address, u16::from_be_bytes(port.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests;
