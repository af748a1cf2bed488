//! The in-place upgrade of a pod's proxy: another process takes over, and the one before ends.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::{Pod, lock};
use crate::binaries::binary;
use crate::config::overlay;
use crate::logs::LogLine;
use crate::process::Process;
use crate::wait;

/// How long a successor may take to take over.
const TAKE_OVER: Duration = Duration::from_secs(20);

impl Pod {
    /// Changes what its proxy's configuration says; the running proxy does not see it.
    pub fn configure(&self, change: &Value) {
        let file = self.directory().join("proxy.yaml");
        let text = fs::read(&file).expect("the configuration the harness wrote");
        let mut config: Value = serde_json::from_slice(&text).expect("it wrote JSON");
        overlay(&mut config, change);
        fs::write(file, config.to_string()).expect("a config file");
    }

    /// Starts another process of its proxy that is to take over; its output is in `NAME.out` and `NAME.err`.
    #[must_use]
    pub fn start_successor(&self, name: &str) -> Process {
        let config = self.parts.place.path(&self.parts.directory, "proxy.yaml");
        let config = config.to_str().expect("our paths are text");
        self.start_program(
            name,
            &binary("postern-proxy"),
            &["run", "--upgrade", "--config", config],
        )
    }

    /// Lets another process take over, which is the pod's proxy from then on; the one before, which drains.
    #[track_caller]
    pub fn upgrade_proxy(&self, name: &str) -> Process {
        let mut successor = self.start_successor(name);
        wait::until(&format!("{name} of {} to take over", self.name()), TAKE_OVER, || {
            if let Some(status) = successor.ended() {
                panic!("{name} of {} ended with {status}: {}", self.name(), successor.stderr());
            }
            let lines = LogLine::read(&successor.stdout());
            let took = lines.iter().any(|line| line.has(&[("message", "took over")]));
            if took { Ok(()) } else { Err(successor.stdout()) }
        });
        let before = lock(&self.proxy).replace(successor);
        before.expect("this pod's proxy was started")
    }
}
