//! Log lines on their way out: gathered by each worker, written by one thread, never waited for.
//!
//! A blocked or slow standard output costs lines, which are counted, and never a request
//! (SECURITY-CASES F-23).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

/// A worker hands its lines on when it has this many bytes, and at every tick.
const BATCH: usize = 16 * 1024;
/// Batches that may wait for the writer: 4 MiB of lines.
const QUEUE: usize = 256;
/// What no worker hands on: nothing. It ends the thread.
const END: String = String::new();

/// The thread that writes, and the way to it.
pub struct LogWriter {
    sender: SyncSender<String>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// The system's, when no thread can be had.
    pub fn start(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&receiver, out))?;
        Ok(Self { sender, dropped: Arc::default(), thread: Some(thread) })
    }

    /// A sink for one worker.
    #[must_use]
    pub fn sink(&self) -> LogSink {
        LogSink {
            lines: Mutex::new(String::with_capacity(BATCH + 1024)),
            sender: self.sender.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// Lines lost so far because the output did not take them.
    #[must_use]
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }

    /// Ends the thread when everything handed on so far is written. An output that has been
    /// blocked for so long that the queue is full is not waited for.
    pub fn finish(mut self) {
        let told = self.sender.try_send(END).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| told) {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

fn write_all(receiver: &Receiver<String>, mut out: impl Write) {
    while let Ok(batch) = receiver.recv() {
        if batch == END {
            return;
        }
        // Nobody is left to tell when standard output is gone.
        let _ = out.write_all(batch.as_bytes());
        let _ = out.flush();
    }
}

/// One worker's end: lines are gathered here and handed on in batches.
pub struct LogSink {
    lines: Mutex<String>,
    sender: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

impl LogSink {
    /// Lets `write` append one line.
    pub fn append(&self, write: impl FnOnce(&mut String)) {
        let mut lines = self.lines.lock();
        write(&mut lines);
        if lines.len() >= BATCH {
            self.hand_on(&mut lines);
        }
    }

    /// Hands on what has been gathered; called at every tick of the worker.
    pub fn flush(&self) {
        let mut lines = self.lines.lock();
        if !lines.is_empty() {
            self.hand_on(&mut lines);
        }
    }

    fn hand_on(&self, lines: &mut String) {
        let batch = std::mem::replace(lines, String::with_capacity(BATCH + 1024));
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
            self.sender.try_send(batch)
        {
            self.dropped.fetch_add(lost.bytes().filter(|b| *b == b'\n').count() as u64, Relaxed);
        }
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Takes nothing until it is let go.
    struct Gate(Arc<Mutex<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _open = self.0.lock();
            self.1.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn f23_a_blocked_output_drops_lines_and_counts_them() {
        let (gate, seen) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(Vec::new())));
        let writer = LogWriter::start(Gate(gate.clone(), seen.clone())).unwrap();
        let (sink, dropped) = (writer.sink(), writer.dropped());
        let closed = gate.lock();
        let lines = QUEUE as u64 + 50;
        for _ in 0..lines {
            sink.append(|out| out.push_str("line\n"));
            sink.flush();
        }
        // One batch may be in the writer's hands, the queue holds QUEUE.
        let lost = dropped.load(Relaxed);
        assert!((49..=50).contains(&lost), "{lost}");
        drop(closed);
        drop(sink);
        writer.finish();
        let written = seen.lock().iter().filter(|b| **b == b'\n').count() as u64;
        assert_eq!(written + lost, lines);
    }
}
