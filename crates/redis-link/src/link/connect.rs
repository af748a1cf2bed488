//! From an address to a connection on which the probe runs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::unreachable_for;
use crate::command::words_of;
use crate::reply::{self, Reply};
use crate::settings::{Setup, StoreTls};
use crate::{StoreAddress, StoreError, StoreSettings};

/// From the look-up of the name to the first answer. Longer than an answer may take: the connection is made beside
/// them, and far stores need several round trips for it.
const DEADLINE: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// An idle connection is tried so often by the kernel, so that nothing on the way forgets it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A connection, with TLS or without.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects, proves who we are, and runs the probe once, so that a user who may not, or a replica that cannot write,
/// is known before anybody asks.
///
/// # Errors
/// [`StoreError::Unreachable`] and [`StoreError::Refused`].
pub(super) async fn connect(
    address: &StoreAddress,
    setup: &Setup,
) -> Result<Box<dyn Duplex>, StoreError> {
    let name: Arc<str> = address.to_string().into();
    let settings = &setup.settings;
    let connected = async {
        let stream = dial(address, settings).await.map_err(|error| error.to_string())?;
        secure(stream, address, settings.tls.as_ref()).await
    };
    let introduced = async {
        let mut stream = connected.await.map_err(|reason| unreachable_for(&name, &reason))?;
        introduce(&mut stream, setup, &name).await?;
        Ok(stream)
    };
    let late = || unreachable_for(&name, &format!("no connection within {DEADLINE:?}"));
    tokio::time::timeout(DEADLINE, introduced).await.unwrap_or_else(|_| Err(late()))
}

async fn dial(address: &StoreAddress, settings: &StoreSettings) -> io::Result<TcpStream> {
    let resolved = tokio::net::lookup_host((address.host(), address.port())).await?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolved.take(MOST_ADDRESSES) {
        match (settings.dial)(address).await {
            Ok(stream) => {
                // Small commands: without it the kernel may hold one back.
                stream.set_nodelay(true)?;
                let keep_alive =
                    TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
                SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn secure(
    stream: TcpStream,
    address: &StoreAddress,
    tls: Option<&StoreTls>,
) -> Result<Box<dyn Duplex>, String> {
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => {
            ServerName::try_from(address.host().to_owned()).map_err(|error| error.to_string())?
        }
    };
    let connected = TlsConnector::from(Arc::clone(&tls.config)).connect(name, stream).await;
    Ok(Box::new(connected.map_err(|error| format!("TLS: {error}"))?))
}

/// All in one write, one round trip: the first answer that is an error says what is wrong.
async fn introduce(
    stream: &mut Box<dyn Duplex>,
    setup: &Setup,
    name: &Arc<str>,
) -> Result<(), StoreError> {
    let broken = |error: io::Error| unreachable_for(name, &error.to_string());
    let commands = introduction(setup);
    for command in &commands {
        stream.write_all(command).await.map_err(broken)?;
    }
    stream.flush().await.map_err(broken)?;
    let mut received = BytesMut::new();
    for _ in &commands {
        is_served(&next_reply(stream, &mut received, name).await?, name)?;
    }
    Ok(())
}

fn introduction(setup: &Setup) -> Vec<Zeroizing<Vec<u8>>> {
    let settings = &setup.settings;
    let mut commands = Vec::new();
    if let Some(password) = settings.password.as_ref().map(|password| password.as_bytes()) {
        let words = match &settings.username {
            Some(username) => words_of(&[b"AUTH", username.as_bytes(), password]),
            None => words_of(&[b"AUTH", password]),
        };
        commands.push(words.into());
    }
    if settings.database != 0 {
        commands.push(words_of(&[b"SELECT", settings.database.to_string().as_bytes()]).into());
    }
    commands.push(setup.probe.clone().into());
    commands
}

async fn next_reply(
    stream: &mut Box<dyn Duplex>,
    received: &mut BytesMut,
    name: &Arc<str>,
) -> Result<Reply, StoreError> {
    loop {
        let found = reply::read(received);
        let found = found.map_err(|error| unreachable_for(name, &error.to_string()))?;
        if let Some((reply, length)) = found {
            let _ = received.split_to(length);
            return Ok(reply);
        }
        let read = stream.read_buf(received).await;
        match read.map_err(|error| unreachable_for(name, &error.to_string()))? {
            0 => return Err(unreachable_for(name, "it closes the connection at once")),
            _ => continue,
        }
    }
}

/// Whether an answer to our own try shows a store that serves. A node of a Cluster may say that another one does: it
/// let us run the command, and only has not got that slot.
pub(super) fn is_served(reply: &Reply, name: &Arc<str>) -> Result<(), StoreError> {
    match reply {
        Reply::Error(words) if !words.starts_with("MOVED ") && !words.starts_with("ASK ") => {
            let reason = words.as_str().into();
            Err(StoreError::Refused { address: Arc::clone(name), reason })
        }
        _ => Ok(()),
    }
}
