//! A real Redis, on a port of its own, for one test: started, killed, held still, started again, looked into. Linked
//! with tests alone.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// It starts, or ends, within this.
const DEADLINE: Duration = Duration::from_secs(10);

/// The process, ended with this value.
pub struct Redis {
    /// Where it listens, at 127.0.0.1.
    pub port: u16,
    /// The port of a Cluster's own messages.
    pub bus: u16,
    home: TempDir,
    arguments: Vec<String>,
    process: Child,
}

impl Redis {
    /// With nothing in it. What is missing is a panic here, and everywhere below.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments. `{home}` in them is a directory of its own, `{port}` and `{bus}` its ports.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::start_in(home, arguments)
    }

    /// In a directory with the files that the arguments name.
    #[must_use]
    pub fn start_in(home: TempDir, arguments: &[&str]) -> Self {
        let (port, bus) = (free_port(), free_port());
        let fill = |text: &&str| {
            let text = text.replace("{home}", home.path().to_str().unwrap());
            text.replace("{port}", &port.to_string()).replace("{bus}", &bus.to_string())
        };
        let arguments: Vec<String> = arguments.iter().map(fill).collect();
        let process = spawn(home.path(), port, &arguments);
        let redis = Self { port, bus, home, arguments, process };
        redis.wait();
        redis
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs one command in plaintext, and returns its answer as text, without the sign of its type.
    pub fn command(&self, words: &[&str]) -> String {
        self.client().command(words)
    }

    /// A connection of its own.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.port).unwrap()
    }

    /// Holds it still.
    pub fn stop_answering(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// What it knew is gone.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Another process in its place.
    pub fn start_again(&mut self) {
        self.process = spawn(self.home.path(), self.port, &self.arguments);
        self.wait();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// Until it takes connections.
    #[allow(clippy::disallowed_methods)]
    fn wait(&self) {
        let begun = Instant::now();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while TcpStream::connect(address).is_err() {
            let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < DEADLINE, "redis-server does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian's package `redis-tools` has the server, which looks at the name that it is called by.
fn spawn(home: &Path, port: u16, arguments: &[String]) -> Child {
    let program = home.join("redis-server");
    if !program.exists() {
        let found = Path::new("/usr/bin/redis-check-rdb");
        assert!(found.exists(), "{} is missing: run `tests/setup test`", found.display());
        std::os::unix::fs::symlink(found, &program).unwrap();
    }
    let port = port.to_string();
    Command::new(program)
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--dir", home.to_str().unwrap(), "--logfile", home.join("log").to_str().unwrap()])
        .args(["--enable-debug-command", "local", "--repl-diskless-sync-delay", "0"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A port that nobody has, a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What looks into the store from outside.
pub struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Runs one command, and returns its answer as text, without the sign of its type.
    pub fn command(&mut self, words: &[&str]) -> String {
        self.send(words);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "$" if rest != "-1" => self.bulk(rest.parse().unwrap()),
            _ => rest.to_owned(),
        }
    }

    /// Without waiting for the answer.
    pub fn send(&mut self, words: &[&str]) {
        let words: String =
            words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        let count = words.matches("\r\n").count() / 2;
        self.0.get_mut().write_all(format!("*{count}\r\n{words}").as_bytes()).unwrap();
    }

    fn bulk(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }
}
