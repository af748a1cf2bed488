//! The shop on NATS: the front end tells of orders, notices listens, and nobody else does either.

use std::sync::mpsc::channel;

use postern_tests::{Mesh, Pod, ShopEvents, Table, shipped_topics, wait};

use crate::nats_client::{self, Act};
use crate::seen::{soon, told};
use crate::suggested::{self, Recorded};

const ORDERS: &str = "orders.created";

/// What its broker's proxy tells in the end.
pub(crate) fn show(table: &mut Table) -> String {
    table.step("NATS: the shop, whose broker lets the shop do everything and writes it down");
    let mesh = Mesh::with_authority();
    let events = ShopEvents::start(&mesh, &suggested::everything("shop", "nats", ">"));
    an_order(table, &events);
    let shop = Recorded { mesh: &mesh, broker: events.broker.pod(), example: "shop" };
    suggested::show(table, &shop);
    an_order(table, &events);
    refusals(table, &events);
    edited(table, &mesh, &events);
    told(events.broker.pod())
}

/// An allowed publish and an allowed subscription, by the shop's own programs.
fn an_order(table: &mut Table, events: &ShopEvents) {
    let number = events.order("ann");
    let expected = format!("told of {number}");
    let seen = soon(&expected, || {
        let letters = events.letters("ann");
        format!("told of {}", letters.last().map_or("nothing", String::as_str))
    });
    table.row("frontend", "notices", "an order is placed: orders.created", &expected, &seen);
}

fn refusals(table: &mut Table, events: &ShopEvents) {
    let (shop, notices) = (&events.shop, &events.notices);
    let violation =
        |of: &str, subject: &str| format!("Permissions Violation for {of} to \"{subject}\"");
    let rows: [(&Pod, &str, Act, String); 5] = [
        (notices, "publishes orders.created", Act::Publish(ORDERS), violation("Publish", ORDERS)),
        (
            &shop.frontend,
            "listens to orders.created",
            Act::Subscribe(ORDERS),
            violation("Subscription", ORDERS),
        ),
        (notices, "listens to everything", Act::Subscribe(">"), violation("Subscription", ">")),
        (
            notices,
            "listens to the front end's inbox",
            Act::Subscribe("_INBOX.shop.frontend.>"),
            violation("Subscription", "_INBOX.shop.frontend.>"),
        ),
        (&shop.cart, "connects", Act::Subscribe(ORDERS), "no connection".to_owned()),
    ];
    for (pod, what, act, expected) in rows {
        let seen = nats_client::says(pod, address(events), act);
        table.row(pod.name(), "nats-server", what, &expected, &seen);
    }
}

/// By its number: what runs in a pod for the demo knows no names.
fn address(events: &ShopEvents) -> String {
    events.broker.pod().at(events.broker.kind().port()).to_string()
}

/// A subscription ends while it is open.
fn edited(table: &mut Table, mesh: &Mesh, events: &ShopEvents) {
    let (tell, heard) = channel();
    let listener = nats_client::listen(&events.notices, address(events), ORDERS, tell);
    let hears = wait::holds_within(wait::PATIENCE, || {
        let _ = events.order("bob");
        heard.try_recv().is_ok()
    });
    let seen = if hears { "orders" } else { "nothing" };
    table.row("notices", "nats-server", "listens to orders.created: hears", "orders", seen);
    mesh.policy("topics", &shipped_topics("shop").replace("sa/notices]", "sa/nobody]"));
    let expected = format!("Permissions Violation for Subscription to \"{ORDERS}\"");
    table.row(
        "notices",
        "nats-server",
        "may no longer, while it listens",
        &expected,
        &listener.join(),
    );
    let open = || {
        let labels = [("protocol", "nats")];
        let open = events.broker.pod().metrics().sum("postern_subscriptions_open", &labels);
        format!("{}", open.abs())
    };
    table.row("notices", "nats-server", "subscriptions that are open now", "0", &soon("0", open));
    let number = events.order("ann");
    let sold = number.parse::<u64>().is_ok();
    let seen = if sold { "sold" } else { &*number };
    table.row("ann", "frontend", "an order, of which nobody is told", "sold", seen);
}
