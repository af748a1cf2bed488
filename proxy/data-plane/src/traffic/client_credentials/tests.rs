//! When a token is used, renewed and fetched anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use http::HeaderValue;
use oauth::TokenAnswer;
use policy::{ClientCredentialsTable, Resources, SourceFile, Workload};

use super::added::{AddedTokens, MARGIN};
use super::provider::believed;
use crate::traffic::client_credentials::*;

fn table(secret: &str) -> ClientCredentialsTable {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ClientCredentials\nmetadata: {{name: bank, namespace: shop}}\n\
         spec: {{hosts: [api.example.com], issuer: 'https://id.example', clientId: shop, clientSecretRef: {{name: bank}}}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: bank, namespace: shop}}\nstringData: {{client-secret: {secret}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: BTreeMap::new(),
    };
    ClientCredentialsTable::build(&resources, &workload)
}

fn rule(tokens: &AddedTokens) -> Arc<ClientCredentialsRule> {
    tokens.table().rules().next().unwrap().clone()
}

fn token(since: u64, life: u64) -> Token {
    let bearer = HeaderValue::from_str(&format!("Bearer {since}")).unwrap();
    Token { bearer, since, until: since + life }
}

/// What is needed, and which token is sent meanwhile.
fn need(tokens: &AddedTokens, now: u64) -> (&'static str, u64) {
    match tokens.need(&rule(tokens), now) {
        Need::None(token) => ("nothing", token.since),
        Need::Soon(token) => ("soon", token.since),
        Need::Now => ("now", 0),
        Need::Failed(_) => ("failed", 0),
    }
}

#[test]
fn a_token_is_renewed_before_its_end_and_kept_while_nobody_answers() {
    let tokens = AddedTokens::default();
    tokens.install(table("s3cret"));
    let rule = rule(&tokens);
    assert_eq!(need(&tokens, 1000), ("now", 0));
    tokens.fetched(&rule, Ok(token(1000, 1000)), 1000);
    for (row, now, expect) in [
        ("fresh", 1001, ("nothing", 1000)),
        ("before four fifths", 1799, ("nothing", 1000)),
        ("at four fifths", 1800, ("soon", 1000)),
        ("one asks for all", 1801, ("nothing", 1000)),
        ("and again in a while", 1805, ("soon", 1000)),
    ] {
        assert_eq!(need(&tokens, now), expect, "{row}");
    }
    tokens.fetched(&rule, Err(NoToken("away".into())), 1806);
    assert_eq!(need(&tokens, 1807), ("nothing", 1000), "the old one while it is good");
    assert_eq!(need(&tokens, 2000 - MARGIN), ("now", 0), "and no longer");
    tokens.fetched(&rule, Err(NoToken("away".into())), 1986);
    for (row, now, expect) in [
        ("no token, and failed a moment ago", 1987, ("failed", 0)),
        ("still", 1990, ("failed", 0)),
        ("a while later", 1991, ("now", 0)),
    ] {
        assert_eq!(need(&tokens, now), expect, "{row}");
    }
    tokens.fetched(&rule, Ok(token(1990, 60)), 1990);
    assert_eq!(need(&tokens, 2019), ("nothing", 1990));
    assert_eq!(need(&tokens, 2020), ("soon", 1990), "a short one is renewed while it is used");
}

#[test]
fn a_token_that_its_host_refuses_is_not_used_to_its_end() {
    let tokens = AddedTokens::default();
    tokens.install(table("s3cret"));
    let rule = rule(&tokens);
    tokens.fetched(&rule, Ok(token(1000, 1000)), 1000);
    tokens.refused(&HeaderValue::from_static("Bearer another"));
    assert_eq!(need(&tokens, 1100), ("nothing", 1000), "the app's own");
    tokens.refused(&HeaderValue::from_static("Bearer 1000"));
    assert_eq!(need(&tokens, 1100), ("now", 0));
    assert_eq!(need(&tokens, 1101), ("nothing", 1000), "one asks for all");
    tokens.fetched(&rule, Err(NoToken("away".into())), 1102);
    assert_eq!(need(&tokens, 1106), ("nothing", 1000), "the provider is left alone");
    assert_eq!(need(&tokens, 1107), ("now", 0));
    tokens.fetched(&rule, Ok(token(1107, 1000)), 1107);
    assert_eq!(need(&tokens, 1200), ("nothing", 1107));
}

/// The token of a provider that is no longer asked must not go to a host that the old rule did not name.
#[tokio::test]
async fn what_is_on_its_way_by_another_rule_is_not_joined() {
    let tokens = Arc::new(AddedTokens::default());
    tokens.install(table("s3cret"));
    let (old, waiting) = (rule(&tokens), tokens.clone());
    let waiting = tokio::spawn(async move {
        waiting.fly(&old, std::future::pending::<Result<Token, NoToken>>).await
    });
    tokio::task::yield_now().await;
    tokens.install(table("other"));
    let new = rule(&tokens);
    let found = tokens.fly(&new, || async { Ok(token(2000, 60)) });
    let found = tokio::time::timeout(std::time::Duration::from_secs(5), found).await;
    assert_eq!(found.unwrap().ok().unwrap().since, 2000);
    waiting.abort();
}

#[test]
fn another_secret_asks_anew() {
    let tokens = AddedTokens::default();
    tokens.install(table("s3cret"));
    tokens.fetched(&rule(&tokens), Ok(token(1000, 100)), 1000);
    tokens.install(table("s3cret"));
    assert_eq!(need(&tokens, 1001), ("nothing", 1000), "the same rule, read again");
    tokens.install(table("other"));
    assert_eq!(need(&tokens, 1001), ("now", 0));
    tokens.install(ClientCredentialsTable::default());
    tokens.install(table("s3cret"));
    assert_eq!(need(&tokens, 1001), ("now", 0), "what was gone is forgotten");
}

#[test]
fn what_a_provider_answers() {
    let read = |text: &str| believed(&TokenAnswer::read(200, text.as_bytes()).unwrap(), 1000);
    let found = read(r#"{"access_token":"abc","token_type":"bearer","expires_in":300}"#).unwrap();
    assert_eq!((found.bearer.to_str().unwrap(), found.until), ("Bearer abc", 1300));
    assert!(found.bearer.is_sensitive());
    let untold = read(r#"{"access_token":"abc","token_type":"Bearer"}"#).unwrap();
    assert_eq!(untold.until, 1060);
    let years = read(r#"{"access_token":"abc","token_type":"Bearer","expires_in":99999999}"#);
    assert_eq!(years.unwrap().until, 1000 + 24 * 60 * 60, "a day at most");
    let error = RequestError::from(NoToken("away".into()));
    assert_eq!((error.status().as_u16(), error.reason()), (503, "client_credentials_unavailable"));
}
