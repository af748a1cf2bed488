//! Asks once for what many requests want at the same moment: whoever comes while an answer is on its way gets that one.
//!
//! The work is a task of its own, so that it neither ends nor begins anew when the client that caused it goes away. Its
//! result is shared by the requests of all workers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Answers on their way, by what was asked for. Cheap to clone.
#[derive(Debug)]
pub struct SingleFlight<K, V> {
    flights: Arc<Mutex<Flights<K, V>>>,
    most: usize,
}

type Flights<K, V> = HashMap<K, watch::Receiver<Option<V>>>;

/// Nothing came: too many other answers are on their way, or the work ended without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many answers are on their way")]
pub struct NoFlight;

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self { flights: self.flights.clone(), most: self.most }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// With at most so many answers on their way.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { flights: Arc::default(), most }
    }

    /// The result of `work`, begun here unless it is under way for the same key. `work` has a deadline of its own.
    ///
    /// # Errors
    /// [`NoFlight`].
    pub async fn run<F>(&self, key: K, work: impl FnOnce() -> F) -> Result<V, NoFlight>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut landed = self.join(key, work)?;
        let value = landed.wait_for(Option::is_some).await.map_err(|_| NoFlight)?;
        value.clone().ok_or(NoFlight)
    }

    fn join<F>(
        &self,
        key: K,
        work: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<V>>, NoFlight>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.flights.lock();
        if let Some(under_way) = flights.get(&key) {
            return Ok(under_way.clone());
        }
        if flights.len() >= self.most {
            return Err(NoFlight);
        }
        let (landing, landed) = watch::channel(None);
        flights.insert(key.clone(), landed.clone());
        // Forgotten whatever becomes of the task, a panic included.
        let entry = Entry { flights: self.flights.clone(), key };
        let work = work();
        tokio::spawn(async move {
            let value = work.await;
            // Those that come from now on ask anew; what they would have joined is told first.
            landing.send_replace(Some(value));
            drop(entry);
        });
        Ok(landed)
    }
}

/// One answer on its way.
struct Entry<K: Hash + Eq, V> {
    flights: Arc<Mutex<Flights<K, V>>>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_get_the_answer_that_one_asked_for() {
        let flights = SingleFlight::new(8);
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = |key: &'static str| {
            let (flights, begun, go) = (flights.clone(), begun.clone(), go.clone());
            tokio::spawn(async move {
                let work = || async move {
                    let number = begun.fetch_add(1, Relaxed);
                    go.notified().await;
                    number
                };
                flights.run(key, work).await
            })
        };
        let together: Vec<_> = (0..5).map(|_| ask("a")).collect();
        tokio::task::yield_now().await;
        // The client that caused it is gone; the others get it all the same.
        together[0].abort();
        while begun.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for waiting in together.into_iter().skip(1) {
            assert_eq!(waiting.await.unwrap(), Ok(0));
        }
        let again = ask("a");
        go.notify_one();
        assert_eq!(again.await.unwrap(), Ok(1), "what has landed is asked for anew");
    }

    #[tokio::test]
    async fn there_are_at_most_so_many_and_a_panic_frees_its_place() {
        let flights = SingleFlight::<u8, u8>::new(1);
        let waiting = flights.clone();
        let waiting = tokio::spawn(async move { waiting.run(1, std::future::pending::<u8>).await });
        tokio::task::yield_now().await;
        assert_eq!(flights.run(2, || async { 2 }).await, Err(NoFlight));
        waiting.abort();

        let flights = SingleFlight::<u8, u8>::new(1);
        assert_eq!(flights.run(1, || async { panic!("on purpose") }).await, Err(NoFlight));
        assert_eq!(flights.run(2, || async { 2 }).await, Ok(2));
    }
}
