//! The threads beside the workers that look through requests: a worker goes on with its other requests meanwhile.
//!
//! So many threads, and so many requests that wait for them; what is beyond is told at once. The threads begin with the
//! first request. Whoever no longer waits for a result is noticed between two rules, and before it begins.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// As many wait as may, or there is no thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFull;

/// Threads, and what waits for them.
pub struct InspectionPool {
    threads: usize,
    shared: Arc<PoolShared>,
}

type Job = Box<dyn FnOnce() + Send>;

struct PoolShared {
    most_waiting: usize,
    state: Mutex<PoolState>,
    work: Condvar,
}

#[derive(Default)]
struct PoolState {
    waiting: VecDeque<Job>,
    started: usize,
    ended: bool,
}

impl InspectionPool {
    /// So many threads, for which so many may wait.
    #[must_use]
    pub fn new(threads: usize, most_waiting: usize) -> Self {
        let shared = PoolShared { most_waiting, state: Mutex::default(), work: Condvar::new() };
        Self { threads, shared: Arc::new(shared) }
    }

    /// Has a thread do this. It is asked to say whether anybody still waits. The result is an error where the work panicked.
    ///
    /// # Errors
    /// [`PoolFull`]
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, PoolFull> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            if sender.is_closed() {
                return;
            }
            // A panic takes its request with it, and not the thread; the hook has counted it.
            let done = catch_unwind(AssertUnwindSafe(|| work(&|| !sender.is_closed())));
            if let Ok(result) = done {
                let _ = sender.send(result);
            }
        });
        self.push(job)?;
        Ok(receiver)
    }

    fn push(&self, job: Job) -> Result<(), PoolFull> {
        let mut state = self.shared.state.lock();
        self.start_threads(&mut state);
        if state.started == 0 || state.waiting.len() >= self.shared.most_waiting {
            return Err(PoolFull);
        }
        state.waiting.push_back(job);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// A thread that the system refuses is asked for with the next request.
    fn start_threads(&self, state: &mut PoolState) {
        while state.started < self.threads {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name(format!("inspect-{}", state.started));
            if let Err(error) = thread.spawn(move || shared.work_until_end()) {
                tracing::error!(%error, "cannot start a thread that looks through requests");
                return;
            }
            state.started += 1;
        }
    }
}

impl Drop for InspectionPool {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.work.notify_all();
    }
}

impl PoolShared {
    fn work_until_end(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return None;
            }
            match state.waiting.pop_front() {
                Some(job) => return Some(job),
                None => self.work.wait(&mut state),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::mpsc;

    use super::*;

    /// Work that begins, and goes on until it is told to.
    struct Held {
        begun: mpsc::Receiver<()>,
        go_on: mpsc::Sender<()>,
        result: oneshot::Receiver<bool>,
    }

    fn hold(pool: &InspectionPool) -> Held {
        let (begin, begun) = mpsc::channel();
        let (go_on, told) = mpsc::channel();
        let result = pool.run(move |is_awaited: &dyn Fn() -> bool| {
            begin.send(()).unwrap();
            told.recv().unwrap();
            is_awaited()
        });
        Held { begun, go_on, result: result.unwrap() }
    }

    #[test]
    fn what_is_beyond_the_queue_is_told_at_once() {
        let pool = InspectionPool::new(1, 1);
        let held = hold(&pool);
        held.begun.recv().unwrap();
        let waiting = pool.run(|_| 7).unwrap();
        assert_eq!(pool.run(|_| 8).err(), Some(PoolFull));
        held.go_on.send(()).unwrap();
        assert_eq!(held.result.blocking_recv(), Ok(true));
        assert_eq!(waiting.blocking_recv(), Ok(7));
    }

    #[test]
    fn nobody_works_for_whoever_has_gone() {
        let pool = InspectionPool::new(1, 4);
        let held = hold(&pool);
        held.begun.recv().unwrap();
        let (touched, untouched) = mpsc::channel();
        drop(pool.run(move |_| touched.send(()).unwrap()));
        let Held { go_on, result, .. } = held;
        drop(result);
        go_on.send(()).unwrap();
        // The thread is there for the next one, and has left out what nobody waited for.
        assert_eq!(pool.run(|_| 1).unwrap().blocking_recv(), Ok(1));
        assert!(untouched.try_recv().is_err());
    }

    #[test]
    fn a_panic_takes_its_request_and_not_the_thread() {
        let pool = InspectionPool::new(1, 4);
        let lost = pool.run(|_| -> u8 { panic!("a mistake of the engine") }).unwrap();
        assert!(lost.blocking_recv().is_err());
        assert_eq!(pool.run(|_| 1).unwrap().blocking_recv(), Ok(1));
    }
}
