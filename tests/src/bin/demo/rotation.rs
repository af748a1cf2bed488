//! New certificates under load: every agent renews several times while requests flow, and none fails.

use std::time::Instant;

use postern_tests::{Load, Pod, wait};

use crate::Stage;
use postern_tests::Table;

/// How often each side renews.
const ROUNDS: usize = 5;
/// Keep-alive connections of the load.
const CONNECTIONS: usize = 8;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let (frontend, cart) = (&stage.shop.frontend, &stage.shop.cart);
    let load =
        Load::start(frontend, frontend.route_to(cart, 8080), "cart:8080", "/cart/ann", CONNECTIONS);
    let start = Instant::now();
    let mut serials = vec![frontend.certificate().serial, cart.certificate().serial];
    for round in 1..=ROUNDS {
        serials.push(renew(frontend));
        serials.push(renew(cart));
        table.step(&format!(
            "rotation {round} of {ROUNDS}: frontend and cart hold new certificates, load goes on"
        ));
    }
    let report = load.finish();
    serials.sort();
    serials.dedup();
    let rate = f64::from(u32::try_from(report.requests).unwrap_or(u32::MAX))
        / start.elapsed().as_secs_f64();
    let seen =
        format!("0 failed of {} ({rate:.0}/s), {} certificates", report.requests, serials.len());
    let good = report.failed == 0 && report.requests > 0 && serials.len() == 2 * ROUNDS + 2;
    let seen = if report.failed == 0 {
        seen
    } else {
        format!("{} failed: {:?}", report.failed, report.failures)
    };
    table.judged("frontend", "cart", "certificates rotated under load", "0 failed", &seen, good);
}

/// Has the agent renew, waits until the *proxy* serves the new certificate, and returns its serial number.
fn renew(pod: &Pod) -> String {
    let before = pod.metrics().sum("postern_certificate_renewals_total", &[]);
    pod.renew_certificate();
    wait::until_true("the proxy to take the new certificate", || {
        pod.metrics().sum("postern_certificate_renewals_total", &[]) > before
    });
    pod.certificate().serial
}
