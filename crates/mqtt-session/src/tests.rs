//! What the session does, seen from both of its sides.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod aliases;
mod bounds;
mod changes;
mod cves;
mod deliveries;
mod opening;
mod oracle;
mod published;
mod subscribed;
mod talk;
