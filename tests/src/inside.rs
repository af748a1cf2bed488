//! Code of a test that runs inside a pod's network: a thread that has moved there, with a runtime of its own.

use std::fs::File;
use std::future::Future;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::place::Place;

/// How long code inside a pod may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A thread inside a pod's network; ends when dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Something running inside a pod while the test goes on.
#[derive(Debug)]
pub struct Task<T> {
    answer: Receiver<T>,
}

impl Inside {
    pub(crate) fn enter(place: &Place) -> Self {
        let place = place.clone();
        let (send_handle, receive_handle) = channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            if let Place::Namespace(name) = &place {
                let file =
                    File::open(format!("/run/netns/{name}")).expect("the pod's namespace exists");
                setns(file, CloneFlags::CLONE_NEWNET)
                    .expect("the test may enter the pod's namespace");
            }
            let runtime =
                Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            send_handle.send(runtime.handle().clone()).expect("the test waits for the handle");
            // An error is the sender dropped: the same wish.
            let _ = runtime.block_on(stopped);
        });
        let handle = receive_handle.recv().expect("the thread inside the pod starts");
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts `future` inside and returns at once.
    pub(crate) fn spawn<T, F>(&self, future: F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (send, answer) = channel();
        self.handle.spawn(async move {
            // The test may have stopped listening.
            let _ = send.send(future.await);
        });
        Task { answer }
    }
}

impl<T> Task<T> {
    /// Waits for the result; panics when it panicked inside or takes longer than a minute.
    #[track_caller]
    pub fn join(self) -> T {
        self.join_within(DEADLINE)
    }

    /// Waits for the result; panics when it panicked inside or takes longer than `deadline`.
    #[track_caller]
    pub fn join_within(self, deadline: Duration) -> T {
        self.answer
            .recv_timeout(deadline)
            .unwrap_or_else(|error| panic!("the code inside the pod gave no answer: {error}"))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was reported when its task was joined.
            let _ = thread.join();
        }
    }
}
