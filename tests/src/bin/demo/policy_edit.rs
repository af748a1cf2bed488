//! A policy edited while everything runs: a new file lets `reports` in, and taking it away shuts the door again.

use std::time::Instant;

use postern_tests::wait;

use crate::{Stage, url};
use postern_tests::Table;

const LET_REPORTS_READ: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart-reports, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  rules:
    - from: [{source: {principals: [cluster.local/ns/shop/sa/reports]}}]
      to: [{operation: {methods: [GET], paths: [/cart/*]}}]
";

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let (reports, cart) = (&stage.shop.reports, &stage.shop.cart);
    let ann = url(reports, cart, 8080, "/cart/ann");
    let changed_to = |status: u16| {
        let start = Instant::now();
        wait::until_true("the edited policy to act", || reports.curl(&ann).status == status);
        start.elapsed().as_millis()
    };
    let before = reports.curl(&ann).status;
    stage.mesh.policy("cart-reports", LET_REPORTS_READ);
    let opened = changed_to(200);
    table.row(
        "reports",
        "cart",
        "a policy file is added",
        "403, then 200",
        &format!("{before}, then 200 after {opened} ms"),
    );
    stage.mesh.remove_policy("cart-reports");
    let closed = changed_to(403);
    table.row("reports", "cart", "and taken away", "403", &format!("403 after {closed} ms"));
}
