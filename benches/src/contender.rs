//! Who is measured: a proxy, and the setting of it.

use crate::proxies::Proxy;

/// What is spoken between the two proxies of a pair, where they can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Http1,
    Http2,
}

/// A proxy as it is set up for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    /// The name in the results: the program, and the setting where it has several.
    pub(crate) name: &'static str,
    /// `None`: the load goes to the app and no proxy runs.
    pub(crate) proxy: Option<Proxy>,
    /// Says nothing for bytes that are no HTTP.
    pub(crate) hop: Hop,
    pub(crate) workers: Workers,
    /// How many rules the inbound proxy has and how many services the outbound one knows; of Postern alone.
    pub(crate) rules: usize,
    pub(crate) services: usize,
}

/// How many workers each proxy has, and where all of this runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// One; both proxies on one CPU, load and backend on the other.
    Pinned,
    /// So many; proxies, load and backend wherever the kernel wants them.
    Free(usize),
}

impl Workers {
    /// Of each proxy.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Pinned => 1,
            Self::Free(count) => count,
        }
    }
}

/// The rules of an ordinary service; the one that allows the client is the last of them.
const RULES: usize = 50;
/// Of a very large mesh.
const MANY: usize = 10_000;

const fn contender(name: &'static str, proxy: Proxy, hop: Hop) -> Contender {
    let workers = Workers::Pinned;
    Contender { name, proxy: Some(proxy), hop, workers, rules: RULES, services: 1 }
}

const fn free(name: &'static str, with: Contender, workers: usize) -> Contender {
    Contender { name, workers: Workers::Free(workers), ..with }
}

pub(crate) const DIRECT: Contender =
    Contender { proxy: None, ..contender("direct", Proxy::Bare, Hop::Http1) };

pub(crate) const POSTERN: Contender = contender("postern", Proxy::Postern, Hop::Http2);
pub(crate) const POSTERN_ONE: Contender = free("postern-1w", POSTERN, 1);
pub(crate) const POSTERN_TWO: Contender = free("postern-2w", POSTERN, 2);
pub(crate) const POSTERN_MANY: Contender =
    Contender { name: "postern-10k", rules: MANY, services: MANY, ..POSTERN };

pub(crate) const HAPROXY_H1: Contender = contender("haproxy-h1", Proxy::Haproxy, Hop::Http1);
pub(crate) const HAPROXY_H2: Contender = contender("haproxy-h2", Proxy::Haproxy, Hop::Http2);
pub(crate) const HAPROXY_TCP: Contender = contender("haproxy", Proxy::Haproxy, Hop::Http1);
pub(crate) const HAPROXY_ONE: Contender = free("haproxy-h2-1w", HAPROXY_H2, 1);
pub(crate) const HAPROXY_TWO: Contender = free("haproxy-h2-2w", HAPROXY_H2, 2);

pub(crate) const NGINX: Contender = contender("nginx", Proxy::Nginx, Hop::Http1);

pub(crate) const ENVOY_H1: Contender = contender("envoy-h1", Proxy::Envoy, Hop::Http1);
pub(crate) const ENVOY_H2: Contender = contender("envoy-h2", Proxy::Envoy, Hop::Http2);
pub(crate) const ENVOY_TCP: Contender = contender("envoy", Proxy::Envoy, Hop::Http1);

pub(crate) const BARE: Contender = contender("bare", Proxy::Bare, Hop::Http2);
/// The libraries with HTTP/1.1 between the two, for connections that carry one request each.
pub(crate) const BARE_H1: Contender = contender("bare", Proxy::Bare, Hop::Http1);
pub(crate) const BARE_ONE: Contender = free("bare-1w", BARE, 1);
pub(crate) const BARE_TWO: Contender = free("bare-2w", BARE, 2);

impl Contender {
    /// Whether it was asked for: by its own name, or by that of the program.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Whether it is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.proxy == Some(Proxy::Postern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_all_its_settings() {
        let check = |contender: Contender, name: &str, expect: bool| {
            assert_eq!(contender.is_called(name), expect, "{} {name}", contender.name);
        };
        check(HAPROXY_H2, "haproxy", true);
        check(HAPROXY_H2, "haproxy-h2", true);
        check(HAPROXY_TWO, "haproxy-h2", true);
        check(HAPROXY_H2, "haproxy-h1", false);
        check(HAPROXY_H2, "h2", false);
        check(BARE, "bar", false);
    }
}
