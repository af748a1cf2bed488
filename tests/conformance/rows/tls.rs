//! TLS at the edge: which listener a server name leads to, and which clients' certificates it believes.

use crate::exchange::{Exchange, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteHTTPSListener", HTTPS, https),
    Row::gateway("HTTPRouteHTTPSListenerDetectMisdirectedRequests", MISDIRECTED, misdirected),
    Row::gateway("GatewayFrontendClientCertificateValidation", CLIENTS, clients),
    Row::gateway("GatewayFrontendClientCertificateValidationInsecureFallback", FALLBACK, fallback),
    Row::gateway("GatewayInvalidFrontendClientCertificateValidation", INVALID, invalid),
    Row::gateway(
        "GatewayFrontendInvalidDefaultClientCertificateValidation",
        INVALID_DEFAULT,
        invalid_default,
    ),
];

const HTTPS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: second, port: 443, protocol: HTTPS, hostname: second.example, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-any-host, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: second}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
";

fn https(scene: &Scene<'_>) {
    let ask = |name: &str, exchange: Exchange| {
        scene.expect_at(scene.at(1, 443), &scene.world.tls(Some(name)), &[exchange]);
    };
    ask("first.example", get("first.example/").reaches("infra-v1"));
    ask("second.example", get("second.example/").reaches("infra-v2"));
    ask("third.example", get("third.example/").answers(404));
}

const MISDIRECTED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  listeners:
    - {name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: second, port: 443, protocol: HTTPS, hostname: second.example, tls: {certificateRefs: [{name: any-host}]}}
    - {name: wild, port: 443, protocol: HTTPS, hostname: '*.wild.example', tls: {certificateRefs: [{name: any-host}]}}
    - name: fourth
      port: 443
      protocol: HTTPS
      hostname: fourth.wild.example
      tls: {certificateRefs: [{name: any-host}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-any, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: any}]
  hostnames: [first.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-second, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: second}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-wild, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: wild}]
  rules: [{backendRefs: [{name: infra-v3, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-fourth, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: fourth}]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

/// A connection is for the hosts of the listener that its server name led to.
fn misdirected(scene: &Scene<'_>) {
    let rows: [(&str, &str, Result<&str, u16>); 15] = [
        ("first.example", "first.example", Ok("infra-v1")),
        ("first.example", "second.example", Err(421)),
        ("first.example", "third.example", Err(404)),
        ("second.example", "second.example", Ok("infra-v2")),
        ("second.example", "first.example", Err(421)),
        ("second.example", "third.example", Err(421)),
        ("third.wild.example", "third.wild.example", Ok("infra-v3")),
        ("third.wild.example", "fifth.wild.example", Ok("infra-v3")),
        ("third.wild.example", "fourth.wild.example", Err(421)),
        ("third.wild.example", "second.example", Err(421)),
        ("third.wild.example", "third.example", Err(421)),
        ("fourth.wild.example", "fourth.wild.example", Ok("infra-v1")),
        ("fourth.wild.example", "fifth.wild.example", Err(421)),
        ("third.example", "first.example", Ok("infra-v1")),
        ("third.example", "third.example", Err(404)),
    ];
    for alpn in [&["h2"][..], &["http/1.1"]] {
        for (name, host, expected) in rows {
            let request = get(&format!("{host}/"));
            let exchange = match expected {
                Ok(pod) => request.reaches(pod),
                Err(status) => request.answers(status),
            };
            let way = scene.world.tls_with(Some(name), alpn, None);
            scene.expect_at(scene.at(1, 443), &way, &[exchange]);
        }
    }
}

const CLIENTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls:
    frontend:
      default:
        validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: partner-roots}]}
      perPort:
        - port: 8443
          tls:
            validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: other-partner-roots}]}
  listeners:
    - {name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: second, port: 8443, protocol: HTTPS, hostname: second.example, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-second, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: second}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
";

/// Each port believes its own partners, and nobody without a certificate.
fn clients(scene: &Scene<'_>) {
    let ports = [(443, "first.example", "infra-v1"), (8443, "second.example", "infra-v2")];
    for (number, (port, host, pod)) in ports.into_iter().enumerate() {
        let exchange = get(&format!("{host}/")).reaches(pod);
        for client in [None, Some(0), Some(1)] {
            let way = scene.world.tls_with(Some(host), &[], client);
            let is_right = client == Some(number);
            if is_right {
                scene.expect_at(scene.at(1, port), &way, std::slice::from_ref(&exchange));
            } else {
                let answer = scene.ask(scene.at(1, port), &way, &exchange);
                assert!(answer.is_err(), "{port} with {client:?}: {answer:?}");
            }
        }
    }
}

const FALLBACK: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls:
    frontend:
      default:
        validation:
          mode: AllowInsecureFallback
          caCertificateRefs: [{group: '', kind: ConfigMap, name: partner-roots}]
      perPort:
        - port: 8443
          tls:
            validation:
              mode: AllowInsecureFallback
              caCertificateRefs: [{group: '', kind: ConfigMap, name: other-partner-roots}]
  listeners:
    - {name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: second, port: 8443, protocol: HTTPS, hostname: second.example, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  hostnames: [first.example]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row-second, namespace: infra}
spec:
  parentRefs: [{name: $row, sectionName: second}]
  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]
";

/// Everybody is let in, with a certificate or without; none of them is a principal.
fn fallback(scene: &Scene<'_>) {
    for (port, host, pod) in
        [(443, "first.example", "infra-v1"), (8443, "second.example", "infra-v2")]
    {
        let exchange = get(&format!("{host}/")).reaches(pod);
        for client in [None, Some(0), Some(1)] {
            let way = scene.world.tls_with(Some(host), &[], client);
            scene.expect_at(scene.at(1, port), &way, std::slice::from_ref(&exchange));
        }
    }
    scene.gateway("$row").says("InsecureFrontendValidationMode", "True", "ConfigurationChanged");
}

const INVALID: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls:
    frontend:
      default:
        validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: partner-roots}]}
      perPort:
        - port: 7443
          tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: nobody}]}}
        - port: 8443
          tls: {validation: {caCertificateRefs: [{group: '', kind: Service, name: infra-v2}]}}
        - port: 6443
          tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: web-roots, namespace: web}]}}
  listeners:
    - {name: right, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: not-there, port: 7443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: wrong-kind, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: not-granted, port: 6443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

fn invalid(scene: &Scene<'_>) {
    let gateway = scene.gateway("$row");
    gateway.listener("right").is_good();
    let wrong = [
        ("not-there", 7443, "InvalidCACertificateRef"),
        ("wrong-kind", 8443, "InvalidCACertificateKind"),
        ("not-granted", 6443, "RefNotPermitted"),
    ];
    for (name, port, reason) in wrong {
        let listener = gateway.listener(name);
        listener.says("ResolvedRefs", "False", reason);
        listener.says("Accepted", "False", "NoValidCACertificate");
        listener.says("Programmed", "False", "");
        let way = scene.world.tls_with(Some("first.example"), &[], Some(0));
        assert!(scene.ask(scene.at(1, port), &way, &get("first.example/")).is_err(), "{name}");
    }
    let way = scene.world.tls_with(Some("first.example"), &[], Some(0));
    scene.expect_at(scene.at(1, 443), &way, &[get("first.example/").reaches("infra-v1")]);
}

const INVALID_DEFAULT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: $row, namespace: infra}
spec:
  gatewayClassName: postern
  addresses: [{type: IPAddress, value: $address}]
  tls:
    frontend:
      default:
        validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: nobody}]}
      perPort:
        - port: 80
          tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: partner-roots}]}}
  listeners:
    - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-host}]}}
    - {name: http, port: 80, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]
";

/// What is wrong with clients' certificates concerns listeners that ask for them.
fn invalid_default(scene: &Scene<'_>) {
    scene.expect(&[get("first.example/").reaches("infra-v1")]);
    let gateway = scene.gateway("$row");
    gateway.listener("http").is_good();
    let https = gateway.listener("https");
    https.says("ResolvedRefs", "False", "InvalidCACertificateRef");
    https.says("Accepted", "False", "NoValidCACertificate");
    https.says("Programmed", "False", "");
    let way = scene.world.tls(Some("first.example"));
    assert!(scene.ask(scene.at(1, 443), &way, &get("first.example/")).is_err());
}
