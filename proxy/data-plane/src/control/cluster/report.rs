//! What the controller is told of ourselves, for its page: who calls whom, what was refused, until when the certificate
//! holds. It is made of what the proxy keeps anyway, on the control thread.

use dashboard::edges;
use dashboard::report::{CertificateTerm, ProxyReport};

use crate::control::admin::dashboard_data;
use crate::traffic::state::ProxyState;

/// After so many turns everything is said again: the controller forgets what it has not heard for a minute, and a report may
/// have been dropped on the way.
const WHOLE_EVERY: u32 = 6;

/// The reports of one stream.
#[derive(Debug, Default)]
pub(super) struct Reports {
    turn: u32,
    /// What the controller has, if it took everything.
    said: Option<ProxyReport>,
}

impl Reports {
    /// The message of this turn; `None` where nothing has changed.
    pub(super) fn next(&mut self, state: &ProxyState) -> Option<Vec<u8>> {
        self.message(collect(state))
    }

    fn message(&mut self, report: ProxyReport) -> Option<Vec<u8>> {
        let whole = self.turn.is_multiple_of(WHOLE_EVERY);
        self.turn = self.turn.wrapping_add(1);
        let changed = report.since(self.said.as_ref().filter(|_| !whole));
        self.said = Some(report);
        (whole || !changed.is_empty()).then(|| changed.message())
    }
}

fn collect(state: &ProxyState) -> ProxyReport {
    let edges = edges::edges(&state.metrics.counted_requests());
    let certificate = state.credentials().map(|credentials| CertificateTerm {
        not_before: credentials.svid().not_before(),
        not_after: credentials.svid().not_after(),
    });
    ProxyReport::fitting(edges, dashboard_data::denials(state), certificate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_begins_with_everything_and_goes_on_with_what_changed() {
        let term = |not_after| CertificateTerm { not_before: 0, not_after };
        let of =
            |not_after| ProxyReport::fitting(<_>::default(), <_>::default(), Some(term(not_after)));
        let mut reports = Reports::default();
        let mut said = |not_after| {
            let message = reports.message(of(not_after))?;
            let read = ProxyReport::read(&message).unwrap();
            Some((read.edges.is_some(), read.certificate.map(|term| term.not_after)))
        };
        assert_eq!(said(1), Some((true, Some(1))), "everything");
        assert_eq!(said(1), None, "nothing has changed");
        assert_eq!(said(2), Some((false, Some(2))), "what has changed");
        let quiet: Vec<_> = (3..WHOLE_EVERY).map(|_| said(2)).collect();
        assert!(quiet.iter().all(Option::is_none));
        assert_eq!(said(2), Some((true, Some(2))), "everything, lest it be forgotten");
    }
}
