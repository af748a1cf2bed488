//! The client's address behind proxies in front of the gateway.
//!
//! `x-forwarded-for` is a claim: what a listed proxy has added to it counts, what came before does not.

use std::net::IpAddr;

use super::AddressBlocks;

/// Who may name the client (`clientAddress.xForwardedFor`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedClient {
    /// Proxies whose word is taken (`trustedProxies`).
    pub trusted: AddressBlocks,
    /// How many proxies stand one behind the other at most (`hops`), the TCP peer among them. Default 1.
    pub hops: u8,
}

impl ForwardedClient {
    /// The client's address: beginning at the TCP peer, each trusted proxy's own entry is taken in turn, from the right,
    /// until one is not trusted or `hops` are used up. `lines` are the values of `x-forwarded-for` in their order.
    ///
    /// The peer itself where it is not trusted, where nothing is said, or where what is said cannot be read.
    pub fn client<'l>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'l [u8]>,
    ) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusted.contain(peer) {
            return peer;
        }
        self.behind(peer, lines).unwrap_or(peer)
    }

    /// `None` where an entry that counts is no address: then nobody is believed.
    fn behind<'l>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'l [u8]>,
    ) -> Option<IpAddr> {
        let mut client = peer;
        for entry in forwarded_addresses(lines).take(usize::from(self.hops)) {
            client = entry?;
            if !self.trusted.contain(client) {
                break;
            }
        }
        Some(client)
    }
}

/// The entries of `x-forwarded-for`, whose lines are given in their order, from the last one, which the nearest proxy has
/// added. `None`: an entry that is no address.
///
/// What lies to the left of the entries that count is never looked at: a client can write any number there, and must not
/// unsay by it what a proxy has added.
pub fn forwarded_addresses<'l>(
    lines: impl DoubleEndedIterator<Item = &'l [u8]>,
) -> impl Iterator<Item = Option<IpAddr>> {
    let entries = |line: &'l [u8]| line.rsplit(|byte| *byte == b',');
    lines.rev().flat_map(entries).map(address)
}

/// An address as proxies write it: bare, or with a port, IPv6 in brackets or bare.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let found = text.parse::<IpAddr>().ok().or_else(with_port).or_else(bracketed)?;
    Some(found.to_canonical())
}
