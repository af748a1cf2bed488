//! The ClientHello of an edge connection, read before anything is answered: the name in it says which listener the
//! connection is for, and whether it is ended here or passed on (RFC 6066 §3, RFC 8446 §4.1.2).

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tokio::io::AsyncWriteExt as _;

use crate::connection::client_hello::{MAX_CLIENT_HELLO, server_name};
use crate::connection::net::{BoxedIo, ReadAheadIo, poll_arrival};
use crate::connection::tls::HandshakeError;

/// A ClientHello that has arrived, with the connection it arrived on. Nothing has been answered.
pub struct ArrivedHello {
    server_name: Option<Box<str>>,
    accepted: Accepted,
    /// Everything that was read.
    bytes: Bytes,
    /// How much of it the TLS library holds.
    held: usize,
    io: BoxedIo,
}

/// Why a connection is refused before a certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloRefusal {
    /// No listener has the name (alert `unrecognized_name`, RFC 6066 §3).
    UnrecognizedName,
    /// The listener has no certificate (alert `internal_error`): this is our fault, and may pass.
    NoCertificate,
}

impl HelloRefusal {
    /// The number of the alert (RFC 8446 §6).
    fn alert(self) -> u8 {
        match self {
            Self::UnrecognizedName => 112,
            Self::NoCertificate => 80,
        }
    }

    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::UnrecognizedName => "unrecognized_name",
            Self::NoCertificate => "no_certificate",
        }
    }
}

impl ArrivedHello {
    /// The server name that the client asks for, in its one spelling: lower case, without a dot at the end. `None`: it
    /// asks for none, or for an address, which is no name.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether the client offers this protocol by ALPN (RFC 7301 §3.1).
    #[must_use]
    pub fn offers(&self, protocol: &[u8]) -> bool {
        let hello = self.accepted.client_hello();
        hello.alpn().is_some_and(|mut names| names.any(|name| name == protocol))
    }

    /// The connection as it was, to be passed on: every byte that was read, and the stream behind them.
    #[must_use]
    pub fn into_passed_through(self) -> (Bytes, BoxedIo) {
        (self.bytes, self.io)
    }

    /// Refuses the connection with an alert, best effort within the limit, and closes it.
    pub async fn refuse(mut self, refusal: HelloRefusal, limit: Duration) {
        // A fatal alert in a record of its own (RFC 8446 §6, §5.1); nothing is encrypted yet.
        let record = [21, 3, 3, 0, 2, 2, refusal.alert()];
        send_last(&mut self.io, &record, limit).await;
    }

    /// What the TLS library goes on with.
    pub(super) fn into_parts(self) -> (Accepted, ReadAheadIo) {
        let behind = self.bytes.slice(self.held..);
        (self.accepted, ReadAheadIo::after(behind, self.io))
    }
}

/// Reads the ClientHello of a connection, after the bytes in `ahead`.
///
/// # Errors
/// [`HandshakeError`] when the client closes, takes longer than `limit`, or sends anything else; an alert has been sent
/// where the protocol has one.
pub async fn read_hello(
    mut io: BoxedIo,
    ahead: Bytes,
    limit: Duration,
) -> Result<ArrivedHello, HandshakeError> {
    let mut reader = HelloReader::default();
    let arriving = tokio::time::timeout(limit, arrive(&mut reader, &mut io, ahead));
    match arriving.await.unwrap_or(Err(HelloError::Timeout(limit))) {
        Ok(accepted) => Ok(ArrivedHello {
            server_name: server_name(&accepted.client_hello()).map(Into::into),
            accepted,
            held: reader.held,
            bytes: reader.bytes.freeze(),
            io,
        }),
        Err(HelloError::Timeout(limit)) => Err(HandshakeError::Timeout(limit)),
        Err(HelloError::Io(error)) => Err(error.into()),
        Err(HelloError::Unreadable(error, alert)) => {
            send_last(&mut io, &alert, limit).await;
            Err(io::Error::new(io::ErrorKind::InvalidData, error).into())
        }
    }
}

async fn arrive(
    reader: &mut HelloReader,
    io: &mut BoxedIo,
    ahead: Bytes,
) -> Result<Accepted, HelloError> {
    let mut arrived = ahead;
    loop {
        if let Some(accepted) = reader.feed(&arrived)? {
            return Ok(accepted);
        }
        arrived = poll_fn(|context| poll_arrival(io, context)).await?;
        if arrived.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn send_last(io: &mut BoxedIo, bytes: &[u8], limit: Duration) {
    let sending = async {
        io.write_all(bytes).await?;
        io.shutdown().await
    };
    // The client may be gone, and then it needs no reason.
    let _ = tokio::time::timeout(limit, sending).await;
}

/// Why a ClientHello is not there.
#[derive(Debug)]
enum HelloError {
    Timeout(Duration),
    Io(io::Error),
    /// No ClientHello, and the alert that says so, as it goes on the wire.
    Unreadable(rustls::Error, Vec<u8>),
}

impl From<io::Error> for HelloError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<(rustls::Error, AcceptedAlert)> for HelloError {
    fn from((error, mut alert): (rustls::Error, AcceptedAlert)) -> Self {
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = alert.write_all(&mut bytes);
        Self::Unreadable(error, bytes)
    }
}

/// Takes a ClientHello piece by piece, each byte looked at once.
#[derive(Default)]
struct HelloReader {
    acceptor: Acceptor,
    bytes: BytesMut,
    held: usize,
}

impl HelloReader {
    fn feed(&mut self, arrived: &[u8]) -> Result<Option<Accepted>, HelloError> {
        self.bytes.extend_from_slice(arrived);
        while let Some(mut behind) = self.bytes.get(self.held..).filter(|behind| !behind.is_empty())
        {
            self.held += self.acceptor.read_tls(&mut behind)?;
            if let Some(accepted) = self.acceptor.accept()? {
                return Ok(Some(accepted));
            }
        }
        if self.bytes.len() >= MAX_CLIENT_HELLO {
            let error = rustls::Error::General("a ClientHello of more than 16 KiB".into());
            return Err(HelloError::Unreadable(error, Vec::new()));
        }
        Ok(None)
    }
}

/// The server name of a ClientHello whose bytes arrive in pieces of `size`; `None` where there is none to be read. As
/// [`read_hello`] reads it, without a connection.
#[must_use]
pub fn name_in_pieces(bytes: &[u8], size: usize) -> Option<Option<String>> {
    let mut reader = HelloReader::default();
    let accepted = bytes.chunks(size.max(1)).find_map(|piece| reader.feed(piece).transpose())?;
    Some(server_name(&accepted.ok()?.client_hello()))
}
