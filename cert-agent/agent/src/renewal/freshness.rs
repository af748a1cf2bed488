//! Fresh, stale or expired: one word for how the certificate stands. Pure: the time is handed in.
//!
//! | state | from | what it means |
//! |---|---|---|
//! | `absent` | the start | no certificate was received yet |
//! | `fresh` | its receipt | nothing to do |
//! | `stale` | 60 % of its life after a failed attempt, 70 % in any case, or a clock that stands before its beginning | its renewal is overdue: look at the last error; nothing is lost yet |
//! | `expired` | its end | nobody accepts it any more |
//!
//! Renewal is planned at 40 % to 60 % of what was left at the receipt, so `stale` at 60 % is the
//! first moment at which it is late. Fresh and stale are ready, absent and expired are not.

use serde::Serialize;

/// How the certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateFreshness {
    /// None was received yet.
    Absent,
    /// Good, and its renewal is on time.
    Fresh,
    /// Good, and its renewal is overdue.
    Stale,
    /// Its time is over.
    Expired,
}

/// A certificate's validity and its renewal, all in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateStanding {
    /// From the certificate.
    pub not_before: u64,
    /// From the certificate.
    pub not_after: u64,
    /// When it came: its life counts from here, since its beginning is back-dated.
    pub received: u64,
    /// Whether the last attempt to renew it failed.
    pub failed: bool,
}

/// All states, for gauges.
pub const ALL: [CertificateFreshness; 4] = [
    CertificateFreshness::Absent,
    CertificateFreshness::Fresh,
    CertificateFreshness::Stale,
    CertificateFreshness::Expired,
];

impl CertificateFreshness {
    /// Of this certificate, or of none, at this time (Unix seconds).
    #[must_use]
    pub fn at(certificate: Option<CertificateStanding>, now: u64) -> Self {
        let Some(CertificateStanding { not_before, not_after, received, failed }) = certificate
        else {
            return Self::Absent;
        };
        if now > not_after {
            return Self::Expired;
        }
        let life = not_after.saturating_sub(received);
        // In tenths, which a u64 of seconds has room for.
        let lived = now.saturating_sub(received).saturating_mul(10);
        let overdue = if failed { 6 } else { 7 };
        if now < not_before || lived > life.saturating_mul(overdue) {
            return Self::Stale;
        }
        Self::Fresh
    }

    /// Whether a good certificate is held.
    #[must_use]
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Fresh | Self::Stale)
    }

    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn states_by_time() {
        let check = |name: &str, failed: bool, now: u64, expect: CertificateFreshness| {
            let standing =
                CertificateStanding { not_before: 940, not_after: 2000, received: 1000, failed };
            assert_eq!(CertificateFreshness::at(Some(standing), now), expect, "{name}");
        };
        check("at its receipt", false, 1060, CertificateFreshness::Fresh);
        check("a failure before the renewal is late", true, 1600, CertificateFreshness::Fresh);
        check("a failure, and late", true, 1601, CertificateFreshness::Stale);
        check("in the window, nothing failed", false, 1650, CertificateFreshness::Fresh);
        check("nothing happened for too long", false, 1701, CertificateFreshness::Stale);
        check("its last second", false, 2000, CertificateFreshness::Stale);
        check("over", false, 2001, CertificateFreshness::Expired);
        check("over, and failing", true, u64::MAX, CertificateFreshness::Expired);
        check(
            "f07: the clock went back before its beginning",
            false,
            939,
            CertificateFreshness::Stale,
        );
        check("f07: the clock went back a little", false, 950, CertificateFreshness::Fresh);
        assert_eq!(CertificateFreshness::at(None, 1500), CertificateFreshness::Absent);
        let strange =
            CertificateStanding { not_before: u64::MAX, not_after: 0, received: 9, failed: true };
        assert_eq!(CertificateFreshness::at(Some(strange), 5), CertificateFreshness::Expired);
    }

    #[test]
    fn ready_while_a_good_certificate_is_held() {
        let ready: Vec<_> = ALL.iter().filter(|state| state.is_ready()).map(|s| s.name()).collect();
        assert_eq!(ready, ["fresh", "stale"]);
    }
}
