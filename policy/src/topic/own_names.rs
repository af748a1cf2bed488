//! The names that belong to a caller without being written: its NATS inbox and its MQTT client ids.
//!
//! They are `<namespace>.<service account>` and what goes on with a dot. A service account may have dots in its name, and
//! then `a/b.c` would be within `a/b`: they are written `_`, which no name of Kubernetes holds. An identity of another form
//! owns none. The caller is of the workload's own trust domain: namespaces of another may have the same names.

use std::str::Split;

use identity::{SpiffeId, TrustDomain};
use message_access::{AccessRequest, MessageProtocol, Operation};

/// Whether all that is asked for is the caller's own.
pub(super) fn are_asked(
    caller: &SpiffeId,
    own_domain: Option<&TrustDomain>,
    protocol: MessageProtocol,
    request: &AccessRequest<'_>,
) -> bool {
    own_domain.is_some_and(|own| own.as_str() == caller.trust_domain())
        && match (protocol, request.operation) {
            (MessageProtocol::Nats, Operation::Subscribe) => is_own_inbox(caller, request),
            (MessageProtocol::Mqtt, Operation::Connect) => is_own_client_id(caller, request),
            _ => false,
        }
}

/// A subscription to `_INBOX.<namespace>.<service account>.>`, or part of it, that shares it with nobody.
fn is_own_inbox(caller: &SpiffeId, request: &AccessRequest<'_>) -> bool {
    let AccessRequest { topic: Some(topic), queue: None, stream: None, .. } = request else {
        return false;
    };
    let own = topic.strip_prefix("_INBOX.").and_then(|rest| after_own_name(caller, rest));
    own.is_some_and(|own| own.strip_prefix('.').is_some_and(|own| is_subject(own.split('.'))))
}

fn is_own_client_id(caller: &SpiffeId, request: &AccessRequest<'_>) -> bool {
    let rest = request.client_id.and_then(|id| after_own_name(caller, id));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What follows `<namespace>.<service account>`.
fn after_own_name<'t>(caller: &SpiffeId, text: &'t str) -> Option<&'t str> {
    let (namespace, account) = (caller.namespace()?, caller.service_account()?);
    if namespace.contains(['.', '_']) || account.contains('_') {
        return None;
    }
    let rest = text.strip_prefix(namespace)?.strip_prefix('.')?;
    let own = rest.get(..account.len())?;
    let same = own.bytes().zip(account.bytes()).all(|(written, known)| match known {
        b'.' => written == b'_',
        known => written == known,
    });
    rest.get(account.len()..).filter(|_| same)
}

/// Whether these are tokens of a NATS subject, wildcards allowed.
fn is_subject(tokens: Split<'_, char>) -> bool {
    let mut tokens = tokens.peekable();
    while let Some(token) = tokens.next() {
        let is_token =
            !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c.is_control());
        if !is_token || (token == ">" && tokens.peek().is_some()) {
            return false;
        }
    }
    true
}
