//! `rateLimits` and `sessions`: the stores in which all proxies count, and remember, together.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use policy::yaml::{YamlMapping, YamlReader, YamlValue, parse_duration};

use super::controller::host_and_port;
use super::tokens::absolute;

/// The most addresses of one store: the others of a larger Cluster are learned from these.
const MOST_ADDRESSES: usize = 16;

/// A Redis, or a Redis Cluster (`redis`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Host and port of one Redis, or of some nodes of a Redis Cluster (`address`).
    pub addresses: Vec<(String, u16)>,
    /// The number of the database (`database`). Default 0.
    pub database: u16,
    /// Whose password it is (`username`). Default: Redis's user `default`.
    pub username: Option<String>,
    /// The file with the password (`passwordFile`). Default: none is sent.
    pub password_file: Option<PathBuf>,
    /// How the store proves itself (`tls`); `None`: plaintext, within the pod or where `plaintext` allows it.
    pub tls: Option<RedisTls>,
    /// The longest that an answer may take (`timeout`). Default 20 ms for limits, 100 ms for sessions.
    pub timeout: Duration,
}

/// TLS to the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// PEM: who signs the store's certificate (`caFile`). Default: the system's file.
    pub ca_file: Option<PathBuf>,
    /// The name in the store's certificate (`serverName`). Default: the host of its address.
    pub server_name: Option<String>,
    /// PEM files of the proxy's own certificate and key (`certificateFile`, `keyFile`). Default: none is shown.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Reads a section that names a Redis and nothing else. Without `timeout`, an answer may take so long.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    timeout: Duration,
) -> Option<RedisConfig> {
    let mut map = reader.mapping(value)?;
    let redis = map.require(reader, "redis").and_then(|v| read_redis(reader, v, timeout));
    map.finish(reader);
    redis
}

fn read_redis(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    timeout: Duration,
) -> Option<RedisConfig> {
    let mut map = reader.mapping(value)?;
    let written = map.require(reader, "address");
    let addresses = written.and_then(|v| read_addresses(reader, v));
    let database = map.take("database").map_or(Some(0), |v| reader.integer(v, 0..=65_535));
    let username = map.take("username").map(|v| (v, reader.text(v).map(str::to_owned)));
    let password = map.take("passwordFile");
    let password_file = password.and_then(|v| reader.parsed(v, "a file", absolute));
    let tls = map.take("tls").map(|v| read_tls(reader, v));
    let plaintext = map.take("plaintext").map(|v| (v, reader.boolean(v)));
    let timeout = read_timeout(reader, &mut map, timeout);
    map.finish(reader);
    if let (Some((value, _)), None) = (&username, password) {
        let fix = "a name alone proves nothing; write `passwordFile`".to_owned();
        reader.report_value(*value, "`passwordFile` beside `username`", Some(fix));
    }
    let addresses = addresses?;
    match (&tls, plaintext) {
        (Some(_), Some((value, Some(true)))) => {
            reader.report_value(value, "no `plaintext` beside `tls`", Some("remove one".into()));
        }
        (None, said) if said.is_none_or(|(_, said)| said == Some(false)) => {
            refuse_plaintext(reader, written?, &addresses);
        }
        _ => {}
    }
    Some(RedisConfig {
        addresses,
        database: u16::try_from(database?).ok()?,
        username: username.and_then(|(_, username)| username),
        password_file,
        tls: tls.map_or(Some(None), |tls| tls.map(Some))?,
        timeout: timeout?,
    })
}

/// `address`: one, or a list of them for a Cluster.
fn read_addresses(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<(String, u16)>> {
    let items = match value.is_list() {
        true => reader.filled_list(value, MOST_ADDRESSES)?,
        false => vec![value],
    };
    let read = |text: &str| host_and_port(text).map_err(|_| "write for example redis.infra:6379");
    let one = |item| reader.parsed(item, "HOST:PORT", read);
    let addresses: Vec<_> = items.into_iter().map(one).collect();
    addresses.into_iter().collect()
}

fn read_timeout(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    default: Duration,
) -> Option<Duration> {
    let Some(value) = map.take("timeout") else { return Some(default) };
    reader.parsed(value, "a duration from 1ms to 1s", |text| {
        let within = |d: &Duration| (1..=1_000).contains(&d.as_millis());
        parse_duration(text).filter(within).ok_or("a request waits for it; such as 20ms")
    })
}

fn read_tls(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<RedisTls> {
    let mut map = reader.mapping(value)?;
    let ca_file = map.take("caFile").and_then(|v| reader.parsed(v, "a PEM file", absolute));
    let server_name = map.take("serverName").and_then(|v| reader.text(v)).map(str::to_owned);
    let certificate =
        map.take("certificateFile").and_then(|v| reader.parsed(v, "a PEM file", absolute));
    let key = map.take("keyFile").and_then(|v| reader.parsed(v, "a PEM file", absolute));
    map.finish(reader);
    if certificate.is_some() != key.is_some() {
        let found = "one of `certificateFile` and `keyFile`";
        reader.report(value.node.mark, found, "both or neither", None);
    }
    Some(RedisTls { ca_file, server_name, certificate: certificate.zip(key) })
}

/// What a limit counts says who calls what, and how often; and whoever can write into a store lifts limits, or undoes
/// logouts.
fn refuse_plaintext(reader: &mut YamlReader, value: YamlValue<'_>, addresses: &[(String, u16)]) {
    if addresses.iter().all(|(host, _)| is_loopback(host)) {
        return;
    }
    let fix = "write `tls`, or `plaintext: true` where everybody on the way may read and write";
    reader.report_value(value, "loopback, without `tls`", Some(fix.to_owned()));
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::control::config::Config;

    const LEAST: &str =
        "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";

    /// What is read of these keys, or the diagnostics.
    fn read(section: &str, keys: &str) -> Result<RedisConfig, String> {
        let text = format!("{LEAST}{section}: {{redis: {{{keys}}}}}");
        let config = Config::parse("p", text.as_bytes()).map_err(|wrong| wrong.to_string())?;
        Ok(config.limit_store.or(config.session_store).unwrap())
    }

    #[test]
    fn a_session_is_waited_for_longer_than_a_limit() {
        for (section, expect) in [("rateLimits", 20), ("sessions", 100)] {
            let found = read(section, "address: '[::1]:6379'").unwrap();
            assert_eq!(found.timeout, Duration::from_millis(expect), "{section}");
        }
    }

    #[test]
    fn a_store_is_reached_encrypted_unless_it_is_said_otherwise() {
        let ca = || RedisTls { ca_file: Some("/ca.pem".into()), ..RedisTls::default() };
        for (keys, tls) in [
            ("address: '127.0.0.1:6379'", None),
            ("address: 'localhost:6379'", None),
            ("address: '[::1]:6379'", None),
            ("address: 'redis.infra:6379', plaintext: true", None),
            ("address: 'redis.infra:6379', tls: {caFile: /ca.pem}", Some(ca())),
            ("address: ['a:1', 'b:2'], tls: {}", Some(RedisTls::default())),
        ] {
            for section in ["rateLimits", "sessions"] {
                assert_eq!(read(section, keys).unwrap().tls, tls, "{section}: {keys}");
            }
        }
        let redis = "address: 'redis.infra:6379'";
        for (keys, expect) in [
            (redis.to_owned(), "loopback, without `tls`"),
            (format!("{redis}, plaintext: false"), "loopback, without `tls`"),
            (format!("{redis}, tls: {{}}, plaintext: true"), "no `plaintext` beside `tls`"),
            (format!("{redis}, tls: {{certificateFile: /c.pem}}"), "both or neither"),
            (format!("{redis}, tls: {{insecure: true}}"), "unknown key `insecure`"),
            (format!("{redis}, plaintext: true, username: a"), "`passwordFile` beside"),
            (format!("{redis}, plaintext: true, password: a"), "unknown key `password`"),
            (format!("{redis}, plaintext: true, timeout: 5s"), "from 1ms to 1s"),
            ("address: redis".to_owned(), "HOST:PORT"),
            ("plaintext: true".to_owned(), "no `address`"),
        ] {
            for section in ["rateLimits", "sessions"] {
                let found = read(section, &keys).unwrap_err();
                assert!(found.contains(expect), "{section}: {keys}: {found}");
            }
        }
    }
}
