//! Why a request was refused by a limit, and what its caller is told.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

/// Why a limit refused a request. Never says who the caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRefusal {
    /// `namespace/policy/limit`, for the log.
    pub limit: Arc<str>,
    /// The limit's name, for the caller.
    pub name: Arc<str>,
    /// What it was refused for.
    pub kind: LimitRefusalKind,
    /// When the next request has a chance, from now.
    pub retry_after: Duration,
}

/// What a request was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitRefusalKind {
    /// The caller has made as many requests as it may.
    Rate,
    /// The caller has as many requests under way as it may.
    Concurrency,
    /// The store that counts did not answer, and its policy says to refuse then.
    NoStore,
}

impl std::fmt::Display for LimitRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = &self.limit;
        match self.kind {
            LimitRefusalKind::Rate => write!(f, "as many requests as {limit} allows"),
            LimitRefusalKind::Concurrency => write!(f, "as many under way as {limit} allows"),
            LimitRefusalKind::NoStore => {
                write!(f, "the store of {limit} did not answer, and onStoreFailure is deny")
            }
        }
    }
}

impl LimitRefusalKind {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Rate => "rate_limited",
            Self::Concurrency => "concurrency_limited",
            Self::NoStore => "rate_limit_store_unavailable",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Rate => "Request cannot be satisfied as assigned quota has been exceeded",
            Self::Concurrency => "Request cannot be satisfied as too many are under way",
            Self::NoStore => "Request cannot be satisfied as it cannot be counted",
        }
    }

    /// The registered type of problem (draft-ietf-httpapi-ratelimit-headers-11 §7), where there is one.
    fn problem_type(self) -> &'static str {
        match self {
            Self::Rate => "https://iana.org/assignments/http-problem-types#quota-exceeded",
            Self::Concurrency | Self::NoStore => "about:blank",
        }
    }
}

impl LimitRefusal {
    /// `Retry-After` in whole seconds (RFC 9110 §10.2.3), never too early.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        whole_seconds(self.retry_after).max(1)
    }

    /// The body: problem details (RFC 9457).
    #[must_use]
    pub fn problem(&self, status: u16) -> String {
        let mut problem = json!({
            "type": self.kind.problem_type(),
            "title": self.kind.title(),
            "status": status,
            "reason": self.kind.reason(),
        });
        if self.kind == LimitRefusalKind::Rate {
            problem["violated-policies"] = json!([&*self.name]);
        }
        problem.to_string()
    }
}

/// Seconds, rounded up.
#[must_use]
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::http::error::RequestError;

    #[test]
    fn what_a_refused_caller_is_told() {
        let quota = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        for (kind, wait, status, reason, problem, retry) in [
            (LimitRefusalKind::Rate, 600, 429, "rate_limited", quota, "1"),
            (LimitRefusalKind::Rate, 1_001, 429, "rate_limited", quota, "2"),
            (LimitRefusalKind::Rate, 0, 429, "rate_limited", quota, "1"),
            (LimitRefusalKind::Concurrency, 1_000, 429, "concurrency_limited", "about:blank", "1"),
            (
                LimitRefusalKind::NoStore,
                1_000,
                503,
                "rate_limit_store_unavailable",
                "about:blank",
                "1",
            ),
        ] {
            let refusal = LimitRefusal {
                limit: "shop/limits/secret-name".into(),
                name: "per-caller".into(),
                kind,
                retry_after: Duration::from_millis(wait),
            };
            let (body, error) = (refusal.problem(status), RequestError::Limited(Box::new(refusal)));
            let response = error.response(false);
            assert_eq!(response.status().as_u16(), status, "{reason}");
            let field = |name: &str| response.headers().get(name).map(|value| value.as_bytes());
            assert_eq!(field("retry-after"), Some(retry.as_bytes()), "{reason}");
            assert_eq!(field("content-type"), Some(&b"application/problem+json"[..]), "{reason}");
            assert_eq!(field("x-postern-reason"), Some(reason.as_bytes()));
            assert!(body.contains(problem) && body.contains(reason), "{body}");
            assert_eq!(body.contains("per-caller"), kind == LimitRefusalKind::Rate, "{body}");
            assert!(!body.contains("secret-name"), "policies are not told: {body}");
            let grpc = error.response(true);
            assert_eq!(grpc.status(), StatusCode::OK);
            let grpc_status = if status == 429 { "8" } else { "14" };
            assert_eq!(
                grpc.headers().get("grpc-status").map(|s| s.as_bytes()),
                Some(grpc_status.as_bytes())
            );
            assert_eq!(
                grpc.headers().get("retry-after").map(|s| s.as_bytes()),
                Some(retry.as_bytes())
            );
        }
    }
}
