//! The network of one mesh: a bridge, and a network namespace with an address on it for each pod.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Says what to run when a test was started outside of its namespaces.
pub(crate) fn require_namespaces() {
    assert!(
        std::env::var_os("POSTERN_IN_NAMESPACE").is_some(),
        "this test builds networks and needs namespaces of its own: run `make test`, or \
         `tests/in-namespace cargo test -p postern-tests` from the top of the repository"
    );
}

/// A bridge with a subnet of its own, `10.77.N.0/24` and `fd77::N:0/112`, where N is free in this namespace; or the
/// part of one that another mesh has.
#[derive(Debug)]
pub(crate) struct Network {
    bridge: Arc<Bridge>,
    /// 0 for the mesh that made the bridge. Each part has pod names and a hundred addresses of its own.
    part: u8,
}

/// Goes with the last part.
#[derive(Debug)]
struct Bridge {
    index: u8,
}

/// The number the next network tries first.
static NEXT: AtomicU8 = AtomicU8::new(0);

/// A pod's place on the network.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    /// The name of the network namespace.
    pub(crate) namespace: String,
    /// Our end of its cable.
    link: String,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
}

impl Attachment {
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        [self.ipv4.into(), self.ipv6.into()]
    }
}

impl Network {
    /// Takes the first free subnet; tests running at the same time take different ones because the kernel makes a
    /// bridge of one name only once.
    pub(crate) fn create() -> Self {
        require_namespaces();
        // The kernel takes a moment to forget a network: begin after the one used last.
        let first = NEXT.fetch_add(1, Ordering::Relaxed);
        let index = (0..=u8::MAX)
            .map(|step| first.wrapping_add(step))
            .find(|index| try_ip(&["link", "add", &bridge(*index), "type", "bridge"]));
        let index = index.expect("one of 256 bridges is free");
        batch(&format!(
            "addr add 10.77.{index}.1/24 dev {bridge}\nlink set {bridge} up\n",
            bridge = bridge(index)
        ));
        Self { bridge: Arc::new(Bridge { index }), part: 0 }
    }

    /// A place for a second mesh on the same wire.
    pub(crate) fn beside(&self) -> Self {
        assert_eq!(self.part, 0, "a network has room for two meshes");
        Self { bridge: Arc::clone(&self.bridge), part: 1 }
    }

    /// The number of this network: the third part of its IPv4 addresses.
    pub(crate) fn index(&self) -> u8 {
        self.bridge.index
    }

    /// Makes a network namespace for pod `number` of this part, with both addresses and loopback up: 2 to 99, or
    /// to 254 where one mesh has the network for itself.
    pub(crate) fn attach(&self, pod: &str, number: u8) -> Attachment {
        let index = self.bridge.index;
        let number = number + 100 * self.part;
        let part = if self.part == 0 { "" } else { "p" };
        let namespace = format!("m{index}{part}-{pod}");
        let link = format!("m{index}v{number}");
        let attachment = Attachment {
            namespace: namespace.clone(),
            link: link.clone(),
            ipv4: Ipv4Addr::new(10, 77, index, number),
            ipv6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, index.into(), number.into()),
        };
        batch(&format!(
            "netns add {namespace}\n\
             link add {link} type veth peer name eth0 netns {namespace}\n\
             link set {link} master {bridge}\n\
             link set {link} up\n",
            bridge = bridge(index)
        ));
        let Attachment { ipv4, ipv6, .. } = &attachment;
        batch_in(
            &namespace,
            &format!(
                "link set lo up\n\
                 addr add {ipv4}/24 dev eth0\n\
                 addr add {ipv6}/112 dev eth0 nodad\n\
                 link set eth0 up\n"
            ),
        );
        attachment
    }
}

/// Removes a pod's cable and namespace. The cable first: the namespace itself lives on until its last process is gone.
pub(crate) fn detach(attachment: &Attachment) {
    try_ip(&["link", "del", &attachment.link]);
    try_ip(&["netns", "del", &attachment.namespace]);
}

impl Drop for Bridge {
    fn drop(&mut self) {
        try_ip(&["link", "del", &bridge(self.index)]);
    }
}

fn bridge(index: u8) -> String {
    format!("mesh{index}")
}

fn try_ip(arguments: &[&str]) -> bool {
    let status =
        Command::new("ip").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("`ip` (Debian: iproute2) is installed").success()
}

fn batch(lines: &str) {
    run_batch(Command::new("ip").args(["-batch", "-"]), lines);
}

fn batch_in(namespace: &str, lines: &str) {
    run_batch(Command::new("ip").args(["-n", namespace, "-batch", "-"]), lines);
}

fn run_batch(command: &mut Command, lines: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`ip` (Debian: iproute2) is installed");
    child
        .stdin
        .take()
        .expect("a piped input")
        .write_all(lines.as_bytes())
        .expect("ip reads its lines");
    let output = child.wait_with_output().expect("ip ends");
    assert!(
        output.status.success(),
        "ip said {}\nfor\n{lines}",
        String::from_utf8_lossy(&output.stderr)
    );
}
