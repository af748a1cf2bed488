//! A delta by the journal of changes is the delta by a comparison of everything.

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::model::{KEYS, some_event, without};
use super::*;
use crate::controller::index::changes::{Change, ChangeJournal};

/// What happens between two deltas, or in the cluster.
#[derive(Debug, Clone)]
enum Step {
    Happens(Event),
    Asks(&'static str),
    Forgets(&'static str),
    AsksPolicies,
    /// Both proxies are told what is new.
    Delta,
}

/// The cluster and a proxy of it, once with a journal and once without: that one compares everything.
struct Pair {
    sides: [(Index, Subscriber); 2],
}

impl Pair {
    fn new(of: &str, most_changes: usize) -> Self {
        let side = |most: usize| {
            let mut index = Index::new(settings());
            index.changes = ChangeJournal::keeping(most);
            (index, Subscriber::new(name("shop", of), of.into()))
        };
        Self { sides: [side(most_changes), side(0)] }
    }

    fn apply(&mut self, event: &Event) {
        self.sides.iter_mut().for_each(|(index, _)| {
            index.apply(event.clone());
        });
    }

    fn ask(&mut self, key: &str) {
        self.sides.iter_mut().for_each(|(_, proxy)| {
            proxy.ask_services(vec![key.to_owned()], HashMap::new()).unwrap();
        });
    }

    fn forget(&mut self, key: &str) {
        self.sides.iter_mut().for_each(|(_, proxy)| proxy.forget_services(&[key.to_owned()]));
    }

    /// What each is told.
    fn deltas(&mut self) -> [Option<Delta>; 2] {
        // More than it keeps: everything may have changed.
        self.sides[1].0.changes.record(Change::AllWorkloads);
        self.sides.each_mut().map(|(index, proxy)| index.delta(proxy))
    }

    fn take(&mut self, step: &Step) -> [Option<Delta>; 2] {
        match step {
            Step::Happens(event) => self.apply(event),
            Step::Asks(key) => self.ask(key),
            Step::Forgets(key) => self.forget(key),
            Step::AsksPolicies => self.sides.iter_mut().for_each(|(_, proxy)| {
                proxy.ask_policies(HashMap::new());
                proxy.ask_traffic(HashMap::new());
            }),
            Step::Delta => return self.deltas(),
        }
        [const { None }; 2]
    }
}

/// An event, and what may be different in its object.
fn some_variant() -> impl Strategy<Value = Event> {
    let endpoint = (
        select(vec!["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.96.0.1"]),
        any::<bool>(),
        select(vec!["", "cart-1", "frontend-1", "teller-1"]),
    );
    let endpoint = endpoint.prop_map(|(ip, ready, pod)| EndpointRecord {
        ip: ip.parse().unwrap(),
        ready,
        pod: (!pod.is_empty()).then(|| pod.into()),
        locality: ready.then(|| policy::Locality::parse("/eu-1").unwrap()),
    });
    let endpoints = prop::collection::vec(endpoint, 0..3);
    let of = select(vec!["cart", "frontend", "teller"]);
    (some_event(), any::<[bool; 3]>(), endpoints, of).prop_map(|(mut event, flags, more, of)| {
        match &mut event {
            Event::Pod(_, Some(pod)) => [pod.has_proxy, pod.ended, pod.on_host] = flags,
            Event::Service(_, Some(service)) => vary_service(service, flags, of),
            Event::Slice(_, Some(slice)) => {
                slice.endpoints.extend(more);
                slice.ports[0].number = if flags[0] { 8080 } else { 9 };
                slice.service = of.into();
            }
            _ => {}
        }
        event
    })
}

fn vary_service(service: &mut Service, [other, http2, headless]: [bool; 3], of: &str) {
    service.ports[0].number = if other { 80 } else { 81 };
    service.ports[0].protocol =
        if http2 { policy::Protocol::Http2 } else { policy::Protocol::Http };
    service.selector = BTreeMap::from([("app".to_owned(), of.to_owned())]);
    if headless {
        service.cluster_ips.clear();
    }
}

fn some_step() -> impl Strategy<Value = Step> {
    let keys = || select(KEYS.to_vec());
    let happens = (some_variant(), prop::bool::weighted(0.2));
    let happens = happens.prop_map(|(event, gone)| if gone { without(event) } else { event });
    prop_oneof![
        8 => happens.prop_map(Step::Happens),
        3 => Just(Step::Delta),
        1 => keys().prop_map(Step::Asks),
        1 => keys().prop_map(Step::Forgets),
        1 => Just(Step::AsksPolicies),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_misses_nothing(
        steps in prop::collection::vec(some_step(), 1..80),
        most_changes in select(vec![4, 32, 16_384]),
        unasked in prop::collection::vec(any::<Pick>(), 0..6),
    ) {
        let mut pair = Pair::new("cart-1", most_changes);
        pair.sides.iter_mut().for_each(|(_, proxy)| proxy.ask_traffic(HashMap::new()));
        pair.apply(&pod("shop", "cart-1", "cart", "10.1.0.1"));
        KEYS.iter().for_each(|key| pair.ask(key));
        unasked.iter().for_each(|pick| pair.forget(KEYS[pick.index(KEYS.len())]));
        for step in &steps {
            let [by_journal, by_everything] = pair.take(step);
            prop_assert_eq!(by_journal, by_everything);
        }
        let [by_journal, by_everything] = pair.deltas();
        prop_assert_eq!(by_journal, by_everything);
    }
}

/// A service of more endpoints than a proxy is told of: which it is told follows from those that it dials itself.
#[test]
fn an_endpoint_that_is_dialled_belongs_to_the_share_at_once() {
    let ip = |number: u32| std::net::Ipv4Addr::from(0x0a01_0000 + number).to_string();
    let mut pair = Pair::new("client-1", 16_384);
    pair.apply(&pod("shop", "client-1", "client", "10.200.0.1"));
    pair.apply(&service("shop", "big", "10.96.0.3", 80));
    let pods = (0..1200).map(|number| (ip(number), format!("big-{number}"))).collect::<Vec<_>>();
    pods.iter().for_each(|(ip, of)| pair.apply(&pod("shop", of, "big", ip)));
    let endpoints = pods.iter().map(|(ip, of)| (&**ip, &**of)).collect::<Vec<_>>();
    pair.apply(&slice("shop", "big", &endpoints));
    let mut check = |row: &str, change: &dyn Fn(&mut Pair), expect: &[&str]| {
        change(&mut pair);
        let [by_journal, by_everything] = pair.deltas();
        assert_eq!(by_journal, by_everything, "{row}");
        let services = by_journal.unwrap().services.unwrap_or_default();
        let told = services.changed.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(told, expect, "{row}");
    };
    let dialled = (0..8).map(|number| format!("{}:8080", ip(number))).collect::<Vec<_>>();
    let keys = dialled.iter().map(|key| &**key).collect::<Vec<_>>();
    let (first, others) = (keys[0], &keys[1..]);
    let (all, two) = ([&*keys, &["big"]].concat(), [first, "big"]);
    check("the service", &|pair| pair.ask("big"), &["big"]);
    check("endpoints of it", &|pair| keys.iter().for_each(|key| pair.ask(key)), &all);
    check("most are not dialled", &|pair| others.iter().for_each(|key| pair.forget(key)), &two);
    check("nothing", &|_| {}, &[]);
    let gone = Event::Pod(name("shop", "big-0"), None);
    check("the pod of the dialled one is gone", &|pair| pair.apply(&gone), &two);
}

/// Who has not asked for what an event touches has nothing to compare.
#[test]
fn an_endpoint_concerns_its_service_and_its_pods_alone() {
    let mut index = index(shop());
    let before = index.changes.revision();
    index.apply(slice("shop", "cart", &[("10.1.0.1", "cart-1"), ("10.1.0.7", "cart-2")]));
    let changes = index.changes.since(before).unwrap();
    let found: Vec<String> = changes.map(|change| format!("{change:?}")).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("Address(10.1.0.7)"), "{found:?}");
    assert!(found[1].contains("Workload") && found[1].contains("cart-2"), "{found:?}");
}
