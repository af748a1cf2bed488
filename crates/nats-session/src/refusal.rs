//! How a refusal is told: in the words of nats-server, which client libraries know.

use bytes::Bytes;
use message_access::SessionEnd;

/// The longest reason that a client is told of its session's end.
const REASON_CHARS: usize = 256;

/// A message is not published.
pub(crate) fn publish(subject: &str) -> Bytes {
    error(&format!("Permissions Violation for Publish to {}", quoted(subject)))
}

/// A message is not published, because answers to it would go where the client may not publish.
pub(crate) fn reply(reply: &str) -> Bytes {
    error(&format!("Permissions Violation for Publish with Reply of {}", quoted(reply)))
}

/// A subscription is not opened.
pub(crate) fn subscription(subject: &str, queue: Option<&str>) -> Bytes {
    error(&violation_of_subscription(subject, queue))
}

/// A subscription is taken back.
pub(crate) fn revoked(subject: &str, queue: Option<&str>, sid: &str) -> Bytes {
    error(&format!("{} (sid {})", violation_of_subscription(subject, queue), quoted(sid)))
}

/// The session ends.
pub(crate) fn end(end: &SessionEnd) -> Bytes {
    let reason = match end {
        SessionEnd::Denied => "Authorization Violation",
        SessionEnd::Version(reason) | SessionEnd::Malformed(reason) | SessionEnd::Limit(reason) => {
            reason
        }
    };
    let clean = |c: char| if c == '\'' || c.is_control() { ' ' } else { c };
    error(&reason.chars().take(REASON_CHARS).map(clean).collect::<String>())
}

fn violation_of_subscription(subject: &str, queue: Option<&str>) -> String {
    let subject = quoted(subject);
    match queue {
        None => format!("Permissions Violation for Subscription to {subject}"),
        Some(queue) => {
            format!(
                "Permissions Violation for Subscription to {subject} using queue {}",
                quoted(queue)
            )
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn error(text: &str) -> Bytes {
    format!("-ERR '{text}'\r\n").into()
}
