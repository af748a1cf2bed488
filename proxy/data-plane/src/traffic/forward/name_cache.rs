//! Services whose endpoints are names: the answers of the system's resolver, and the last good answer while it fails
//! (SECURITY-CASES F-25).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use policy::service::EndpointAddress;

use super::service_match::ServiceMatch;
use crate::traffic::state::ProxyState;

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
    /// When the resolver gave them, in seconds of the coarse clock.
    at: u32,
    /// When it was asked last.
    asked: u32,
}

/// What became of a look-up.
#[derive(Debug, PartialEq, Eq)]
enum LookedUp {
    /// An answer.
    Good,
    /// None; the last good answer is in use.
    Stale,
    /// None, and there is no other.
    Failed,
}

impl LookedUp {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Good => "success",
            Self::Stale => "stale",
            Self::Failed => "failure",
        }
    }
}

async fn ask((name, port): &HostAndPort, limit: Duration) -> Option<Vec<SocketAddr>> {
    let asked = tokio::net::lookup_host((name.as_str(), *port));
    let addresses: Vec<_> = tokio::time::timeout(limit, asked).await.ok()?.ok()?.collect();
    (!addresses.is_empty()).then_some(addresses)
}

impl NameCache {
    /// The addresses of the service's endpoints that are names, or of its host; all are resolved at once. A name
    /// without an address, or without an answer within `limits.dnsTimeout`, adds none.
    pub(super) async fn look_up(
        &self,
        state: &ProxyState,
        found: &ServiceMatch,
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
        join_all(names.into_iter().map(|name| self.look_up_one(state, name))).await.concat()
    }

    async fn look_up_one(&self, state: &ProxyState, name: HostAndPort) -> Vec<SocketAddr> {
        let now = state.clock.coarse();
        if let Some(fresh) = self.fresh(&name, now) {
            return fresh;
        }
        let answer = ask(&name, state.settings.limits.dns_timeout).await;
        let (addresses, looked_up) = self.settle(&name, answer, now);
        state.metrics.dns_lookup(looked_up.as_str());
        if looked_up != LookedUp::Good && state.dns_trouble.is_due(now) {
            let result = looked_up.as_str();
            tracing::warn!(name = name.0, port = name.1, result, "a name could not be looked up");
        }
        addresses
    }

    /// The cached answer, where the resolver was asked a moment ago and the answer is not too old.
    fn fresh(&self, name: &HostAndPort, now: u32) -> Option<Vec<SocketAddr>> {
        let known = self.0.lock();
        let answer = known.get(name)?;
        let is_fresh = now <= answer.asked.saturating_add(FRESH_SECONDS)
            && now <= answer.at.saturating_add(STALE);
        is_fresh.then(|| answer.addresses.clone())
    }

    /// Keeps an answer; without one, says what the last good answer is, and that the resolver need not be asked again at
    /// once: nobody is to wait for its time-out while there is an address to try.
    fn settle(
        &self,
        name: &HostAndPort,
        answer: Option<Vec<SocketAddr>>,
        now: u32,
    ) -> (Vec<SocketAddr>, LookedUp) {
        let mut known = self.0.lock();
        if let Some(addresses) = answer {
            if known.len() >= MOST && !known.contains_key(name) {
                known.clear();
            }
            let cached = CachedAddresses { addresses: addresses.clone(), at: now, asked: now };
            known.insert(name.clone(), cached);
            return (addresses, LookedUp::Good);
        }
        match known.get_mut(name).filter(|cached| now <= cached.at.saturating_add(STALE)) {
            Some(cached) => {
                cached.asked = now;
                (cached.addresses.clone(), LookedUp::Stale)
            }
            None => (Vec::new(), LookedUp::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f25_dns_down_the_last_good_answer_is_used_for_five_minutes() {
        let names = NameCache::default();
        let name = ("bank.example".to_owned(), 443);
        let good = vec![SocketAddr::from(([10, 0, 0, 1], 443))];
        assert_eq!(names.settle(&name, None, 99), (Vec::new(), LookedUp::Failed));
        assert_eq!(names.settle(&name, Some(good.clone()), 100), (good.clone(), LookedUp::Good));
        for (now, fresh) in [(100, true), (105, true), (106, false)] {
            assert_eq!(names.fresh(&name, now).is_some(), fresh, "{now}");
        }
        // The resolver has no answer any more: it is asked every few seconds, and nobody waits for it in between.
        assert_eq!(names.settle(&name, None, 106), (good.clone(), LookedUp::Stale));
        for (now, fresh) in [(111, true), (112, false)] {
            assert_eq!(names.fresh(&name, now).is_some(), fresh, "{now}");
        }
        assert_eq!(names.settle(&name, None, 400), (good, LookedUp::Stale));
        assert_eq!(
            names.fresh(&name, 401),
            None,
            "too old, although it was asked for a second ago"
        );
        assert_eq!(names.settle(&name, None, 401), (Vec::new(), LookedUp::Failed));
        assert_eq!(names.fresh(&("bank.example".to_owned(), 80), 100), None);
    }

    #[test]
    fn names_are_bounded() {
        let names = NameCache::default();
        for port in 0..=u16::try_from(MOST).unwrap_or(u16::MAX) {
            names.settle(&("many.example".to_owned(), port), Some(Vec::new()), 1);
        }
        assert_eq!(names.0.lock().len(), 1);
    }
}
