//! What a subject is to the server that gets it: one among many, or one that it acts on itself.

use message_access::{AccessRequest, Operation};

/// The first tokens of subjects that the server keeps for itself and its like: what is said there is its administration.
const RESERVED: [&str; 10] =
    ["$SYS", "$MQTT", "$JSC", "$NRG", "$RAFT", "$LDS", "$GNR", "$GR", "_GR_", "$G"];

/// What publishing to a subject means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination<'a> {
    /// A message for whoever listens.
    Plain(&'a str),
    /// A word about a message that a stream's consumer has delivered: an acknowledgement, or flow control.
    Delivered { stream: &'a str },
    /// A request to JetStream: what follows `$JS.API.`, or `$JS.<domain>.API.`.
    Api(&'a str),
    /// The server's own.
    Reserved(&'a str),
}

impl<'a> Destination<'a> {
    /// What a subject without wildcards is.
    pub(crate) fn of(subject: &'a str) -> Self {
        let (first, rest) = subject.split_once('.').unwrap_or((subject, ""));
        if first == "$JS" {
            return Self::of_jetstream(subject, rest);
        }
        if RESERVED.contains(&first) { Self::Reserved(subject) } else { Self::Plain(subject) }
    }

    /// `$JS.API.…`, `$JS.<domain>.API.…`, `$JS.ACK.…` and `$JS.FC.…`; anything else below `$JS` is JetStream's own.
    fn of_jetstream(subject: &'a str, rest: &'a str) -> Self {
        let mut tokens = rest.split('.');
        let (kind, second) = (tokens.next().unwrap_or_default(), tokens.next());
        let count = subject.split('.').count();
        match (kind, second) {
            ("API", Some(_)) => Self::Api(rest.get("API.".len()..).unwrap_or_default()),
            ("ACK", Some(_)) => delivered(subject, if count == 9 { 2 } else { 4 }, count, &[9, 11]),
            ("FC", Some(_)) => delivered(subject, if count == 5 { 2 } else { 4 }, count, &[5, 7]),
            (domain, Some("API")) => {
                let prefix = domain.len() + ".API.".len();
                match rest.get(prefix..) {
                    Some(key) if key.starts_with("$KV.") || key.starts_with("$O.") => {
                        Self::Plain(key)
                    }
                    Some(api) => Self::Api(api),
                    None => Self::Reserved(subject),
                }
            }
            _ => Self::Reserved(subject),
        }
    }
}

/// The stream of an acknowledgement. Its subject has one of two lengths, the second of which servers may add to
/// (`$JS.ACK.<stream>.<consumer>.…` and `$JS.ACK.<domain>.<account>.<stream>.<consumer>.…`).
fn delivered<'a>(
    subject: &'a str,
    place: usize,
    count: usize,
    lengths: &[usize; 2],
) -> Destination<'a> {
    let known = count == lengths[0] || count >= lengths[1];
    match subject.split('.').nth(place).filter(|_| known) {
        Some(stream) => Destination::Delivered { stream },
        None => Destination::Reserved(subject),
    }
}

/// What a subscription to a subject asks for: to listen, or to look into what the server does.
pub(crate) fn subscription<'a>(subject: &'a str, queue: Option<&'a str>) -> AccessRequest<'a> {
    let mut tokens = subject.split('.');
    let (first, second) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
    let reserved = RESERVED.contains(&first) || (first == "$JS" && second != "EVENT");
    let operation = if reserved { Operation::Admin } else { Operation::Subscribe };
    AccessRequest { queue, ..AccessRequest::on_topic(operation, subject) }
}

/// Whether a message can be published to this: tokens parted by `.`, none empty, none a wildcard.
pub(crate) fn is_literal(subject: &str) -> bool {
    subject.split('.').all(|token| !matches!(token, "" | "*" | ">"))
        && !subject.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether this can be subscribed to: as above, but for `*` as any token and `>` as the last.
pub(crate) fn is_pattern(subject: &str) -> bool {
    let head =
        subject.strip_suffix('>').map_or(subject, |head| head.strip_suffix('.').unwrap_or(head));
    let is_token = |token: &str| token == "*" || is_literal(token);
    subject == ">" || head.split('.').all(is_token)
}

/// Whether a subject lies in the inbox that a caller of this principal has, `<trust domain>/ns/<namespace>/sa/<service
/// account>`: `_INBOX.<namespace>.<service account>.`, where each dot in the name of the account is written `_`. Whether the
/// caller is of the broker's own trust domain, the policy knows.
pub(crate) fn is_inbox_of(principal: Option<&str>, subject: &str) -> bool {
    let after = || {
        let (_, workload) = principal?.split_once("/ns/")?;
        let (namespace, account) = workload.split_once("/sa/")?;
        let rest = subject.strip_prefix("_INBOX.")?.strip_prefix(namespace)?.strip_prefix('.')?;
        let (written, rest) = rest.split_once('.')?;
        written.split('_').eq(account.split('.')).then_some(rest)
    };
    is_literal(subject) && after().is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_subject_is() {
        use Destination::{Api, Delivered, Plain, Reserved};
        for (subject, expect) in [
            ("orders.new", Plain("orders.new")),
            ("$KV.cfg.a", Plain("$KV.cfg.a")),
            ("$O.files.M.x", Plain("$O.files.M.x")),
            ("$JS.API.STREAM.CREATE.S", Api("STREAM.CREATE.S")),
            ("$JS.hub.API.STREAM.CREATE.S", Api("STREAM.CREATE.S")),
            ("$JS.hub.API.$KV.cfg.a", Plain("$KV.cfg.a")),
            ("$JS.hub.API.$O.files.a", Plain("$O.files.a")),
            ("$JS.ACK.S.C.1.2.3.4.5", Delivered { stream: "S" }),
            ("$JS.ACK._.acc.S.C.1.2.3.4.5.r", Delivered { stream: "S" }),
            ("$JS.ACK._.acc.S.C.1.2.3.4.5", Delivered { stream: "S" }),
            ("$JS.ACK.S.C.1.2.3.4.5.6", Reserved("$JS.ACK.S.C.1.2.3.4.5.6")),
            ("$JS.ACK.API.x", Reserved("$JS.ACK.API.x")),
            ("$JS.FC.S.C.x", Delivered { stream: "S" }),
            ("$JS.FC._.acc.S.C.x", Delivered { stream: "S" }),
            ("$JS.FC.S", Reserved("$JS.FC.S")),
            ("$JS.API", Reserved("$JS.API")),
            ("$JS.hub.API", Reserved("$JS.hub.API")),
            ("$JS", Reserved("$JS")),
            ("$JS.SNAPSHOT.ACK.S.x", Reserved("$JS.SNAPSHOT.ACK.S.x")),
            ("$JS.EVENT.ADVISORY.x", Reserved("$JS.EVENT.ADVISORY.x")),
            ("$SYS.REQ.SERVER.PING", Reserved("$SYS.REQ.SERVER.PING")),
            ("$MQTT.JSA.x", Reserved("$MQTT.JSA.x")),
            ("$SYSTEM.x", Plain("$SYSTEM.x")),
        ] {
            assert_eq!(Destination::of(subject), expect, "{subject}");
        }
    }

    #[test]
    fn what_a_subscription_asks_for() {
        use Operation::{Admin, Subscribe};
        for (subject, expect) in [
            ("orders.>", Subscribe),
            (">", Subscribe),
            ("$JS.EVENT.ADVISORY.>", Subscribe),
            ("$JS.>", Admin),
            ("$JS.*.>", Admin),
            ("$JS.API.>", Admin),
            ("$JS.ACK.S.>", Admin),
            ("$SYS.>", Admin),
            ("$SYS", Admin),
            ("$MQTT.msgs.>", Admin),
        ] {
            assert_eq!(subscription(subject, None).operation, expect, "{subject}");
        }
    }

    #[test]
    fn inboxes() {
        let cart = Some("cluster.local/ns/shop/sa/cart");
        for (principal, subject, expect) in [
            (cart, "_INBOX.shop.cart.x", true),
            (cart, "_INBOX.shop.cart.x.1", true),
            (cart, "_INBOX.shop.cart.", false),
            (cart, "_INBOX.shop.cart", false),
            (cart, "_INBOX.shop.cart2.x", false),
            (cart, "_INBOX.shop.orders.x", false),
            (cart, "_INBOX.shop.cart.*", false),
            (cart, "_INBOX.x", false),
            (None, "_INBOX.shop.cart.x", false),
            (Some("cluster.local/ns/shop/sa/cart.eu"), "_INBOX.shop.cart_eu.x", true),
            (Some("cluster.local/ns/shop/sa/cart.eu"), "_INBOX.shop.cart.eu.x", false),
            (Some("cluster.local/ns/shop/sa/a_b"), "_INBOX.shop.a_b.x", false),
            (Some("cluster.local/host/a"), "_INBOX.shop.cart.x", false),
        ] {
            assert_eq!(is_inbox_of(principal, subject), expect, "{subject}");
        }
    }
}
