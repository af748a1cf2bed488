//! The two programs as a person runs them: real processes, exit codes, files, and what they print.

mod agent;
mod authority;
mod roots;
mod usage;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn authority(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-authority"));
    command.args(arguments);
    command
}

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-cert-agent"));
    command.args(arguments).env_remove("SPIFFE_ENDPOINT_SOCKET");
    command
}

fn done(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn good(command: Command) -> String {
    let output = done(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bad(command: Command, code: i32, expect: &str) {
    let output = done(command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(expect), "{error}");
    assert!(output.stdout.is_empty(), "answers on stdout, errors on stderr");
}

/// A directory with an authority.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        good(authority(&["init", "--dir", &place.path("ca")]));
        place
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn token(&self) -> String {
        let ca = self.path("ca");
        good(authority(&["token", "--dir", &ca, "--identity", CART])).trim().to_owned()
    }

    fn start_authority(&self, more: &[&str]) -> Process {
        let ca = self.path("ca");
        let mut arguments = vec!["run", "--dir", &ca, "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        Process::start(authority(&arguments), self.dir.path().join("authority.log"))
    }

    fn start_agent(&self, address: &str, more: &[&str]) -> Process {
        let (bundle, socket, state) =
            (self.path("ca/bundle.pem"), self.path("agent.sock"), self.path("state"));
        let mut arguments = vec!["run", "--authority", address, "--trust-bundle", &bundle];
        arguments.extend(["--socket", &socket, "--state-dir", &state]);
        arguments.extend(more);
        Process::start(agent(&arguments), self.dir.path().join("agent.log"))
    }

    fn agent_command(&self, name: &str) -> Command {
        agent(&[name, "--socket", &self.path("agent.sock")])
    }

    fn until_healthy(&self) {
        let end = Instant::now() + DEADLINE;
        while !done(self.agent_command("health")).status.success() {
            assert!(Instant::now() < end, "the agent holds no certificate");
            pause();
        }
    }

    fn shown(&self) -> Value {
        serde_json::from_str(&good(self.agent_command("show"))).unwrap()
    }
}

/// A process whose log goes to a file; killed when dropped.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = command
            .env("POSTERN_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// The first log line with this message.
    fn line(&self, message: &str) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let lines = BufReader::new(fs::File::open(&self.log).unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
                if line["message"] == message {
                    return line;
                }
            }
            assert!(Instant::now() < end, "no log line `{message}`");
            pause();
        }
    }

    fn address(&self) -> String {
        self.line("serving")["listen"].as_str().unwrap().to_owned()
    }

    fn terminate(mut self) -> i32 {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < end, "did not stop");
            pause();
        }
    }

    fn kill_hard(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two looks at another process; every loop around it has a deadline.
#[allow(clippy::disallowed_methods)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
