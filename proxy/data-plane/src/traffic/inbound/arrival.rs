//! The destination of an inbound connection, and whether it is served here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use policy::Protocol;
use tokio::net::TcpStream;

use crate::connection::net;
use crate::traffic::app::AppAddress;
use crate::traffic::settings::InboundListener;
use crate::traffic::state::ProxyState;

/// The destination of an inbound connection.
#[derive(Debug, Clone)]
pub(crate) struct InboundDestination {
    /// The address the client dialled; a mesh stream must name the same.
    pub(crate) dialled: SocketAddr,
    /// The app's address: policy sees it, and the bytes go there.
    pub(crate) app: SocketAddr,
    /// What the port is declared to speak.
    pub(crate) declared_protocol: Protocol,
    /// Where it came to an explicit listener: what clients of that are told of the brokers behind it, by node id.
    pub(crate) advertised: Option<Arc<BTreeMap<i32, SocketAddr>>>,
    source: Option<IpAddr>,
}

impl InboundDestination {
    /// Finds out where the connection was going.
    ///
    /// # Errors
    /// A stable reason for a destination that is not served: our own ports (SECURITY-CASES S-44), or a dial of the
    /// redirection port itself (S-45).
    pub(crate) fn of(
        stream: &TcpStream,
        listener: Option<&InboundListener>,
        state: &ProxyState,
    ) -> Result<Self, &'static str> {
        let settings = &state.settings;
        if let Some(listener) = listener {
            let dialled = net::canonical(stream.local_addr().map_err(|_| "closed_by_client")?);
            return Ok(Self {
                dialled,
                app: listener.forward,
                declared_protocol: state.listener_protocol(listener),
                advertised: Some(Arc::clone(&listener.advertise)),
                source: None,
            });
        }
        let original = net::original_destination(stream)
            .map_err(|_| "closed_by_client")?
            .ok_or("not_redirected")?;
        if settings.is_own_port(original.port()) {
            return Err("loop");
        }
        let declared_protocol = state.port_protocol(original.port());
        // The redirection rules recognise our own forwarding by this source address.
        let source = match original.ip() {
            IpAddr::V4(_) => IpAddr::V4(settings.interception.source4),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let (dialled, app, source) = (original, original, Some(source));
        Ok(Self { dialled, app, declared_protocol, advertised: None, source })
    }

    /// The destination of a connection that came to this app itself.
    #[cfg(test)]
    pub(crate) fn at(app: SocketAddr) -> Self {
        let (declared_protocol, advertised) = (Protocol::Http, None);
        Self { dialled: app, app, declared_protocol, advertised, source: None }
    }

    /// How the app is dialled.
    pub(crate) fn app_address(&self) -> AppAddress {
        AppAddress { address: self.app, source: self.source }
    }
}
