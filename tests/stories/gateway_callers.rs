//! Who a gateway's clients are: partners by certificates, programs by API keys, everybody else by an address.

use std::time::Duration;

use postern_tests::certificates::replace;
use postern_tests::wait;
use postern_tests::web::WebAuthority;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::gateway_scene::{gateway, gateway_with, object, of_group, policy, target};
use crate::tokens::Issuer;

const URL: &str = "https://shop.example/cart/ann";

#[test]
fn s48_a_gateways_limits_are_by_what_is_known_of_a_client() {
    let limits =
        json!([{"name": "per-address", "key": "clientAddress", "requests": 2, "per": "1h"}]);
    let spec = json!({"targetRefs": target(None), "limits": limits});
    let scene = gateway_with(&[("limits", &policy("RateLimitPolicy", "limits", &spec))]);
    let other = scene.mesh.pod("other").outside().start();
    replace(&other.directory().join("web.pem"), &scene.web.pem());
    scene.get(URL, &[]).expect(200);
    for (row, forged, expect) in [
        ("the second request", "198.51.100.1", 200),
        ("another address", "198.51.100.2", 429),
        ("two of them", "198.51.100.3, 198.51.100.4", 429),
        ("IPv4 within IPv6", "::ffff:198.51.100.5", 429),
        ("the gateway's own", "127.0.0.1", 429),
    ] {
        let answer = scene.get(URL, &["-H", &format!("x-forwarded-for: {forged}")]);
        assert_eq!(answer.status, expect, "{row}: {answer:?}");
    }
    let refused = scene.get(URL, &[]).expect_refusal(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"per-address\";q=2;w=3600"));
    scene.get_as(&other, URL, &[]).expect(200);
    scene.edge.expect_log(&[("status", "429"), ("reason", "rate_limited")]);
    scene.edge.expect_metric("postern_rate_limit_decisions_total", &[("decision", "deny")]);
}

/// The client is listed as a proxy, and tells whom it speaks for; one address in its two forms is one client.
#[test]
fn s47_a_listed_proxy_speaks_for_its_clients_and_nobody_else_does() {
    let limits =
        json!([{"name": "per-address", "key": "clientAddress", "requests": 1, "per": "1h"}]);
    let spec = json!({"targetRefs": target(None), "limits": limits});
    let scene = gateway_with(&[("limits", &policy("RateLimitPolicy", "limits", &spec))]);
    let stranger = scene.mesh.pod("stranger").outside().start();
    replace(&stranger.directory().join("web.pem"), &scene.web.pem());
    let trusted = json!({"trustedProxies": [scene.client.ipv4()], "hops": 1});
    let spec = json!({"targetRefs": target(None), "clientAddress": {"xForwardedFor": trusted}});
    let clients = policy("ClientTrafficPolicy", "clients", &spec);
    scene.change("the trusted proxy", |mesh| mesh.policy("clients", &clients.to_string()));
    for (row, forwarded, expect) in [
        ("one client", "198.51.100.1", 200),
        ("again", "198.51.100.1", 429),
        ("again, within IPv6", "::ffff:198.51.100.1", 429),
        ("again, with what the client wrote before it", "203.0.113.9, 198.51.100.1", 429),
        ("another", "198.51.100.2", 200),
    ] {
        let answer = scene.get(URL, &["-H", &format!("x-forwarded-for: {forwarded}")]);
        assert_eq!(answer.status, expect, "{row}: {answer:?}");
    }
    for (forged, expect) in [("198.51.100.7", 200), ("198.51.100.8", 429)] {
        let answer = scene.get_as(&stranger, URL, &["-H", &format!("x-forwarded-for: {forged}")]);
        assert_eq!(answer.status, expect, "{answer:?}");
    }
}

#[test]
fn gateway_partners_are_who_their_certificates_are_mapped_to() {
    let partners = WebAuthority::new("Acme");
    let acme = json!({"subjectAltName": {"dns": "orders.acme.example"}, "principal": "partner.example/acme"});
    let certificates = json!({
        "mode": "optional", "principals": [acme],
        "authorities": [{"kind": "ConfigMap", "name": "partner-authorities"}],
    });
    let spec = json!({"targetRefs": target(Some("shop")), "clientCertificates": certificates});
    let clients = policy("ClientTrafficPolicy", "partners", &spec);
    let rules = json!([
        {"from": [{"source": {"principals": ["partner.example/acme"]}}]},
        {"to": [{"operation": {"paths": ["/cart/public"]}}]},
    ]);
    let spec = json!({"selector": {"matchLabels": {"app": "edge"}}, "rules": rules});
    let allowed = of_group("security.istio.io/v1", "AuthorizationPolicy", "edge", &spec);
    let scene = gateway_with(&[("clients", &clients), ("allowed", &allowed)]);
    let map = partners.config_map("partner-authorities");
    scene.change("the partner's authority", |mesh| mesh.policy("partner-authorities", &map));
    let give = |file: &str, authority: &WebAuthority, name: &str| {
        let certificate = authority.client(name);
        replace(&scene.client.directory().join(format!("{file}.pem")), &certificate.pem);
        replace(&scene.client.directory().join(format!("{file}-key.pem")), &certificate.key_pem);
        [
            "--cert".to_owned(),
            format!("/run/postern/{file}.pem"),
            "--key".to_owned(),
            format!("/run/postern/{file}-key.pem"),
        ]
    };
    let known = give("known", &partners, "orders.acme.example");
    let unknown = give("unknown", &partners, "ads.acme.example");
    let forged = give("forged", &scene.web, "orders.acme.example");
    for (row, shown, path, expect) in [
        ("a partner", &known[..], "ann", 200),
        ("a name that means nobody", &unknown[..], "ann", 403),
        ("nobody's public path", &unknown[..], "public", 200),
        ("no certificate", &[][..], "ann", 403),
        ("no certificate, public", &[][..], "public", 200),
        ("another authority's", &forged[..], "ann", 403),
        ("another authority's, public", &forged[..], "public", 200),
    ] {
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        let answer = scene.get(&format!("https://shop.example/cart/{path}"), &shown);
        assert_eq!(answer.status, expect, "{row}: {answer:?}");
    }
    scene.edge.expect_log(&[("status", "403"), ("reason", "no_matching_allow")]);
    // In the clear nobody is a partner.
    scene.get("http://shop.example/cart/ann", &[]).expect_refusal(403, "no_matching_allow");
}

#[test]
fn gateway_programs_are_let_in_by_their_keys() {
    let hash = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // of "secret"
    let key = json!({"id": "one", "client": "warehouse", "hash": hash, "scopes": ["carts"]});
    let spec = json!({"targetRefs": target(Some("shop")), "keys": [key]});
    let scene = gateway_with(&[("keys", &policy("ApiKeyPolicy", "keys", &spec))]);
    scene.get(URL, &[]).expect_refusal(401, "api_key_missing");
    scene.get(URL, &["-H", "x-api-key: wrong"]).expect_refusal(401, "api_key_invalid");
    let answer =
        scene.get("https://shop.example/headers", &["-H", "x-api-key: secret"]).expect(200);
    assert!(!answer.body.contains("secret"), "the app never sees a key: {}", answer.body);
    // Another listener asks for none.
    scene.get("http://shop.example/cart/ann", &[]).expect(200);
    scene.edge.expect_log(&[("status", "401"), ("reason", "api_key_invalid")]);
    let log = scene.edge.log();
    assert!(!log.iter().any(|line| line.0.to_string().contains("\"secret\"")), "a key is logged");
}

#[test]
fn gateway_answers_carry_headers_of_safety_over_tls_alone() {
    let hsts = json!({"maxAge": "365d", "includeSubDomains": true});
    let safety = json!({"preset": "standard", "remove": ["Server", "X-Powered-By"]});
    let spec = json!({"targetRefs": target(None), "hsts": hsts, "securityHeaders": safety});
    let scene = gateway_with(&[("clients", &policy("ClientTrafficPolicy", "public", &spec))]);
    for (row, url, hsts) in [
        ("the app's answer", URL, Some("max-age=31536000; includeSubDomains")),
        (
            "another answer of its",
            "https://shop.example/nothing",
            Some("max-age=31536000; includeSubDomains"),
        ),
        ("in the clear", "http://shop.example/cart/ann", None),
    ] {
        let answer = scene.get(url, &[]);
        assert_eq!(answer.header("strict-transport-security"), hsts, "{row}: {answer:?}");
    }
    let answer = scene.get(URL, &[]).expect(200);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
}

#[test]
fn gateway_users_are_let_in_by_their_tokens() {
    let scene = gateway();
    let issuer = Issuer::start(&scene.mesh);
    replace(&scene.edge.directory().join("issuer.pem"), &issuer.authority);
    let authorities = json!({"tokens": {"certificateAuthorities": "/run/postern/issuer.pem"}});
    scene.edge.configure(&authorities);
    drop(scene.edge.upgrade_proxy("believing"));
    let selector = json!({"matchLabels": {"app": "edge"}});
    let users =
        json!([{"from": [{"source": {"requestPrincipals": [format!("{}/ann", issuer.url)]}}]}]);
    let rules = json!([{"issuer": issuer.url, "audiences": ["urn:cart"]}]);
    for (kind, spec) in [
        ("RequestAuthentication", json!({"selector": selector, "jwtRules": rules})),
        ("AuthorizationPolicy", json!({"selector": selector, "rules": users})),
    ] {
        let file = of_group("security.istio.io/v1", kind, "users", &spec).to_string();
        scene.mesh.policy(&format!("users-{kind}"), &file);
    }
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    let token = bearer(&issuer.token());
    wait::until("the issuer's keys", Duration::from_secs(50), || {
        let answer = scene.get(URL, &["-H", &token]);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    scene.get(URL, &[]).expect_refusal(403, "no_matching_allow");
    scene.get(URL, &["-H", &bearer("x.y.z")]).expect_refusal(401, "token_malformed");
    scene.get(URL, &["-H", &token, "-H", &token]).expect_refusal(401, "two_tokens");
    scene.edge.expect_metric("postern_requests_total", &[("reason", "token_malformed")]);
}

/// Whoever may not come in is told nothing of what is inside: neither where a redirect leads nor which backends there are.
#[test]
fn gateway_refuses_before_a_rule_answers() {
    let redirect =
        json!({"type": "RequestRedirect", "requestRedirect": {"hostname": "inside.example"}});
    let nowhere = json!([{"name": "nowhere", "port": 1}]);
    let rules = json!([
        {"matches": [{"path": {"value": "/moved"}}], "filters": [redirect]},
        {"matches": [{"path": {"value": "/broken"}}], "backendRefs": nowhere},
    ]);
    let spec =
        json!({"parentRefs": [{"name": "edge"}], "hostnames": ["shop.example"], "rules": rules});
    let route = object("HTTPRoute", "answers", &spec);
    let named = json!([{"key": "request.headers[x-let]", "values": ["in"]}]);
    let spec = json!({"selector": {"matchLabels": {"app": "edge"}}, "rules": [{"when": named}]});
    let allowed = of_group("security.istio.io/v1", "AuthorizationPolicy", "edge", &spec);
    let limits =
        json!([{"name": "per-address", "key": "clientAddress", "requests": 2, "per": "1h"}]);
    let spec = json!({"targetRefs": target(None), "limits": limits});
    let limits = policy("RateLimitPolicy", "limits", &spec);
    let scene = gateway_with(&[("answers", &route), ("allowed", &allowed), ("limits", &limits)]);
    for (path, let_in) in [("moved", 302), ("broken", 500)] {
        let url = format!("https://shop.example/{path}");
        scene.get(&url, &[]).expect_refusal(403, "no_matching_allow");
        assert_eq!(scene.get(&url, &["-H", "x-let: in"]).status, let_in, "{path}");
    }
    // The answers of rules are requests of their callers, too.
    let refused = scene.get("https://shop.example/moved", &["-H", "x-let: in"]);
    refused.expect_refusal(429, "rate_limited");
}

/// The server name is what bytes that are passed on have of a host, and policies may go by it.
#[test]
fn s14_host_spelling_a_server_name_is_a_fact_for_policy() {
    let named = json!([{"key": "connection.sni", "values": ["shop.example"]}]);
    let spec = json!({
        "selector": {"matchLabels": {"app": "edge"}}, "action": "DENY", "rules": [{"when": named}],
    });
    let denied = of_group("security.istio.io/v1", "AuthorizationPolicy", "edge", &spec);
    let scene = gateway_with(&[("denied", &denied)]);
    scene.get(URL, &[]).expect_refusal(403, "policy_denied");
    scene.get("http://shop.example/cart/ann", &[]).expect(200);
}

/// What a client says of how its request came, or of the path it is for, reaches no app.
#[test]
fn s16_a_gateways_clients_say_nothing_of_how_they_came() {
    let scene = gateway();
    let forged = [
        "x-forwarded-host: evil.example",
        "x-forwarded-port: 1",
        "x-forwarded-prefix: /evil",
        "x-original-url: /admin",
        "x-rewrite-url: /admin",
        "x-client-ip: 198.51.100.1",
        "x-real-ip: 198.51.100.1",
        "forwarded: for=198.51.100.1",
    ];
    let fields: Vec<&str> = forged.iter().flat_map(|field| ["-H", field]).collect();
    let answer = scene.get("https://shop.example/headers", &fields);
    let seen = answer.expect(200).body.to_lowercase();
    assert!(seen.contains("x-forwarded-proto"), "{seen}");
    for field in forged {
        let (name, _) = field.split_once(':').unwrap();
        assert!(!seen.contains(&format!("\"{name}\"")), "{name} in {seen}");
    }
}

/// A listener's own deadlines: a head that does not come is waited for no longer than its policy says.
#[test]
fn gateway_waits_for_a_head_as_long_as_its_policy_says() {
    let spec = json!({"targetRefs": target(None), "limits": {"headerTimeout": "1s"}});
    let scene = gateway_with(&[("clients", &policy("ClientTrafficPolicy", "public", &spec))]);
    let at = scene.edge.at(80);
    let waited = scene.client.run(async move {
        let mut slow = TcpStream::connect(at).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: shop").await.unwrap();
        let began = std::time::Instant::now();
        let _ = slow.read_to_end(&mut Vec::new()).await;
        began.elapsed()
    });
    // Ten seconds is what every other client has.
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    scene.edge.expect_log(&[("reason", "header_timeout")]);
}

/// Who a partner is holds for as long as the rules that say so: a connection that is open ends with them.
#[test]
fn gateway_partners_are_disconnected_when_they_are_nobody_any_more() {
    let partners = WebAuthority::new("Acme");
    let clients = |principals: serde_json::Value| {
        let certificates = json!({
            "mode": "required", "principals": principals,
            "authorities": [{"kind": "ConfigMap", "name": "partner-authorities"}],
        });
        let spec = json!({"targetRefs": target(Some("shop")), "clientCertificates": certificates});
        policy("ClientTrafficPolicy", "partners", &spec)
    };
    let acme = json!([{"subjectAltName": {"dns": "orders.acme.example"}, "principal": "partner.example/acme"}]);
    let scene = gateway_with(&[("clients", &clients(acme))]);
    let map = partners.config_map("partner-authorities");
    scene.change("the partner's authority", |mesh| mesh.policy("partner-authorities", &map));
    let config = scene.web.believer(Some(&partners.client("orders.acme.example")), &["http/1.1"]);
    let at = scene.edge.at(443);
    let mut open = scene.client.run(async move {
        let stream = TcpStream::connect(at).await.unwrap();
        let name = ServerName::try_from("shop.example").unwrap();
        let mut stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
        let request = b"GET /cart/ann HTTP/1.1\r\nhost: shop.example\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        stream
    });
    let other = json!([{"subjectAltName": {"dns": "orders.acme.example"}, "principal": "partner.example/other"}]);
    scene.change("the mapping", |mesh| mesh.policy("clients", &clients(other).to_string()));
    // Idle connections have a quarter of an hour otherwise.
    let ended = scene.client.run(async move {
        let mut rest = Vec::new();
        let reading = open.read_to_end(&mut rest);
        tokio::time::timeout(wait::PATIENCE, reading).await.is_ok()
    });
    assert!(ended, "the connection is still open");
}
