//! A row: its resources, and what is to be seen with them in force.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use postern_tests::{Pod, wait};
use tonic::Code;

use crate::exchange::{self, Answer, Exchange, Way};
use crate::status::Said;
use crate::world::World;
use crate::{greetings, grpc};

/// A test of the conformance suite, in our words.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// The name of its counterpart.
    pub(crate) name: &'static str,
    /// What reads the resources.
    pub(crate) by: By,
    /// YAML. `$row` is the row's own name for objects, `$parent` what its routes are attached to; `$address`, `$second` and
    /// `$third` are addresses of its own for gateways, `$service` is a service of its own, of both versions of the app;
    /// `$v1`, `$v6` and `$web` are where apps are.
    pub(crate) resources: &'static str,
    /// Services `$row-NAME` outside the mesh, where an app expects TLS: on port 443, named `tls`, and on 8443, named `other`.
    services: &'static [&'static str],
    /// Panics when something else is seen.
    pub(crate) check: fn(&Scene<'_>),
}

/// The side that a row is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A gateway. Where the resources have none, one of the row's name is added, which listens for HTTP on port 80.
    Gateway,
    /// The sidecar of the caller.
    Mesh,
}

impl Row {
    /// A row of gateways.
    pub(crate) const fn gateway(
        name: &'static str,
        resources: &'static str,
        check: fn(&Scene<'_>),
    ) -> Self {
        Self { name, by: By::Gateway, resources, services: &[], check }
    }

    /// A row of sidecars.
    pub(crate) const fn mesh(
        name: &'static str,
        resources: &'static str,
        check: fn(&Scene<'_>),
    ) -> Self {
        Self { name, by: By::Mesh, resources, services: &[], check }
    }

    /// The same, with such services.
    pub(crate) const fn with_services(mut self, services: &'static [&'static str]) -> Self {
        self.services = services;
        self
    }

    /// Runs it; `place` is its place among the rows that share the world.
    pub(crate) fn run(&self, world: &World, place: usize) {
        (self.check)(&Scene { world, row: *self, place, changed: Cell::new(false) });
    }

    /// What it is called in resources: `HTTPRouteCrossNamespace` is `http-route-cross-namespace`.
    pub(crate) fn object_name(&self) -> String {
        let letters: Vec<char> = self.name.chars().collect();
        let mut name = String::new();
        for (place, letter) in letters.iter().enumerate() {
            let after_small = place > 0 && !letters[place - 1].is_uppercase();
            let before_small = letters.get(place + 1).is_some_and(char::is_ascii_lowercase);
            if place > 0 && letter.is_uppercase() && (after_small || before_small) {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// The file of the row's resources, with its own names and addresses in place.
    pub(crate) fn file(&self, world: &World, place: usize) -> String {
        self.file_of(self.resources, world, place)
    }

    /// The same, with these resources instead.
    fn file_of(&self, resources: &str, world: &World, place: usize) -> String {
        let mut documents: Vec<String> = Vec::new();
        match self.by {
            By::Gateway if !resources.contains("kind: Gateway\n") => {
                documents.push(GATEWAY.to_owned())
            }
            By::Gateway => {}
            By::Mesh => documents.push(world.service_of_both(place).to_string()),
        }
        documents.extend(
            self.services
                .iter()
                .map(|name| world.service_of_tls(&format!("$row-{name}")).to_string()),
        );
        documents.extend(Some(resources.to_owned()).filter(|resources| !resources.is_empty()));
        let parent = match self.by {
            By::Gateway => "{name: $row}",
            By::Mesh => "{group: '', kind: Service, name: $service}",
        };
        let own = [
            ("$parent", parent.to_owned()),
            ("$row", self.object_name()),
            ("$service", service_name(place)),
            ("$address", address(place, 1).to_string()),
            ("$second", address(place, 2).to_string()),
            ("$third", address(place, 3).to_string()),
        ];
        let words = own.into_iter().chain(world.addresses());
        words.fold(documents.join("\n---\n"), |text, (word, value)| text.replace(word, &value))
    }
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
";

fn address(place: usize, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, u8::try_from(place).expect("few rows"), number)
}

/// The service of a row of sidecars.
pub(crate) fn service_name(place: usize) -> String {
    format!("echo-{place}")
}

/// A row with the world it runs in.
pub(crate) struct Scene<'w> {
    pub(crate) world: &'w World,
    row: Row,
    place: usize,
    /// Whether the row has other resources by now than at the start.
    changed: Cell<bool>,
}

impl Scene<'_> {
    /// One of the row's own addresses, the first is 1.
    pub(crate) fn at(&self, number: u8, port: u16) -> SocketAddr {
        (address(self.place, number), port).into()
    }

    /// Sends the requests one after the other, to the row's first address or its service, and compares.
    #[track_caller]
    pub(crate) fn expect(&self, exchanges: &[Exchange]) {
        self.expect_at(self.target(80), &Way::Plain, exchanges);
    }

    /// The same, to this address, in this way.
    #[track_caller]
    pub(crate) fn expect_at(&self, address: SocketAddr, way: &Way, exchanges: &[Exchange]) {
        let wrong = exchanges.iter().filter_map(|exchange| {
            self.ask(address, way, exchange).and_then(|answer| exchange.check(&answer)).err()
        });
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{}: {}", self.row.name, wrong.join("\n"));
    }

    /// Sends one request until its answer is as expected, for what was changed a moment ago.
    #[track_caller]
    pub(crate) fn expect_soon(&self, exchange: &Exchange) {
        let address = self.target(80);
        self.soon(|| {
            self.ask(address, &Way::Plain, exchange).and_then(|answer| exchange.check(&answer))
        });
    }

    /// Looks until it is right.
    #[track_caller]
    pub(crate) fn soon(&self, look: impl FnMut() -> Result<(), String>) {
        wait::until(&format!("{} to see a change", self.row.name), wait::PATIENCE, look);
    }

    /// Puts other resources in the place of the row's.
    pub(crate) fn replace(&self, resources: &str) {
        let text = self.row.file_of(resources, self.world, self.place);
        self.world.put(&self.row, &text);
        self.changed.set(true);
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Why there was no answer.
    pub(crate) fn ask(
        &self,
        address: SocketAddr,
        way: &Way,
        exchange: &Exchange,
    ) -> Result<Answer, String> {
        let (way, host, exchange) = (way.clone(), self.host(), exchange.clone());
        self.caller().run(async move { exchange::send(address, way, host, exchange).await })
    }

    /// Sends the request this often, some at a time, and counts who answered.
    pub(crate) fn shares(&self, count: usize, exchange: &Exchange) -> HashMap<String, usize> {
        let (address, host) = (self.target(80), self.host());
        let exchange = exchange.clone();
        let pods = self.caller().run(async move {
            let mut pods = Vec::new();
            while pods.len() < count {
                let ask = || exchange::send(address, Way::Plain, host.clone(), exchange.clone());
                let answers = futures_util::future::join_all((0..20).map(|_| ask())).await;
                pods.extend(answers.into_iter().map(|answer| {
                    let saw = answer.expect("an answer").saw;
                    saw["pod"].as_str().unwrap_or("nobody").to_owned()
                }));
            }
            pods
        });
        counted(pods)
    }

    /// The same with calls of gRPC; a status stands in the place of the pod.
    pub(crate) fn call_shares(&self, count: usize, port: u16) -> HashMap<String, usize> {
        let address = self.target(port);
        let call = grpc::Call {
            method: "Ask",
            host: format!("{}:{port}", self.host()),
            metadata: Vec::new(),
        };
        let pods = self.caller().run(async move {
            let mut pods = Vec::new();
            while pods.len() < count {
                let calls = (0..20).map(|_| grpc::call(address, call.clone()));
                let answers = futures_util::future::join_all(calls).await;
                pods.extend(
                    answers.into_iter().map(|pod| pod.unwrap_or_else(|code| format!("{code:?}"))),
                );
            }
            pods
        });
        counted(pods)
    }

    /// Calls one after the other, and compares: the pod, or the status.
    #[track_caller]
    pub(crate) fn expect_calls(&self, calls: &[(grpc::Call, Result<&str, Code>)]) {
        let address = self.target(80);
        for (call, expected) in calls {
            let (asked, expected) = (call.clone(), expected.map(str::to_owned));
            let answer = self.caller().run(async move { grpc::call(address, asked).await });
            assert_eq!(answer, expected, "{}: {call:?}", self.row.name);
        }
    }

    /// Connects, and hears what the app says first: its pod.
    ///
    /// # Errors
    /// Why nothing was heard.
    pub(crate) fn greeting(&self, address: SocketAddr) -> Result<String, String> {
        self.caller().run(greetings::hear(address))
    }

    /// The same this often, and counts who answered.
    pub(crate) fn greeting_shares(
        &self,
        count: usize,
        address: SocketAddr,
    ) -> HashMap<String, usize> {
        let pods = self.caller().run(async move {
            let mut pods = Vec::new();
            while pods.len() < count {
                let heard = (0..20).map(|_| greetings::hear(address));
                pods.extend(futures_util::future::join_all(heard).await);
            }
            pods
        });
        counted(pods.into_iter().map(|pod| pod.expect("a greeting")).collect())
    }

    /// The name of the row.
    pub(crate) fn name(&self) -> &str {
        self.row.name
    }

    /// What is said of a Gateway of the namespace `infra`.
    pub(crate) fn gateway(&self, name: &str) -> Said {
        self.gateway_in("infra", name)
    }

    /// What is said of a Gateway.
    pub(crate) fn gateway_in(&self, namespace: &str, name: &str) -> Said {
        self.said("Gateway", namespace, name)
    }

    /// What is said of a ListenerSet.
    pub(crate) fn listener_set(&self, namespace: &str, name: &str) -> Said {
        self.said("ListenerSet", namespace, name)
    }

    /// What is said of an HTTPRoute.
    pub(crate) fn route(&self, namespace: &str, name: &str) -> Said {
        self.said("HTTPRoute", namespace, name)
    }

    /// What is said of a BackendTLSPolicy of the namespace `infra` at its gateway.
    #[track_caller]
    pub(crate) fn backend_tls_policy(&self, name: &str) -> Said {
        self.said("BackendTLSPolicy", "infra", name).ancestor()
    }

    /// What is said of an object.
    pub(crate) fn said(&self, kind: &str, namespace: &str, name: &str) -> Said {
        let row = self.row.object_name();
        match self.changed.get() {
            true => Said::find(&self.world.check(), &row, kind, namespace, name),
            false => Said::find(self.world.statuses(), &row, kind, namespace, name),
        }
    }

    /// Where requests of this row go.
    fn target(&self, port: u16) -> SocketAddr {
        match self.row.by {
            By::Gateway => self.at(1, port),
            By::Mesh => (self.world.vip(self.place), port).into(),
        }
    }

    /// The host of requests that name none.
    pub(crate) fn host(&self) -> String {
        match self.row.by {
            By::Gateway => "example.org".to_owned(),
            By::Mesh => service_name(self.place),
        }
    }

    fn caller(&self) -> &Pod {
        match self.row.by {
            By::Gateway => self.world.edge(),
            By::Mesh => &self.world.caller,
        }
    }
}

fn counted(pods: Vec<String>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for pod in pods {
        *counts.entry(pod).or_default() += 1;
    }
    counts
}

/// Compares counts with the shares that were asked for, in percent; ten percent of all is more than four deviations of 500.
#[track_caller]
pub(crate) fn assert_shares(counts: &HashMap<String, usize>, expected: &[(&str, usize)]) {
    let all: usize = counts.values().sum();
    for (pod, percent) in expected {
        let share = counts.get(*pod).copied().unwrap_or(0) * 100 / all;
        assert!(
            share.abs_diff(*percent) <= 10,
            "{pod}: {share} % instead of {percent} %: {counts:?}"
        );
    }
    let others = counts.keys().find(|pod| expected.iter().all(|(expected, _)| expected != pod));
    assert!(others.is_none(), "{others:?} answered, too: {counts:?}");
}
