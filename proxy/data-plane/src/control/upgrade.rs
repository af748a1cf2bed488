//! The in-place upgrade: another process of the same proxy takes the listening sockets over, and no connection is lost.
//!
//! The running proxy, the *predecessor*, listens on a unix socket. `run --upgrade`, the *successor*, connects to it,
//! receives every listening socket (the very sockets: a connection that waits in the accept queue of a socket that is
//! closed is reset), becomes ready while the predecessor still serves, accepts, and says so. The predecessor then stops
//! accepting and drains ([`crate::control::drain`]). Until the successor has said that it accepts, its end changes
//! nothing.
//!
//! | file | says |
//! |---|---|
//! | `frame` | what the two say to each other, and in which bytes |
//! | `channel` | the connection between them: whole frames, descriptors, deadlines, the peer's user |
//! | `meeting_point` | the unix socket that a predecessor is found at |
//! | `inherited` | the sockets that were received, by address |
//! | `successor` | the story of the one that takes over |
//! | `predecessor` | the story of the one that is taken over from |
//! | `stand_by` | one that starts while another one runs |

mod channel;
mod frame;
mod inherited;
mod meeting_point;
mod predecessor;
mod stand_by;
mod successor;

use std::time::Duration;

pub use inherited::InheritedSockets;
pub use meeting_point::{MeetingPoint, MeetingPointListener, SocketPathError};
pub(crate) use predecessor::{HandOver, keep_ready};
pub(crate) use stand_by::stand_by;
pub(crate) use successor::{Preparation, Successor};

/// How long one side waits for the other's next frame, where the other has it at hand.
const FRAME_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
