//! What changes under load: certificates, routes, and the gateway itself. No request fails.

use std::time::{Duration, Instant};

use postern_tests::{Load, LoadReport, Process, Table, wait};

use crate::Stage;

/// How often the certificate is replaced.
const ROTATIONS: usize = 5;
/// Clients of the load, each with a new handshake for ten requests.
const LANES: usize = 4;
/// Calls that show a weight, and how many of them a tenth may be.
const CALLS: u32 = 400;
const A_TENTH: std::ops::RangeInclusive<u32> = 18..=65;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    rotation(table, stage);
    shift(table, stage);
}

fn load(stage: &Stage) -> Load {
    let config = stage.edge.web.believer(None, &["http/1.1"]);
    let target = ("shop.example", "/cart/ann");
    Load::start_https(&stage.edge.browser, stage.edge.edge.at(443), &config, target, LANES)
}

fn rotation(table: &mut Table, stage: &Stage) {
    let load = load(stage);
    let start = Instant::now();
    let mut shown = vec![certificate(stage)];
    for _ in 0..ROTATIONS {
        stage.edge.rotate();
        let before = shown.last().cloned();
        wait::until_true("the new certificate", || Some(certificate(stage)) != before);
        shown.push(certificate(stage));
    }
    shown.sort();
    shown.dedup();
    let report = load.finish();
    let handshakes = report.connections;
    let more = format!("{handshakes} handshakes, {} certificates", shown.len());
    let good = shown.len() == ROTATIONS + 1;
    judge(table, "a certificate rotated under load", &report, start, &more, good);
}

/// What a new client is shown.
fn certificate(stage: &Stage) -> Vec<u8> {
    let (config, at) = (stage.edge.web.believer(None, &[]), stage.edge.edge.at(443));
    let browser = &stage.edge.browser;
    browser.run(async move { postern_tests::web::shown(config, at, "shop.example").await })
}

fn judge(
    table: &mut Table,
    what: &str,
    report: &LoadReport,
    start: Instant,
    more: &str,
    good: bool,
) {
    let sent = f64::from(u32::try_from(report.requests).unwrap_or(u32::MAX));
    let rate = sent / start.elapsed().as_secs_f64();
    let seen = match report.failed {
        0 => format!("0 failed of {} ({rate:.0}/s), {more}", report.requests),
        failed => format!("{failed} failed: {:?}", report.failures),
    };
    let good = good && report.failed == 0 && report.requests > 0;
    table.judged("browser", "cart", what, "0 failed", &seen, good);
}

/// 90/10, then all of it, by editing a file.
fn shift(table: &mut Table, stage: &Stage) {
    let next = served_by_next(stage);
    let seen = format!("{next} of {CALLS} to cart-next");
    let good = A_TENTH.contains(&next);
    table.judged("browser", "cart", "a route shared 90/10", "about 40 of 400", &seen, good);
    let updates = || stage.edge.edge.metrics().sum("postern_config_updates_total", &[]);
    let (before, start) = (updates(), Instant::now());
    stage.edge.shift(100);
    wait::until_true("the route to be shifted", || updates() > before);
    let took = start.elapsed().as_millis();
    let next = served_by_next(stage);
    let seen = format!("{next} of {CALLS} to cart-next, after {took} ms");
    let expected = format!("{CALLS} of {CALLS}");
    table.row("browser", "cart-next", "and shifted to 100", &expected, &seen);
}

/// How many of many calls the next version of the cart took.
fn served_by_next(stage: &Stage) -> u32 {
    let taken = |pod: &postern_tests::Pod| {
        pod.metrics().sum("postern_requests_total", &[("response_code", "200")])
    };
    let both = || (taken(&stage.shop.cart), taken(&stage.edge.cart_next));
    let (cart, next) = both();
    let to = format!("shop.example:443:{}", stage.edge.edge.ipv4());
    let urls = format!("https://shop.example/cart/next/[1-{CALLS}]");
    let arguments = ["-sS", "--fail", "--resolve", &to, "--cacert", "/run/postern/web.pem", &urls];
    stage.edge.browser.command("curl", &arguments).ok();
    let taken = wait::until("all calls to be counted", Duration::from_secs(10), || {
        let now = both();
        let (cart, next) = (now.0 - cart, now.1 - next);
        if cart + next >= f64::from(CALLS) { Ok(next) } else { Err(format!("{cart} + {next}")) }
    });
    format!("{taken:.0}").parse().expect("a count")
}

/// A newer gateway takes the sockets over.
pub(crate) fn upgrade(table: &mut Table, stage: &Stage) {
    let (load, start) = (load(stage), Instant::now());
    let mut before = stage.edge.edge.upgrade_proxy("newer");
    let ended = before.exit_code(Duration::from_secs(30));
    drop::<Process>(before);
    let report = load.finish();
    let more = format!("the one before ended with {ended}");
    judge(table, "a newer gateway takes over under load", &report, start, &more, ended == 0);
}
