//! The name servers of `/etc/resolv.conf` (resolv.conf(5)).

use std::net::IpAddr;

/// How many name servers are looked at: the C library asks no more than three, some resolvers more.
const LIMIT: usize = 16;

/// The addresses of the `nameserver` lines, without loopback ones, which need no rule.
///
/// A line that is not an address is passed over, as the C library does: a resolver that is not
/// listed stays closed. The zone of a link-local address (`fe80::1%eth0`) is dropped.
#[must_use]
pub fn parse(resolv_conf: &str) -> Vec<IpAddr> {
    resolv_conf
        .lines()
        .filter_map(name_server)
        .filter(|address| !address.is_loopback())
        .take(LIMIT)
        .collect()
}

fn name_server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "nameserver" {
        return None;
    }
    words.next()?.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn name_servers_of_resolv_conf() {
        let check = |row: &str, text: &str, expect: &[&str]| {
            let found: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
            assert_eq!(found, expect, "{row}");
        };
        check("one", "nameserver 10.96.0.10\n", &["10.96.0.10"]);
        check("both families", "nameserver 10.0.0.2\nnameserver fd00::2", &["10.0.0.2", "fd00::2"]);
        check("other lines", "search a.b\noptions ndots:5\nnameserver 10.0.0.2\n", &["10.0.0.2"]);
        check("comments", "# nameserver 1.1.1.1\n;nameserver 1.1.1.1\n", &[]);
        check("zone", "nameserver fe80::1%eth0\n", &["fe80::1"]);
        check("loopback needs no rule", "nameserver 127.0.0.53\nnameserver ::1\n", &[]);
        check("not an address", "nameserver dns.example\nnameserver\n", &[]);
        check("trailing comment", "\tnameserver\t10.0.0.2 # main\r\n", &["10.0.0.2"]);
        check("a flood", &"nameserver 10.0.0.2\n".repeat(100), &["10.0.0.2"; 16]);
    }
}
