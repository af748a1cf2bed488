//! What a caller is told that is blocked for a while.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::http::limit_refusal::whole_seconds;

/// A caller is blocked. Never says who the caller is, and to the caller not why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRefusal {
    /// `namespace/policy`, for the log.
    pub policy: Arc<str>,
    /// For how much longer.
    pub left: Duration,
    /// 429 or 403, as the policy says.
    pub status: StatusCode,
}

impl BlockRefusal {
    /// The stable reason.
    pub const REASON: &'static str = "caller_blocked";

    /// `Retry-After` in whole seconds (RFC 9110 §10.2.3), never too early.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        whole_seconds(self.left).max(1)
    }

    /// The body: problem details (RFC 9457).
    #[must_use]
    pub fn problem(&self) -> String {
        let title = "The caller is blocked for a while";
        let status = self.status.as_u16();
        let reason = Self::REASON;
        json!({"type": "about:blank", "title": title, "status": status, "reason": reason})
            .to_string()
    }
}

impl std::fmt::Display for BlockRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "by {} for {} s more", self.policy, self.retry_after_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::RequestError;

    #[test]
    fn what_a_blocked_caller_is_told() {
        for (status, left, retry, grpc_status) in
            [(StatusCode::TOO_MANY_REQUESTS, 1_001, "2", "8"), (StatusCode::FORBIDDEN, 1, "1", "7")]
        {
            let left = Duration::from_millis(left);
            let refusal = BlockRefusal { policy: "shop/secret-name".into(), left, status };
            let body = refusal.problem();
            assert!(body.contains("caller_blocked") && !body.contains("secret-name"), "{body}");
            let error = RequestError::Blocked(Box::new(refusal));
            assert_eq!((error.status(), error.reason()), (status, "caller_blocked"));
            let response = error.response(false);
            let field = |name: &str| response.headers().get(name).map(|value| value.as_bytes());
            assert_eq!(response.status(), status);
            assert_eq!(field("retry-after"), Some(retry.as_bytes()));
            assert_eq!(field("content-type"), Some(&b"application/problem+json"[..]));
            assert_eq!(field("x-postern-reason"), Some(&b"caller_blocked"[..]));
            let grpc = error.response(true);
            let told = grpc.headers().get("grpc-status").map(|value| value.as_bytes());
            assert_eq!(told, Some(grpc_status.as_bytes()));
            assert!(grpc.headers().contains_key("retry-after"));
        }
    }
}
