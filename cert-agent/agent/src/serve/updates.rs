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

use crate::renewal::bundle_set::BundleSet;
use crate::renewal::served_state::{CurrentIdentity, ServedState};

/// A stream of messages.
pub type UpdateStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What one kind of stream is about.
#[derive(Debug, Clone, Copy)]
pub struct StreamTopic<T> {
    /// The full set, as a message.
    pub message: fn(&CurrentIdentity, &BundleSet) -> T,
    /// Whether a change is none for this stream.
    pub same: fn(&ServedState, &ServedState) -> bool,
}

/// Whether the certificate is the same.
#[must_use]
pub fn same_identity(one: &ServedState, other: &ServedState) -> bool {
    match (&one.identity, &other.identity) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether certificates are verified alike: the same roots and revocation lists, domain by domain.
#[must_use]
pub fn same_x509(one: &ServedState, other: &ServedState) -> bool {
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
pub fn same_jwt(one: &ServedState, other: &ServedState) -> bool {
    Arc::ptr_eq(&one.trust, &other.trust)
        || one
            .trust
            .domains()
            .map(|domain| (domain.trust_domain(), &domain.jwks))
            .eq(other.trust.domains().map(|domain| (domain.trust_domain(), &domain.jwks)))
}

/// Where a stream stands.
struct StreamPosition<T> {
    holding: watch::Receiver<ServedState>,
    stop: CancellationToken,
    topic: StreamTopic<T>,
    /// What was said last; none before the first message.
    said: Option<ServedState>,
    next: Option<ServedState>,
    ended: bool,
}

/// Begins with `first`. `holding` must have seen it, so that no change is lost between it and the
/// next message.
#[must_use]
pub fn updates<T: Send + 'static>(
    first: ServedState,
    holding: watch::Receiver<ServedState>,
    stop: CancellationToken,
    topic: StreamTopic<T>,
) -> UpdateStream<T> {
    let place =
        StreamPosition { holding, stop, topic, said: None, next: Some(first), ended: false };
    Box::pin(stream::unfold(place, step))
}

async fn step<T>(mut place: StreamPosition<T>) -> Option<(Result<T, Status>, StreamPosition<T>)> {
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
