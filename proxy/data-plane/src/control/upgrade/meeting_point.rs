//! The unix socket that a running proxy is found at: a file of mode 0600, or a name of the network namespace.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, listen,
    socket_with,
};
use tokio::net::{UnixListener, UnixStream};

use super::channel::{Channel, ChannelError};

/// Connections that wait to be looked at; each is looked at at once.
const BACKLOG: i32 = 16;
/// The longest path of a unix socket (unix(7)), bytes.
const MAX_PATH: usize = 107;

/// Where a running proxy waits for its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeetingPoint {
    /// A file, of mode 0600.
    Path(PathBuf),
    /// A name in the network namespace (unix(7), *abstract*): no file, and gone with the process. Everybody in the
    /// namespace may connect; other users are refused.
    Abstract(String),
}

/// Why a path is none that a socket may have.
#[derive(Debug, thiserror::Error)]
#[error("write an absolute path of at most {MAX_PATH} bytes")]
pub struct SocketPathError;

impl MeetingPoint {
    /// A file.
    ///
    /// # Errors
    /// The path is relative or too long for a socket.
    pub fn path(path: &str) -> Result<Self, SocketPathError> {
        match path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0') {
            true => Ok(Self::Path(path.into())),
            false => Err(SocketPathError),
        }
    }

    /// The name of a proxy whose first own port is here: no other proxy of this network namespace has it.
    #[must_use]
    pub fn of_address(address: SocketAddr) -> Self {
        Self::Abstract(format!("postern-upgrade/{address}"))
    }

    fn address(&self) -> io::Result<SocketAddrUnix> {
        Ok(match self {
            Self::Path(path) => SocketAddrUnix::new(path.as_path())?,
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        })
    }

    /// Connects to the proxy that waits there.
    pub(super) fn connect(&self) -> Result<Channel, ChannelError> {
        Channel::new(UnixStream::from_std(self.connected()?.into())?)
    }

    /// A connection of a unix socket is there at once or not at all.
    fn connected(&self) -> io::Result<OwnedFd> {
        let socket = socket()?;
        connect(&socket, &self.address()?)?;
        Ok(socket)
    }

    /// A connection for a test that speaks bytes.
    #[cfg(test)]
    #[allow(clippy::expect_used, reason = "for tests")]
    pub(super) fn raw(&self) -> OwnedFd {
        self.connected().expect("somebody waits there")
    }

    /// Waits there from now on.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AddrInUse`] where another process waits there.
    pub fn listen(&self) -> io::Result<MeetingPointListener> {
        if let Self::Path(path) = self {
            self.remove_stale(path)?;
        }
        let socket = socket()?;
        bind(&socket, &self.address()?)?;
        if let Self::Path(path) = self {
            // Nobody can connect before it listens, so nobody comes in between the two.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        listen(&socket, BACKLOG)?;
        MeetingPointListener::new(self.clone(), socket)
    }

    /// Removes what a process that was killed has left; never a socket that somebody listens on, nor another file.
    fn remove_stale(&self, path: &Path) -> io::Result<()> {
        let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
        let refused = || self.connected().err().map(|error| error.kind());
        if found.file_type().is_socket() && refused() == Some(io::ErrorKind::ConnectionRefused) {
            return fs::remove_file(path);
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse))
    }
}

impl fmt::Display for MeetingPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// A meeting point at which this process waits.
#[derive(Debug)]
pub struct MeetingPointListener {
    point: MeetingPoint,
    socket: UnixListener,
}

impl MeetingPointListener {
    fn new(point: MeetingPoint, socket: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixListener::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self { point, socket: UnixListener::from_std(socket)? })
    }

    /// The meeting point of another process, whose listening socket was handed to this one; `None` where that socket is
    /// at another place. Listening again makes the system name us to those who connect.
    pub(super) fn inherited(point: &MeetingPoint, socket: OwnedFd) -> io::Result<Option<Self>> {
        let own = SocketAddrUnix::try_from(getsockname(&socket)?)?;
        let wanted = point.address()?;
        if own.path_bytes() != wanted.path_bytes() || own.abstract_name() != wanted.abstract_name()
        {
            return Ok(None);
        }
        listen(&socket, BACKLOG)?;
        Self::new(point.clone(), socket).map(Some)
    }

    /// The next process that connects.
    pub(super) async fn accept(&self) -> Result<Channel, ChannelError> {
        let (socket, _) = self.socket.accept().await?;
        Channel::new(socket)
    }

    /// The socket, to be handed over with the others.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Where it is.
    #[must_use]
    pub fn point(&self) -> &MeetingPoint {
        &self.point
    }

    /// Waits there no longer, and takes the file away.
    pub(super) fn remove(self) {
        if let MeetingPoint::Path(path) = &self.point {
            // Whoever removed it before us had the same in mind.
            let _ = fs::remove_file(path);
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_a_socket_may_have() {
        let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
        for (path, expect) in [
            ("/run/postern/upgrade.sock", true),
            (longest.as_str(), true),
            (&format!("{longest}a"), false),
            ("upgrade.sock", false),
            ("/a\0b", false),
            ("", false),
        ] {
            assert_eq!(MeetingPoint::path(path).is_ok(), expect, "{path:?}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_a_stale_one_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("upgrade.sock");
        let point = MeetingPoint::path(path.to_str().unwrap()).unwrap();
        let first = point.listen().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(point.listen().unwrap_err().kind(), io::ErrorKind::AddrInUse, "a second one");
        // As after a kill: the file is there and nobody listens.
        drop(first);
        let second = point.listen().unwrap();
        let client = point.connect().unwrap();
        assert_eq!(second.accept().await.unwrap().peer, client.peer);
        second.remove();
        assert!(!path.exists());
        fs::write(&path, "not ours").unwrap();
        assert_eq!(point.listen().unwrap_err().kind(), io::ErrorKind::AddrInUse, "another file");
        assert_eq!(fs::read_to_string(&path).unwrap(), "not ours");
    }

    #[tokio::test]
    async fn a_name_is_one_processes_at_a_time_and_leaves_nothing() {
        let point = MeetingPoint::Abstract(format!("postern-test/{}", std::process::id()));
        let first = point.listen().unwrap();
        assert_eq!(point.listen().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let handed = first.descriptor().try_clone_to_owned().unwrap();
        drop(first);
        let second = MeetingPointListener::inherited(&point, handed).unwrap().unwrap();
        let _client = point.connect().unwrap();
        second.accept().await.unwrap();
        second.remove();
        assert!(matches!(point.connect(), Err(ChannelError::System(_))));
    }

    #[tokio::test]
    async fn a_socket_of_another_place_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| MeetingPoint::Path(directory.path().join(name));
        let old = at("old").listen().unwrap();
        for (name, point, expect) in [
            ("the same", at("old"), true),
            ("another file", at("new"), false),
            ("a name", MeetingPoint::Abstract("old".into()), false),
        ] {
            let handed = old.descriptor().try_clone_to_owned().unwrap();
            let taken = MeetingPointListener::inherited(&point, handed).unwrap();
            assert_eq!(taken.is_some(), expect, "{name}");
        }
    }
}
