//! SignIn (`policy.postern.dev/v1alpha1`): how people sign in at a gateway; see `docs/sign-in.md`.

mod endpoints;
mod session;
mod step_up;

use std::sync::Arc;

use super::object::ResourceObject;
use super::{Resources, jwt_rule, listener_target, provider_client};
use crate::Diagnostic;
use crate::client_credential::{ClientAuthMethod, SecretProblem};
use crate::gateway::ObjectName;
use crate::pattern::{HostPattern, PathPattern};
use crate::sign_in::{SignInForward, SignInSecrets, SignInSettings, SignInTarget};
use crate::token::ClaimHeader;
use crate::yaml::{DiagnosticCode, SourcePosition, YamlMapping, YamlReader, YamlValue};

/// The most hosts of one SignIn.
const MAX_HOSTS: usize = 64;
/// The most paths of one list.
const MAX_PATHS: usize = 256;
/// The most scopes: providers know a handful.
const MAX_SCOPES: usize = 32;
/// The longest name of a scope or a claim, in bytes.
const MAX_NAME: usize = 256;
/// What makes a request for tokens one of OpenID Connect (Core 1.0 §3.1.2.1).
const OPENID: &str = "openid";

/// A SignIn.
#[derive(Debug, Clone, PartialEq)]
pub struct SignIn {
    name: Arc<str>,
    settings: Arc<SignInSettings>,
    client_secret: ObjectName,
    keys_secret: ObjectName,
    file: Arc<str>,
    mark: SourcePosition,
}

impl SignIn {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it says.
    pub fn settings(&self) -> &Arc<SignInSettings> {
        &self.settings
    }

    /// The Secret that holds what the client proves itself by (`clientSecretRef`).
    pub fn client_secret(&self) -> &ObjectName {
        &self.client_secret
    }

    /// The Secret that holds the keys of its cookies (`session.keysSecretRef`).
    pub fn keys_secret(&self) -> &ObjectName {
        &self.keys_secret
    }

    /// Whether it is about HTTPRoutes, too.
    pub(super) fn is_about_routes(&self) -> bool {
        self.settings.targets.iter().any(|target| matches!(target, SignInTarget::Route(_)))
    }

    /// What is wrong with the Secrets that it names, as far as anything is.
    pub(super) fn secret_problem(&self, resources: &Resources) -> Option<Diagnostic> {
        let found =
            SignInSecrets::of(resources, &self.settings, &self.client_secret, &self.keys_secret);
        let SecretProblem { secret, why } = found.err()?;
        let expected = "a Secret of the SignIn's namespace that holds what is asked of it";
        let fix = "docs/sign-in.md shows both Secrets".to_owned();
        Some(self.diagnostic(format!("Secret {secret}: {why}"), expected, Some(fix)))
    }

    /// A diagnostic about the object as a whole.
    pub(crate) fn diagnostic(
        &self,
        found: impl Into<String>,
        expected: &str,
        fix: Option<String>,
    ) -> Diagnostic {
        let diagnostic = Diagnostic::new(&self.file, self.mark, found, expected, fix);
        diagnostic.within(format!("SignIn {}", self.name).into())
    }
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<SignIn> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `targetRefs`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let client_secret = map.require(reader, "clientSecretRef");
    let client_secret =
        client_secret.and_then(|v| provider_client::secret_ref(reader, v, &object.namespace));
    let session = map.require(reader, "session");
    let session = session.and_then(|v| session::read(reader, v, &object.namespace));
    let (session, keys_secret) = session.unzip();
    let settings = read_settings(reader, &mut map, object, session);
    if let Some(failure) = map.take("failure") {
        reader.choice(failure, &[("deny", ())]);
    }
    map.finish(reader);
    Some(SignIn {
        name: object.full_name().into(),
        settings: Arc::new(settings?),
        client_secret: client_secret?,
        keys_secret: keys_secret?,
        file: Arc::clone(reader.file()),
        mark: object.mark,
    })
}

fn read_settings(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    object: &ResourceObject<'_>,
    session: Option<crate::sign_in::SessionSettings>,
) -> Option<SignInSettings> {
    let targets = map.require(reader, "targetRefs");
    let targets =
        targets.and_then(|v| listener_target::read_with_routes(reader, v, &object.namespace));
    let hosts = map.take("hosts").map(|v| {
        patterns(
            reader,
            v,
            MAX_HOSTS,
            "a host, such as shop.example or *.shop.example",
            host_pattern,
        )
    });
    let paths = map.take("paths").map(|v| path_patterns(reader, v));
    let issuer = map.require(reader, "issuer");
    let issuer = issuer.and_then(|v| reader.parsed(v, "the provider's https address", issuer_text));
    let client_id = map.require(reader, "clientId");
    let client_id = client_id.and_then(|v| provider_client::id(reader, v));
    let client_auth = map.take("clientAuth");
    let client_auth = client_auth.map(|v| reader.choice(v, ClientAuthMethod::CHOICES));
    let scopes = map.take("scopes").map(|v| read_scopes(reader, v));
    let endpoints = endpoints::read(reader, map);
    let post_logout = map.take("postLogoutRedirectUris");
    let post_logout = post_logout.map(|v| endpoints::read_redirect_uris(reader, v));
    let forward = map.take("forward").map(|v| read_forward(reader, v));
    let claim_headers = map.take("claimHeaders");
    let made = claim_headers.map(|v| jwt_rule::read_claim_headers(reader, v)).unwrap_or_default();
    if let (Some(value), Some(session)) = (claim_headers, &session) {
        refuse_unknown_claims(reader, value, &made, &session.claims);
    }
    let step_up = map.take("stepUp").map(|v| step_up::read(reader, v));
    Some(SignInSettings {
        targets: targets?,
        hosts: hosts.unwrap_or_else(|| Some(Vec::new()))?,
        paths: paths.unwrap_or_else(|| Some(Vec::new()))?,
        issuer: issuer?,
        client_id: client_id?,
        client_auth: client_auth.unwrap_or_else(|| Some(ClientAuthMethod::default()))?,
        scopes: scopes.unwrap_or_else(|| Some(vec![OPENID.into()]))?,
        endpoints: endpoints?,
        post_logout_redirect_uris: post_logout.unwrap_or_else(|| Some(Vec::new()))?,
        session: session?,
        forward: forward.unwrap_or_else(|| Some(SignInForward::default()))?,
        claim_headers: made,
        step_up: step_up.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

/// Every item of a list, so that each mistake is told.
fn patterns<T, E: std::fmt::Display>(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    most: usize,
    expected: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let items = reader.filled_list(value, most)?;
    let read: Vec<_> =
        items.into_iter().map(|item| reader.parsed(item, expected, &parse)).collect();
    read.into_iter().collect()
}

/// On every port: which one a client names in `Host` is its own choice, and no other listener is found by it.
fn host_pattern(text: &str) -> Result<HostPattern, String> {
    let pattern = HostPattern::parse(text).map_err(|error| error.to_string())?;
    match pattern.has_port() {
        true => Err("without a port: clients could name another one".to_owned()),
        false => Ok(pattern),
    }
}

fn path_patterns(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<PathPattern>> {
    patterns(reader, value, MAX_PATHS, "a path, such as /account/*", PathPattern::parse)
}

fn issuer_text(text: &str) -> Result<Arc<str>, &'static str> {
    jwt_rule::https(text)?;
    jwt_rule::no_query(text)?;
    Ok(text.into())
}

fn read_scopes(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<Box<str>>> {
    let scopes = patterns(reader, value, MAX_SCOPES, "a scope", word)?;
    refuse_twice(reader, value, &scopes);
    if !scopes.iter().any(|scope| **scope == *OPENID) {
        let fix = "without it the provider gives no ID token, and nobody is known".to_owned();
        let found = "`scopes` without openid";
        reader.report(value.node.mark, found, "openid among the scopes", Some(fix));
    }
    Some(scopes)
}

/// One word, as scopes (RFC 6749 §3.3) and `acr` values (OpenID Connect Core 1.0 §3.1.2.1) are: they are sent divided by
/// blanks.
fn word(text: &str) -> Result<Box<str>, &'static str> {
    let fits = |b: u8| (b'!'..=b'~').contains(&b) && b != b'"' && b != b'\\';
    match text.len() <= MAX_NAME && text.bytes().all(fits) {
        true => Ok(text.into()),
        false => Err("one word of visible ASCII characters without '\"' and '\\', at most 256"),
    }
}

fn refuse_twice(reader: &mut YamlReader, value: YamlValue<'_>, items: &[Box<str>]) {
    let mut rest = items;
    while let Some((item, others)) = rest.split_first() {
        if others.contains(item) {
            let found = format!("{item} again in `{}`", value.name);
            let code = DiagnosticCode::Repeated;
            reader.report_with_code(code, value.node.mark, found, "each once", None);
        }
        rest = others;
    }
}

fn read_forward(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<SignInForward> {
    let mut map = reader.mapping(value)?;
    let default = SignInForward::default();
    let id_token = map.take("idToken").map(|v| reader.boolean(v));
    let internal_jwt = map.take("internalJwt").map(|v| reader.boolean(v));
    map.finish(reader);
    Some(SignInForward {
        id_token: id_token.unwrap_or(Some(default.id_token))?,
        internal_jwt: internal_jwt.unwrap_or(Some(default.internal_jwt))?,
    })
}

/// A header of a claim that no session keeps would never be there.
fn refuse_unknown_claims(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    made: &[ClaimHeader],
    kept: &[Box<str>],
) {
    for header in made {
        let Some(claim) = header.claim.first().filter(|claim| !kept.contains(claim)) else {
            continue;
        };
        let found = format!("the header {} of the claim {claim}, which is not kept", header.header);
        let fix = format!("add {claim} to `session.claims`");
        let expected = "a claim of `session.claims`";
        reader.report(value.node.mark, found, expected, Some(fix));
    }
}

#[cfg(test)]
mod tests;
