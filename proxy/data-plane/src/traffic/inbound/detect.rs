//! Protocol detection: whether a connection is mesh TLS, and which protocol its bytes are.

use bytes::Bytes;
use policy::{MtlsMode, Protocol as Declared};
use tokio::net::TcpStream;

use super::{ConnectionRefusal, InboundConnection};
use crate::connection::net::BoxedIo;
use crate::connection::sniff::{self, ProtocolGuess};
use crate::connection::tls::{self, Alpn};
use crate::labels::{CloseReason, Protocol};
use crate::traffic::authorize;

impl InboundConnection {
    /// Whether the connection bypasses mesh TLS, by the port's mode and the first byte.
    pub(super) async fn is_plaintext(
        &self,
        stream: &TcpStream,
        mode: MtlsMode,
    ) -> Result<bool, ConnectionRefusal> {
        if mode == MtlsMode::Disable {
            return Ok(true);
        }
        let limits = &self.worker.state.settings.limits;
        let silent_is_plain = mode == MtlsMode::Permissive && self.may_be_server_first();
        let wait =
            if silent_is_plain { limits.detection_timeout } else { limits.handshake_timeout };
        let mut first = [0];
        let peeked = tokio::time::timeout(wait, stream.peek(&mut first));
        let peeked = self.unless_evicted(peeked).await?;
        match (peeked, mode) {
            (Ok(Ok(0)), _) => Err(closed_by_client()),
            (Ok(Ok(_)), _) if first == [0x16] => Ok(self.is_apps_own_tls(stream, mode).await),
            (Ok(Ok(_)), _) => Ok(true),
            (Ok(Err(error)), _) => {
                Err(ConnectionRefusal::new(CloseReason::Error, "reset_by_client", error))
            }
            (Err(_), _) if silent_is_plain => Ok(true),
            (Err(_), _) => Err(ConnectionRefusal::new(
                CloseReason::Handshake,
                "handshake_timeout",
                format!("no byte within {wait:?}"),
            )),
        }
    }

    /// The protocol of the bytes: as the port is declared, else by ALPN, else sniffed. A port with HTTP rules never
    /// accepts undecided bytes: those are [`Protocol::Unknown`], and refused.
    pub(super) async fn protocol(
        &self,
        io: &mut BoxedIo,
        alpn: Alpn,
    ) -> Result<(Protocol, Bytes), ConnectionRefusal> {
        let declared = self.arrival.declared_protocol;
        match (alpn, declared) {
            (Alpn::Postern, _) => return Ok((Protocol::Postern, Bytes::new())),
            (_, declared) if declared.messages().is_some() => {
                let protocol = declared.messages().map_or(Protocol::Unknown, Protocol::from);
                return Ok((protocol, Bytes::new()));
            }
            (_, Declared::Tcp | Declared::Tls) => return Ok((Protocol::Tcp, Bytes::new())),
            (Alpn::H2, _) => return Ok((Protocol::Http2, Bytes::new())),
            (Alpn::Http11, _) => return Ok((Protocol::Http1, Bytes::new())),
            (Alpn::None, _) => {}
        }
        let limits = &self.worker.state.settings.limits;
        let must_be_http = self.must_be_http();
        let silence = if must_be_http { limits.sniff_timeout } else { limits.detection_timeout };
        let seen = self
            .unless_evicted(sniff::read_ahead(io, Bytes::new(), silence, limits.sniff_timeout))
            .await?
            .map_err(|e| ConnectionRefusal::new(CloseReason::Error, "reset_by_client", e))?;
        match seen.guess {
            ProtocolGuess::Http1 => Ok((Protocol::Http1, seen.bytes)),
            ProtocolGuess::Http2 => Ok((Protocol::Http2, seen.bytes)),
            _ if seen.ended && seen.bytes.is_empty() => Err(closed_by_client()),
            // The port's own TLS in plaintext mode is opaque here, and so is anything on an undeclared port.
            _ if !must_be_http => Ok((Protocol::Tcp, seen.bytes)),
            _ => Ok((Protocol::Unknown, seen.bytes)),
        }
    }

    /// On a PERMISSIVE port that speaks TLS of its own, a ClientHello is the app's unless it offers
    /// `postern/1` (ARCHITECTURE, invariant 11).
    async fn is_apps_own_tls(&self, stream: &TcpStream, mode: MtlsMode) -> bool {
        let limit = self.worker.state.settings.limits.sniff_timeout;
        mode == MtlsMode::Permissive
            && self.arrival.declared_protocol == Declared::Tls
            && !Box::pin(tls::offers_postern(stream, limit)).await
    }

    fn may_be_server_first(&self) -> bool {
        match self.arrival.declared_protocol {
            // A NATS server speaks first.
            Declared::Tcp | Declared::Nats => true,
            Declared::Auto => !self.must_be_http(),
            _ => false,
        }
    }

    fn must_be_http(&self) -> bool {
        let (declared, port) = (self.arrival.declared_protocol, self.arrival.app.port());
        authorize::must_be_http(&self.worker.state.snapshot(), declared, port)
    }
}

/// The client ended before there was anything to serve.
fn closed_by_client() -> ConnectionRefusal {
    ConnectionRefusal::new(CloseReason::Done, "closed_by_client", "closed before a byte was sent")
}
