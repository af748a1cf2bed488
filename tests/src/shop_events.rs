//! The shop with its events: the broker, and who listens to what is told there, as they lie in `examples/shop`.

use serde_json::Value;

use crate::app::App;
use crate::broker::{Broker, BrokerKind};
use crate::example;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::shop::{self, Shop};

/// The shop's pods, its broker, and who writes to those who have bought.
pub struct ShopEvents {
    /// The shop, whose front end tells of orders.
    pub shop: Shop,
    /// Where it tells of them.
    pub broker: Broker,
    /// Who listens.
    pub notices: Pod,
}

impl ShopEvents {
    /// Starts them in `mesh`, with these policies about topics. In namespaces only.
    #[must_use]
    pub fn start(mesh: &Mesh, topics: &str) -> Self {
        for name in ["services", "connect"] {
            let text = example::shipped(mesh, &format!("shop/events/{name}"));
            mesh.policy(&format!("events-{name}"), &text);
        }
        mesh.policy("topics", topics);
        let pod = |name: &str, number| {
            let config = example::file(&format!("shop/proxy/{name}"));
            mesh.pod(name).number(number).known_by_files().config_file(config)
        };
        let kind = BrokerKind::Nats;
        let broker = Broker::start(kind, kind.protocol(), pod("broker", 12));
        let notices = pod("notices", 13).port(8080, "http").app(App::new("shop-notices")).lay_out();
        notices.start_sidecar_first();
        shop::install_policies(mesh);
        let shop = Shop::start_telling(mesh, "nats://broker:4222");
        Self { shop, broker, notices }
    }

    /// Has somebody buy tea at the front end; the number of the order, or what was answered instead.
    #[must_use]
    pub fn order(&self, user: &str) -> String {
        let who = format!("x-user: {user}");
        let ask = |path: &str, item: &str| {
            let url = format!("http://127.0.0.1:8000/{path}");
            self.shop.frontend.curl_with(&["-H", &who, "-d", item, &url])
        };
        let _ = ask("basket", "tea");
        let answer = ask("orders", "");
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        body["number"].as_u64().map_or_else(|| answer.words(), |number| number.to_string())
    }

    /// The orders about which somebody was written to.
    #[must_use]
    pub fn letters(&self, user: &str) -> Vec<String> {
        let answer = self.notices.curl(&format!("http://127.0.0.1:8080/notices/{user}"));
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let letters = body["letters"].as_array().into_iter().flatten();
        letters.map(|letter| letter["number"].to_string()).collect()
    }
}

/// The policies about topics that `examples/shop` or `examples/bank` is shipped with.
#[must_use]
pub fn shipped_topics(example: &str) -> String {
    let file = example::file(&format!("{example}/events/topics"));
    std::fs::read_to_string(file).expect("the examples' policies are there")
}
