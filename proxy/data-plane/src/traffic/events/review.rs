//! A session that is open, told whenever policy changes: what it let in is judged again (SECURITY-CASES F-12, P-03).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::task::Context;

use futures_util::task::AtomicWaker;
use policy::Snapshot;

use crate::connection::registry::{Connection, ReviewableStream};

/// An open session, for as long as this value lives.
pub(super) struct SessionReview {
    signal: Arc<Signal>,
    connection: Arc<Connection>,
}

#[derive(Default)]
struct Signal {
    changed: AtomicBool,
    waker: AtomicWaker,
}

impl SessionReview {
    /// Registers a session on its connection, before it asks for the first time: a change of policy either finds it there,
    /// or the first question is answered by the new one.
    pub(super) fn begin(connection: &Arc<Connection>) -> Self {
        let signal = Arc::new(Signal::default());
        connection.add(signal.clone());
        Self { signal, connection: connection.clone() }
    }

    /// Whether policy has changed since this was last asked; otherwise the task is woken when it does.
    pub(super) fn has_changed(&self, cx: &Context<'_>) -> bool {
        self.signal.waker.register(cx.waker());
        self.signal.changed.swap(false, AcqRel)
    }
}

impl Drop for SessionReview {
    fn drop(&mut self) {
        let signal: Arc<dyn ReviewableStream> = self.signal.clone();
        self.connection.remove(&signal);
    }
}

impl ReviewableStream for Signal {
    /// The session asks for itself, in its own task: it knows what it has open.
    fn review(&self, _: &Connection, _: &Snapshot) {
        self.changed.store(true, std::sync::atomic::Ordering::Release);
        self.waker.wake();
    }
}
