//! The scripts: what has to be one step.

use std::sync::LazyLock;

use redis_link::Script;

/// Of the revocations, in the store as in every process ([`crate::MOST_REVOKED`]).
pub(super) const MOST: &str = "100000";

/// Begins the term of a lease anew, if it is still this holder's. Answers 1 or 0.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// Gives a lease back, if it is still this holder's.
pub(super) const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0";

/// Adds revocations.
pub(super) static REVOKE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("revoke.lua")));

/// Reads them on.
pub(super) static READ: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("revoked_after.lua")));

#[cfg(test)]
mod tests {
    #[test]
    fn as_many_are_kept_as_are_known() {
        assert_eq!(super::MOST, crate::MOST_REVOKED.to_string());
    }
}
