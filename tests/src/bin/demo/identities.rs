//! Who everybody is: each pod's certificate as its agent shows it.

use postern_tests::Pod;

use crate::Stage;
use postern_tests::Table;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let shop = &stage.shop;
    for pod in [&shop.frontend, &shop.cart, &shop.payments, &shop.reports] {
        let expected = short(&pod.spiffe_id());
        table.row("authority", pod.name(), "an identity and its life", &expected, &identity(pod));
    }
}

/// A SPIFFE id of our own trust domain without what all of them begin with.
pub(crate) fn short(id: &str) -> String {
    id.replace("spiffe://cluster.local/", "…/")
}

/// The SPIFFE id with its lifetime, in words.
fn identity(pod: &Pod) -> String {
    let shown = pod.certificate();
    let minutes = shown.seconds_left.div_ceil(60);
    format!("{}, {minutes} minutes", short(&shown.spiffe_id))
}
