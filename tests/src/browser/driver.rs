//! The process that drives a browser: one order a line, one answer a line, each with a deadline.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::binaries::target_directory;
use crate::certificates::replace;
use crate::driven::Driven;
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
    script: Mutex<Driven>,
    _turn: Turn,
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
        let script = Driven::start("browser", command, pod.directory(), DEADLINE);
        Self { script: Mutex::new(script), _turn: turn }
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

/// Until no address of the pod is tentative any more: a browser ends whatever it is loading when an address comes.
fn wait_for_addresses(pod: &Pod) {
    wait::until_true("the pod's addresses to settle", || {
        let links = pod.command("ip", &["-6", "address", "show", "dev", "eth0"]).ok();
        links.contains("fe80:") && !links.contains("tentative")
    });
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
