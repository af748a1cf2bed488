//! Message brokers as the apps of pods: nats-server, Debian's mosquitto, and Tansu, which speaks Kafka's protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::binaries::target_directory;
use crate::certificates::replace;
use crate::pod::Pod;
use crate::pod_builder::PodBuilder;
use crate::process::Process;
use crate::wait;

/// How long one question whether it serves may take. It is asked again.
const ANSWER: Duration = Duration::from_secs(5);

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerKind {
    /// nats-server with JetStream, on 4222.
    Nats,
    /// Mosquitto, on 1883.
    Mosquitto,
    /// Tansu, with all it stores in memory, on 9092. It names itself `POD.NAMESPACE.svc.cluster.local`.
    Tansu,
}

/// A broker and its pod.
pub struct Broker {
    // Before the pod it runs in.
    process: Process,
    kind: BrokerKind,
    pod: Pod,
}

impl BrokerKind {
    /// Where it listens.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Nats => 4222,
            Self::Mosquitto => 1883,
            Self::Tansu => 9092,
        }
    }

    /// The protocol that its port is declared with.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Mosquitto => "mqtt",
            Self::Tansu => "kafka",
        }
    }

    /// What it is asked to see whether it serves, and how its answer begins.
    const fn greeting(self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Nats => (b"", b"INFO {"),
            // CONNECT of 3.1.1 with the client id `harness`, a clean session, and CONNACK with 0.
            Self::Mosquitto => {
                (b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07harness", b"\x20\x02\x00\x00")
            }
            // ApiVersions 0 with the correlation id 7 and no client id; its answer is shorter than 64 KiB.
            Self::Tansu => {
                (b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff", b"\x00\x00")
            }
        }
    }
}

impl Broker {
    /// Starts the broker in a pod, which declares the broker's port with this protocol (`tcp` for opaque bytes), and waits
    /// until it serves.
    #[must_use]
    #[track_caller]
    pub fn start(kind: BrokerKind, protocol: &str, pod: PodBuilder) -> Self {
        Self::start_known(kind, protocol, pod, |_| {})
    }

    /// The same; `tell` makes the pod known to those whom its proxy asks before that starts.
    #[must_use]
    #[track_caller]
    pub fn start_known(
        kind: BrokerKind,
        protocol: &str,
        pod: PodBuilder,
        tell: impl FnOnce(&Pod),
    ) -> Self {
        let pod = pod.port(kind.port(), protocol).lay_out();
        tell(&pod);
        pod.start_processes();
        pod.ready();
        let process = serve(kind, &pod);
        let broker = Self { process, kind, pod };
        broker.wait();
        broker
    }

    /// Its pod.
    #[must_use]
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> BrokerKind {
        self.kind
    }

    /// Its name as clients in the mesh say it.
    #[must_use]
    pub fn host(&self) -> String {
        self.pod.service().hosts()[0].clone()
    }

    /// The same as an address, for code of a test itself, which resolves no names of the mesh.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.pod.at(self.kind.port())
    }

    /// `HOST:PORT` as clients in the mesh dial it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.kind.port())
    }

    /// What it has written about itself so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }

    /// Kills it and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = serve(self.kind, &self.pod);
        self.wait();
    }

    #[track_caller]
    fn wait(&self) {
        let kind = self.kind;
        wait::until(&format!("{kind:?} to serve"), wait::PATIENCE, || {
            self.pod.run(greet(kind)).map_err(|error| format!("{error}\n{}", self.said()))
        });
    }
}

/// From inside, over loopback, where nothing is redirected.
async fn greet(kind: BrokerKind) -> Result<(), String> {
    let (question, expected) = kind.greeting();
    let heard = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, kind.port())).await?;
        stream.write_all(question).await?;
        let mut heard = vec![0; expected.len()];
        stream.read_exact(&mut heard).await?;
        Ok::<_, std::io::Error>(heard)
    };
    let heard = timeout(ANSWER, heard).await.map_err(|error| error.to_string())?;
    let heard = heard.map_err(|error| error.to_string())?;
    if heard == expected { Ok(()) } else { Err(format!("it answers {heard:?}")) }
}

fn serve(kind: BrokerKind, pod: &Pod) -> Process {
    match kind {
        BrokerKind::Nats => {
            let arguments = ["-a", "::", "-p", "4222", "-js", "-sd", "/run/postern/jetstream"];
            pod.start_program("nats", &peer("events/bin/nats-server"), &arguments)
        }
        BrokerKind::Mosquitto => {
            // It would become another user, and here there is none.
            let config = "listener 1883\nallow_anonymous true\npersistence false\nuser root\n\
                log_dest stderr\nset_tcp_nodelay true\n";
            replace(&pod.directory().join("mosquitto.conf"), config);
            let arguments = ["-c", "/run/postern/mosquitto.conf"];
            pod.start_program("mosquitto", Path::new("mosquitto"), &arguments)
        }
        BrokerKind::Tansu => {
            let host = &pod.service().hosts()[0];
            let advertised = format!("tcp://{host}:9092");
            let arguments = [
                "broker",
                "--listener-url=tcp://[::]:9092",
                "--storage-engine=memory://tansu/",
                "--advertised-listener-url",
                &advertised,
            ];
            pod.start_program("tansu", &peer("events/tansu"), &arguments)
        }
    }
}

/// What `tests/setup` installed.
fn peer(program: &str) -> PathBuf {
    let path = target_directory().join("peers").join(program);
    assert!(path.exists(), "{} is missing: run `tests/setup test`", path.display());
    path
}
