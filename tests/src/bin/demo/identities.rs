//! Who everybody is: each pod's certificate as its agent shows it.

use postern_tests::Pod;

use crate::Stage;
use crate::table::Table;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let shop = &stage.shop;
    for pod in [&shop.frontend, &shop.cart, &shop.payments, &shop.reports] {
        table.row("authority", pod.name(), "issues an identity", &pod.spiffe_id(), &identity(pod));
    }
}

/// The SPIFFE id with its lifetime, in words.
fn identity(pod: &Pod) -> String {
    let shown = pod.certificate();
    format!("{}, for {} s more", shown.spiffe_id, shown.seconds_left)
}
