//! A Redis in a pod outside the mesh, as Debian ships it: what proxies count in together.

use std::net::SocketAddr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::binaries::binary;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::process::Process;
use crate::wait;

const PORT: u16 = 6379;

/// A server that can be killed, started again, and held still.
pub struct Redis {
    pod: Pod,
    process: Process,
}

impl Redis {
    /// Starts one, empty, and waits until it listens.
    ///
    /// # Panics
    /// Where `tests/setup` has not been run.
    #[must_use]
    pub fn start(mesh: &Mesh) -> Self {
        let pod = mesh.pod("redis").outside().start();
        let process = serve(&pod);
        Self { pod, process }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.pod.at(PORT)
    }

    /// What a proxy.yaml says of it where users who signed in are remembered there.
    #[must_use]
    pub fn session_config(&self) -> Value {
        json!({"sessions": {"redis": self.settings()}})
    }

    /// What a proxy.yaml says of it where limits are counted there.
    #[must_use]
    pub fn config(&self) -> Value {
        json!({"rateLimits": {"redis": self.settings()}})
    }

    /// What a `redis` of a proxy.yaml says of it.
    #[must_use]
    pub fn settings(&self) -> Value {
        json!({"address": self.address().to_string(), "plaintext": true})
    }

    /// Kills it: what it knew is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, empty.
    pub fn start_again(&mut self) {
        self.process = serve(&self.pod);
    }

    /// Holds it still: it takes connections and commands, and answers nothing.
    pub fn hold(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("our own process takes signals");
    }
}

fn serve(pod: &Pod) -> Process {
    let target = binary("postern-proxy");
    let target = target.parent().and_then(|profile| profile.parent()).expect("target/PROFILE");
    let program = target.join("peers/servers/redis-server");
    assert!(program.exists(), "{} is missing: run `tests/setup test`", program.display());
    let arguments = ["--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];
    let process = pod.start_program("redis", &program, &arguments);
    wait::until_true("Redis to listen", || process.stdout().contains("Ready to accept"));
    process
}
