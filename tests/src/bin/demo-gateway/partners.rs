//! Partners with certificates of an authority of their own.

use postern_tests::Table;

use crate::Stage;

const URL: &str = "https://partners.example/cart/acme";

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let partner = &stage.edge.partner;
    let get = |more: &[&str]| stage.edge.get(partner, URL, more).words();
    let known = ["--cert", "/run/postern/partner.pem", "--key", "/run/postern/partner-key.pem"];
    let unknown = ["--cert", "/run/postern/unknown.pem", "--key", "/run/postern/unknown-key.pem"];
    table.row("acme", "cart", "GET with a certificate of Acme's", "200", &get(&known));
    let post = get(&[&known[..], &["--http1.1", "-d", "tea"]].concat());
    table.row("acme", "edge", "POST: policy lets a partner read", "403 policy_denied", &post);
    let other = get(&unknown);
    table.row("acme", "edge", "a certificate of no known name", "403 policy_denied", &other);
    table.row("browser", "edge", "no certificate", "no answer", &get(&[]));
}
