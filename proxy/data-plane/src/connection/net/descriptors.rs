//! File descriptors: how many are left, and who may take one of the last.
//!
//! A flood of clients must not take those by which readiness, admin, files and what is under way are served. The system
//! gives out the lowest number that is free, so the number of a new descriptor says how many are in use at least;
//! nothing is counted.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// The least and the most that is kept from clients. In between a quarter of what the process may have.
const MIN_RESERVE: u64 = 16;
const MAX_RESERVE: u64 = 1024;

/// How many descriptors there are for a client that has just come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptorHeadroom {
    /// Enough.
    Plenty,
    /// The reserve has begun: others should give way.
    Scarce,
    /// Half of the reserve is used: it is turned away.
    Exhausted,
}

/// Raises what the process may have to what the system allows it: two or three descriptors a connection.
pub fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without them there is room for fewer connections; nothing else changes.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What there is for the client behind a descriptor that was just taken for it.
pub fn room(taken: &impl AsFd) -> DescriptorHeadroom {
    room_at(number(taken), limit())
}

/// Whether the reserve has begun, as the next descriptor shows. Only to be asked when something has failed: it takes a
/// descriptor.
pub fn are_scarce() -> bool {
    std::fs::File::open("/dev/null").map_or(true, |next| room(&next) != DescriptorHeadroom::Plenty)
}

/// Whether the socket may be connected for the sake of traffic: it leaves the last quarter of the reserve to readiness
/// and admin.
pub fn may_dial(socket: &impl AsFd) -> bool {
    let limit = limit();
    number(socket) < limit.saturating_sub(reserve(limit) / 4)
}

fn number(descriptor: &impl AsFd) -> u64 {
    u64::try_from(descriptor.as_fd().as_raw_fd()).unwrap_or(0)
}

/// The hard limit, which the operator sets; the soft limit was raised to it. Asked each time, because it can be set
/// from outside.
fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(RLIM_INFINITY, |(_, hard)| hard)
}

fn room_at(number: u64, limit: u64) -> DescriptorHeadroom {
    let reserve = reserve(limit);
    if number < limit.saturating_sub(reserve) {
        DescriptorHeadroom::Plenty
    } else if number < limit.saturating_sub(reserve / 2) {
        DescriptorHeadroom::Scarce
    } else {
        DescriptorHeadroom::Exhausted
    }
}

fn reserve(limit: u64) -> u64 {
    (limit / 4).clamp(MIN_RESERVE, MAX_RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f20_fd_exhaustion_the_last_are_kept() {
        for (limit, number, expect) in [
            (256, 0, DescriptorHeadroom::Plenty),
            (256, 191, DescriptorHeadroom::Plenty),
            (256, 192, DescriptorHeadroom::Scarce),
            (256, 223, DescriptorHeadroom::Scarce),
            (256, 224, DescriptorHeadroom::Exhausted),
            (256, 255, DescriptorHeadroom::Exhausted),
            (64, 47, DescriptorHeadroom::Plenty),
            (64, 48, DescriptorHeadroom::Scarce),
            (64, 56, DescriptorHeadroom::Exhausted),
            (1_048_576, 1_047_551, DescriptorHeadroom::Plenty),
            (1_048_576, 1_047_552, DescriptorHeadroom::Scarce),
            (1_048_576, 1_048_064, DescriptorHeadroom::Exhausted),
            (RLIM_INFINITY, 1_000_000, DescriptorHeadroom::Plenty),
            (8, 0, DescriptorHeadroom::Exhausted),
        ] {
            assert_eq!(room_at(number, limit), expect, "{number} of {limit}");
        }
    }
}
