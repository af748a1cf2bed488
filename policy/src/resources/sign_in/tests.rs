//! What a SignIn is read as, and what is refused, where.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use crate::client_credential::ClientAuthMethod;
use crate::resources::{DEFAULT_ROOT_NAMESPACE, SignIn};
use crate::sign_in::{SessionPlace, SignInTarget};
use crate::{Resources, SourceFile};

const TARGET: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}";

/// A spec, one field a line, in which `change` stands in the place of the fields it names.
fn spec(change: &str) -> String {
    let fields = [
        ("targetRefs", format!("[{TARGET}]")),
        ("issuer", "https://id.example".to_owned()),
        ("clientId", "shop".to_owned()),
        ("clientSecretRef", "{name: shop-oidc}".to_owned()),
        ("session", "{keysSecretRef: {name: shop-session}}".to_owned()),
    ];
    let kept = fields.iter().filter(|(key, _)| !change.contains(&format!("{key}:")));
    let kept: String = kept.map(|(key, value)| format!("  {key}: {value}\n")).collect();
    format!("{kept}  {change}\n")
}

fn read_spec(spec: &str) -> Result<SignIn, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: SignIn\nmetadata: {{name: staff, namespace: shop}}\nspec:\n{spec}"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => Ok(resources.sign_ins()[0].clone()),
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn what_is_not_written_is_the_default() {
    let read = read_spec(&spec("")).unwrap();
    let settings = read.settings();
    assert_eq!(**read.name(), *"shop/staff");
    assert_eq!(read.client_secret().to_string(), "shop/shop-oidc");
    assert_eq!(read.keys_secret().to_string(), "shop/shop-session");
    assert_eq!(settings.client_auth, ClientAuthMethod::ClientSecretBasic);
    assert_eq!(settings.scopes, ["openid".into()]);
    let paths: Vec<_> = settings.endpoints.all().collect();
    assert_eq!(paths, ["/.postern/callback", "/.postern/logout"]);
    let session = &settings.session;
    assert_eq!((session.ttl.as_secs(), session.idle.as_secs()), (8 * 3600, 3600));
    assert_eq!((session.store, session.max_cookies), (SessionPlace::Cookie, 5));
    assert_eq!(session.claims, ["sub", "email", "groups"].map(Box::from));
    assert_eq!(*session.cookie_suffix, *"");
    assert!(!settings.forward.id_token && settings.forward.internal_jwt);
    assert!(settings.step_up.is_empty() && settings.post_logout_redirect_uris.is_empty());
}

#[test]
fn what_is_written_is_read() {
    let read = read_spec(
        "  targetRefs:
  - {group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: account}
  hosts: [shop.example, '*.shop.example']
  paths: ['/account/*']
  issuer: https://id.example/realms/staff
  clientId: shop
  clientSecretRef: {name: shop-oidc}
  clientAuth: private_key_jwt
  scopes: [openid, email]
  redirectPath: /staff/callback
  logoutPath: /staff/logout
  backChannelLogoutPath: /staff/back-channel
  postLogoutRedirectUris: ['https://shop.example/bye']
  session: {ttl: 30d, idle: 2d, store: redis, claims: [email, groups], maxCookies: 2, keysSecretRef: {name: k}, cookieSuffix: staff}
  forward: {idToken: true, internalJwt: false}
  claimHeaders: [{header: X-User, claim: sub}, {header: x-team, claim: groups.first}]
  stepUp: [{paths: ['/transfer/*'], acrValues: ['urn:mfa'], maxAge: 5m}]
  failure: deny
",
    )
    .unwrap();
    let settings = read.settings();
    let [SignInTarget::Listener(listener), SignInTarget::Route(route)] = &settings.targets[..]
    else {
        panic!("{:?}", settings.targets);
    };
    assert_eq!(listener.section.as_deref(), Some("https"));
    assert_eq!(route.to_string(), "HTTPRoute shop/account");
    assert_eq!((settings.hosts.len(), settings.paths.len()), (2, 1));
    assert_eq!(settings.client_auth, ClientAuthMethod::PrivateKeyJwt);
    let paths: Vec<_> = settings.endpoints.all().collect();
    assert_eq!(paths, ["/staff/callback", "/staff/logout", "/staff/back-channel"]);
    let session = &settings.session;
    assert_eq!((session.ttl.as_secs(), session.store), (30 * 86_400, SessionPlace::Redis));
    assert_eq!(session.claims, ["sub", "email", "groups"].map(Box::from));
    assert_eq!(settings.made_headers().collect::<Vec<_>>(), ["x-user", "x-team"]);
    assert_eq!(settings.step_up[0].max_age, Some(Duration::from_secs(300)));
}

/// Each mistake, and the place and words it is told in. Line 5 is the first of the spec.
#[test]
fn every_mistake_has_its_place() {
    let target = |more: &str| format!("targetRefs: [{{{more}}}]");
    let session = |more: &str| format!("session: {{keysSecretRef: {{name: k}}, {more}}}");
    let group = "group: gateway.networking.k8s.io";
    for (row, change, expect) in [
        ("no target", "targetRefs: []".into(), "an empty list for `targetRefs`"),
        (
            "a Service",
            target(&format!("{group}, kind: Service, name: a")),
            "one of Gateway, ListenerSet, HTTPRoute",
        ),
        (
            "another group",
            target("group: '', kind: Gateway, name: a"),
            "expected gateway.networking.k8s.io",
        ),
        (
            "another namespace",
            target(&format!("{group}, kind: Gateway, name: a, namespace: b")),
            "`namespace` in a target",
        ),
        (
            "a section of a route",
            target(&format!("{group}, kind: HTTPRoute, name: a, sectionName: b")),
            "`sectionName` of an HTTPRoute",
        ),
        ("a broken host", "hosts: ['a b']".into(), "a host, such as"),
        ("a host's port", "hosts: ['shop.example:8443']".into(), "without a port"),
        ("a port below a host", "hosts: ['*.shop.example:8443']".into(), "without a port"),
        ("a star within", "hosts: ['a*b']".into(), "a * stands alone"),
        ("a path with a query", "paths: ['/a?b']".into(), "no ? and no #"),
        ("plain http", "issuer: http://id.example".into(), "over plain http"),
        ("an issuer with a query", "issuer: https://id.example?a".into(), "an issuer has no query"),
        ("user information", "issuer: https://a@id.example".into(), "user information"),
        ("a blank at the end", "clientId: 'shop '".into(), "without blanks"),
        ("a blank within", "clientId: my shop".into(), "without blanks"),
        (
            "no such method",
            "clientAuth: client_secret_post".into(),
            "one of client_secret_basic, private_key_jwt",
        ),
        ("the secret itself", "clientSecret: hunter2".into(), "unknown key `clientSecret`"),
        (
            "a Secret elsewhere",
            "clientSecretRef: {name: a, namespace: b}".into(),
            "`namespace` of a Secret",
        ),
        ("no openid", "scopes: [email]".into(), "`scopes` without openid"),
        ("a scope of two words", "scopes: ['openid email']".into(), "one word of visible ASCII"),
        ("a scope twice", "scopes: [openid, openid]".into(), "openid again in `scopes`"),
        ("33 scopes", format!("scopes: [openid{}]", ", a".repeat(32)), "33 items for `scopes`"),
        ("a path without a slash", "redirectPath: callback".into(), "beginning with '/'"),
        ("an escape", "redirectPath: /a%2Fb".into(), "beginning with '/'"),
        ("dots", "logoutPath: /a/../b".into(), "without '.', '..'"),
        ("doubled slashes", "logoutPath: /a//b".into(), "without '.', '..'"),
        ("every path", "redirectPath: /".into(), "without '/' at the end"),
        (
            "the default of another",
            "logoutPath: /.postern/callback".into(),
            "another path for each",
        ),
        (
            "one path for two",
            "backChannelLogoutPath: /.postern/logout".into(),
            "another path for each",
        ),
        (
            "plain http afterwards",
            "postLogoutRedirectUris: ['http://a.example']".into(),
            "over plain http",
        ),
        ("no keys", "session: {ttl: 8h}".into(), "no `keysSecretRef`"),
        ("for ever", session("ttl: 31d"), "from 1s to 30d"),
        ("at once", session("ttl: 0s"), "from 1s to 30d"),
        ("longer than the whole", session("ttl: 1h, idle: 2h"), "a time of at most `ttl`"),
        ("a store of another kind", session("store: memory"), "one of cookie, redis"),
        ("a claim twice", session("claims: [sub, sub]"), "sub again in `claims`"),
        (
            "33 claims",
            session(&format!("claims: [a{}]", ", a".repeat(32))),
            "33 items for `claims`",
        ),
        ("no cookie", session("maxCookies: 0"), "from 1 to 5"),
        ("six cookies", session("maxCookies: 6"), "from 1 to 5"),
        ("a suffix that ends in a dash", session("cookieSuffix: 'staff-'"), "between them"),
        ("a suffix that begins with one", session("cookieSuffix: '-a'"), "between them"),
        ("a suffix of two words", session("cookieSuffix: 'a;b'"), "lower-case letters"),
        ("an unknown key of a session", session("secure: false"), "unknown key `secure`"),
        (
            "forwarding what is not",
            "forward: {accessToken: true}".into(),
            "unknown key `accessToken`",
        ),
        (
            "a header that frames",
            "claimHeaders: [{header: host, claim: sub}]".into(),
            "a header that means nothing else",
        ),
        (
            "a header of ours",
            "claimHeaders: [{header: x-postern-user, claim: sub}]".into(),
            "a header that means nothing else",
        ),
        (
            "a header twice",
            "claimHeaders: [{header: x-a, claim: sub}, {header: X-A, claim: sub}]".into(),
            "each header once",
        ),
        (
            "a claim that is not kept",
            "claimHeaders: [{header: x-a, claim: phone}]".into(),
            "add phone to `session.claims`",
        ),
        (
            "a step that asks nothing",
            "stepUp: [{paths: ['/a']}]".into(),
            "a step that asks nothing",
        ),
        ("a step nowhere", "stepUp: [{acrValues: [a]}]".into(), "no `paths`"),
        (
            "an acr of two words",
            "stepUp: [{paths: ['/a'], acrValues: ['a b']}]".into(),
            "one word of visible ASCII",
        ),
        ("no age at all", "stepUp: [{paths: ['/a'], maxAge: 0s}]".into(), "such as 5m"),
        ("open where it fails", "failure: allow".into(), "one of deny"),
        ("a selector", "selector: {}".into(), "unknown key `selector`"),
    ] {
        let change: String = change;
        let wrong = read_spec(&spec(&change)).unwrap_err();
        assert!(wrong.contains(expect), "{row}: {wrong}");
        let line = spec(&change).lines().count() + 4;
        assert!(
            wrong.contains(&format!("r.yaml:{line}:")) || wrong.contains("r.yaml:5:"),
            "{row}: {wrong}"
        );
        assert_eq!(wrong.lines().count(), 1, "{row}: {wrong}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for key in ["targetRefs", "issuer", "clientId", "clientSecretRef", "session"] {
        let without: String = spec("")
            .lines()
            .filter(|line| !line.contains(&format!("{key}:")))
            .map(|line| format!("{line}\n"))
            .collect();
        let wrong = read_spec(&without).unwrap_err();
        assert!(wrong.contains(&format!("no `{key}`")), "{key}: {wrong}");
    }
    let text = "apiVersion: policy.postern.dev/v1alpha1\nkind: SignIn\nmetadata: {name: a, namespace: b}\n";
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into() };
    let wrong = Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE).unwrap_err().to_string();
    assert!(wrong.contains("no `spec`"), "{wrong}");
}

#[test]
fn empty_words_that_mean_nothing_are_taken() {
    let read = read_spec(&spec("postLogoutRedirectUris: []")).unwrap();
    assert!(read.settings().post_logout_redirect_uris.is_empty());
    let read = read_spec(&spec("session: {keysSecretRef: {name: k}, cookieSuffix: ''}")).unwrap();
    assert_eq!(*read.settings().session.cookie_suffix, *"");
}
