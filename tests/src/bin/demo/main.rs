//! `make demo`: the shop in the mesh, on this machine, with everything Postern is for happening before your eyes.
//!
//! Exits 0 when every row of the table is as expected, 1 when one is not. `KEEP=1` leaves it all running and says
//! what to try. `AUDIT=1` shows the shop without policies, in audit mode.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demo prints, and a step that cannot be done ends it with the words of what broke"
)]

mod calls;
mod identities;
mod keep;
mod policy_edit;
mod refusals;
mod rotation;

use std::process::ExitCode;

use postern_tests::shop::Shop;
use postern_tests::{Mesh, Pod, Table};

/// Everything that runs in the demo.
struct Stage {
    shop: Shop,
    /// A pod without a proxy, an identity, or manners.
    intruder: Pod,
    mesh: Mesh,
}

fn main() -> ExitCode {
    let mut table = Table::new();
    let stage = set_up(&mut table);
    identities::show(&mut table, &stage);
    calls::show(&mut table, &stage);
    if !audit_is_wanted() {
        refusals::show(&mut table, &stage);
        rotation::show(&mut table, &stage);
        policy_edit::show(&mut table, &stage);
    }
    table.print();
    print_metrics(&stage);
    let good = table.conclude();
    if keep::wanted() {
        keep::until_interrupted(&stage);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn set_up(table: &mut Table) -> Stage {
    let mesh = if std::env::var_os("POSTERN_IN_NAMESPACE").is_some() {
        table.step("each pod is a network namespace with interception rules of its own");
        Mesh::with_authority()
    } else {
        table.step(
            "this kernel forbids network namespaces: pods share loopback, with explicit listeners",
        );
        Mesh::on_loopback()
    };
    let authority = mesh.authority();
    table.step(&format!("authority of {} listens on {}", mesh.trust_domain(), authority.address()));
    let shop = if audit_is_wanted() && mesh.has_namespaces() {
        table.step("AUDIT=1: there is no policy; every call is let in, and written down as one that would be refused");
        Shop::start_in_audit_mode(&mesh)
    } else {
        Shop::start(&mesh)
    };
    let intruder = mesh.pod("intruder").number(6).outside().start();
    table.step("frontend, cart, payments and reports run, each with a proxy and a cert agent; an intruder without");
    Stage { shop, intruder, mesh }
}

/// `AUDIT=1`: the shop before its policies are written (docs/policy.md).
fn audit_is_wanted() -> bool {
    std::env::var("AUDIT").is_ok_and(|audit| !audit.is_empty() && audit != "0")
}

/// The URL an app in `from` uses for a path of `to`.
fn url(from: &Pod, to: &Pod, port: u16, path: &str) -> String {
    if from.mesh().has_namespaces() {
        return format!("http://{}:{port}{path}", to.name());
    }
    format!("http://{}{path}", from.route_to(to, port))
}

/// Some lines of the cart's metrics: what a dashboard would read.
fn print_metrics(stage: &Stage) {
    let metrics = stage.shop.cart.metrics();
    println!("\nFrom /metrics of cart's proxy:");
    for (name, part) in [
        ("postern_requests_total", "response_code=\"200\""),
        ("postern_requests_total", "response_code=\"403\""),
        ("postern_authorization_decisions_total", ""),
        ("postern_tls_handshakes_total", ""),
        ("postern_certificate_renewals_total", "success"),
        ("postern_certificate_expiry_timestamp_seconds", ""),
        ("postern_config_updates_total", ""),
        ("postern_panics_total", ""),
    ] {
        for line in metrics.lines(name).lines().filter(|line| line.contains(part)).take(4) {
            println!("  {line}");
        }
    }
}
