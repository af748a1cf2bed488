//! A body compared with what it is described to be: a short one by the worker, a long one on the threads that look through
//! requests, because a worker has other requests meanwhile.

use api_schema::{BodyCheck, JsonLimits, SchemaRefusal};
use tokio::time::timeout;

use crate::http::ApiRefusalKind;
use crate::http::body::BodyBeginning;
use crate::http::body::decoded::{ContentCoding, UnreadableBody};
use crate::traffic::state::ProxyState;

/// The longest body that a worker compares itself, in bytes: one of 1 MiB takes tens of milliseconds.
const LONGEST_ON_WORKER: usize = 64 << 10;

/// Why a body did not pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyProblem {
    /// It is not as described.
    Differs(SchemaRefusal),
    /// It could not be compared.
    Missed(ApiRefusalKind),
}

/// A body that has been read.
pub(super) struct ReadBody {
    /// All of it.
    pub(super) read: BodyBeginning,
    /// How it is coded.
    pub(super) coding: ContentCoding,
}

impl ReadBody {
    /// Compares it, and waits no longer for a thread than for a body.
    ///
    /// # Errors
    /// [`BodyProblem`]
    pub(super) async fn compare(
        self,
        state: &ProxyState,
        check: BodyCheck,
        limits: JsonLimits,
    ) -> Result<(), BodyProblem> {
        if self.is_short() {
            return self.compare_now(&check, &limits);
        }
        let overloaded = || BodyProblem::Missed(ApiRefusalKind::Overloaded);
        let handed = state.threats.pool.run(move |_| self.compare_now(&check, &limits));
        let result = handed.map_err(|_| overloaded())?;
        match timeout(state.settings.limits.inspection_body_timeout, result).await {
            Ok(Ok(compared)) => compared,
            // It panicked.
            Ok(Err(_)) => Err(BodyProblem::Missed(ApiRefusalKind::Unavailable)),
            Err(_) => Err(overloaded()),
        }
    }

    /// How long a coded body becomes is not known before.
    fn is_short(&self) -> bool {
        self.coding == ContentCoding::Identity && self.read.bytes.len() <= LONGEST_ON_WORKER
    }

    fn compare_now(&self, check: &BodyCheck, limits: &JsonLimits) -> Result<(), BodyProblem> {
        let decoded = self.coding.decoded(&self.read, limits.max_bytes);
        let decoded = decoded.map_err(|why| BodyProblem::Missed(unreadable(why)))?;
        if !decoded.complete {
            return Err(BodyProblem::Missed(ApiRefusalKind::BodyTooLarge));
        }
        check.check(&decoded.bytes, limits).map_err(BodyProblem::Differs)
    }
}

/// What a body is refused as whose content coding cannot be undone.
pub(super) fn unreadable(why: UnreadableBody) -> ApiRefusalKind {
    match why {
        UnreadableBody::Bomb => ApiRefusalKind::BodyTooLarge,
        UnreadableBody::Coding | UnreadableBody::Malformed => ApiRefusalKind::BodyNotInspectable,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn long_and_coded_bodies_are_for_other_threads() {
        use ContentCoding::{Gzip, Identity};
        for (row, bytes, coding, short) in [
            ("nothing", 0, Identity, true),
            ("the longest that is short", LONGEST_ON_WORKER, Identity, true),
            ("a byte more", LONGEST_ON_WORKER + 1, Identity, false),
            ("coded", 10, Gzip, false),
        ] {
            let read = BodyBeginning { bytes: Bytes::from(vec![b' '; bytes]), complete: true };
            assert_eq!(ReadBody { read, coding }.is_short(), short, "{row}");
        }
    }
}
