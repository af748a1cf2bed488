#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

const ROOT: &str = "postern-system";

fn cart() -> proto::Service {
    proto::Service {
        namespace: ROOT.into(),
        name: "cart.shop".into(),
        hosts: vec!["cart.shop.svc.cluster.local".into()],
        addresses: vec!["10.96.0.1".into()],
        location: proto::Location::Internal.into(),
        ports: vec![proto::Port {
            number: 80,
            target_port: 8080,
            name: "http".into(),
            protocol: proto::Protocol::Http.into(),
        }],
        resolution: proto::Resolution::Static.into(),
        endpoints: vec![proto::Endpoint {
            address: "10.1.0.1".into(),
            ports: vec![proto::EndpointPort { name: "http".into(), number: 8081 }],
            service_account: String::new(),
            locality: "/eu-1".into(),
            weight: 3,
        }],
        identities: Some(proto::Identities { ids: vec!["spiffe://td/ns/shop/sa/cart".into()] }),
        endpoints_without_proxy: vec!["10.1.0.7".into()],
    }
}

#[test]
fn a_message_means_what_a_file_says() {
    let file = policy::SourceFile {
        name: "r.yaml".into(),
        bytes: br#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart.shop, namespace: postern-system}
spec:
  hosts: [cart.shop.svc.cluster.local]
  addresses: [10.96.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: 10.1.0.1, ports: {http: 8081}, locality: /eu-1, weight: 3}]
  subjectAltNames: ["spiffe://td/ns/shop/sa/cart"]
"#
        .to_vec(),
    };
    let resources = policy::Resources::parse(&[file], ROOT).unwrap();
    let entry = read(&cart().encode_to_vec(), ROOT).unwrap();
    assert_eq!(entry, resources.service_entries()[0]);
    for (protocol, expect) in [
        (proto::Protocol::Auto, Protocol::Auto),
        (proto::Protocol::Http2, Protocol::Http2),
        (proto::Protocol::Grpc, Protocol::Grpc),
        (proto::Protocol::Tcp, Protocol::Tcp),
        (proto::Protocol::Tls, Protocol::Tls),
    ] {
        let mut message = cart();
        message.ports[0].protocol = protocol.into();
        let entry = read(&message.encode_to_vec(), ROOT).unwrap();
        assert_eq!(entry.services()[0].ports[0].protocol, expect);
    }
}

#[test]
fn what_is_not_understood_whole_is_refused() {
    let check = |row: &str, bytes: &[u8], expect: &str| {
        let error = read(bytes, ROOT).expect_err(row);
        assert!(error.contains(expect), "{row}: {error}");
    };
    let change = |row: &str, change: &dyn Fn(&mut proto::Service), expect: &str| {
        let mut message = cart();
        change(&mut message);
        check(row, &message.encode_to_vec(), expect);
    };
    let good = cart().encode_to_vec();
    check("nothing", &[], "the location 0");
    check("JSON of an older controller", br#"{"apiVersion":"networking.istio.io/v1"}"#, "");
    check("half of it", &good[..good.len() - 3], "");
    check("a field of a later version", &[&good[..], &[0x7a, 1, b'x']].concat(), "does not know");
    change("no location", &|m| m.location = 0, "the location 0");
    change("a later location", &|m| m.location = 9, "the location 9");
    change("a later resolution", &|m| m.resolution = -1, "the resolution -1");
    change("no protocol", &|m| m.ports[0].protocol = 0, "the protocol 0");
    change("a later protocol", &|m| m.ports[0].protocol = 7, "the protocol 7");
    change("a port beyond all", &|m| m.ports[0].number = u32::MAX, "the port 4294967295");
    change("no locality", &|m| m.endpoints[0].locality = "eu//".into(), "the locality");
    change("a weight beyond all", &|m| m.endpoints[0].weight = u32::MAX, "the weight");
    change("no host", &|m| m.hosts.clear(), "0 hosts");
    change("nobody", &|m| m.identities = Some(proto::Identities::default()), "0 identities");
    change("no namespace", &|m| m.namespace = "Shop!".into(), "the namespace");
    let foreign = |m: &mut proto::Service| m.namespace = "bank".into();
    change("another namespace's host", &foreign, "namespace shop's");
}

proptest::proptest! {
    #[test]
    fn no_bytes_end_the_program(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = read(&bytes, ROOT);
    }

    /// A valid message with one byte changed: rejected or accepted, never a panic.
    #[test]
    fn no_changed_byte_ends_the_program(at in 0usize..200, byte in proptest::num::u8::ANY) {
        let mut bytes = cart().encode_to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes, ROOT);
    }
}
