//! A window over the latest records of one kind, for a person who asks what happened just now.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// How much memory a record takes.
pub trait RecordSize {
    /// About so many bytes, with what a caller can make long.
    fn bytes(&self) -> usize;
}

/// The latest records; the oldest are dropped.
pub struct RecentRecords<T> {
    size: usize,
    window: Mutex<RecordQueue<T>>,
}

struct RecordQueue<T> {
    records: VecDeque<T>,
    bytes: usize,
}

/// The average size of a record, bytes: a caller that sends the longest paths shortens the window, and does not enlarge
/// it.
pub(crate) const AVERAGE: usize = 1024;

impl<T: RecordSize + Clone> RecentRecords<T> {
    /// A window of this many records, or as many as fit at 1 KiB on average; 0 keeps none.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, window: Mutex::new(RecordQueue { records: VecDeque::new(), bytes: 0 }) }
    }

    /// Adds one.
    pub fn add(&self, record: T) {
        self.push(&mut self.window.lock(), record);
    }

    /// Adds one of many: in audit mode that is every request, and a request does not wait for the window while another
    /// worker writes to it.
    pub fn offer(&self, record: impl FnOnce() -> T) {
        if let Some(mut window) = self.window.try_lock() {
            self.push(&mut window, record());
        }
    }

    fn push(&self, window: &mut RecordQueue<T>, record: T) {
        let bytes = record.bytes();
        let most = self.size.saturating_mul(AVERAGE);
        while window.records.len() >= self.size || window.bytes + bytes > most {
            match window.records.pop_front() {
                Some(oldest) => window.bytes -= oldest.bytes(),
                None if self.size == 0 => return,
                // A single record may exceed the limit of all.
                None => break,
            }
        }
        window.bytes += bytes;
        window.records.push_back(record);
    }

    /// The window, newest first.
    #[must_use]
    pub fn recent(&self) -> Vec<T> {
        self.window.lock().records.iter().rev().cloned().collect()
    }
}
