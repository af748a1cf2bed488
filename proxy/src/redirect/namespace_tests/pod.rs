//! The pod of these tests: its network, its listeners, its peer outside, and ways to dial.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::super::interception::tests::settings;
use super::super::{nft, ruleset, verify};

/// Set in the child that runs inside the namespaces.
const INSIDE: &str = "POSTERN_TEST_INSIDE_NAMESPACES";
/// What the exempt sockets of these tests carry.
pub(crate) const MARK: u32 = 42;
/// No answer within this is an answer too: the packet was dropped.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `story` inside fresh namespaces: in the first process by starting this test again there.
pub(crate) fn in_a_pod(module: &str, test: &str, story: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        network();
        return story();
    }
    // The test's own name for itself is without the crate.
    let path = format!("{}::{test}", module.split_once("::").unwrap().1);
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &path, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("the command unshare of the package util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let ran = output.status.success() && said.contains("1 passed");
    assert!(
        ran,
        "in user and network namespaces (the kernel has to allow them to ordinary users):\n{said}\n{errors}"
    );
}

fn network() {
    ip("link set lo up");
    ip("link add eth0 type veth peer name out0");
    ip("addr add 10.9.0.1/24 dev eth0");
    ip("-6 addr add fd09::1/64 dev eth0 nodad");
    ip("link set eth0 up");
    outside(|| {
        ip("link set lo up");
        ip("addr add 10.9.0.2/24 dev out0");
        ip("-6 addr add fd09::2/64 dev out0 nodad");
        ip("link set out0 up");
        // Whoever reaches the peer directly is told so.
        for port in [25, 53, 80, 15012] {
            listen(&format!("[::]:{port}"), "outside");
        }
    });
    ip("route add default via 10.9.0.2");
    ip("-6 route add default via fd09::2");
}

pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("the command ip of the package iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

type NamespaceJob = Box<dyn FnOnce() + Send>;

/// Runs something in the network namespace of the peer outside and waits for its result.
pub(crate) fn outside<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    static PEER: std::sync::OnceLock<std::sync::Mutex<mpsc::Sender<NamespaceJob>>> =
        std::sync::OnceLock::new();
    let peer = PEER.get_or_init(|| std::sync::Mutex::new(start_peer()));
    let (answer, answers) = mpsc::channel();
    let job = Box::new(move || answer.send(job()).unwrap());
    peer.lock().unwrap().send(job).unwrap();
    answers.recv().expect("the job outside did not panic")
}

/// A network namespace belongs to a thread, so the peer is one.
fn start_peer() -> mpsc::Sender<NamespaceJob> {
    let (jobs, queue) = mpsc::channel::<NamespaceJob>();
    let (ready, id) = mpsc::channel();
    std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ready.send(nix::unistd::gettid()).unwrap();
        queue.into_iter().for_each(|job| job());
    });
    ip(&format!("link set out0 netns {}", id.recv().unwrap()));
    jobs
}

/// Starts a listener that answers each connection with `name` and the original destination.
pub(crate) fn listen(address: &str, name: &'static str) {
    let address: SocketAddr = address.parse().unwrap();
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified()).unwrap();
    }
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(16).unwrap();
    let listener: std::net::TcpListener = socket.into();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let answer = format!("{name} {}\n", original_destination(&connection));
            let _ = connection.write_all(answer.as_bytes());
            std::thread::spawn(move || echo(connection));
        }
    });
}

fn echo(mut connection: TcpStream) {
    let mut buffer = [0; 64];
    while let Ok(count @ 1..) = connection.read(&mut buffer) {
        let _ = connection.write_all(&buffer[..count]);
    }
}

fn original_destination(connection: &TcpStream) -> String {
    let socket = SockRef::from(connection);
    // An IPv4 connection on an IPv6 socket has an IPv4-mapped address.
    let v4 = connection.local_addr().unwrap().ip().to_canonical().is_ipv4();
    let found = if v4 { socket.original_dst_v4() } else { socket.original_dst_v6() };
    found.map_or_else(|error| error.to_string(), |address| address.as_socket().unwrap().to_string())
}

/// What the proxy and the app listen on.
pub(crate) fn listeners() {
    for (address, name) in [
        ("[::]:15006", "inbound"),
        ("127.0.0.1:15001", "outbound"),
        ("[::1]:15001", "outbound"),
        ("127.0.0.1:15000", "admin"),
        ("[::]:15020", "metrics"),
        ("[::]:15021", "readiness"),
        ("[::]:8080", "app"),
        ("[::]:22", "app"),
    ] {
        listen(address, name);
    }
}

/// A connection: who answered and, for the proxy's own listeners, what the original destination was.
pub(crate) struct TestDial {
    from: Option<IpAddr>,
    mark: Option<u32>,
}

/// An app of the pod, or a peer outside.
pub(crate) fn app() -> TestDial {
    TestDial { from: None, mark: None }
}

/// The proxy: it marks its sockets.
pub(crate) fn proxy() -> TestDial {
    TestDial { from: None, mark: Some(MARK) }
}

impl TestDial {
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.from = Some(address.parse().unwrap());
        self
    }

    pub(crate) fn open(&self, to: &str) -> std::io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.connect_timeout(&to.into(), PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket.into())
    }

    /// Dials and says who answered: `outbound 10.9.0.2:80`, `app`, `refused`.
    pub(crate) fn reaches(&self, to: &str) -> String {
        match self.open(to).and_then(|mut stream| line(&mut stream)) {
            Ok(answer) => answer,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                "refused".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }
}

/// One line of an answer; listeners that are no redirection target are named without an address.
pub(crate) fn line(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = String::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte != *b"\n" {
        answer.push(char::from(byte[0]));
    }
    let redirected = answer.starts_with("inbound") || answer.starts_with("outbound");
    let end = if redirected { answer.len() } else { answer.find(' ').unwrap_or(answer.len()) };
    answer.truncate(end);
    Ok(answer)
}

/// Dials each row's destination and compares who answers.
pub(crate) fn check(who: &str, dial: &TestDial, rows: &[(&str, &str)]) {
    for (to, expect) in rows {
        assert_eq!(dial.reaches(to), *expect, "{who} dials {to}");
    }
}

/// The same from outside the pod.
pub(crate) fn check_outside(rows: &'static [(&'static str, &'static str)]) {
    outside(move || check("a peer outside", &app(), rows));
}

/// Loads the rules for these flags (marks exempt).
pub(crate) fn apply(flags: &str) {
    nft::load(&ruleset::ruleset(&settings(&with_mark(flags)).unwrap())).unwrap();
}

/// What `verify` says for these flags.
pub(crate) fn verified(flags: &str) -> Vec<String> {
    verify::differences(&settings(&with_mark(flags)).unwrap(), nft::list_table().unwrap().as_ref())
}

fn with_mark(flags: &str) -> String {
    if flags.contains("--exempt") {
        flags.to_owned()
    } else {
        format!("--exempt mark={MARK} {flags}")
    }
}

/// Packets a named counter of the table has seen.
pub(crate) fn counted(counter: &str) -> u64 {
    let listing = nft::list_table().unwrap().unwrap();
    let items = listing["nftables"].as_array().unwrap();
    let found = items.iter().map(|item| &item["counter"]).find(|item| item["name"] == counter);
    found.unwrap()["packets"].as_u64().unwrap()
}
