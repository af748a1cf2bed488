//! Fetches the keys of a token issuer (S-35), as the configuration's `tokens` allows it. What is the same for every
//! fetch is in `web_fetch`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use web_fetch::address::{AddressPolicy, ForbiddenAddress};
use web_fetch::{Dial, FetchRules, WebDocument, WebTls, WebUrl};

use crate::connection::net::DialOptions;
use crate::connection::web_authorities;
use crate::control::config::Config;

/// The most redirects followed; each is checked like the first address.
const MAX_REDIRECTS: usize = 3;
/// For a connection to one address.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Why a document was not fetched. Contains nothing that the other side sent except the target of a redirect.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("`{0}` is no https address to fetch from: {1}")]
    Url(String, &'static str),
    #[error(
        "{0}; if the issuer is truly there, name the address in `tokens.allowAddresses` of the configuration"
    )]
    Forbidden(web_fetch::FetchError),
    #[error(transparent)]
    Web(web_fetch::FetchError),
    #[error(
        "the certificates of web authorities cannot be used: {0}; name a PEM file in `tokens.certificateAuthorities`"
    )]
    Authorities(String),
    #[error("longer than {0:?}")]
    Timeout(Duration),
}

impl From<web_fetch::FetchError> for FetchError {
    fn from(error: web_fetch::FetchError) -> Self {
        match error.forbidden() {
            Some(ForbiddenAddress::Local | ForbiddenAddress::Metadata) => Self::Forbidden(error),
            Some(ForbiddenAddress::OwnPort) | None => Self::Web(error),
        }
    }
}

/// Fetches a document, redirects included, within this time.
pub(super) async fn get(
    config: &Config,
    address: &str,
    limit: Duration,
) -> Result<WebDocument, FetchError> {
    let tls = web_tls(config)?;
    // A fragment is never sent.
    let sent = address.split('#').next().unwrap_or_default();
    let url = WebUrl::parse(sent)
        .map_err(|rule| FetchError::Url(address.escape_debug().take(200).collect(), rule))?;
    let is_own_port = |port| config.is_own_port(port);
    let rules = FetchRules {
        tls: &tls,
        addresses: AddressPolicy {
            allowed: &config.tokens.allow_addresses,
            is_own_port: &is_own_port,
        },
        redirects: MAX_REDIRECTS,
        connect_deadline: limit,
        deadline: limit,
        user_agent: "postern-proxy",
        dial: ProxyDial(DialOptions {
            source: None,
            mark: config.interception.mark,
            timeout: DIAL_TIMEOUT,
            keepalive: config.limits.tcp_keepalive,
            traffic: false,
            within_pod: false,
        }),
    };
    Ok(web_fetch::fetch(&url, &rules).await?)
}

/// With the proxy's mark, so that the fetch is not redirected to the proxy itself.
struct ProxyDial(DialOptions);

impl Dial for ProxyDial {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.0.connect(to).await
    }
}

/// TLS 1.3 to a public server, verified against the authorities of the configuration or of the system. The file is read
/// each time, because system updates replace it.
fn web_tls(config: &Config) -> Result<WebTls, FetchError> {
    let file = config.tokens.certificate_authorities.as_deref();
    let roots = web_authorities::read(file).map_err(FetchError::Authorities)?;
    WebTls::trusting(roots).map_err(|error| FetchError::Authorities(error.to_string()))
}
