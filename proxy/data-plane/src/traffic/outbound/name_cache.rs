//! Services whose endpoints are names: the answers of the system's resolver, and the last good answer while it fails
//! (SECURITY-CASES F-25).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use policy::service::EndpointAddress;

use super::dialled::ServiceMatch;

/// An answer is not asked for again within this many seconds; the resolver does not say how long
/// it holds.
pub(super) const FRESH_SECONDS: u32 = 5;
/// An answer is used for this many seconds while no other is to be had.
const STALE: u32 = 300;
/// Names that are remembered. When there are more, all are resolved again.
const MOST: usize = 1024;

/// A name and its port.
type HostAndPort = (String, u16);

/// The answers of one worker.
#[derive(Default)]
pub(crate) struct NameCache(Mutex<HashMap<HostAndPort, CachedAddresses>>);

#[derive(Clone)]
struct CachedAddresses {
    addresses: Vec<SocketAddr>,
    at: u32,
}

async fn ask((name, port): &HostAndPort, limit: Duration) -> Option<Vec<SocketAddr>> {
    let asked = tokio::net::lookup_host((name.as_str(), *port));
    let addresses: Vec<_> = tokio::time::timeout(limit, asked).await.ok()?.ok()?.collect();
    (!addresses.is_empty()).then_some(addresses)
}

impl NameCache {
    /// The addresses of the service's endpoints that are names, or of its host; all are resolved at once. A name
    /// without an address, or without an answer within `limit`, adds none.
    pub(super) async fn look_up(
        &self,
        found: &ServiceMatch,
        now: u32,
        limit: Duration,
    ) -> Vec<SocketAddr> {
        let named = found.service.endpoints.iter().filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Dns(name) => {
                Some((name.to_string(), found.service.endpoint_port(endpoint, &found.port)))
            }
            EndpointAddress::Ip(_) => None,
        });
        let mut names: Vec<HostAndPort> = named.collect();
        if names.is_empty() {
            names.push((found.service.host.to_string(), found.port.target_port));
        }
        join_all(names.into_iter().map(|name| self.look_up_one(name, now, limit))).await.concat()
    }

    async fn look_up_one(&self, name: HostAndPort, now: u32, limit: Duration) -> Vec<SocketAddr> {
        if let Some(fresh) = self.known(&name, now, FRESH_SECONDS) {
            return fresh;
        }
        match ask(&name, limit).await {
            Some(addresses) => {
                self.note(name, addresses.clone(), now);
                addresses
            }
            None => self.known(&name, now, STALE).unwrap_or_default(),
        }
    }

    /// The cached answer, if it is not older than this many seconds.
    fn known(&self, name: &HostAndPort, now: u32, oldest: u32) -> Option<Vec<SocketAddr>> {
        let known = self.0.lock();
        let answer = known.get(name).filter(|answer| now <= answer.at.saturating_add(oldest))?;
        Some(answer.addresses.clone())
    }

    fn note(&self, name: HostAndPort, addresses: Vec<SocketAddr>, at: u32) {
        let mut known = self.0.lock();
        if known.len() >= MOST && !known.contains_key(&name) {
            known.clear();
        }
        known.insert(name, CachedAddresses { addresses, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_dns_down_the_last_good_answer_is_used_for_five_minutes() {
        let names = NameCache::default();
        let name = ("bank.example".to_owned(), 443);
        let address = SocketAddr::from(([10, 0, 0, 1], 443));
        names.note(name.clone(), vec![address], 100);
        for (now, oldest, expect) in [
            (100, FRESH_SECONDS, true),
            (105, FRESH_SECONDS, true),
            (106, FRESH_SECONDS, false),
            (400, STALE, true),
            (401, STALE, false),
        ] {
            assert_eq!(names.known(&name, now, oldest).is_some(), expect, "{now} {oldest}");
        }
        assert_eq!(names.known(&("bank.example".to_owned(), 80), 100, STALE), None);
    }

    #[test]
    fn names_are_bounded() {
        let names = NameCache::default();
        for port in 0..=u16::try_from(MOST).unwrap_or(u16::MAX) {
            names.note(("many.example".to_owned(), port), Vec::new(), 1);
        }
        assert_eq!(names.0.lock().len(), 1);
    }
}
