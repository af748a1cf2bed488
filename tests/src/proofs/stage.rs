//! Where most proofs play: cart, payments and front end with agents, and everything the front end can ask of the
//! others at the same time.

use serde_json::{Value, json};

use crate::app::App;
use crate::load::{Load, LoadReport};
use crate::mesh::Mesh;
use crate::payment_desk;
use crate::pod::Pod;
use crate::shop;
use crate::wait;

use super::grouped;

/// Messages of one gRPC stream: with 20 ms between two, a second each.
const STREAM_MESSAGES: u64 = 50;

/// The pods.
pub(crate) struct Stage {
    pub(crate) frontend: Pod,
    pub(crate) cart: Pod,
    pub(crate) payments: Pod,
    pub(crate) mesh: Mesh,
}

/// Load of four kinds from the front end.
pub(crate) struct Traffic {
    http1: Load,
    http2: Load,
    grpc: Load,
    tcp: Load,
}

/// What became of it.
pub(crate) struct TrafficReport {
    http1: LoadReport,
    http2: LoadReport,
    grpc: LoadReport,
    tcp: LoadReport,
    /// What the front end's proxy counted, when something failed.
    counted: String,
}

impl Stage {
    /// Starts authority and pods; `options` go to `postern-authority run`.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::configured(options, &json!({}))
    }

    /// The same with these keys in the proxies' configurations.
    pub(crate) fn configured(options: &[&str], config: &Value) -> Self {
        let mesh = Mesh::with_authority_and(options);
        for policy in ["cart", "payments"] {
            shop::install(&mesh, policy);
        }
        let cart = mesh.pod("cart").port(8080, "http").port(9100, "tcp");
        let cart = cart.app(App::new("shop-cart")).config(config.clone()).start();
        let payments = mesh.pod("payments").port(50051, "grpc").config(config.clone()).start();
        payment_desk::open(&payments, 50051);
        let frontend = mesh.pod("frontend").config(config.clone()).start();
        Self { frontend, cart, payments, mesh }
    }

    pub(crate) fn pods(&self) -> [&Pod; 3] {
        [&self.frontend, &self.cart, &self.payments]
    }

    /// HTTP/1.1 keep-alive, HTTP/2, gRPC streams and one long TCP connection, until it is finished.
    pub(crate) fn traffic(&self) -> Traffic {
        let (from, http) = (&self.frontend, self.cart.at(8080));
        wait::until_true("the first call to be let in", || {
            from.curl("http://cart:8080/cart/ann").status == 200
        });
        Traffic {
            http1: Load::start(from, http, "cart:8080", "/cart/ann", 2),
            http2: Load::start_http2(from, http, "cart:8080", "/cart/ann", 1),
            grpc: Load::start_grpc(from, self.payments.at(50051), STREAM_MESSAGES, 1),
            tcp: Load::start_lines(from, self.cart.at(9100), 1),
        }
    }

    /// Renews all certificates now.
    pub(crate) fn renew_all(&self) {
        for pod in self.pods() {
            pod.renew_certificate();
        }
    }

    /// Certificates that the agents got since their start.
    pub(crate) fn agents_renewed(&self) -> u64 {
        self.pods().iter().map(|pod| pod.agent_renewals()).sum()
    }

    /// Certificates that the proxies took into use since their start.
    pub(crate) fn proxies_renewed(&self) -> u64 {
        let name = "postern_certificate_renewals_total";
        let taken = |pod: &&Pod| pod.metrics().sum(name, &[("result", "success")]);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter is a whole number above zero"
        )]
        self.pods().iter().map(|pod| taken(pod) as u64).sum()
    }
}

impl Traffic {
    /// Stops it; when something failed, the front end's proxy says how its connections fared.
    pub(crate) fn finish(self, stage: &Stage) -> TrafficReport {
        let Self { http1, http2, grpc, tcp } = self;
        let mut report = TrafficReport {
            http1: http1.finish(),
            http2: http2.finish(),
            grpc: grpc.finish(),
            tcp: tcp.finish(),
            counted: String::new(),
        };
        if report.failed() > 0 {
            let metrics = stage.frontend.metrics();
            let names = ["postern_reauthentications_total", "postern_connections_closed_total"];
            report.counted = names.map(|name| metrics.lines(name)).join("\n").replace('\n', " ");
        }
        report
    }
}

impl TrafficReport {
    fn kinds(&self) -> [&LoadReport; 4] {
        [&self.http1, &self.http2, &self.grpc, &self.tcp]
    }

    /// Requests: a gRPC stream is one, however many messages it has, and a line over TCP is none.
    pub(crate) fn requests(&self) -> u64 {
        self.http1.requests + self.http2.requests + self.grpc.connections
    }

    pub(crate) fn failed(&self) -> u64 {
        self.kinds().iter().map(|kind| kind.failed).sum()
    }

    /// Whether every kind was used and none failed.
    pub(crate) fn good(&self) -> bool {
        self.kinds().iter().all(|kind| kind.requests > 0 && kind.failed == 0)
    }

    /// `N requests, M failed (what they were)`, and the first failures in words.
    pub(crate) fn line(&self) -> String {
        let mut line = format!(
            "{} requests, {} failed (HTTP/1.1 {}, HTTP/2 {}, {} gRPC streams of {} messages, {} lines over {} TCP \
             connection)",
            grouped(self.requests()),
            grouped(self.failed()),
            grouped(self.http1.requests),
            grouped(self.http2.requests),
            grouped(self.grpc.connections),
            grouped(self.grpc.requests),
            grouped(self.tcp.requests),
            grouped(self.tcp.connections),
        );
        for failure in self.kinds().iter().flat_map(|kind| kind.failures.first()) {
            line.push_str("; ");
            line.push_str(failure);
        }
        if !self.counted.is_empty() {
            line.push_str("; ");
            line.push_str(&self.counted);
        }
        line
    }
}
