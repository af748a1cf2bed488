//! From a host to a TCP connection, by addresses that may be called.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::FetchError;
use crate::address::AddressPolicy;
use crate::url::WebUrl;

/// Addresses of one name that are looked at, and tried.
const MAX_ADDRESSES: usize = 4;

/// Opens a TCP connection. A program that marks or binds its own sockets has an implementation of its own.
pub trait Dial {
    /// Connects to this very address.
    ///
    /// # Errors
    /// The operating system's.
    fn dial(&self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

/// As the operating system does it.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainDial;

impl Dial for PlainDial {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

/// Resolves, checks, and dials the very addresses that were checked, so that a second look-up cannot mean others.
pub(crate) async fn connect(
    url: &WebUrl,
    addresses: &AddressPolicy<'_>,
    dial: &impl Dial,
) -> Result<TcpStream, FetchError> {
    let resolved = tokio::net::lookup_host((url.host(), url.port())).await;
    let resolved =
        resolved.map_err(|error| FetchError::Resolve { host: url.host_in_url(), error })?;
    let resolved: Vec<SocketAddr> = resolved.take(MAX_ADDRESSES).collect();
    addresses.check_all(&resolved).map_err(|(address, reason)| FetchError::Forbidden {
        host: url.host_in_url(),
        address,
        reason,
    })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolved {
        match dial.dial(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(FetchError::Connect { host: url.host_in_url(), error: last })
}
