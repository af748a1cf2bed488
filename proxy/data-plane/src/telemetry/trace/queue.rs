//! Finished spans on their way out: gathered by each worker, held in one bounded queue until the collector has them.
//!
//! No request waits for a collector. When it is away or slow the queue fills, and then the oldest spans are dropped and
//! counted.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::span::FinishedSpan;

/// A worker hands its spans on when it has this many, and at every tick.
const HANDED_ON_AT: usize = 64;

/// The spans of all workers that wait for the collector.
pub struct SpanQueue {
    waiting: Mutex<VecDeque<FinishedSpan>>,
    most: usize,
    batch: usize,
    filled: Notify,
    dropped: IntCounter,
}

impl SpanQueue {
    /// An empty queue for at most so many spans, which are sent `batch` at a time; `dropped` counts what is lost.
    #[must_use]
    pub fn new(most: usize, batch: usize, dropped: IntCounter) -> Self {
        let batch = batch.clamp(1, most.max(1));
        Self { waiting: Mutex::default(), most, batch, filled: Notify::new(), dropped }
    }

    /// Takes these spans over; the oldest make room.
    pub fn add(&self, spans: &mut Vec<FinishedSpan>) {
        let mut waiting = self.waiting.lock();
        waiting.extend(spans.drain(..));
        self.make_room(&mut waiting);
        if waiting.len() >= self.batch {
            self.filled.notify_one();
        }
    }

    /// The oldest spans, as many as are sent at once.
    pub fn take_batch(self: &Arc<Self>) -> SpanBatch {
        let mut waiting = self.waiting.lock();
        let batch = waiting.len().min(self.batch);
        SpanBatch { spans: waiting.drain(..batch).collect(), queue: self.clone() }
    }

    /// Spans that could not be sent are the oldest again, and the first to make room.
    fn put_back(&self, spans: Vec<FinishedSpan>) {
        let mut waiting = self.waiting.lock();
        spans.into_iter().rev().for_each(|span| waiting.push_front(span));
        self.make_room(&mut waiting);
    }

    /// Waits until a whole batch is there.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Whether no span waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// Whether a whole batch is there.
    #[must_use]
    pub fn has_batch(&self) -> bool {
        self.waiting.lock().len() >= self.batch
    }

    fn make_room(&self, waiting: &mut VecDeque<FinishedSpan>) {
        let surplus = waiting.len().saturating_sub(self.most);
        if surplus > 0 {
            waiting.drain(..surplus);
            self.dropped.inc_by(u64::try_from(surplus).unwrap_or(u64::MAX));
        }
    }
}

/// Spans on their way to the collector. Dropped before anybody has said what became of them, they wait again.
pub struct SpanBatch {
    spans: Vec<FinishedSpan>,
    queue: Arc<SpanQueue>,
}

impl SpanBatch {
    /// The collector has taken them but for so many, which are counted as dropped. The number of those that it has.
    #[must_use]
    pub fn taken(mut self, rejected: u64) -> u64 {
        let all = u64::try_from(self.spans.len()).unwrap_or(u64::MAX);
        let rejected = rejected.min(all);
        self.queue.dropped.inc_by(rejected);
        self.spans.clear();
        all - rejected
    }

    /// The collector will never take them: they are dropped and counted.
    pub fn refused(self) {
        let _ = self.taken(u64::MAX);
    }
}

impl Deref for SpanBatch {
    type Target = [FinishedSpan];

    fn deref(&self) -> &[FinishedSpan] {
        &self.spans
    }
}

impl Drop for SpanBatch {
    fn drop(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if !spans.is_empty() {
            self.queue.put_back(spans);
        }
    }
}

/// One worker's end of the queue: nothing on the path of a request takes a lock that another worker takes.
pub struct SpanSink {
    gathered: Mutex<Vec<FinishedSpan>>,
    queue: Arc<SpanQueue>,
}

impl SpanSink {
    /// A sink into this queue.
    #[must_use]
    pub fn new(queue: Arc<SpanQueue>) -> Self {
        Self { gathered: Mutex::default(), queue }
    }

    /// Gathers one span.
    pub fn add(&self, span: FinishedSpan) {
        let mut gathered = self.gathered.lock();
        gathered.push(span);
        if gathered.len() >= HANDED_ON_AT {
            self.queue.add(&mut gathered);
        }
    }

    /// Hands on what has been gathered; called at every tick of the worker.
    pub fn flush(&self) {
        let mut gathered = self.gathered.lock();
        if !gathered.is_empty() {
            self.queue.add(&mut gathered);
        }
    }
}

impl Drop for SpanSink {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{Method, Version};

    use super::super::context::{SpanId, TraceContext, TraceId};
    use super::super::span::SpanKind;
    use super::*;

    fn span(number: u64) -> FinishedSpan {
        FinishedSpan {
            kind: SpanKind::Server,
            context: TraceContext::root(
                TraceId::from_random(1, 1),
                SpanId::from_random(number),
                true,
            ),
            parent: None,
            trace_state: None,
            start: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            method: Method::GET,
            route: None,
            host: None,
            port: None,
            path: None,
            version: Version::HTTP_11,
            status: 200,
            reason: "ok",
            grpc_status: None,
            resends: 0,
            upstream: None,
            source_principal: "none".into(),
            destination_principal: "none".into(),
            destination_service: "unknown".into(),
        }
    }

    fn queue(most: usize, batch: usize) -> Arc<SpanQueue> {
        Arc::new(SpanQueue::new(most, batch, IntCounter::new("dropped", "dropped").unwrap()))
    }

    fn numbers(spans: &[FinishedSpan]) -> Vec<u64> {
        spans.iter().map(|span| u64::from_be_bytes(*span.context.span_id.bytes())).collect()
    }

    /// The numbers of the next batch, which the collector takes.
    fn sent(queue: &Arc<SpanQueue>) -> Vec<u64> {
        let batch = queue.take_batch();
        let numbers = numbers(&batch);
        assert_eq!(batch.taken(0), numbers.len() as u64);
        numbers
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_them() {
        let queue = queue(4, 3);
        queue.add(&mut (1..=6).map(span).collect());
        assert_eq!(queue.dropped.get(), 2);
        assert_eq!(sent(&queue), [3, 4, 5]);
        assert_eq!(sent(&queue), [6]);
        assert!(queue.take_batch().is_empty() && queue.is_empty());
    }

    #[test]
    fn what_could_not_be_sent_is_the_oldest_again() {
        let queue = queue(4, 2);
        queue.add(&mut (1..=3).map(span).collect());
        let failed = queue.take_batch();
        queue.add(&mut (4..=5).map(span).collect());
        drop(failed);
        assert_eq!(queue.dropped.get(), 1);
        assert_eq!(sent(&queue), [2, 3]);
        assert_eq!(sent(&queue), [4, 5]);
    }

    #[test]
    fn what_a_collector_rejects_is_dropped() {
        let queue = queue(10, 10);
        for (rejected, taken) in [(0, 3), (2, 1), (9, 0)] {
            queue.add(&mut (1..=3).map(span).collect());
            assert_eq!(queue.take_batch().taken(rejected), taken, "{rejected} rejected");
        }
        queue.add(&mut (1..=3).map(span).collect());
        queue.take_batch().refused();
        assert_eq!(queue.dropped.get(), 2 + 3 + 3);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_worker_hands_on_what_it_has_gathered() {
        let queue = queue(1000, 100);
        let sink = SpanSink::new(queue.clone());
        sink.add(span(1));
        assert!(queue.is_empty());
        sink.flush();
        assert_eq!(sent(&queue), [1]);
        (0..HANDED_ON_AT as u64).for_each(|number| sink.add(span(number)));
        assert_eq!(sent(&queue).len(), HANDED_ON_AT);
        sink.add(span(2));
        drop(sink);
        assert_eq!(sent(&queue), [2]);
    }

    #[tokio::test]
    async fn whoever_sends_is_woken_by_a_whole_batch() {
        let queue = queue(10, 2);
        queue.add(&mut vec![span(1)]);
        let waits = tokio::time::timeout(Duration::from_millis(10), queue.filled()).await;
        assert!(waits.is_err() && !queue.has_batch());
        queue.add(&mut vec![span(2)]);
        assert!(queue.has_batch());
        queue.filled().await;
    }
}
