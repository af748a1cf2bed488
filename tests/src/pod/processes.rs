//! A pod's processes: app, proxy, cert agent, and any other program run inside it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;

use tokio::net::TcpStream;

use super::{Pod, lock};
use crate::app::App;
use crate::binaries::binary;
use crate::clock::Clock;
use crate::config::MARK;
use crate::identity_source::IdentitySource;
use crate::process::{Finished, Process, finish};
use crate::wait;

impl Pod {
    /// Gives it an app that could only be named after the pod was laid out.
    #[must_use]
    pub(crate) fn with_app(mut self, app: App) -> Self {
        self.parts.app = Some(app);
        self
    }

    /// Starts its app, and, in the mesh, its redirection, its agent and its proxy.
    pub fn start_processes(&self) {
        self.start_app();
        if self.has_proxy() {
            if !self.parts.is_gateway {
                self.redirect("apply").ok();
            }
            self.start_agent();
            self.start_proxy();
        }
    }

    /// The same in the order of a cluster, where sidecars are there before the app: for apps that dial as soon as they run.
    pub fn start_sidecar_first(&self) {
        self.redirect("apply").ok();
        self.start_agent();
        self.start_proxy();
        self.ready();
        self.start_app();
    }

    /// Starts its app, if it has one.
    pub fn start_app(&self) {
        if let Some(app) = &self.parts.app {
            let mut command =
                self.parts.place.command(&self.parts.directory, &binary(&app.program));
            command.args(&app.arguments);
            *lock(&self.app) = Some(Process::start("app", command, &self.parts.directory));
            if let Some((port, _)) = self.parts.exposed.first() {
                self.wait_for_app(*port);
            }
        }
    }

    /// Starts its proxy.
    pub fn start_proxy(&self) {
        let config = self.parts.place.path(&self.parts.directory, "proxy.yaml");
        let mut command = self.parts.place.command(&self.parts.directory, &binary("postern-proxy"));
        command.args(["run", "--config"]).arg(config);
        self.wind_up(&mut command);
        *lock(&self.proxy) = Some(Process::start("proxy", command, &self.parts.directory));
    }

    /// Starts its cert agent, with a join token the first time, when the mesh has an authority.
    pub fn start_agent(&self) {
        if self.parts.identities == IdentitySource::Agent {
            let mut command = self.parts.mesh.authority().agent_command(self);
            self.wind_up(&mut command);
            *lock(&self.agent) = Some(Process::start("agent", command, &self.parts.directory));
        }
    }

    /// Lets the wall clock of its agent and its proxy jump to this distance from the right time, such as `+2h` or
    /// `-30s`. Panics for a pod without a clock of its own.
    #[track_caller]
    pub fn set_clock(&self, offset: &str) {
        self.parts.clock.as_ref().expect("a pod built with `own_clock`").set(offset);
    }

    fn wind_up(&self, command: &mut Command) {
        if self.parts.clock.is_some() {
            let file = self.parts.place.path(&self.parts.directory, Clock::FILE);
            Clock::give_to(command, &file);
        }
    }

    /// Starts its cert agent with this join token instead of one of its own.
    pub fn start_agent_with_token(&self, token: &[u8]) {
        std::fs::write(self.parts.directory.join("join-token"), token).expect("a token file");
        self.start_agent();
    }

    /// Waits until its app listens on this port.
    #[track_caller]
    pub fn wait_for_app(&self, port: u16) {
        wait::until_true(&format!("the app of {} to listen on {port}", self.name()), || {
            // From inside, over loopback, where nothing is redirected.
            self.run(async move { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() })
        });
    }

    /// Its app's process.
    pub fn app(&self) -> MutexGuard<'_, Option<Process>> {
        lock(&self.app)
    }

    /// Does something with its proxy's process; panics when it has none.
    #[track_caller]
    pub fn with_proxy<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(lock(&self.proxy).as_mut().expect("this pod's proxy was started"))
    }

    /// Does something with its agent's process; panics when it has none.
    #[track_caller]
    pub fn with_agent<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(lock(&self.agent).as_mut().expect("this pod's agent was started"))
    }

    /// Runs `postern-proxy redirect ACTION` in the pod; nothing to do on loopback.
    #[must_use]
    pub fn redirect(&self, action: &str) -> Finished {
        if self.parts.attachment.is_none() {
            return Finished { code: 0, stdout: String::new(), stderr: String::new() };
        }
        let mark = format!("mark={MARK}");
        if action == "remove" {
            return self.postern("postern-proxy", &["redirect", "remove"]);
        }
        let mut arguments = vec!["redirect", action, "--exempt", &mark];
        let authority;
        if self.parts.identities == IdentitySource::Agent {
            authority = self.parts.mesh.authority().address().to_string();
            // Only one user id is mapped here, so "the agent's" is everybody's; the address keeps it narrow.
            arguments.extend(["--agent-uid", "0", "--authority", &authority]);
        }
        self.postern("postern-proxy", &arguments)
    }

    /// Runs one of this workspace's programs in the pod, to its end.
    #[must_use]
    pub fn postern(&self, program: &str, arguments: &[&str]) -> Finished {
        self.run_program(&binary(program), arguments)
    }

    /// Runs any program of the machine in the pod, to its end.
    #[must_use]
    pub fn command(&self, program: &str, arguments: &[&str]) -> Finished {
        self.run_program(Path::new(program), arguments)
    }

    fn run_program(&self, program: &Path, arguments: &[&str]) -> Finished {
        let mut command = self.parts.place.command(&self.parts.directory, program);
        command.args(arguments);
        finish(command)
    }

    /// Starts any program of the machine in the pod, its output in the pod's directory as `NAME.out` and `NAME.err`.
    #[must_use]
    pub fn start_program(&self, name: &str, program: &Path, arguments: &[&str]) -> Process {
        let mut command = self.parts.place.command(&self.parts.directory, program);
        command.args(arguments);
        Process::start(name, command, &self.parts.directory)
    }
}
