//! Log lines on their way out: gathered by each worker and written by one thread, for which no worker waits.
//!
//! A blocked or slow standard output costs lines, which are counted, and never a request
//! (SECURITY-CASES F-23).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

/// A worker hands its lines on when it has this many bytes, and at every tick.
const BATCH: usize = 64 * 1024;
/// Batches that may wait for the writer: 4 MiB of lines.
const QUEUE: usize = 64;
/// An empty batch, which no worker sends: it ends the thread.
const END: Vec<u8> = Vec::new();
/// How long the end waits for the output to take what is left.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The thread that writes, and the way to it.
pub struct LogWriter {
    sender: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    done: Receiver<()>,
}

impl LogWriter {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// The system's, when no thread can be had.
    pub fn start(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let (alive, done) = sync_channel(1);
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || {
            write_all(&receiver, &told, out);
            drop(alive);
        })?;
        Ok(Self { sender, dropped: Arc::default(), ended, done })
    }

    /// A sink for one worker.
    #[must_use]
    pub fn sink(&self) -> LogSink {
        LogSink {
            lines: Mutex::default(),
            sender: self.sender.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// Lines lost so far because the output did not take them.
    #[must_use]
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }

    /// Ends the thread when everything handed on so far is written, or after a second of an output
    /// that takes nothing.
    pub fn finish(self) {
        self.ended.store(true, Relaxed);
        // Wakes a thread that has nothing to write; a full queue keeps it awake anyway.
        let _ = self.sender.try_send(END);
        // Never sent to: it disconnects when the thread is done.
        let _ = self.done.recv_timeout(LAST_WORDS);
    }
}

fn write_all(receiver: &Receiver<Vec<u8>>, ended: &AtomicBool, mut out: impl Write) {
    while let Ok(batch) = receiver.recv() {
        write_batch(&mut out, &batch);
        if ended.load(Relaxed) {
            receiver.try_iter().for_each(|batch| write_batch(&mut out, &batch));
            return;
        }
    }
}

fn write_batch(out: &mut impl Write, batch: &[u8]) {
    // Nobody is left to tell when standard output is gone.
    let _ = out.write_all(batch);
    let _ = out.flush();
}

/// One worker's end: lines are gathered here and handed on in batches.
pub struct LogSink {
    lines: Mutex<Vec<u8>>,
    sender: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl LogSink {
    /// Lets `write` append one line.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.lock();
        write(&mut lines);
        if lines.len() >= BATCH {
            self.send_batch(&mut lines);
        }
    }

    /// Hands on what has been gathered; called at every tick of the worker.
    pub fn flush(&self) {
        let mut lines = self.lines.lock();
        if !lines.is_empty() {
            self.send_batch(&mut lines);
        }
    }

    fn send_batch(&self, lines: &mut Vec<u8>) {
        let batch = std::mem::take(lines);
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
            self.sender.try_send(batch)
        {
            self.dropped.fetch_add(lost.iter().filter(|b| **b == b'\n').count() as u64, Relaxed);
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
    struct GatedWriter(Arc<Mutex<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for GatedWriter {
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
        let writer = LogWriter::start(GatedWriter(gate.clone(), seen.clone())).unwrap();
        let (sink, dropped) = (writer.sink(), writer.dropped());
        let closed = gate.lock();
        let lines = QUEUE as u64 + 50;
        for _ in 0..lines {
            sink.append(|out| out.extend_from_slice(b"line\n"));
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
