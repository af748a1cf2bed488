//! A thread with a runtime of its own, for the connections.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Thread {
    _ends: oneshot::Sender<Infallible>,
}

/// Starts it, with what runs tasks there.
///
/// # Errors
/// The operating system's: no thread, or no descriptors.
pub(crate) fn start(name: &str) -> io::Result<(Thread, Handle)> {
    let (ends, ended) = oneshot::channel::<Infallible>();
    let (started, starts) = sync_channel(1);
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        // Whoever starts it waits for this.
        let _ = started.send(Ok(runtime.handle().clone()));
        // Never a value: it is dropped.
        let _ = runtime.block_on(ended);
        // A look-up of a name may hang in the operating system; nobody waits for it.
        runtime.shutdown_background();
    })?;
    let handle = starts.recv().map_err(io::Error::other)??;
    Ok((Thread { _ends: ends }, handle))
}
