//! Streams of the Workload API: the first message at once, then one for each change that the
//! stream is about (Workload API §4.3). A stream whose agent stops ends with Unavailable, never
//! cleanly.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::renewal::held::{Held, Holding};
use crate::renewal::trust::Trust;

/// A stream of messages.
pub type Updates<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What one kind of stream is about.
#[derive(Debug, Clone, Copy)]
pub struct Topic<T> {
    /// The full set, as a message.
    pub message: fn(&Held, &Trust) -> T,
    /// Whether a change is none for this stream.
    pub same: fn(&Holding, &Holding) -> bool,
}

/// Whether the certificate is the same.
#[must_use]
pub fn same_identity(one: &Holding, other: &Holding) -> bool {
    match (&one.identity, &other.identity) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether certificates are verified alike: the same roots and revocation lists, domain by domain.
#[must_use]
pub fn same_x509(one: &Holding, other: &Holding) -> bool {
    Arc::ptr_eq(&one.trust, &other.trust)
        || one
            .trust
            .domains()
            .map(|domain| (domain.trust_domain(), domain.roots.roots(), &domain.crls))
            .eq(other
                .trust
                .domains()
                .map(|domain| (domain.trust_domain(), domain.roots.roots(), &domain.crls)))
}

/// Whether tokens are verified alike.
#[must_use]
pub fn same_jwt(one: &Holding, other: &Holding) -> bool {
    Arc::ptr_eq(&one.trust, &other.trust)
        || one
            .trust
            .domains()
            .map(|domain| (domain.trust_domain(), &domain.jwks))
            .eq(other.trust.domains().map(|domain| (domain.trust_domain(), &domain.jwks)))
}

/// Where a stream stands.
struct Place<T> {
    holding: watch::Receiver<Holding>,
    stop: CancellationToken,
    topic: Topic<T>,
    /// What was said last; none before the first message.
    said: Option<Holding>,
    next: Option<Holding>,
    ended: bool,
}

/// Begins with `first`. `holding` must have seen it, so that no change is lost between it and the
/// next message.
#[must_use]
pub fn updates<T: Send + 'static>(
    first: Holding,
    holding: watch::Receiver<Holding>,
    stop: CancellationToken,
    topic: Topic<T>,
) -> Updates<T> {
    let place = Place { holding, stop, topic, said: None, next: Some(first), ended: false };
    Box::pin(stream::unfold(place, step))
}

async fn step<T>(mut place: Place<T>) -> Option<(Result<T, Status>, Place<T>)> {
    if place.ended {
        return None;
    }
    loop {
        let next = match place.next.take() {
            Some(next) => next,
            None => match place.stop.run_until_cancelled(place.holding.changed()).await {
                Some(Ok(())) => place.holding.borrow_and_update().clone(),
                _ => {
                    place.ended = true;
                    return Some((Err(Status::unavailable("the agent is stopping")), place));
                }
            },
        };
        let known = place.said.as_ref().is_some_and(|said| (place.topic.same)(said, &next));
        if let Some(held) = next.identity.clone().filter(|_| !known) {
            let message = (place.topic.message)(&held, &next.trust);
            place.said = Some(next);
            return Some((Ok(message), place));
        }
    }
}
