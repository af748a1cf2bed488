//! Decisions and what is reported with them, as tables; and that no other file decides.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use identity::SpiffeId;
use policy::{
    DefaultAuthorization, MtlsMode, PathNormalization, PolicyDefaults, Resources, SourceFile,
    Workload,
};

use crate::traffic::authorize::*;

/// The functions of the policy crate that only this module may call.
const QUESTIONS: &[&str] = &[
    "authorize_request(",
    "authorize_opaque(",
    "connection_verdict(",
    "refuse_undecided(",
    "check_mtls_mode(",
    "has_http_rules(",
    "nearest_miss(",
    "authorize_message(",
    "nearest_message_miss(",
    "snapshot.audited_by(",
    ".shadow(",
];

/// Live traffic and `explain` share the code of a decision because nothing else can make one.
#[test]
fn policy_is_asked_in_one_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let here = ["authorize.rs", "authorize/shadow_decision.rs", "authorize/tests.rs"];
    let here = here.map(|file| format!("data-plane/src/traffic/{file}"));
    let mut callers = Vec::new();
    each_source(&source, &mut |path, text| {
        let name = path.strip_prefix(&source).unwrap().display().to_string();
        let asks = QUESTIONS.iter().any(|question| text.contains(question));
        if asks && !here.contains(&name) {
            callers.push(name.clone());
        }
        let decides = ["authorize::request(", "authorize::opaque("];
        let decides = decides.iter().filter(|call| text.contains(*call)).count();
        let expected = match name.as_str() {
            "src/explain.rs" => 2,
            "data-plane/src/traffic/judge.rs" => 2,
            _ => return,
        };
        assert_eq!(decides, expected, "{name} decides by this module");
    });
    assert_eq!(callers, [""; 0], "ask traffic::authorize instead of the policy crate");
}

fn each_source(folder: &Path, see: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => each_source(&path, see),
            Some(ending) if ending == "rs" => see(&path, &fs::read_to_string(&path).unwrap()),
            _ => {}
        }
    }
}

/// The specs of AuthorizationPolicies `shop/p0`, `shop/p1`, …; a leading `~` makes one dry-run.
fn snapshot(defaults: &PolicyDefaults, specs: &[&str]) -> Snapshot {
    let documents = specs.iter().enumerate().map(|(index, spec)| {
        let (dry_run, spec) = spec.strip_prefix('~').map_or(("false", *spec), |spec| ("true", spec));
        format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{index}, namespace: shop, annotations: {{istio.io/dry-run: \"{dry_run}\"}}}}\nspec: {spec}\n")
    });
    let bytes = format!("# none\n{}", documents.collect::<String>()).into_bytes();
    let files = [SourceFile { name: "r".into(), bytes }];
    let resources = Resources::parse(&files, "postern-system").unwrap_or_else(|m| panic!("{m}"));
    let workload =
        Workload { namespace: "shop".into(), service_account: "cart".into(), labels: [].into() };
    Snapshot::build(&resources, &workload, defaults)
}

/// GET / on port 8080 by `td/ns/shop/sa/frontend`.
fn ask(snapshot: &Snapshot) -> AuthorizationVerdict {
    let peer = SpiffeId::parse("spiffe://td/ns/shop/sa/frontend").unwrap();
    let host = HostName::parse("cart", Some(80)).unwrap();
    let path = CanonicalPath::parse("/", PathNormalization::default()).unwrap();
    let headers = HeaderMap::new();
    let request_facts = RequestFacts {
        method: &Method::GET,
        host: &host,
        path: &path,
        headers: &headers,
        token: None,
        api_key: None,
    };
    request(snapshot, &connection(Some(&peer)), &request_facts)
}

fn connection(peer: Option<&SpiffeId>) -> ConnectionFacts<'_> {
    let ip = IpAddr::from([10, 0, 0, 7]);
    ConnectionFacts {
        peer,
        source_ip: ip,
        remote_ip: None,
        destination: (ip, 8080).into(),
        sni: None,
    }
}

const GET: &str = "{rules: [{to: [{operation: {methods: [GET]}}]}]}";
const POST: &str = "{rules: [{to: [{operation: {methods: [POST]}}]}]}";
const DENY_GET: &str = "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}";
const AUDIT_GET: &str = "{action: AUDIT, rules: [{to: [{operation: {methods: [GET]}}]}]}";
const AUDIT_POST: &str = "{action: AUDIT, rules: [{to: [{operation: {methods: [POST]}}]}]}";

#[test]
fn what_is_watched_never_decides() {
    use DefaultAuthorization::{Audit, Deny};
    let check = |authorization, specs: &[&str], decision: &str, expect: &[&str]| {
        let snapshot =
            snapshot(&PolicyDefaults { authorization, ..PolicyDefaults::default() }, specs);
        let verdict = ask(&snapshot);
        let found: Vec<_> = verdict.shadow.iter().map(to_line).collect();
        assert_eq!(verdict.decision_label(), decision, "{authorization:?} {specs:?}");
        assert_eq!(found, expect, "{authorization:?} {specs:?}");
    };
    check(Deny, &[], "deny", &[]);
    check(Deny, &[GET], "allow", &[]);
    check(Audit, &[], "allow", &["would_deny default default_deny -"]);
    check(Audit, &[GET], "allow", &[]);
    check(Deny, &[GET, AUDIT_GET], "allow", &["would_deny audit policy_audited shop/p1 0"]);
    check(Deny, &[GET, AUDIT_POST], "allow", &[]);
    check(Deny, &[POST, AUDIT_GET], "deny", &[]);
    let dry_deny = format!("~{DENY_GET}");
    check(Deny, &[GET, &dry_deny], "allow", &["would_deny dry_run policy_denied shop/p1 0"]);
    let (dry_get, dry_post) = (format!("~{GET}"), format!("~{POST}"));
    check(Deny, &[&dry_get], "deny", &["would_allow dry_run policy_allowed shop/p0 0"]);
    check(Deny, &[&dry_post], "deny", &[]);
    check(
        Audit,
        &[&dry_post],
        "allow",
        &["would_deny default default_deny -", "would_deny dry_run no_matching_allow -"],
    );
    check(Audit, &[&dry_get], "allow", &["would_deny default default_deny -"]);
}

fn to_line(shadow: &ShadowDecision) -> String {
    let rule = shadow.policy.as_ref().zip(shadow.rule);
    let rule = rule.map_or("-".to_owned(), |(policy, rule)| format!("{policy} {rule}"));
    format!("{} {} {} {rule}", shadow.decision, shadow.by.as_str(), shadow.reason)
}

/// A dry-run rule does not override the port's mode.
#[test]
fn plaintext_by_the_ports_mode() {
    for (mtls, taken) in
        [(MtlsMode::Strict, false), (MtlsMode::Permissive, true), (MtlsMode::Disable, true)]
    {
        let snapshot =
            snapshot(&PolicyDefaults { mtls, ..PolicyDefaults::default() }, &["~{rules: [{}]}"]);
        let found = plaintext(&snapshot, &connection(None));
        assert_eq!(found.is_none(), taken, "{mtls:?}");
        if let Some(verdict) = found {
            assert_eq!((verdict.reason(), &*verdict.shadow), ("peer_not_authenticated", &[][..]));
        }
    }
}

/// S-20: bytes that are not HTTP, where it must be HTTP, are refused whatever rules allow.
#[test]
fn s20_undecided_protocol_is_refused() {
    let peer = SpiffeId::parse("spiffe://td/ns/shop/sa/frontend").unwrap();
    for (spec, carries, expect) in [
        ("{rules: [{}]}", OpaqueKind::Undecided, "deny protocol_undecided"),
        ("{rules: [{}]}", OpaqueKind::Tcp, "allow policy_allowed"),
        (DENY_GET, OpaqueKind::Undecided, "deny policy_denied"),
        (DENY_GET, OpaqueKind::Tcp, "deny policy_denied"),
        (GET, OpaqueKind::Undecided, "deny protocol_undecided"),
        (GET, OpaqueKind::Tcp, "deny no_matching_allow"),
    ] {
        let snapshot = snapshot(&PolicyDefaults::default(), &[spec]);
        let verdict = opaque(&snapshot, &connection(Some(&peer)), carries);
        let found = format!("{} {}", verdict.decision_label(), verdict.reason());
        assert_eq!(found, expect, "{spec} {carries:?}");
        assert_eq!(verdict.is_undecided(), expect.ends_with("undecided"));
    }
    for (declared, spec, expect) in [
        (Declared::Http, "{rules: [{}]}", true),
        (Declared::Grpc, "{rules: [{}]}", true),
        (Declared::Auto, "{rules: [{}]}", false),
        (Declared::Auto, GET, true),
        (Declared::Tcp, GET, false),
        (Declared::Tls, GET, false),
    ] {
        let snapshot = snapshot(&PolicyDefaults::default(), &[spec]);
        assert_eq!(must_be_http(&snapshot, declared, 8080), expect, "{declared:?} {spec}");
    }
}
