//! Begins to connect to the stores of all proxies: in which they count limits, and remember users who signed in.
//!
//! Password and certificates are read once, at the start: other ones need another process, which an upgrade in place
//! gives without a request that fails.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use global_limits::{Dial, GlobalLimits, StoreAddress, StoreSettings, StoreTls};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use session_store::SessionStore;
use zeroize::Zeroizing;

use crate::connection::net::DialOptions;
use crate::connection::web_authorities;
use crate::control::config::{Config, RedisConfig, RedisTls};
use crate::traffic::state::ProxyState;

/// The longest password, bytes.
const LONGEST_PASSWORD: usize = 4096;

/// Begins to connect to those that are configured. None is waited for: until it answers, each policy says what holds, and
/// nobody is signed in by a session that may have ended.
///
/// # Errors
/// A file that cannot be read, or what keeps the connection from having a thread.
pub(super) fn start(state: &Arc<ProxyState>, config: &Config) -> anyhow::Result<()> {
    if let Some(redis) = &config.limit_store {
        start_limits(state, redis).context("rateLimits.redis")?;
    }
    if let Some(redis) = &config.session_store {
        start_sessions(state, redis).context("sessions.redis")?;
    }
    Ok(())
}

fn start_limits(state: &ProxyState, config: &RedisConfig) -> anyhow::Result<()> {
    let settings = settings(state, config, StoreSettings::new)?;
    state.rate_limits.count_in(GlobalLimits::start(settings)?);
    Ok(())
}

fn start_sessions(state: &ProxyState, config: &RedisConfig) -> anyhow::Result<()> {
    let settings = settings(state, config, SessionStore::settings)?;
    state.remember_in(SessionStore::redis(settings)?);
    Ok(())
}

/// What is configured, and the defaults of that store.
fn settings(
    state: &ProxyState,
    config: &RedisConfig,
    defaults: impl FnOnce(Vec<StoreAddress>) -> StoreSettings,
) -> anyhow::Result<StoreSettings> {
    let address = |(host, port): &(String, u16)| {
        let text =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        text.parse::<StoreAddress>()
    };
    let addresses = config.addresses.iter().map(address).collect::<Result<_, _>>()?;
    Ok(StoreSettings {
        database: config.database,
        username: config.username.clone(),
        password: config.password_file.as_deref().map(password).transpose()?,
        tls: config.tls.as_ref().map(tls).transpose()?,
        timeout: config.timeout,
        dial: dial(state),
        ..defaults(addresses)
    })
}

/// The proxy's own connections carry the mark that the interception rules exempt, where one is configured.
fn dial(state: &ProxyState) -> Dial {
    let settings = &state.settings;
    let options = DialOptions::upstream(&settings.limits, &settings.interception);
    Arc::new(move |address| Box::pin(async move { options.connect(address).await }))
}

/// The one line of a file.
fn password(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let shown = file.display();
    let text = Zeroizing::new(std::fs::read_to_string(file).with_context(|| format!("{shown}"))?);
    let line = text.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!line.is_empty() && line.len() <= LONGEST_PASSWORD, "{shown}: no password");
    anyhow::ensure!(!line.contains('\n'), "{shown}: more than one line");
    Ok(Zeroizing::new(line.to_owned()))
}

fn tls(config: &RedisTls) -> anyhow::Result<StoreTls> {
    let roots = web_authorities::read(config.ca_file.as_deref())
        .map_err(|error| anyhow!("the certificates of authorities cannot be used: {error}; name a PEM file in `tls.caFile`"))?;
    let builder = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut client = match &config.certificate {
        Some((certificate, key)) => {
            let (chain, key) = own_certificate(certificate, key)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    client.enable_early_data = false;
    let name = |name: &String| ServerName::try_from(name.clone());
    let server_name = config.server_name.as_ref().map(name).transpose()?;
    Ok(StoreTls { config: Arc::new(client), server_name })
}

fn own_certificate(
    certificate: &Path,
    key: &Path,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let read = |file: &Path| web_authorities::read_pem(file).map_err(|error| anyhow!("{error}"));
    let pem = read(certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.with_context(|| format!("{}", certificate.display()))?;
    let pem = Zeroizing::new(read(key)?);
    // The message of the library names no byte of the key.
    let key_der = PrivateKeyDer::from_pem_slice(&pem);
    Ok((chain, key_der.with_context(|| format!("{}", key.display()))?))
}
