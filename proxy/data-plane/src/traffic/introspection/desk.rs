//! Asks an issuer about a token: once for all requests that want to know at the same moment, and not too many at a time.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oauth::ProviderMetadata;
use parking_lot::Mutex;
use policy::IntrospectionRule;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::cache::{CacheKey, IntrospectionCache};
use super::verdict::{self, IntrospectionVerdict};
use crate::clock::Clock;
use crate::telemetry::LogThrottle;
use crate::traffic::provider_calls::ProviderCalls;
use crate::traffic::provider_client::ProviderClient;
use crate::traffic::single_flight::SingleFlight;

/// Tokens that are asked about at a time, or wait for their turn: whoever sends garbage makes one of each.
const MOST_WAITING: usize = 1024;
/// Questions under way at a time: half of what the proxy asks of all providers, so that others have their turn.
const MOST_CALLS: usize = 32;
/// Issuers whose endpoint is known.
const MOST_ISSUERS: usize = 256;
/// How long an issuer's word on its endpoint counts, before it is looked up again beside the requests …
const FRESH: Duration = Duration::from_secs(3600);
/// … and how long where it cannot be.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// How long an issuer is left alone whose document was of no use: tokens that nobody issued come by the thousand.
const LEFT_ALONE: Duration = Duration::from_secs(2);
/// For an issuer's discovery document that no request waits for.
const LOOK_UP: Duration = Duration::from_secs(5);

/// What is known of tokens, answers on their way, and where issuers are asked. Shared by the workers of a proxy.
pub(crate) struct IntrospectionDesk {
    cache: IntrospectionCache,
    /// By the token, and the rule that it is asked by.
    flights: SingleFlight<FlightKey, Option<IntrospectionVerdict>>,
    look_ups: SingleFlight<Arc<str>, Option<Arc<str>>>,
    turns: Semaphore,
    endpoints: Mutex<HashMap<Arc<str>, KnownEndpoint>>,
    /// Issuers whose document was of no use a moment ago, and since when.
    silent: Mutex<HashMap<Arc<str>, Instant>>,
    trouble: LogThrottle,
    providers: Arc<ProviderCalls>,
    clock: Arc<Clock>,
}

/// A token, and by which rule it is asked about: whoever has another rule, or another secret, does not join. Rules are
/// compared by address, which is nobody else's while the key holds it.
#[derive(Clone)]
struct FlightKey {
    token: CacheKey,
    rule: Arc<IntrospectionRule>,
}

impl PartialEq for FlightKey {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token && Arc::ptr_eq(&self.rule, &other.rule)
    }
}

impl Eq for FlightKey {}

impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.token.hash(state);
    }
}

#[derive(Clone)]
struct KnownEndpoint {
    address: Arc<str>,
    since: Instant,
}

/// What is known of a token, and whether it was known before.
pub(super) struct Found {
    /// `None`: nothing, in the time that the rule gives its issuer.
    pub(super) verdict: Option<IntrospectionVerdict>,
    pub(super) was_known: bool,
}

/// Why nothing is known of a token. For the log alone.
type Failure = String;

impl IntrospectionDesk {
    /// One that knows nothing yet.
    pub(crate) fn new(providers: Arc<ProviderCalls>, clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self {
            cache: IntrospectionCache::new(Instant::now()),
            flights: SingleFlight::new(MOST_WAITING),
            look_ups: SingleFlight::new(MOST_ISSUERS),
            turns: Semaphore::new(MOST_CALLS),
            endpoints: Mutex::default(),
            silent: Mutex::default(),
            trouble: LogThrottle::default(),
            providers,
            clock,
        })
    }

    /// What is known of a token, or what its issuer says now.
    pub(super) async fn verdict(
        self: &Arc<Self>,
        rule: &Arc<IntrospectionRule>,
        token: &Zeroizing<Vec<u8>>,
    ) -> Found {
        let key = CacheKey::new(&rule.policy, token);
        let known = self.cache.get(&key, rule, Instant::now());
        let was_known = known.is_some();
        let verdict = match known {
            Some(known) => Some(known),
            None => self.ask(key, rule, token).await,
        };
        // What is kept may have ended by its own time meanwhile.
        Found { verdict: verdict.map(|verdict| verdict.at(self.clock.unix())), was_known }
    }

    async fn ask(
        self: &Arc<Self>,
        key: CacheKey,
        rule: &Arc<IntrospectionRule>,
        token: &Zeroizing<Vec<u8>>,
    ) -> Option<IntrospectionVerdict> {
        let work = || {
            let (desk, rule, token) = (self.clone(), rule.clone(), token.clone());
            async move { answered(&desk, key, &rule, &token).await }
        };
        self.flights.run(FlightKey { token: key, rule: rule.clone() }, work).await.ok().flatten()
    }
}

impl IntrospectionDesk {
    /// Whether an issuer's document was of no use a moment ago: it is left alone for a while.
    fn is_silent(&self, issuer: &str, now: Instant) -> bool {
        let since = self.silent.lock().get(issuer).copied();
        since.is_some_and(|since| now.saturating_duration_since(since) < LEFT_ALONE)
    }

    fn heard_from(&self, issuer: &Arc<str>, answered: bool, now: Instant) {
        let mut silent = self.silent.lock();
        silent.retain(|_, since| now.saturating_duration_since(*since) < LEFT_ALONE);
        match answered {
            true => drop(silent.remove(issuer)),
            false if silent.len() < MOST_ISSUERS => drop(silent.insert(issuer.clone(), now)),
            false => {}
        }
    }
}

/// Asks, within the rule's time, and keeps the answer.
async fn answered(
    desk: &Arc<IntrospectionDesk>,
    key: CacheKey,
    rule: &Arc<IntrospectionRule>,
    token: &[u8],
) -> Option<IntrospectionVerdict> {
    let limit = rule.settings.timeout;
    let asked = async {
        let _turn = desk.turns.acquire().await.map_err(|error| error.to_string())?;
        question(desk, key, rule, token).await
    };
    let asked = tokio::time::timeout(limit, asked).await;
    match asked.unwrap_or_else(|_| Err(format!("longer than {limit:?}"))) {
        Ok(verdict) => Some(verdict),
        Err(error) => {
            if desk.trouble.is_due(desk.clock.coarse()) {
                let policy = &*rule.policy;
                tracing::warn!(policy, error, "an issuer does not say whether a token is active");
            }
            None
        }
    }
}

async fn question(
    desk: &Arc<IntrospectionDesk>,
    key: CacheKey,
    rule: &Arc<IntrospectionRule>,
    token: &[u8],
) -> Result<IntrospectionVerdict, Failure> {
    let settings = &rule.settings;
    let credential = rule.credential.as_ref().map_err(ToString::to_string)?;
    let client = ProviderClient { issuer: &settings.issuer, id: &settings.client_id, credential };
    let endpoint = endpoint(desk, rule).await?;
    let token = std::str::from_utf8(token).map_err(|error| error.to_string())?;
    let form = client.proved(oauth::introspection(token), desk.clock.unix())?;
    let answer = desk.providers.post(&endpoint, form, settings.timeout).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let now = desk.clock.unix();
    let verdict = verdict::of_answer(answer.status, &answer.body, rule, now);
    let verdict = verdict.map_err(|error| format!("{endpoint}: {error}"))?;
    desk.cache.put(key, rule, verdict.clone(), answer.body.len(), (Instant::now(), now));
    Ok(verdict)
}

/// Where the issuer is asked: as the rule says, or as its discovery document does.
async fn endpoint(
    desk: &Arc<IntrospectionDesk>,
    rule: &IntrospectionRule,
) -> Result<Arc<str>, Failure> {
    if let Some(endpoint) = &rule.settings.endpoint {
        return Ok(endpoint.clone());
    }
    let issuer = &rule.settings.issuer;
    let known = desk.endpoints.lock().get(issuer).cloned();
    let known = known.map(|known| (known.since.elapsed(), known.address));
    match known.filter(|(age, _)| *age < USABLE) {
        Some((age, address)) => {
            if age >= FRESH && !desk.is_silent(issuer, Instant::now()) {
                let (desk, issuer) = (desk.clone(), issuer.clone());
                tokio::spawn(async move { looked_up(&desk, &issuer).await });
            }
            Ok(address)
        }
        None if desk.is_silent(issuer, Instant::now()) => {
            Err(format!("{issuer} did not say a moment ago where it is asked about tokens"))
        }
        None => looked_up(desk, issuer)
            .await
            .ok_or_else(|| format!("{issuer} does not say where it is asked about tokens")),
    }
}

/// The endpoint that the issuer's discovery document names, looked up once for all who want to know.
async fn looked_up(desk: &Arc<IntrospectionDesk>, issuer: &Arc<str>) -> Option<Arc<str>> {
    let work = || {
        let (desk, issuer) = (desk.clone(), issuer.clone());
        async move {
            let found = discovered(&desk, &issuer).await;
            desk.heard_from(&issuer, found.is_ok(), Instant::now());
            if let Err(error) = &found
                && desk.trouble.is_due(desk.clock.coarse())
            {
                tracing::warn!(issuer = &*issuer, error, "no introspection endpoint");
            }
            found.ok()
        }
    };
    desk.look_ups.run(issuer.clone(), work).await.ok().flatten()
}

async fn discovered(desk: &IntrospectionDesk, issuer: &Arc<str>) -> Result<Arc<str>, Failure> {
    let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = desk.providers.get(&document, LOOK_UP).await;
    let document = document.map_err(|error| error.to_string())?;
    let metadata = ProviderMetadata::parse(&document.body, issuer);
    let metadata = metadata.map_err(|error| error.to_string())?;
    let endpoint = metadata.introspection_endpoint.ok_or("it has no `introspection_endpoint`")?;
    let (address, since): (Arc<str>, _) = (endpoint.into(), Instant::now());
    let mut known = desk.endpoints.lock();
    if known.len() >= MOST_ISSUERS {
        // Issuers come from policies; those that are gone are not worth keeping apart.
        known.clear();
    }
    known.insert(issuer.clone(), KnownEndpoint { address: address.clone(), since });
    Ok(address)
}
