//! File descriptors: how many are left, and who may use the last ones.
//!
//! A flood of clients must not use up the descriptors that serve readiness, admin, files and open requests. The system
//! assigns the lowest free number, so the number of a new descriptor is a lower bound of how many are in use; nothing
//! needs to be counted.

use std::os::fd::{AsFd, AsRawFd};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// The least and the most descriptors that are reserved; in between, a quarter of the process's limit.
const MIN_RESERVE: u64 = 16;
const MAX_RESERVE: u64 = 1024;

/// How many descriptors are left for a client that has just connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptorHeadroom {
    /// Enough.
    Plenty,
    /// The reserve has begun: idle connections should be evicted.
    Scarce,
    /// Half of the reserve is in use: the client is refused.
    Exhausted,
}

/// Raises the soft limit of the process to its hard limit: a connection takes two or three descriptors.
pub fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If this fails, fewer connections fit; nothing else changes.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The headroom after a descriptor was taken for a client.
pub fn room(taken: &impl AsFd) -> DescriptorHeadroom {
    room_at(number(taken), limit())
}

/// Whether the reserve has begun, as the next descriptor shows. Only for use after a failure, because it takes a
/// descriptor itself.
pub fn are_scarce() -> bool {
    std::fs::File::open("/dev/null").map_or(true, |next| room(&next) != DescriptorHeadroom::Plenty)
}

/// Whether this socket may be connected for traffic, which leaves the last quarter of the reserve to readiness and
/// admin.
pub fn may_dial(socket: &impl AsFd) -> bool {
    let limit = limit();
    number(socket) < limit.saturating_sub(reserve(limit) / 4)
}

fn number(descriptor: &impl AsFd) -> u64 {
    u64::try_from(descriptor.as_fd().as_raw_fd()).unwrap_or(0)
}

/// The hard limit, which the operator sets; the soft limit was raised to it. Read each time, because it can be changed
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
