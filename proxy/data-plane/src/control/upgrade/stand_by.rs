//! A proxy that finds another one in its place: it waits until that one is gone.
//!
//! A container that was upgraded from outside of it ends with its drained proxy, and is started again by the kubelet.
//! What starts then must not share the ports with the proxy that has taken over; it is there for the case that that one
//! ends.

use std::io;
use std::time::Duration;

use super::meeting_point::{MeetingPoint, MeetingPointListener};

/// How often the place is looked at: nobody accepts between the end of the one and the start of the other.
const LOOK: Duration = Duration::from_millis(100);

/// The meeting point of a proxy that starts anew; waits for it while a proxy of our own user has it. `None` where the
/// proxy has to do without.
///
/// # Errors
/// A socket that is `required`, because the configuration names it, cannot be had: a second start by mistake must not
/// wait for ever unseen.
pub(crate) async fn stand_by(
    point: &MeetingPoint,
    required: bool,
) -> io::Result<Option<MeetingPointListener>> {
    match point.listen() {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if required => Err(error),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_ours(point) => {
            tracing::info!(meeting_point = %point, "another proxy runs here; standing by until it ends");
            until_free(point).await.map(Some)
        }
        Err(error) => {
            tracing::warn!(%error, meeting_point = %point, "this proxy cannot be upgraded in place");
            Ok(None)
        }
    }
}

/// Whether the one who waits there is of our own user and listens: whoever else took the name keeps no proxy from starting.
fn is_ours(point: &MeetingPoint) -> bool {
    point.connect().is_ok()
}

async fn until_free(point: &MeetingPoint) -> io::Result<MeetingPointListener> {
    loop {
        tokio::time::sleep(LOOK).await;
        match point.listen() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
}
