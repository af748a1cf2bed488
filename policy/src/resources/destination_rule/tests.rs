//! What a DestinationRule is read as, and what is said about one that is not.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use crate::resources::{DEFAULT_ROOT_NAMESPACE, ReadOptions, survey};
use crate::traffic_policy::{
    BalancingAlgorithm, CaCertificates, HashKey, TrafficPolicy, UpstreamTlsMode,
};
use crate::{Resources, SourceFile};

fn rule(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: shop}}\nspec: {spec}\n"
    )
}

fn file(text: &str) -> SourceFile {
    SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() }
}

/// What the rule says of its host, with this `trafficPolicy`.
#[track_caller]
fn policy(text: &str) -> TrafficPolicy {
    let text = rule(&format!("{{host: api.example.com, trafficPolicy: {text}}}"));
    let read = Resources::parse(&[file(&text)], DEFAULT_ROOT_NAMESPACE);
    let resources = read.unwrap_or_else(|error| panic!("{text}: {error}"));
    (**resources.destination_rules()[0].policy()).clone()
}

/// The only diagnostic of a rule with this spec contains `expect`.
#[track_caller]
fn refused(spec: &str, expect: &str) {
    let text = rule(spec);
    let reading = ReadOptions::strict(DEFAULT_ROOT_NAMESPACE);
    let found = survey(&[file(&text)], &reading).diagnostics;
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(lines.len() == 1 && lines[0].contains(expect), "{spec}: {lines:?}");
}

#[test]
fn what_is_not_written_is_ours() {
    assert_eq!(policy("{}"), TrafficPolicy::default());
    assert_eq!(
        policy("{loadBalancer: {}, connectionPool: {}, outlierDetection: {}}"),
        policy("{}")
    );
    assert_eq!(policy("{tls: {mode: ISTIO_MUTUAL}}"), policy("{}"));
    let outlier = policy("{}").outlier_detection;
    assert_eq!((outlier.consecutive_gateway_errors, outlier.max_ejection_percent), (5, 50));
}

#[test]
fn balancing() {
    use BalancingAlgorithm::{LeastRequest, PeakEwma, Random, RoundRobin};
    for (text, expect) in [
        ("{}", PeakEwma),
        ("{simple: LEAST_REQUEST}", LeastRequest),
        ("{simple: ROUND_ROBIN}", RoundRobin),
        ("{simple: RANDOM}", Random),
    ] {
        let found = policy(&format!("{{loadBalancer: {text}}}")).load_balancing;
        assert_eq!((found.algorithm, found.hash_key), (expect, None), "{text}");
    }
    let cookie = |path: Option<&str>, ttl: Option<u64>| HashKey::Cookie {
        name: "user".into(),
        path: path.map(Into::into),
        ttl: ttl.map(Duration::from_secs),
    };
    for (text, expect) in [
        ("{httpHeaderName: X-User}", HashKey::Header("x-user".into())),
        ("{httpCookie: {name: user}}", cookie(None, None)),
        ("{httpCookie: {name: user, path: /a, ttl: 0s}}", cookie(Some("/a"), Some(0))),
        ("{httpQueryParameterName: user}", HashKey::QueryParameter("user".into())),
        ("{useSourceIp: true}", HashKey::SourceAddress),
    ] {
        let found = policy(&format!("{{loadBalancer: {{consistentHash: {text}}}}}"));
        assert_eq!(found.load_balancing.hash_key, Some(expect), "{text}");
    }
    let found =
        policy("{loadBalancer: {warmup: {duration: 1m}, localityLbSetting: {enabled: false}}}");
    assert_eq!(found.load_balancing.warmup, Some(Duration::from_secs(60)));
    assert!(!found.load_balancing.prefer_zone);
}

#[test]
fn pools_and_ejection() {
    let found = policy(
        "{connectionPool: {tcp: {maxConnections: 100, connectTimeout: 30ms},
          http: {http2MaxRequests: 1000, maxRetries: 3, idleTimeout: 1m}}}",
    );
    let pool = found.connection_pool;
    assert_eq!(
        (pool.max_connections, pool.connect_timeout),
        (Some(100), Some(Duration::from_millis(30)))
    );
    assert_eq!((pool.http.max_requests, pool.http.max_retries), (Some(1000), Some(3)));
    assert_eq!(pool.http.idle_timeout, Some(Duration::from_secs(60)));
    let found = policy(
        "{outlierDetection: {consecutive5xxErrors: 7, consecutiveGatewayErrors: 0, interval: 5m, baseEjectionTime: 15m, maxEjectionPercent: 100}}",
    );
    let outlier = found.outlier_detection;
    assert_eq!((outlier.consecutive_5xx_errors, outlier.consecutive_gateway_errors), (7, 0));
    assert_eq!(outlier.max_ejection_time, Duration::from_secs(900));
    assert_eq!((outlier.max_ejection_percent, outlier.min_health_percent), (100, 0));
}

#[test]
fn tls_of_egress() {
    let found =
        policy("{tls: {mode: SIMPLE, sni: API.example.com, subjectAltNames: [a.example.com]}}");
    let tls = found.tls.unwrap();
    assert_eq!(
        (&tls.mode, tls.sni.as_deref()),
        (&UpstreamTlsMode::Simple, Some("api.example.com"))
    );
    let found = policy(
        "{tls: {mode: MUTUAL, clientCertificate: /c/cert.pem, privateKey: /c/key.pem, caCertificates: /c/ca.pem}}",
    );
    let tls = found.tls.unwrap();
    assert!(
        matches!(&tls.mode, UpstreamTlsMode::Mutual(files) if &*files.private_key == "/c/key.pem")
    );
    assert_eq!(tls.ca_certificates, CaCertificates::File("/c/ca.pem".into()));
    assert_eq!(policy("{tls: {mode: DISABLE}}").tls.unwrap().mode, UpstreamTlsMode::Disable);
}

#[test]
fn a_port_has_settings_of_its_own_instead_of_the_whole() {
    let text = rule(
        "{host: cart, trafficPolicy: {loadBalancer: {simple: RANDOM}, portLevelSettings: [{port: {number: 80}, outlierDetection: {interval: 1s}}]}}",
    );
    let resources = Resources::parse(&[file(&text)], DEFAULT_ROOT_NAMESPACE).unwrap();
    let rule = &resources.destination_rules()[0];
    assert_eq!(&**rule.host(), "cart.shop.svc.cluster.local");
    assert_eq!(rule.policy().load_balancing.algorithm, BalancingAlgorithm::Random);
    let port = &rule.port_policies()[&80];
    assert_eq!(port.load_balancing.algorithm, BalancingAlgorithm::PeakEwma);
    assert_eq!(port.outlier_detection.interval, Duration::from_secs(1));
}

/// Everything of Istio's that is left out says what to do instead.
#[test]
fn what_is_left_out_is_refused_by_name() {
    let wrap = |path: &str, inner: &str| {
        let keys: Vec<_> = path.split('.').filter(|key| !key.is_empty()).collect();
        let nested =
            keys.iter().rev().fold(inner.to_owned(), |inner, key| format!("{{{key}: {inner}}}"));
        format!("{{host: cart, trafficPolicy: {nested}}}")
    };
    refused("{host: cart, subsets: [{name: v1}]}", "`subsets`, which is not supported");
    refused("{host: cart, trafficPolicy: {}, workloadSelector: {}}", "`workloadSelector`");
    refused("{host: cart, trafficPolicy: {}, exportTo: [web]}", "write \".\"");
    refused("{host: cart}", "without `trafficPolicy`");
    refused("{host: 'cart:80', trafficPolicy: {}}", "a host name without port");
    for (path, inner, expect) in [
        ("", "{tunnel: {}}", "`tunnel`"),
        ("", "{proxyProtocol: {}}", "`proxyProtocol`"),
        ("", "{loadBalancr: {}}", "did you mean `loadBalancer`?"),
        ("loadBalancer", "{simple: LEAST_CONN}", "write LEAST_REQUEST"),
        ("loadBalancer", "{simple: UNSPECIFIED}", "take the line out"),
        ("loadBalancer", "{simple: PASSTHROUGH}", "resolution: NONE"),
        ("loadBalancer", "{simple: RANDOM, consistentHash: {useSourceIp: true}}", "one of the two"),
        ("loadBalancer", "{warmupDurationSecs: 10s}", "`warmup: {duration: …}`"),
        ("loadBalancer.warmup", "{duration: 1s, aggression: 2}", "the share grows evenly"),
        ("loadBalancer.warmup", "{duration: 1s, minimumPercent: 2}", "begins with a tenth"),
        ("loadBalancer.warmup", "{duration: 2h}", "every wait has an end"),
        ("loadBalancer.localityLbSetting", "{distribute: []}", "the own zone is preferred"),
        ("loadBalancer.localityLbSetting", "{failoverPriority: []}", "the own zone is preferred"),
        ("loadBalancer.consistentHash", "{}", "nothing to hash"),
        ("loadBalancer.consistentHash", "{useSourceIp: false}", "take the line out"),
        ("loadBalancer.consistentHash", "{useSourceIp: true, minimumRingSize: 9}", "rendezvous"),
        ("loadBalancer.consistentHash", "{useSourceIp: true, maglev: {}}", "rendezvous"),
        ("loadBalancer.consistentHash", "{useSourceIp: true, httpHeaderName: a}", "more than one"),
        ("loadBalancer.consistentHash", "{httpHeaderName: 'a b'}", "the name of a header"),
        ("loadBalancer.consistentHash.httpCookie", "{name: 'a;b'}", "RFC 6265"),
        ("loadBalancer.consistentHash.httpCookie", "{name: a, path: '/;x'}", "a path"),
        ("connectionPool.tcp", "{maxConnections: 0}", "from 1 to 2147483647"),
        ("connectionPool.tcp", "{connectTimeout: 0.5s}", "write a whole number"),
        ("connectionPool.tcp", "{idleTimeout: 1h}", "limits.tcpKeepalive"),
        ("connectionPool.tcp", "{tcpKeepalive: {time: 2h}}", "limits.tcpKeepalive"),
        ("connectionPool.tcp", "{maxConnectionDuration: 1h}", "ends with its certificates"),
        ("connectionPool.http", "{idleTimeout: 0s}", "every wait has an end"),
        ("connectionPool.http", "{http1MaxPendingRequests: 7}", "http2MaxRequests"),
        ("connectionPool.http", "{maxRequestsPerConnection: 9}", "no request is lost"),
        ("connectionPool.http", "{h2UpgradePolicy: UPGRADE}", "appProtocol"),
        ("connectionPool.http", "{useClientProtocol: true}", "keeps its version"),
        ("connectionPool.http", "{maxConcurrentStreams: 9}", "limits.concurrentStreams"),
        ("outlierDetection", "{consecutiveErrors: 5}", "consecutiveGatewayErrors"),
        ("outlierDetection", "{splitExternalLocalOriginErrors: true}", "counts as a gateway error"),
        ("outlierDetection", "{maxEjectionPercent: 101}", "from 0 to 100"),
        ("tls", "{mode: SIMPLE}", "Services of the cluster are in the mesh"),
        ("tls", "{mode: DISABLE}", "Services of the cluster are in the mesh"),
        ("tls", "{mode: ISTIO_MUTUAL, sni: a.b}", "the unknown key `sni`"),
        ("tls", "{mode: ISTIO_MUTUAL, credentialName: c}", "caCertificates, clientCertificate"),
        ("tls", "{mode: ISTIO_MUTUAL, insecureSkipVerify: true}", "always checked"),
    ] {
        refused(&wrap(path, inner), expect);
    }
    for (inner, expect) in [
        ("{mode: SIMPLE, caCertificates: ca.pem}", "begin with '/'"),
        ("{mode: SIMPLE, clientCertificate: /c.pem}", "the unknown key `clientCertificate`"),
        ("{mode: SIMPLE, subjectAltNames: ['*.example.com']}", "a DNS name"),
        ("{mode: SIMPLE, subjectAltNames: []}", "an empty list"),
        ("{mode: MUTUAL, clientCertificate: /c.pem}", "no `privateKey`"),
    ] {
        refused(&format!("{{host: a.example.com, trafficPolicy: {{tls: {inner}}}}}"), expect);
    }
    refused("{host: '*', trafficPolicy: {tls: {mode: SIMPLE}}}", "ISTIO_MUTUAL");
}

#[test]
fn tls_beside_what_service_entries_say() {
    let entry = |location: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: shop}}\nspec: {{hosts: [db.example.com], location: {location}, ports: [{{number: 80, name: http}}]}}\n"
        )
    };
    for (mode, location, expect) in [
        ("SIMPLE", "MESH_EXTERNAL", None),
        ("SIMPLE", "MESH_INTERNAL", Some("which is in the mesh")),
        ("DISABLE", "MESH_INTERNAL", Some("which is in the mesh")),
        ("ISTIO_MUTUAL", "MESH_INTERNAL", None),
    ] {
        let text =
            rule(&format!("{{host: db.example.com, trafficPolicy: {{tls: {{mode: {mode}}}}}}}"));
        let found = Resources::parse(&[file(&(text + &entry(location)))], DEFAULT_ROOT_NAMESPACE);
        match (found, expect) {
            (Ok(_), None) => {}
            (Err(error), Some(expect)) => assert!(error.to_string().contains(expect), "{error}"),
            (found, _) => panic!("{mode} {location}: {found:?}"),
        }
    }
}

#[test]
fn a_second_rule_for_a_host_is_told_and_does_nothing() {
    let rule = |name: &str, namespace: &str, host: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{host: {host}, trafficPolicy: {{}}}}\n"
        )
    };
    let text = rule("b", "shop", "cart.shop.svc.cluster.local")
        + &rule("a", "shop", "cart")
        + &rule("c", "web", "cart.shop.svc.cluster.local")
        + &rule("d", "shop", "'*'");
    let resources = Resources::parse(&[file(&text)], DEFAULT_ROOT_NAMESPACE).unwrap();
    let hidden: Vec<_> =
        resources.hidden_destination_rules().iter().map(ToString::to_string).collect();
    assert_eq!(
        hidden,
        [
            "r.yaml:2:1: found a second DestinationRule for cart.shop.svc.cluster.local in its namespace; expected each host once in a namespace; shop/a holds, which is older or first by name; join the two, or remove one"
        ]
    );
}
