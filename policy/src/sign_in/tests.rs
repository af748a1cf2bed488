//! Which SignIn is about a request, what its Secrets must hold, and which clash.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::gateway::ObjectName;
use crate::route::RouteKind;
use crate::{PathNormalization, PolicyDefaults, Resources, Snapshot, SourceFile, Workload};

/// 32 bytes, and others.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn resources(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system").unwrap()
}

fn secret(name: &str, data: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: shop}}\n{data}\n"
    )
}

fn secrets() -> String {
    secret("oidc", "stringData: {client-secret: hunter2}")
        + &secret("session", &format!("data: {{current: {KEY}}}"))
}

/// A SignIn whose own paths and cookies are its alone.
fn sign_in(name: &str, target: &str, more: &str) -> String {
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: SignIn\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  targetRefs:\n  - {{group: gateway.networking.k8s.io, {target}}}\n  issuer: https://id.example\n  \
         clientId: shop\n  clientSecretRef: {{name: oidc}}\n  redirectPath: /{name}/callback\n  logoutPath: /{name}/logout\n  \
         session: {{keysSecretRef: {{name: session}}, cookieSuffix: {name}}}\n  {more}\n"
    )
}

fn route(name: &str, parent: &str, hosts: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  parentRefs: [{{name: {parent}}}]\n  hostnames: [{hosts}]\n  rules: [{{backendRefs: [{{name: web, port: 80}}]}}]\n"
    )
}

fn table(text: &str) -> Arc<SignInTable> {
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "edge".into(),
        labels: std::collections::BTreeMap::new(),
    };
    let defaults = PolicyDefaults { edge: true, ..PolicyDefaults::default() };
    Arc::clone(Snapshot::build(&resources(text), &workload, &defaults).sign_ins())
}

/// A listener of the Gateway, or of a ListenerSet of it.
struct Place {
    gateway: ObjectName,
    set: Option<ObjectName>,
    section: Arc<str>,
}

impl Place {
    /// `edge/https`, `edge/more/https`.
    fn of(text: &str) -> Self {
        let parts: Vec<_> = text.split('/').collect();
        let set = if parts.len() == 3 { parts.get(1) } else { None };
        Self {
            gateway: ObjectName::new("shop", *parts.first().unwrap()),
            set: set.map(|set| ObjectName::new("shop", *set)),
            section: (*parts.last().unwrap()).into(),
        }
    }

    fn place(&self) -> ListenerPlace<'_> {
        let Self { gateway, set, section } = self;
        ListenerPlace { gateway, listener_set: set.as_ref(), section }
    }
}

fn host(text: &str) -> HostName {
    HostName::parse(text, Some(443)).unwrap()
}

fn path(text: &str) -> CanonicalPath<'_> {
    CanonicalPath::parse(text, PathNormalization::MergeSlashes).unwrap()
}

fn route_id(name: &str) -> RouteId {
    RouteId { kind: RouteKind::Http, namespace: "shop".into(), name: name.into() }
}

/// More than one is about it.
const AMBIGUOUS: Option<&str> = Some("ambiguous");

/// What is written in its place chooses nothing: neither how the path is spelled, nor by which of two readings.
#[test]
fn the_closest_holds() {
    let all = [
        sign_in("gateway", "kind: Gateway, name: edge", ""),
        sign_in("section", "kind: Gateway, name: edge, sectionName: https", ""),
        sign_in("set", "kind: ListenerSet, name: more", ""),
        sign_in("in-set", "kind: ListenerSet, name: more, sectionName: https", ""),
        sign_in("route", "kind: HTTPRoute, name: account", ""),
        sign_in("host", "kind: Gateway, name: shared", "hosts: [a.example]"),
        sign_in("hosts", "kind: Gateway, name: shared", "hosts: ['*.example']"),
        sign_in(
            "paths",
            "kind: Gateway, name: shared",
            "hosts: ['*.example']\n  paths: ['/staff/*', '/x']",
        ),
        sign_in(
            "deeper",
            "kind: Gateway, name: shared",
            "hosts: ['*.example']\n  paths: ['/staff/admin/*']",
        ),
        sign_in("some", "kind: Gateway, name: some", "paths: ['/account/*']"),
        sign_in("twin-b", "kind: Gateway, name: twins", ""),
        sign_in("twin-a", "kind: Gateway, name: twins", ""),
    ];
    let table = table(&(all.concat() + &secrets()));
    for (at, through, to, expect) in [
        ("edge/http", None, "a.example/", Some("gateway")),
        ("edge/https", None, "a.example/", Some("section")),
        ("edge/more/http", None, "a.example/", Some("set")),
        ("edge/more/https", None, "a.example/", Some("in-set")),
        ("edge/other/https", None, "a.example/", Some("gateway")),
        ("edge/https", Some("account"), "a.example/", Some("route")),
        ("edge/https", Some("other"), "a.example/", Some("section")),
        ("shared/https", None, "a.example/", Some("host")),
        ("shared/https", None, "a.example/staff/b", Some("host")),
        ("shared/https", None, "b.example/", Some("hosts")),
        ("shared/https", None, "b.example/staff/b", Some("paths")),
        ("shared/https", None, "b.example/staff/admin/b", Some("deeper")),
        ("shared/https", None, "b.example/staff%2Fadmin/b", AMBIGUOUS),
        ("shared/https", None, "b.example/staff/admin%2Fb", AMBIGUOUS),
        ("shared/https", None, "b.example/staff/x%2Fb", Some("paths")),
        ("shared/https", None, "b.example/staff/admin/../../x", Some("paths")),
        ("shared/https", None, "b.example/staff/admin/../b", Some("paths")),
        ("shared/https", None, "b.example/staff/admin/%2e%2e/b", Some("paths")),
        ("shared/https", None, "b.example//staff/admin/b", Some("deeper")),
        ("shared/https", None, "b.test/", None),
        ("some/https", None, "a.example/account/x", Some("some")),
        ("some/https", None, "a.example/account%2Fx", Some("some")),
        ("some/https", None, "a.example/x/../account/y", Some("some")),
        ("some/https", None, "a.example/", None),
        ("twins/https", None, "a.example/", Some("twin-a")),
        ("nobodys/https", None, "a.example/", None),
    ] {
        let (place, name) = (Place::of(at), to.find('/').unwrap());
        let through: Option<RouteId> = through.map(route_id);
        let found =
            table.find(&place.place(), through.as_ref(), &host(&to[..name]), &path(&to[name..]));
        let name_of =
            |policy: &Arc<SignInPolicy>| policy.name.strip_prefix("shop/").unwrap().to_owned();
        let found = found.map_or(AMBIGUOUS.map(str::to_owned), |found| found.map(name_of));
        assert_eq!(found.as_deref(), expect, "{at} {to}");
    }
}

#[test]
fn its_own_paths_are_its_own_wherever_it_holds() {
    let all = [
        sign_in(
            "some",
            "kind: Gateway, name: edge",
            "paths: ['/account/*']\n  backChannelLogoutPath: /some/back",
        ),
        sign_in("host", "kind: Gateway, name: edge", "hosts: [a.example]"),
        sign_in("route", "kind: HTTPRoute, name: account", ""),
        route("account", "other", "r.example"),
    ];
    let table = table(&(all.concat() + &secrets()));
    for (at, to, expect) in [
        ("edge/https", "a.example/some/callback", Some(("some", SignInEndpoint::Callback))),
        ("edge/https", "a.example/some/callback?code=1", Some(("some", SignInEndpoint::Callback))),
        ("edge/https", "b.example/some/logout", Some(("some", SignInEndpoint::Logout))),
        ("edge/https", "b.example/some/back", Some(("some", SignInEndpoint::BackChannelLogout))),
        ("edge/https", "a.example/host/callback", Some(("host", SignInEndpoint::Callback))),
        ("edge/https", "b.example/host/callback", None),
        ("other/https", "r.example/route/callback", Some(("route", SignInEndpoint::Callback))),
        ("other/https", "s.example/route/callback", None),
        ("edge/https", "r.example/route/callback", None),
        ("edge/https", "a.example/some/callback/", None),
        ("edge/https", "a.example/some%2Fcallback", None),
        ("edge/https", "a.example/", None),
    ] {
        let (place, name) = (Place::of(at), to.find('/').unwrap());
        let found = table.find_endpoint(&place.place(), &host(&to[..name]), &path(&to[name..]));
        let found =
            found.map(|(policy, endpoint)| (policy.name.strip_prefix("shop/").unwrap(), endpoint));
        assert_eq!(found, expect, "{at} {to}");
    }
}

/// A tenant's route on a shared Gateway answers nothing that the Gateway's own SignIn answers.
#[test]
fn of_two_that_claim_a_path_the_listeners_own_answers() {
    let plain = |name: &str, target: &str, more: &str| {
        sign_in(name, target, more).replace(&format!("/{name}/"), "/both/")
    };
    let at = "kind: Gateway, name: edge";
    for (row, text, expect) in [
        (
            "a Gateway's and a route's",
            plain("z", at, "") + &plain("a", "kind: HTTPRoute, name: r", ""),
            "z",
        ),
        (
            "a listener's and its Gateway's",
            plain("a", at, "") + &plain("z", &format!("{at}, sectionName: https"), ""),
            "z",
        ),
        ("two of the Gateway", plain("z", at, "paths: [/z]") + &plain("a", at, "paths: [/a]"), "a"),
        ("a route's alone", plain("a", "kind: HTTPRoute, name: r", ""), "a"),
    ] {
        let table = table(&(text + &route("r", "edge", "a.example") + &secrets()));
        let place = Place::of("edge/https");
        for to in ["/both/callback", "/both/logout"] {
            let found = table.find_endpoint(&place.place(), &host("a.example"), &path(to));
            let (policy, _) = found.unwrap();
            assert_eq!(policy.name.strip_prefix("shop/"), Some(expect), "{row}: {to}");
        }
    }
}

#[test]
fn without_its_secrets_it_holds_and_says_why() {
    let key = "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n";
    let by_key = "clientAuth: private_key_jwt";
    let client = |data: &str| secret("oidc", data);
    let keys = |data: &str| secret("session", data);
    let good = client("stringData: {client-secret: hunter2}");
    let good_keys = keys(&format!("data: {{current: {KEY}}}"));
    for (row, more, text, expect) in [
        ("both", "", good.clone() + &good_keys, ""),
        (
            "a key",
            by_key,
            client(&format!("stringData: {{private-key: \"{key}\"}}")) + &good_keys,
            "",
        ),
        (
            "a key before",
            "",
            good.clone() + &keys(&format!("data: {{current: {KEY}, previous: {OTHER_KEY}}}")),
            "",
        ),
        ("no Secret", "", good_keys.clone(), "Secret shop/oidc: it is not there"),
        ("no keys", "", good.clone(), "Secret shop/session: it is not there"),
        (
            "another key",
            by_key,
            good.clone() + &good_keys,
            "Secret shop/oidc: it has no key `private-key`",
        ),
        (
            "no PEM",
            by_key,
            client("stringData: {private-key: x}") + &good_keys,
            "is no PEM of PKCS#8",
        ),
        ("an empty secret", "", client("stringData: {client-secret: ''}") + &good_keys, "is empty"),
        (
            "a line break",
            "",
            client("stringData: {client-secret: \"a\\n\"}") + &good_keys,
            "ends in a line break",
        ),
        (
            "bytes",
            "",
            client("data: {client-secret: /w==}") + &good_keys,
            "what it holds is no text",
        ),
        (
            "a short key",
            "",
            good.clone() + &keys("data: {current: AAAA}"),
            "its `current` is not 32 bytes",
        ),
        (
            "a short key before",
            "",
            good.clone() + &keys(&format!("data: {{current: {KEY}, previous: AAAA}}")),
            "its `previous` is not 32 bytes",
        ),
    ] {
        let text: String = sign_in("staff", "kind: Gateway, name: edge", more) + &text;
        let table = table(&text);
        let policy = table.policies().next().unwrap();
        let problem = policy.secrets.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(
            problem.contains(expect) && problem.is_empty() == expect.is_empty(),
            "{row}: {problem}"
        );
        let told = resources(&text).sign_in_secret_problems();
        assert_eq!(told.len(), usize::from(!expect.is_empty()), "{row}: {told:?}");
        assert!(told.iter().all(|told| told.to_string().contains(expect)), "{row}: {told:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let table = table(&(sign_in("staff", "kind: Gateway, name: edge", "") + &secrets()));
    let shown = format!("{table:?}");
    assert!(shown.contains("ClientSecret(..)") && shown.contains("SessionKey(..)"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_sidecar_asks_nobody_to_sign_in() {
    let text = sign_in(
        "staff",
        "kind: Gateway, name: edge",
        "claimHeaders: [{header: x-user, claim: sub}]",
    );
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "web".into(),
        labels: std::collections::BTreeMap::new(),
    };
    for (edge, expect) in [(true, false), (false, true)] {
        let defaults = PolicyDefaults { edge, ..PolicyDefaults::default() };
        let snapshot = Snapshot::build(&resources(&text), &workload, &defaults);
        assert_eq!(snapshot.sign_ins().is_empty(), expect);
        // What an app could take for a header that is made is refused (S-15, S-16).
        assert_eq!(snapshot.header_names().have_another_spelling_of("x_user"), edge);
    }
}

#[test]
fn two_that_can_meet_keep_out_of_each_others_way() {
    let at = "kind: Gateway, name: edge";
    let plain = |name: &str, target: &str, more: &str| {
        sign_in(name, target, more).replace(&format!("/{name}/"), "/both/")
    };
    let suffix = |text: String, name: &str| {
        text.replace(&format!("cookieSuffix: {name}"), "cookieSuffix: both")
    };
    let set = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {name: more, namespace: shop}\n\
               spec:\n  parentRef: {name: edge}\n  listeners: [{name: a, port: 80, protocol: HTTP}]\n";
    for (row, text, expect) in [
        ("apart", sign_in("a", at, "") + &sign_in("b", at, "paths: [/b]"), ""),
        (
            "one path",
            plain("a", at, "") + &plain("b", at, "paths: [/b]"),
            "the path /both/callback, at which SignIn shop/a",
        ),
        (
            "one suffix",
            suffix(sign_in("a", at, ""), "a") + &suffix(sign_in("b", at, "paths: [/b]"), "b"),
            "the cookieSuffix \"both\"",
        ),
        (
            "the same twice",
            sign_in("a", at, "") + &sign_in("b", at, ""),
            "the targets, hosts and paths of SignIn shop/a",
        ),
        (
            "other hosts",
            plain("a", at, "hosts: [a.example]") + &plain("b", at, "hosts: ['*.test']"),
            "",
        ),
        (
            "a host of both",
            plain("a", at, "hosts: [a.example]") + &plain("b", at, "hosts: ['*.example']"),
            "the path",
        ),
        ("another Gateway", plain("a", at, "") + &plain("b", "kind: Gateway, name: other", ""), ""),
        (
            "other listeners",
            plain("a", &format!("{at}, sectionName: x"), "")
                + &plain("b", &format!("{at}, sectionName: y"), ""),
            "",
        ),
        (
            "a listener of it",
            plain("a", at, "") + &plain("b", &format!("{at}, sectionName: y"), ""),
            "the path",
        ),
        (
            "a set of it",
            set.to_owned() + &plain("a", at, "") + &plain("b", "kind: ListenerSet, name: more", ""),
            "the path",
        ),
        (
            "a set of another",
            plain("a", at, "") + &plain("b", "kind: ListenerSet, name: more", ""),
            "",
        ),
        (
            "a route of it",
            route("r", "edge", "r.example")
                + &plain("a", at, "")
                + &plain("b", "kind: HTTPRoute, name: r", ""),
            "the path",
        ),
        (
            "a route for another host",
            route("r", "edge", "r.example")
                + &plain("a", at, "hosts: [a.example]")
                + &plain("b", "kind: HTTPRoute, name: r", ""),
            "",
        ),
        (
            "routes for other hosts",
            route("r", "edge", "r.example")
                + &route("s", "edge", "'*.s.example'")
                + &plain("a", "kind: HTTPRoute, name: s", "")
                + &plain("b", "kind: HTTPRoute, name: r", ""),
            "",
        ),
        (
            "a route that is not there",
            plain("a", at, "") + &plain("b", "kind: HTTPRoute, name: r", ""),
            "",
        ),
    ] {
        let told = resources(&(text + &secrets())).sign_in_clashes();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), usize::from(!expect.is_empty()), "{row}: {told:?}");
        assert!(told.iter().all(|told| told.contains(expect)), "{row}: {told:?}");
    }
}
