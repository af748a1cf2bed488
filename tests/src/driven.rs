//! A process that does what it is told: one order a line, one answer a line, each with a deadline.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::wait;

/// The process; it ends when this is dropped.
pub(crate) struct Driven {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    errors: PathBuf,
    deadline: Duration,
}

impl Driven {
    /// Starts it. What it complains of goes to `NAME.err` in `logs`; an answer may take as long as `deadline`.
    pub(crate) fn start(name: &str, mut command: Command, logs: &Path, deadline: Duration) -> Self {
        let errors = logs.join(format!("{name}.err"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(fs::File::create(&errors).expect("a file for what it says"));
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("starting {name} ({command:?}): {error}"));
        let orders = child.stdin.take();
        let answers = lines(child.stdout.take().expect("a piped output"));
        Self { name: name.to_owned(), child, orders, answers, errors, deadline }
    }

    /// What it answers to an order; panics with what it complained of when it does not.
    #[track_caller]
    pub(crate) fn ask(&mut self, order: &Value) -> Value {
        let orders = self.orders.as_mut().expect("orders end when it is dropped");
        let sent = writeln!(orders, "{order}");
        let answer = sent.map_err(|error| error.to_string()).and_then(|()| {
            self.answers.recv_timeout(self.deadline).map_err(|error| error.to_string())
        });
        let answer = answer.unwrap_or_else(|error| {
            let said = fs::read_to_string(&self.errors).unwrap_or_default();
            panic!("{} does not answer {order}: {error}\n{said}", self.name)
        });
        serde_json::from_str(&answer).expect("it answers in JSON")
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Its input ends: it ends what it has started and goes, or is made to go.
        drop(self.orders.take());
        let gone = || matches!(self.child.try_wait(), Ok(Some(_)) | Err(_));
        if !wait::holds_within(Duration::from_secs(5), gone) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
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
