//! One conversation with Envoy: it says what it wants and how it took what it got; we say what
//! there is, and again when that changes.

use futures_util::stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::renewal::rotation::ClockReading;
use crate::renewal::served_state::ServedState;
use crate::serve::updates::UpdateStream;

use super::secrets::TYPE_URL;

/// Resources that one request may name.
pub const MAX_NAMES: usize = 64;
/// The longest name: a SPIFFE id (SPIFFE-ID §2.3).
const MAX_NAME: usize = 2048;

/// The state of a conversation. Without sockets, so that it can be tested with messages alone.
pub trait DiscoveryConversation: Send + 'static {
    /// What the client says.
    type Request: Send + 'static;
    /// What we say.
    type Response: Send + 'static;

    /// Takes what the client says.
    ///
    /// # Errors
    /// InvalidArgument for what is no request of this service; it ends the stream.
    fn hear(&mut self, request: Self::Request) -> Result<(), Status>;

    /// What there is to say now (Unix seconds); nothing when the client knows it all.
    fn say(&mut self, holding: &ServedState, now: u64) -> Option<Self::Response>;
}

/// The type, if one is named, and how many names of what length are asked for.
///
/// # Errors
/// InvalidArgument.
pub fn check_request(type_url: &str, names: &[String]) -> Result<(), Status> {
    if !type_url.is_empty() && type_url != TYPE_URL {
        return Err(Status::invalid_argument(format!("only {TYPE_URL} is served here")));
    }
    if names.len() > MAX_NAMES || names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(Status::invalid_argument("at most 64 names of at most 2048 bytes"));
    }
    Ok(())
}

struct StreamPosition<C: DiscoveryConversation> {
    conversation: C,
    requests: Streaming<C::Request>,
    holding: watch::Receiver<ServedState>,
    stop: CancellationToken,
    ended: bool,
}

/// Until the client leaves, says what is no request, or `stop`.
pub fn converse<C: DiscoveryConversation>(
    conversation: C,
    requests: Streaming<C::Request>,
    holding: watch::Receiver<ServedState>,
    stop: CancellationToken,
) -> UpdateStream<C::Response> {
    let place = StreamPosition { conversation, requests, holding, stop, ended: false };
    Box::pin(stream::unfold(place, step))
}

async fn step<C: DiscoveryConversation>(
    mut place: StreamPosition<C>,
) -> Option<(Result<C::Response, Status>, StreamPosition<C>)> {
    if place.ended {
        return None;
    }
    loop {
        let holding = place.holding.borrow_and_update().clone();
        if let Some(response) = place.conversation.say(&holding, ClockReading::now().unix()) {
            return Some((Ok(response), place));
        }
        let heard = tokio::select! {
            () = place.stop.cancelled() => Err(Status::unavailable("the agent is stopping")),
            request = place.requests.message() => match request {
                Ok(Some(request)) => place.conversation.hear(request),
                // It left.
                Ok(None) | Err(_) => return None,
            },
            changed = place.holding.changed() => {
                changed.map_err(|_| Status::unavailable("the agent is stopping"))
            }
        };
        if let Err(status) = heard {
            place.ended = true;
            return Some((Err(status), place));
        }
    }
}
