//! Whether the other end of an HTTP/2 connection still lives; for both sides of one.

use crate::limits::Limits;

/// Returns when a peer with streams under way gives no sign of life (SECURITY-CASES F-15).
/// `pings` are the connection's own; without them it is never silent.
pub(crate) async fn until_silent(
    pings: Option<h2::PingPong>,
    limits: &Limits,
    has_streams: impl Fn() -> bool,
) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tokio::time::sleep(limits.ping_interval).await;
        if !has_streams() {
            continue;
        }
        let answer = pings.ping(h2::Ping::opaque());
        if !matches!(tokio::time::timeout(limits.ping_timeout, answer).await, Ok(Ok(_))) {
            return;
        }
    }
}
