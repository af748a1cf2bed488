//! The two proxies, each under callgrind, with everything on that is on by default.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::app::App;
use crate::callgrind::Profile;
use crate::settings::{Doors, Settings, config_file};

/// How long the proxies may take until they are ready; under callgrind everything is fifty times slower.
const START: Duration = Duration::from_secs(120);
/// How long a dump may take.
const DUMP: Duration = Duration::from_secs(60);
/// How long one question to a proxy may take.
const ASK: Duration = Duration::from_secs(10);
/// Between two questions.
const LOOK: Duration = Duration::from_millis(50);
/// The string operations of the processor count as one instruction a byte, which they do not cost: the C library
/// copies without them.
const C_LIBRARY: &str = "glibc.cpu.hwcaps=-ERMS";
/// The most of a proxy's words that are shown when it fails, in bytes.
const LAST_WORDS: usize = 2000;

/// A side of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Outbound,
    Inbound,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::Outbound, Self::Inbound];

    /// Its name in files and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// Both proxies, running. Dropping them ends them.
pub(crate) struct Pair {
    pub(crate) doors: Doors,
    // In the order of `Side::ALL`.
    proxies: [Proxy; 2],
    dumps: u32,
    // Last: the folder goes when all that write into it are gone.
    directory: TempDir,
}

struct Proxy {
    side: Side,
    readiness: SocketAddr,
    child: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pair {
    /// Starts both and waits until they are ready. `callers` is how many callers tell an allocation apart.
    ///
    /// # Errors
    /// When valgrind is missing, or one of them does not start, with its last words.
    pub(crate) async fn start(program: &Path, app: App, callers: u32) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("postern-cost.").tempdir()?;
        let settings = Settings::write(directory.path(), app)?;
        let start =
            |side, readiness| Proxy::start(program, side, readiness, directory.path(), callers);
        let [outbound, inbound] = Side::ALL;
        let proxies =
            [start(outbound, settings.readiness[0])?, start(inbound, settings.readiness[1])?];
        let doors = settings.doors;
        let mut pair = Self { doors, proxies, dumps: 0, directory };
        pair.wait_until_ready().await?;
        Ok(pair)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        for proxy in &mut self.proxies {
            while !proxy.ask_for_readiness().await {
                let words = || last_words(self.directory.path(), proxy.side);
                let ended = proxy.child.try_wait()?;
                ensure!(ended.is_none(), "a proxy ended at its start:\n{}", words());
                ensure!(Instant::now() < deadline, "a proxy does not become ready:\n{}", words());
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// What the worker of each side cost since the last time, and starts from zero again.
    ///
    /// # Errors
    /// When a proxy has ended, or valgrind does not answer.
    pub(crate) async fn take_profiles(&mut self) -> Result<[Profile; 2]> {
        self.dumps += 1;
        for proxy in &mut self.proxies {
            let dumped = timeout(DUMP, proxy.dump(self.directory.path())).await;
            dumped.context("valgrind writes no dump")??;
        }
        let read = |side: Side| worker(self.directory.path(), side, self.dumps);
        let [outbound, inbound] = Side::ALL;
        Ok([read(outbound)?, read(inbound)?])
    }
}

impl Proxy {
    fn start(
        program: &Path,
        side: Side,
        readiness: SocketAddr,
        directory: &Path,
        callers: u32,
    ) -> Result<Self> {
        let path = |suffix: &str| directory.join(format!("{}.{suffix}", side.name()));
        let mut command = Command::new("valgrind");
        command
            .args([
                "--tool=callgrind",
                "--separate-threads=yes",
                "--collect-systime=yes",
                "--fair-sched=try",
            ])
            .args(["--vgdb-poll=500", &format!("--vgdb-prefix={}", vgdb(directory).display())])
            .arg(format!("--callgrind-out-file={}", path("callgrind").display()))
            .arg(format!("--log-file={}", path("valgrind.log").display()));
        if callers > 0 {
            let told_apart = ["malloc", "calloc", "realloc", "posix_memalign"];
            command.args(told_apart.map(|name| format!("--separate-callers{callers}={name}")));
        }
        command
            .arg(program)
            .args(["run", "--config"])
            .arg(config_file(directory, side))
            .env("GLIBC_TUNABLES", C_LIBRARY)
            .stdin(Stdio::null())
            .stdout(File::create(path("access.log"))?)
            .stderr(File::create(path("error.log"))?);
        let child = command.spawn().context(
            "starting valgrind (on Debian or Ubuntu, as root: apt-get install valgrind)",
        )?;
        Ok(Self { side, readiness, child })
    }

    /// Asks the proxy's own server, on its control thread, which is not what is counted.
    async fn ask_for_readiness(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(self.readiness).await?;
            let request = "GET /ready HTTP/1.1\r\nhost: cost\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(4096).read_to_end(&mut answer).await?;
            std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
        };
        timeout(ASK, ask).await.is_ok_and(|ready| ready.unwrap_or(false))
    }

    /// Valgrind looks for orders when the program does something, so the program is given something to do. (It can
    /// also be stopped by ptrace for it, which not every container allows.)
    async fn dump(&mut self, directory: &Path) -> Result<()> {
        let mut order = tokio::process::Command::new("vgdb")
            .arg(format!("--vgdb-prefix={}", vgdb(directory).display()))
            .arg(format!("--pid={}", self.child.id()))
            .args(["--max-invoke-ms=0", "dump"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting vgdb, which comes with valgrind")?;
        loop {
            let ended = self.child.try_wait()?;
            let words = || last_words(directory, self.side);
            ensure!(ended.is_none(), "a proxy ended under load:\n{}", words());
            self.ask_for_readiness().await;
            if let Some(status) = order.try_wait()? {
                ensure!(status.success(), "valgrind refused to write a dump");
                return Ok(());
            }
        }
    }
}

/// The thread that did most of the work, which is the worker: there is one, and it had the load.
fn worker(directory: &Path, side: Side, dump: u32) -> Result<Profile> {
    let prefix = format!("{}.callgrind.{dump}-", side.name());
    let mut most = None;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if !name.is_some_and(|name| name.starts_with(&prefix)) {
            continue;
        }
        let profile = Profile::read(&path)?;
        if most.as_ref().is_none_or(|most: &Profile| profile.instructions > most.instructions) {
            most = Some(profile);
        }
        std::fs::remove_file(path)?;
    }
    most.context("valgrind wrote no dump")
}

fn vgdb(directory: &Path) -> PathBuf {
    directory.join("vgdb")
}

fn last_words(directory: &Path, side: Side) -> String {
    let read = |suffix: &str| {
        let text = std::fs::read(directory.join(format!("{}.{suffix}", side.name())));
        let text = text.unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(LAST_WORDS)..]).into_owned()
    };
    ["error.log", "valgrind.log", "access.log"].map(read).join("\n")
}
