//! What is intercepted and what is not: the flags, and the value the rules are made from.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::resolvers;
use data_plane::ports::{ADMIN_PORT, INBOUND_PORT, METRICS_PORT, OUTBOUND_PORT, READINESS_PORT};

/// Flags of `apply`, `verify` and `print`. The same flags give the same rules.
#[derive(Debug, Clone, Args)]
pub struct InterceptionArgs {
    /// Whose traffic is the proxy's own and is not redirected: `uid=N` (pods) or `mark=N`
    /// (a socket mark, for machines and rootless namespaces, where one uid has to do). Repeatable.
    #[arg(long, value_name = "uid=N|mark=N", default_value = "uid=64137")]
    pub exempt: Vec<TrafficExemption>,

    /// Uid of the cert agent. It reaches the addresses of --authority directly and nothing else.
    #[arg(long, value_name = "UID", requires = "authority")]
    pub agent_uid: Option<u32>,

    /// Where the agent finds the authority. A name is looked up now, once: the agent reaches the
    /// addresses it has at this moment. (A lie gains nothing: the agent asks the authority for its
    /// certificate.) Repeatable.
    #[arg(long, value_name = "HOST:PORT", requires = "agent_uid")]
    pub authority: Vec<AuthorityAddress>,

    /// Port on which the proxy takes inbound connections.
    #[arg(long, value_name = "PORT", default_value_t = INBOUND_PORT)]
    pub inbound_port: u16,

    /// Port on which the proxy takes outbound connections.
    #[arg(long, value_name = "PORT", default_value_t = OUTBOUND_PORT)]
    pub outbound_port: u16,

    /// App ports reached directly from outside, without the proxy and without its checks:
    /// `22,9000-9010`.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub skip_inbound_ports: Vec<PortRange>,

    /// Remote TCP ports dialled directly, without the proxy: `25,587`.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub skip_outbound_ports: Vec<PortRange>,

    /// Remote networks dialled directly, every port and transport: `10.1.0.0/16,fd00:1::/64`.
    #[arg(long, value_name = "CIDRS", value_delimiter = ',', value_parser = network)]
    pub skip_cidrs: Vec<IpNet>,

    /// What happens to outbound traffic the proxy cannot carry (UDP and everything else that is
    /// not TCP): `deny` rejects and counts it, `allow` lets it pass.
    #[arg(long, value_enum, default_value_t = EgressMode::Deny)]
    pub egress: EgressMode,

    /// With --egress deny: name servers that may be asked on port 53. Default: those of
    /// /etc/resolv.conf. Repeatable.
    #[arg(long, value_name = "ADDR")]
    pub dns: Vec<IpAddr>,

    /// With --egress deny: UDP ports that stay open, as a client of them and as their server:
    /// `123,443`.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub allow_udp: Vec<PortRange>,

    /// File the name servers are read from when --dns is not given.
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf", hide = true)]
    pub resolv_conf: PathBuf,
}

/// Everything the rules depend on; see [`super::ruleset::ruleset`].
///
/// Lists are kept merged and sorted, so that two ways to say the same give the same rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterceptionRules {
    /// Whose traffic is the proxy's own. Never empty.
    pub exempt: Vec<TrafficExemption>,
    /// Uid of the cert agent with the addresses it may reach directly.
    pub agent: Option<(u32, Vec<SocketAddr>)>,
    /// Where inbound connections go.
    pub inbound_port: u16,
    /// Where outbound connections go.
    pub outbound_port: u16,
    /// App ports reached without the proxy.
    pub skip_inbound_ports: Vec<PortRange>,
    /// Remote TCP ports dialled without the proxy.
    pub skip_outbound_ports: Vec<PortRange>,
    /// IPv4 networks dialled without the proxy.
    pub skip_v4: Vec<Ipv4Net>,
    /// IPv6 networks dialled without the proxy.
    pub skip_v6: Vec<Ipv6Net>,
    /// What happens to transports other than TCP.
    pub egress: EgressMode,
    /// Name servers that may be asked; only looked at with [`EgressMode::Deny`].
    pub dns: Vec<IpAddr>,
    /// UDP ports that stay open; only looked at with [`EgressMode::Deny`].
    pub allow_udp: Vec<PortRange>,
}

impl InterceptionRules {
    /// Makes the settings from flags.
    ///
    /// # Errors
    /// A sentence for the person who wrote the flags, when they contradict each other or the file
    /// with the name servers cannot be read.
    pub fn from_args(args: InterceptionArgs) -> Result<Self, String> {
        check_ports(&args)?;
        let (skip_v4, skip_v6) = split_networks(&args.skip_cidrs);
        let agent = match args.agent_uid {
            Some(uid) => Some((uid, authorities(&args.authority)?)),
            None => None,
        };
        Ok(Self {
            dns: name_servers(&args)?,
            exempt: sorted(args.exempt),
            agent,
            inbound_port: args.inbound_port,
            outbound_port: args.outbound_port,
            skip_inbound_ports: merged(args.skip_inbound_ports),
            skip_outbound_ports: merged(args.skip_outbound_ports),
            skip_v4,
            skip_v6,
            egress: args.egress,
            allow_udp: merged(args.allow_udp),
        })
    }
}

fn check_ports(args: &InterceptionArgs) -> Result<(), String> {
    let served = [ADMIN_PORT, METRICS_PORT, READINESS_PORT];
    for (flag, port) in
        [("--inbound-port", args.inbound_port), ("--outbound-port", args.outbound_port)]
    {
        if port == 0 || served.contains(&port) {
            return Err(format!(
                "{flag} {port}: choose another port; 0 is none, and 15000, 15020 and 15021 are the proxy's admin, metrics and readiness"
            ));
        }
    }
    if args.inbound_port == args.outbound_port {
        return Err(format!(
            "--inbound-port and --outbound-port are both {}: give each its own port",
            args.inbound_port
        ));
    }
    Ok(())
}

fn name_servers(args: &InterceptionArgs) -> Result<Vec<IpAddr>, String> {
    if args.egress == EgressMode::Allow {
        return Ok(Vec::new());
    }
    if !args.dns.is_empty() {
        return Ok(sorted(args.dns.clone()));
    }
    let file = args.resolv_conf.display();
    let text = std::fs::read_to_string(&args.resolv_conf)
        .map_err(|error| format!("{file}: {error}; name the resolvers with --dns ADDR"))?;
    Ok(sorted(resolvers::parse(&text)))
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no network; write an address and how many of its bits count, such as 10.1.0.0/16")
    })
}

fn split_networks(networks: &[IpNet]) -> (Vec<Ipv4Net>, Vec<Ipv6Net>) {
    let v4: Vec<_> = networks
        .iter()
        .filter_map(|net| if let IpNet::V4(net) = net { Some(*net) } else { None })
        .collect();
    let v6: Vec<_> = networks
        .iter()
        .filter_map(|net| if let IpNet::V6(net) = net { Some(*net) } else { None })
        .collect();
    // Overlapping networks in one set are an error to nft.
    (Ipv4Net::aggregate(&v4), Ipv6Net::aggregate(&v6))
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

fn merged(ranges: Vec<PortRange>) -> Vec<PortRange> {
    let mut merged: Vec<PortRange> = Vec::new();
    for range in sorted(ranges) {
        match merged.last_mut() {
            Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                last.last = last.last.max(range.last)
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Where the authority is: `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityAddress(String);

impl FromStr for AuthorityAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT, such as 10.0.0.1:15012");
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        let good = port != 0 && !host.is_empty() && host.bytes().all(name);
        if good { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

/// The addresses of all of them.
fn authorities(authorities: &[AuthorityAddress]) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    for AuthorityAddress(authority) in authorities {
        let unknown = |why: &dyn fmt::Display| {
            format!("cannot look up the authority {authority}: {why}; is it running, and is DNS?")
        };
        let found = authority.to_socket_addrs().map_err(|error| unknown(&error))?;
        let before = addresses.len();
        addresses.extend(found);
        if addresses.len() == before {
            return Err(unknown(&"it has no address"));
        }
    }
    Ok(sorted(addresses))
}

/// Whose traffic is not redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrafficExemption {
    /// Sockets of this user. The choice in a pod: a mark would need a capability in the proxy.
    Uid(u32),
    /// Sockets that carry this `SO_MARK`.
    Mark(u32),
}

impl FromStr for TrafficExemption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither uid=N nor mark=N; write for example uid=64137");
        let (kind, number) = text.split_once('=').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        match kind {
            "uid" => Ok(Self::Uid(number)),
            // 0 is the mark of every socket that has none.
            "mark" if number != 0 => Ok(Self::Mark(number)),
            "mark" => Err("mark=0 would exempt everything; choose another mark".to_owned()),
            _ => Err(wrong()),
        }
    }
}

/// One port, or a range of ports with both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// Lowest port.
    pub first: u16,
    /// Highest port; the same as `first` for a single port.
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a port (1-65535) or a range such as 9000-9010");
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first: u16 = first.parse().map_err(|_| wrong())?;
        let last: u16 = last.parse().map_err(|_| wrong())?;
        if first == 0 || first > last { Err(wrong()) } else { Ok(Self { first, last }) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// What happens to outbound traffic other than TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EgressMode {
    /// Rejected and counted, except ICMP, loopback, DNS to the resolvers and `--allow-udp`.
    Deny,
    /// Passes.
    Allow,
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct TestCommand {
        #[command(flatten)]
        flags: InterceptionArgs,
    }

    /// Settings from a line of flags, as a person would write them.
    pub(crate) fn settings(line: &str) -> Result<InterceptionRules, String> {
        InterceptionRules::from_args(parsed(line)?)
    }

    /// Flags that parse.
    pub(crate) fn flags(line: &str) -> InterceptionArgs {
        parsed(line).unwrap()
    }

    fn parsed(line: &str) -> Result<InterceptionArgs, String> {
        let words = std::iter::once("redirect").chain(line.split_whitespace());
        let command = TestCommand::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(command.flags)
    }

    #[test]
    fn flags_that_say_the_same_give_the_same_settings() {
        let one = settings(
            "--dns 10.0.0.53 --skip-outbound-ports 25,26,20-30 --skip-cidrs 10.0.0.0/9,10.128.0.0/9",
        );
        let other = settings(
            "--dns 10.0.0.53 --dns 10.0.0.53 --skip-outbound-ports 20-25,26-30 --skip-cidrs 10.0.0.0/8,10.1.2.0/24",
        );
        assert_eq!(one.unwrap(), other.unwrap());
    }

    #[test]
    fn mistakes_are_named() {
        let check = |flags: &str, says: &str| {
            let error = settings(flags).unwrap_err();
            assert!(error.contains(says), "{flags}: {error}");
        };
        check("--exempt user=3", "neither uid=N nor mark=N");
        check("--exempt uid=x", "neither uid=N nor mark=N");
        check("--exempt mark=0", "would exempt everything");
        check("--skip-inbound-ports 0", "not a port");
        check("--skip-inbound-ports 9-8", "not a port");
        check("--skip-inbound-ports 70000", "not a port");
        check("--inbound-port 15021", "choose another port");
        check("--outbound-port 0", "choose another port");
        check("--inbound-port 7 --outbound-port 7", "give each its own");
        check("--agent-uid 5", "--authority");
        check("--authority 10.0.0.1:15012", "--agent-uid");
        check("--agent-uid 5 --authority no-such.invalid:15012", "cannot look up the authority");
        check("--agent-uid 5 --authority authority", "HOST:PORT");
        check("--agent-uid 5 --authority a$(b):1", "HOST:PORT");
        check("--resolv-conf /nowhere/resolv.conf", "name the resolvers with --dns");
        check("--egress maybe", "possible values");
        check("--skip-cidrs 10.0.0.0/40", "write an address and how many of its bits count");
    }

    #[test]
    fn defaults_are_the_ports_and_the_uid_of_the_design() {
        let settings = settings("--egress allow").unwrap();
        assert_eq!(settings.exempt, [TrafficExemption::Uid(64137)]);
        assert_eq!((settings.inbound_port, settings.outbound_port), (15006, 15001));
        assert_eq!(settings.agent, None);
    }
}
