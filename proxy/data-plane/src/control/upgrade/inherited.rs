//! The sockets that a successor received, to be found by their addresses.
//!
//! What a socket is and which address it has are asked of the system: a predecessor says nothing that would have to be
//! believed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, SockRef};

use super::meeting_point::{MeetingPoint, MeetingPointListener};
use crate::connection::net::BoundListener;

/// Listening sockets of another process. Those that nobody takes are closed with this value; the other process still
/// has them.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    tcp: Vec<BoundListener>,
    meeting_point: Option<OwnedFd>,
}

impl InheritedSockets {
    /// The sockets of these descriptors.
    ///
    /// # Errors
    /// One of them is neither a listening TCP socket nor the meeting point.
    pub(super) fn of(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut sockets = Self::default();
        for descriptor in descriptors {
            let socket = SockRef::from(&descriptor);
            if socket.domain()? == Domain::UNIX && socket.is_listener()? {
                sockets.meeting_point = Some(descriptor);
            } else {
                sockets.tcp.push(BoundListener::inherited(descriptor)?);
            }
        }
        Ok(sockets)
    }

    /// All sockets of an address, one or more of each worker's.
    pub fn take(&mut self, address: SocketAddr) -> Vec<BoundListener> {
        if address.port() == 0 {
            // Which of the system's choices it was, nobody can say.
            return Vec::new();
        }
        self.tcp.extract_if(.., |listener| listener.has(address)).collect()
    }

    /// The meeting point, where it stays the same.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn take_meeting_point(
        &mut self,
        point: &MeetingPoint,
    ) -> io::Result<Option<MeetingPointListener>> {
        match self.meeting_point.take() {
            Some(socket) => MeetingPointListener::inherited(point, socket),
            None => Ok(None),
        }
    }

    /// How many TCP sockets are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tcp.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_are_found_by_their_address_all_of_them_and_once() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = one.local_addr().unwrap();
        let copies = [&one, &one, &other].map(|socket| socket.try_clone().unwrap().into());
        let mut sockets = InheritedSockets::of(copies.into()).unwrap();
        assert_eq!(sockets.take("127.0.0.1:0".parse().unwrap()).len(), 0, "any port");
        assert_eq!(sockets.take("[::1]:1".parse().unwrap()).len(), 0, "another address");
        assert_eq!(sockets.take(address).len(), 2);
        assert_eq!(sockets.take(address).len(), 0, "again");
        assert_eq!(sockets.len(), 1);
    }

    #[test]
    fn what_is_no_listening_socket_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(InheritedSockets::of(vec![file.into()]).is_err());
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(InheritedSockets::of(vec![one.into()]).is_err());
    }
}
