//! Random histories: the order of events does not matter, and deltas add up to the full state.

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::*;

type Documents = BTreeMap<String, Vec<u8>>;
/// Policies, services, and how these are called.
type State = (Documents, Documents, Documents);

pub(super) const KEYS: &[&str] = &[
    "cart",
    "frontend",
    "teller.bank",
    "cart.shop.svc.cluster.local",
    "10.96.0.1:80",
    "10.96.0.2:80",
    "10.1.0.1:8080",
    "10.1.0.2:8080",
    "10.1.0.3:8080",
    "10.1.0.3:9",
    "10.96.0.2:81",
    "api.example.com",
    "api.example.com:443",
    "api.example.com:8443",
    "cart:80",
    "192.0.2.7:443",
    "nobody",
];

pub(super) fn some_event() -> impl Strategy<Value = Event> {
    let namespace = || select(vec!["shop", "bank", "postern-system"]);
    let of = || select(vec!["cart", "frontend", "teller"]);
    let ip = || select(vec!["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    let cluster_ip = || select(vec!["10.96.0.1", "10.96.0.2"]);
    let spec = select(vec![
        json!({}),
        json!({"action": "DENY", "rules": [{}]}),
        json!({"selector": {"matchLabels": {"app": "cart"}}}),
        json!({"targetRefs": [{"kind": "Service", "name": "cart"}]}),
    ]);
    let entry = |ports: Value| {
        json!({
            "hosts": ["api.example.com"], "addresses": ["192.0.2.0/24"],
            "ports": ports, "resolution": "NONE",
        })
    };
    let (tls, other) = (json!({"number": 443, "name": "a"}), json!({"number": 8443, "name": "b"}));
    let entries =
        select(vec![entry(json!([tls])), entry(json!([other])), entry(json!([tls, other]))]);
    let any_service = || json!({"group": "", "kind": "Service"});
    prop_oneof![
        (namespace(), of(), ip()).prop_map(|(ns, of, ip)| pod(ns, &format!("{of}-1"), of, ip)),
        (namespace(), of(), cluster_ip()).prop_map(|(ns, of, ip)| service(ns, of, ip, 80)),
        (namespace(), of(), ip())
            .prop_map(|(ns, of, ip)| { slice(ns, of, &[(ip, &format!("{of}-1"))]) }),
        (namespace(), of(), spec).prop_map(|(ns, of, spec)| allow(ns, of, &spec)),
        (namespace(), of(), entries)
            .prop_map(|(ns, of, entry)| { policy(PolicyKind::ServiceEntry, ns, of, &entry) }),
        (namespace(), of(), (namespace(), of()), (namespace(), of())).prop_map(
            |(ns, of, parent, backend)| routes::route(ns, of, &routes::leading(&[parent], backend))
        ),
        (namespace(), of(), namespace()).prop_map(move |(ns, of, from)| routes::grant(
            ns,
            of,
            &[from],
            any_service()
        )),
        (namespace(), of()).prop_map(|(ns, of)| {
            let spec = json!({"host": "cart.shop.svc.cluster.local"});
            policy(PolicyKind::DestinationRule, ns, of, &spec)
        }),
    ]
}

/// What happens: an object is written, or is gone.
fn some_history() -> impl Strategy<Value = Vec<Event>> {
    let event = (some_event(), prop::bool::weighted(0.2));
    let event = event.prop_map(|(event, gone)| if gone { without(event) } else { event });
    prop::collection::vec(event, 1..40)
}

pub(super) fn without(event: Event) -> Event {
    match event {
        Event::Pod(name, _) => Event::Pod(name, None),
        Event::Service(name, _) => Event::Service(name, None),
        Event::Slice(name, _) => Event::Slice(name, None),
        Event::Policy(name, _) => Event::Policy(name, None),
        other => other,
    }
}

fn object_of(event: &Event) -> String {
    match event {
        Event::Pod(name, _) => format!("pod {name}"),
        Event::Service(name, _) => format!("service {name}"),
        Event::Slice(name, _) => format!("slice {name}"),
        Event::Policy(name, _) => format!("policy {name}"),
        other => format!("{other:?}"),
    }
}

/// Everything a proxy with the pod `cart-1` of the shop knows when it asks now.
fn full_state(index: &Index) -> Option<State> {
    let mut subscriber = Subscriber::new(name("shop", "cart-1"), "cart-1".into());
    let mut state = State::default();
    subscriber.ask_policies(HashMap::new());
    subscriber.ask_traffic(HashMap::new());
    subscriber
        .ask_services(KEYS.iter().map(ToString::to_string).collect(), HashMap::new())
        .unwrap();
    add(&mut state, index.delta(&mut subscriber)?);
    Some(state)
}

fn add(state: &mut State, delta: Delta) {
    let Delta { policies, traffic, gateway: _, services } = delta;
    for (of, delta) in [(&mut state.0, policies), (&mut state.1, services), (&mut state.2, traffic)]
    {
        let delta = delta.unwrap_or_default();
        for name in delta.removed {
            of.remove(&name);
        }
        for (name, document) in delta.changed {
            of.insert(name, document.bytes.to_vec());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_objects_does_not_matter(
        history in some_history(),
        picks in prop::collection::vec(any::<Pick>(), 40),
    ) {
        // The versions of one object come in their order; those of different objects in any.
        let mut by_object: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for event in &history {
            by_object.entry(object_of(event)).or_default().push(event.clone());
        }
        let mut queues: Vec<Vec<Event>> = by_object.into_values().collect();
        queues.iter_mut().for_each(|queue| queue.reverse());
        let mut shuffled = Vec::new();
        for pick in picks {
            if queues.is_empty() {
                break;
            }
            let at = pick.index(queues.len());
            shuffled.extend(queues[at].pop());
            if queues[at].is_empty() {
                queues.remove(at);
            }
        }
        prop_assert_eq!(full_state(&index(history)), full_state(&index(shuffled)));
    }

    #[test]
    fn deltas_add_up_to_the_full_state(history in some_history()) {
        let mut index = index([pod("shop", "cart-1", "cart", "10.1.0.1")]);
        let mut subscriber = Subscriber::new(name("shop", "cart-1"), "cart-1".into());
        subscriber.ask_policies(HashMap::new());
        subscriber.ask_traffic(HashMap::new());
        subscriber.ask_services(KEYS.iter().map(ToString::to_string).collect(), HashMap::new()).unwrap();
        let mut state = State::default();
        for event in history {
            index.apply(event);
            let Some(delta) = index.delta(&mut subscriber) else { break };
            add(&mut state, delta);
            let whole = full_state(&index);
            prop_assert_eq!(Some(&state), whole.as_ref());
        }
    }
}
