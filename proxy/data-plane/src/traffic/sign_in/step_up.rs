//! What a path asks of whoever is signed in: how and how lately the provider has authenticated them (RFC 9470).

use oauth::LEEWAY;
use policy::CanonicalPath;
use policy::sign_in::{SignInSettings, StepUp};

use crate::http::SignInRefusal;

/// All that a path asks for, taken together. The default asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Demand {
    /// One of these must be the session's `acr`, the first is preferred; empty: any will do.
    pub(super) acr_values: Vec<Box<str>>,
    /// How long ago they may have authenticated, in seconds.
    pub(super) max_age: Option<u64>,
    /// No `acr` meets all that is asked for: nobody comes in.
    impossible: bool,
}

impl Demand {
    /// What the SignIn asks on this path.
    pub(super) fn of(settings: &SignInSettings, path: &CanonicalPath<'_>) -> Self {
        settings.step_ups(path).fold(Self::default(), Self::and)
    }

    fn and(mut self, step: &StepUp) -> Self {
        let most = step.max_age.map(|age| age.as_secs());
        self.max_age = self.max_age.into_iter().chain(most).min();
        if self.acr_values.is_empty() && !self.impossible {
            self.acr_values = step.acr_values.clone();
        } else if !step.acr_values.is_empty() {
            self.acr_values.retain(|value| step.acr_values.contains(value));
            self.impossible = self.acr_values.is_empty();
        }
        self
    }

    /// Whether a session whose ID token said this meets it. `now` in Unix seconds. What an ID token does not say counts as
    /// not met; the leeway is that of the ID token's own check, so that what has just been signed in passes.
    pub(super) fn is_met_by(&self, acr: Option<&str>, auth_time: Option<u64>, now: u64) -> bool {
        let way = self.acr_values.is_empty()
            || acr.is_some_and(|acr| self.acr_values.iter().any(|value| **value == *acr));
        let lately = self.max_age.is_none_or(|most| {
            auth_time.is_some_and(|at| now <= at.saturating_add(most).saturating_add(LEEWAY))
        });
        way && lately && !self.impossible
    }

    /// Whether no sign-in ever meets it.
    pub(super) fn is_impossible(&self) -> bool {
        self.impossible
    }

    /// What somebody is told who does not meet it.
    pub(super) fn refusal(&self) -> SignInRefusal {
        if self.impossible { SignInRefusal::StepUpImpossible } else { SignInRefusal::StepUp }
    }

    /// As a request to the provider has it: separated by blanks.
    pub(super) fn acr_values(&self) -> String {
        self.acr_values.join(" ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn demand(acr_values: &[&str], max_age: Option<u64>) -> Demand {
        let acr_values = acr_values.iter().map(|value| (*value).into()).collect();
        Demand { acr_values, max_age, impossible: false }
    }

    #[test]
    fn what_a_session_meets() {
        let (mfa, now) = (demand(&["urn:mfa", "urn:hardware"], None), 10_000);
        let lately = demand(&[], Some(300));
        for (row, demand, acr, auth_time, expect) in [
            ("nothing is asked", &Demand::default(), None, None, true),
            ("the first way", &mfa, Some("urn:mfa"), None, true),
            ("another way", &mfa, Some("urn:hardware"), None, true),
            ("a way that is not asked for", &mfa, Some("urn:password"), None, false),
            ("a beginning of a way", &mfa, Some("urn:m"), None, false),
            ("nothing said of the way", &mfa, None, Some(now), false),
            ("just now", &lately, None, Some(now), true),
            ("at the end of the leeway", &lately, None, Some(now - 330), true),
            ("too long ago", &lately, None, Some(now - 331), false),
            ("nothing said of the time", &lately, Some("urn:mfa"), None, false),
        ] {
            assert_eq!(demand.is_met_by(acr, auth_time, now), expect, "{row}");
        }
        assert_eq!(mfa.acr_values(), "urn:mfa urn:hardware");
    }
}
