//! Listening sockets: bound first, listening later, and possibly those that another process has opened.

use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::set_options;

/// A socket that has its address and does not listen yet: nobody is connected to it before [`Self::listen`].
#[derive(Debug)]
pub struct BoundListener(Socket);

impl BoundListener {
    /// Takes an address, which may be shared with the other workers' sockets (`SO_REUSEPORT`).
    ///
    /// An unspecified IPv6 address listens for IPv4 too; where IPv6 is disabled it becomes `0.0.0.0`.
    ///
    /// # Errors
    /// The system's, such as an address in use.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        match bind(address) {
            Err(e) if is_no_ipv6(&e) && address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                bind(without_ipv6(address))
            }
            other => other,
        }
    }

    /// A listening socket of TCP that another process has opened.
    ///
    /// # Errors
    /// It is something else, or has no address.
    pub fn inherited(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        let tcp = socket.r#type()? == Type::STREAM
            && [Domain::IPV4, Domain::IPV6].contains(&socket.domain()?)
            && socket.is_listener()?;
        if !tcp {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no listening TCP socket"));
        }
        socket.set_nonblocking(true)?;
        let listener = Self(socket);
        listener.local_addr()?;
        Ok(listener)
    }

    /// The address it has.
    ///
    /// # Errors
    /// The system's; none for a socket that was bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
    }

    /// Whether a socket that was asked to take `address` would have this one's.
    #[must_use]
    pub fn has(&self, address: SocketAddr) -> bool {
        let same = |wanted: SocketAddr| self.local_addr().is_ok_and(|own| own == wanted);
        let any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        same(address) || (any && same(without_ipv6(address)))
    }

    /// Listens from now on. The system queues at most `backlog` connections; accepted ones send keep-alive probes after
    /// `keepalive` of silence. Of a socket that listened before both become these, and no waiting connection is lost.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(self, backlog: u32, keepalive: Duration) -> io::Result<TcpListener> {
        // Linux copies a listener's options to the sockets it accepts, which saves four calls a connection.
        set_options(&SockRef::from(&self.0), keepalive)?;
        self.0.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(self.0.into())
    }
}

/// Ends listening for every holder of the socket (shutdown(2)): a copy that waits for a successor would go on taking
/// connections that nobody accepts.
pub fn stop_listening(listener: &impl AsFd) {
    // It fails only where it does not listen, and then nothing is left to do.
    let _ = SockRef::from(listener).shutdown(Shutdown::Both);
}

/// Whether a socket listens.
#[must_use]
pub fn is_listening(socket: &impl AsFd) -> bool {
    SockRef::from(socket).is_listener().unwrap_or(false)
}

fn bind(address: SocketAddr) -> io::Result<BoundListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(BoundListener(socket))
}

fn without_ipv6(address: SocketAddr) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], address.port()))
}

fn is_no_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    const KEEPALIVE: Duration = Duration::from_secs(15);

    #[test]
    fn nobody_is_connected_to_a_socket_that_is_only_bound() {
        let bound = BoundListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.local_addr().unwrap();
        assert!(TcpStream::connect(address).is_err());
        let _listening = bound.listen(16, KEEPALIVE).unwrap();
        TcpStream::connect(address).unwrap();
    }

    #[test]
    fn a_connection_that_waits_is_there_for_whoever_holds_the_socket() {
        let bound = BoundListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let first = bound.listen(16, KEEPALIVE).unwrap();
        let client = TcpStream::connect(first.local_addr().unwrap()).unwrap();
        let second = BoundListener::inherited(first.try_clone().unwrap().into()).unwrap();
        drop(first);
        let (_, source) = second.listen(64, KEEPALIVE).unwrap().accept().unwrap();
        assert_eq!(source, client.local_addr().unwrap());
    }

    #[test]
    fn a_socket_that_stops_is_in_nobodys_way() {
        let bound = BoundListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = bound.listen(16, KEEPALIVE).unwrap();
        let (address, copy) = (listener.local_addr().unwrap(), listener.try_clone().unwrap());
        stop_listening(&listener);
        drop(listener);
        assert!(!is_listening(&copy));
        assert!(TcpStream::connect(address).is_err());
        // Who takes the address again gets every connection.
        let again = BoundListener::bind(address).unwrap().listen(16, KEEPALIVE).unwrap();
        assert!(is_listening(&again));
        for _ in 0..20 {
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(again.accept().unwrap().1, client.local_addr().unwrap());
        }
    }

    #[test]
    fn only_a_listening_tcp_socket_is_inherited() {
        let bound = BoundListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let hostile: [(&str, OwnedFd); 4] = [
            ("a file", std::fs::File::open("/dev/null").unwrap().into()),
            ("UDP", UdpSocket::bind("127.0.0.1:0").unwrap().into()),
            ("a unix socket", UnixListener::bind(directory.path().join("a")).unwrap().into()),
            ("a socket that does not listen", bound.0.into()),
        ];
        for (name, descriptor) in hostile {
            assert!(BoundListener::inherited(descriptor).is_err(), "{name}");
        }
    }

    #[test]
    fn an_address_is_found_as_it_would_be_bound() {
        let check = |bound: &str, wanted: &str, expect: bool| {
            let listener = BoundListener::bind(bound.parse().unwrap()).unwrap();
            let port = listener.local_addr().unwrap().port();
            let wanted = SocketAddr::new(wanted.parse().unwrap(), port);
            assert_eq!(listener.has(wanted), expect, "{wanted} of {bound}");
        };
        check("127.0.0.1:0", "127.0.0.1", true);
        check("127.0.0.1:0", "127.0.0.2", false);
        check("127.0.0.1:0", "::1", false);
        check("0.0.0.0:0", "0.0.0.0", true);
        // Where IPv6 is disabled, [::] was bound as 0.0.0.0.
        check("0.0.0.0:0", "::", true);
    }
}
