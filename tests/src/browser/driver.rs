//! The process that drives a browser: one order a line, one answer a line, each with a deadline.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::binaries::target_directory;
use crate::certificates::replace;
use crate::pod::Pod;
use crate::wait;
use crate::web::WebAuthority;

/// How long a step may take; the script itself gives up after half of it, and says more.
const DEADLINE: Duration = Duration::from_secs(30);
/// Where Chromium looks for what its administrator wants.
const POLICIES: &str = "/etc/chromium/policies/managed";
const PROGRAM: &str = "/usr/bin/chromium";

/// The script and its browser.
pub(super) struct Driver {
    script: Mutex<Script>,
    _turn: Turn,
}

struct Script {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    errors: PathBuf,
}

impl Driver {
    pub(super) fn start(pod: &Pod, web: &WebAuthority) -> Self {
        let turn = Turn::take();
        wait_for_addresses(pod);
        let peers = target_directory().join("peers");
        let script = peers.join("browser/drive.mjs");
        assert!(script.is_file(), "{} is not there: run `tests/setup test`", script.display());
        let authority: String = web.pem().lines().filter(|line| !line.starts_with('-')).collect();
        let policy = json!({"CACertificates": [authority]}).to_string();
        replace(&pod.directory().join("browser-policy.json"), &policy);
        // A mount of its own over what the machine's Chromium is told. Its profile goes away with the pod.
        let prepare = "mount -t tmpfs none /etc/chromium && mkdir -p \"$1\" \
            && cp /run/postern/browser-policy.json \"$1\" \
            && export TMPDIR=/run/postern HOME=/run/postern && shift && exec \"$@\"";
        let mut command = pod.place().command(pod.directory(), Path::new("/bin/sh"));
        command.args(["-c", prepare, "sh", POLICIES]);
        command.arg(peers.join("oidc/node")).arg(script).args([PROGRAM]).arg(pictures());
        let errors = pod.directory().join("browser.err");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(fs::File::create(&errors).expect("a file for what it says"));
        let mut child = command.spawn().expect("the browser's driver starts");
        let orders = child.stdin.take();
        let answers = lines(child.stdout.take().expect("a piped output"));
        Self { script: Mutex::new(Script { child, orders, answers, errors }), _turn: turn }
    }

    /// Has something done; panics with what the page showed when it cannot be.
    #[track_caller]
    pub(super) fn order(&self, order: &Value) -> Value {
        self.try_order(order)
            .unwrap_or_else(|error| panic!("the browser could not do {order}: {error}"))
    }

    /// The same, or why it could not be done.
    #[track_caller]
    pub(super) fn try_order(&self, order: &Value) -> Result<Value, String> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = script.ask(order);
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["done"].take()),
        }
    }
}

impl Script {
    #[track_caller]
    fn ask(&mut self, order: &Value) -> Value {
        let orders = self.orders.as_mut().expect("orders end when it is dropped");
        let sent = writeln!(orders, "{order}");
        let answer = sent
            .map_err(|error| error.to_string())
            .and_then(|()| self.answers.recv_timeout(DEADLINE).map_err(|error| error.to_string()));
        let answer = answer.unwrap_or_else(|error| {
            let said = fs::read_to_string(&self.errors).unwrap_or_default();
            panic!("the browser does not answer {order}: {error}\n{said}")
        });
        serde_json::from_str(&answer).expect("the script answers in JSON")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Its input ends: it closes the browser and goes, or is made to go, and the browser with it.
        drop(self.orders.take());
        let gone = || matches!(self.child.try_wait(), Ok(Some(_)) | Err(_));
        if !wait::holds_within(Duration::from_secs(5), gone) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Until no address of the pod is tentative any more: a browser ends whatever it is loading when an address comes.
fn wait_for_addresses(pod: &Pod) {
    wait::until_true("the pod's addresses to settle", || {
        let links = pod.command("ip", &["-6", "address", "show", "dev", "eth0"]).ok();
        links.contains("fe80:") && !links.contains("tentative")
    });
}

/// The lines of an output as they come.
fn lines(output: ChildStdout) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// How the pictures of this story's failures begin, in the target directory.
fn pictures() -> PathBuf {
    let directory = target_directory().join("pictures");
    fs::create_dir_all(&directory).expect("a directory for pictures");
    let thread = std::thread::current();
    directory.join(thread.name().unwrap_or("story").replace("::", "-"))
}

/// A right to run a browser: each takes two hundred megabytes and, in its first second, a whole core.
struct Turn;

static RUNNING: Mutex<u8> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
const AT_ONCE: u8 = 2;
/// No story has its browser for so long.
const TURN: Duration = Duration::from_secs(120);

impl Turn {
    fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = ENDED.wait_timeout_while(running, TURN, |running| *running >= AT_ONCE);
        let (mut running, late) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!late.timed_out(), "{AT_ONCE} other stories kept their browsers for {TURN:?}");
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
