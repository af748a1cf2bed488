//! What can be seen on a pod's cable: every packet of its network interface, as somebody between the pods sees it.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::bind;
use socket2::{Domain, Protocol, Socket, Type};

use crate::pod::Pod;

/// `ETH_P_ALL` in network order: every protocol.
const EVERY_PROTOCOL: i32 = 0x0300;
/// Longer than any packet on a link of 1500 bytes, also when the kernel hands on several at once.
const LONGEST: usize = 128 * 1024;

/// A capture that runs until it is finished.
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

/// All packets, one after the other.
pub struct Captured(Vec<u8>);

impl Capture {
    /// Listens on the pod's outer interface. Its loopback, where app and proxy speak plainly, is not heard.
    #[must_use]
    pub fn start(pod: &Pod) -> Self {
        let socket = pod.run(async { open() });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || record(socket, &stopped));
        Self { stop, thread }
    }

    /// Stops and hands out what was seen.
    #[must_use]
    pub fn finish(self) -> Captured {
        self.stop.store(true, Ordering::Relaxed);
        Captured(self.thread.join().expect("the capture ran to its end"))
    }
}

impl Captured {
    /// Whether these bytes crossed the cable as they are.
    #[must_use]
    pub fn shows(&self, bytes: &[u8]) -> bool {
        self.0.windows(bytes.len()).any(|window| window == bytes)
    }

    /// How many bytes were seen in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn open() -> Socket {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(EVERY_PROTOCOL)))
        .expect("packets may be captured in a namespace of our own");
    let cable = getifaddrs()
        .expect("interfaces can be listed")
        .filter(|interface| interface.interface_name == "eth0")
        .filter_map(|interface| interface.address)
        .find_map(|address| address.as_link_addr().copied())
        .expect("a pod has a cable");
    bind(socket.as_raw_fd(), &cable).expect("the capture can be bound to the cable");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a read time-out");
    socket
}

/// Reads until told to stop *and* nothing more is waiting.
fn record(mut socket: Socket, stopped: &AtomicBool) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut packet = vec![0; LONGEST];
    loop {
        match socket.read(&mut packet) {
            Ok(length) => seen.extend_from_slice(&packet[..length]),
            Err(_) if stopped.load(Ordering::Relaxed) => return seen,
            Err(_) => {}
        }
    }
}
