//! The primitives of the protocol as they stand in a frame, and how they are written.

mod read;
mod write;

pub(crate) use read::{Read, Reader, Unreadable};
pub(crate) use write::{Writer, count};
