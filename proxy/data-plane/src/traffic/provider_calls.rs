//! Asks what stands on the web for others: the keys of a token issuer, and a provider's token or introspection endpoint.
//!
//! The configuration's `tokens` says which addresses may be called and who vouches for their certificates (S-35). Control
//! and workers ask in the same way, a bounded number of them at a time; what is the same for every call is in `web_fetch`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use web_fetch::address::{AddressPolicy, ForbiddenAddress, IpNet};
use web_fetch::{Dial, FetchRules, WebAnswer, WebDocument, WebForm, WebTls, WebUrl};

use crate::connection::net::DialOptions;
use crate::connection::web_authorities;
use crate::traffic::settings::TrafficSettings;

/// The most redirects followed; each is checked like the first address.
const MAX_REDIRECTS: usize = 3;
/// For a connection to one address.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Calls under way at a time, of all workers; the others wait, within their own deadline.
const MOST_CALLS: usize = 64;

/// Whom a proxy may ask, and how the asked prove themselves (the configuration's `tokens`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderSettings {
    /// PEM: who signs their certificates (`certificateAuthorities`). Default: the system's file.
    pub certificate_authorities: Option<PathBuf>,
    /// Addresses that may be called although they are local (`allowAddresses`). Default: none.
    pub allow_addresses: Vec<IpNet>,
}

/// Why a provider gave no answer. Contains nothing that the other side sent except the target of a redirect.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// What was written is no address.
    #[error("`{0}` is no https address to fetch from: {1}")]
    Url(String, &'static str),
    /// An address that is not called unless a setting names it.
    #[error(
        "{0}; if the issuer is truly there, name the address in `tokens.allowAddresses` of the configuration"
    )]
    Forbidden(web_fetch::FetchError),
    /// No answer.
    #[error(transparent)]
    Web(web_fetch::FetchError),
    /// Nobody's certificate can be verified.
    #[error(
        "the certificates of web authorities cannot be used: {0}; name a PEM file in `tokens.certificateAuthorities`"
    )]
    Authorities(String),
    /// No answer in time.
    #[error("longer than {0:?}")]
    Timeout(Duration),
}

impl From<web_fetch::FetchError> for ProviderError {
    fn from(error: web_fetch::FetchError) -> Self {
        match error.forbidden() {
            Some(ForbiddenAddress::Local | ForbiddenAddress::Metadata) => Self::Forbidden(error),
            Some(ForbiddenAddress::OwnPort) | None => Self::Web(error),
        }
    }
}

/// The calls of one proxy. They work in any runtime.
pub struct ProviderCalls {
    settings: ProviderSettings,
    own_ports: Vec<u16>,
    dial: ProviderDial,
    /// The authorities as they were read last, and the file's stamp then.
    tls: Mutex<Option<(Option<Stamp>, WebTls)>>,
    turns: Semaphore,
}

/// A file is another one when one of them differs.
type Stamp = (SystemTime, u64);

impl ProviderCalls {
    /// Calls as the settings allow them.
    #[must_use]
    pub fn new(settings: &TrafficSettings) -> Self {
        Self {
            settings: settings.providers.clone(),
            own_ports: settings.own_ports.clone(),
            dial: ProviderDial(DialOptions {
                source: None,
                mark: settings.interception.mark,
                timeout: DIAL_TIMEOUT,
                keepalive: settings.limits.tcp_keepalive,
                traffic: false,
                within_pod: false,
            }),
            tls: Mutex::default(),
            turns: Semaphore::new(MOST_CALLS),
        }
    }

    /// Fetches a document, redirects included, within this time.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn get(&self, address: &str, limit: Duration) -> Result<WebDocument, ProviderError> {
        // A fragment is never sent.
        let url = url(address.split('#').next().unwrap_or_default())?;
        let turn = self.turn(limit).await?;
        let is_own_port = |port| self.own_ports.contains(&port);
        turn.within(web_fetch::fetch(&url, &self.rules(&turn, &is_own_port))).await
    }

    /// Posts a form within this time. It is sent once, and no redirect is followed.
    ///
    /// # Errors
    /// [`ProviderError`]; an answer of any status is none.
    pub async fn post(
        &self,
        address: &str,
        form: WebForm,
        limit: Duration,
    ) -> Result<WebAnswer, ProviderError> {
        let url = url(address)?;
        let turn = self.turn(limit).await?;
        let is_own_port = |port| self.own_ports.contains(&port);
        turn.within(web_fetch::post(&url, form, &self.rules(&turn, &is_own_port))).await
    }

    /// Waits for a turn, and not longer than for the whole call.
    async fn turn(&self, limit: Duration) -> Result<Turn<'_>, ProviderError> {
        let end = Instant::now() + limit;
        let Ok(Ok(turn)) = tokio::time::timeout_at(end, self.turns.acquire()).await else {
            return Err(ProviderError::Timeout(limit));
        };
        Ok(Turn { tls: self.tls()?, limit, end, _turn: turn })
    }

    fn rules<'a>(
        &'a self,
        turn: &'a Turn<'_>,
        is_own_port: &'a (dyn Fn(u16) -> bool + Sync),
    ) -> FetchRules<'a, ProviderDial> {
        FetchRules {
            tls: &turn.tls,
            addresses: AddressPolicy { allowed: &self.settings.allow_addresses, is_own_port },
            redirects: MAX_REDIRECTS,
            connect_deadline: turn.limit,
            deadline: turn.limit,
            user_agent: "postern-proxy",
            dial: self.dial.clone(),
        }
    }

    /// TLS 1.3 to a public server, verified against the authorities of the configuration or of the system. A file that has
    /// changed is read again, because system updates replace it.
    fn tls(&self) -> Result<WebTls, ProviderError> {
        let file = web_authorities::file(self.settings.certificate_authorities.as_deref());
        let file = file.map_err(|error| ProviderError::Authorities(error.to_owned()))?;
        let stamp = std::fs::metadata(&file).ok();
        let stamp = stamp.and_then(|data| Some((data.modified().ok()?, data.len())));
        if let Some((read, tls)) = &*self.tls.lock()
            && stamp.is_some()
            && *read == stamp
        {
            return Ok(tls.clone());
        }
        let roots = web_authorities::read(Some(&file)).map_err(ProviderError::Authorities)?;
        let tls = WebTls::trusting(roots)
            .map_err(|error| ProviderError::Authorities(error.to_string()))?;
        *self.tls.lock() = Some((stamp, tls.clone()));
        Ok(tls)
    }
}

/// One of the calls that may be under way.
struct Turn<'a> {
    tls: WebTls,
    limit: Duration,
    end: Instant,
    _turn: SemaphorePermit<'a>,
}

impl Turn<'_> {
    /// The call, within what is left of the time.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, web_fetch::FetchError>>,
    ) -> Result<T, ProviderError> {
        let answered = tokio::time::timeout_at(self.end, call).await;
        Ok(answered.map_err(|_| ProviderError::Timeout(self.limit))??)
    }
}

fn url(address: &str) -> Result<WebUrl, ProviderError> {
    let shown = || address.escape_debug().take(200).collect();
    WebUrl::parse(address).map_err(|rule| ProviderError::Url(shown(), rule))
}

/// With the proxy's mark, so that the call is not redirected to the proxy itself.
#[derive(Clone)]
struct ProviderDial(DialOptions);

impl Dial for ProviderDial {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.0.connect(to).await
    }
}
