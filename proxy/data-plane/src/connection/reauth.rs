//! Re-authentication in place: how a connection outlives the certificates it was opened with.
//!
//! Opaque bytes cannot be drained, and a certificate lives for an hour. Between two proxies of ours a
//! `postern/1` connection *A* that carries streams is therefore re-authenticated before the first of
//! its two certificates ends. Its client makes a fresh connection *B* to the same server, with the
//! certificates both hold by then, and on it one CONNECT stream of protocol `reauth`:
//!
//! ```text
//! client → server   version (1) ‖ name of A (16) ‖ HMAC-SHA256(client key of A, fresh of B) (32)
//! server → client   0 ‖ HMAC-SHA256(server key of A, fresh of B) (32)      or one byte: the refusal
//! ```
//!
//! Name, both keys and `fresh` are exporters (RFC 5705, RFC 8446 §7.5) under labels of their own; `A` supplies the
//! first three and `B` the last. Each side checks the other's proof in constant time, that peer *and* own id on B are
//! those of A, and that B ends later (the server: no earlier, so that a lost answer can be requested again). The server
//! evaluates policy again; the client checks that the service may still have this identity. Then A takes over B's
//! expiries and chain, and B is closed. When any of this fails, A keeps its bounds and is cut when they end: nothing
//! here can open or prolong a connection that a handshake made now would not.
//!
//! Threats, and what prevents each:
//! * *Replay*: a proof is bound to B's exporter, which no other connection has.
//! * *Relay, man in the middle*: an attacker that terminates A or B has different exporters on either leg.
//! * *Another connection of the same two*: name and keys come from A alone; 16 bytes cannot be guessed.
//! * *Another identity with the secrets of A*: B's ids must be those of A, on both sides.
//! * *Reflection*: each role has a key of its own.
//! * *Downgrade*: a peer that refuses, or does not know `reauth` (501), gets no extension, and no check is skipped.
//! * *Flood*: each attempt costs a client a handshake, within the limits of handshakes; an unknown name costs the
//!   server one table lookup.

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

/// The name of a connection, known to its two sides only.
pub type ConnectionName = [u8; 16];
/// A proof of one side.
pub type ReauthProof = [u8; 32];

const VERSION: u8 = 1;
pub(crate) const ACCEPTED: u8 = 0;
/// Length of the client's message.
pub(crate) const REQUEST: usize = 1 + 16 + 32;
/// Exporter labels; labels with this prefix need no registration (RFC 5705 §4).
const LABEL_NAME: &[u8] = b"EXPERIMENTAL-postern-reauth-name";
const LABEL_CLIENT: &[u8] = b"EXPERIMENTAL-postern-reauth-client";
const LABEL_SERVER: &[u8] = b"EXPERIMENTAL-postern-reauth-server";
const LABEL_FRESH: &[u8] = b"EXPERIMENTAL-postern-reauth-fresh";

/// Which side of A proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofRole {
    /// The side that opened it.
    Client,
    /// The side that accepted it.
    Server,
}

/// What both ends of one TLS connection know and nobody else does.
pub struct ChannelBinding {
    name: ConnectionName,
    client: Zeroizing<[u8; 32]>,
    server: Zeroizing<[u8; 32]>,
    fresh: Zeroizing<[u8; 32]>,
}

impl ChannelBinding {
    /// Derives the exporters of a connection whose handshake is complete; `export` fills a buffer for a label.
    ///
    /// # Errors
    /// The library's.
    pub fn of<E>(mut export: impl FnMut(&mut [u8], &[u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut binding = Self {
            name: [0; 16],
            client: Zeroizing::new([0; 32]),
            server: Zeroizing::new([0; 32]),
            fresh: Zeroizing::new([0; 32]),
        };
        export(&mut binding.name, LABEL_NAME)?;
        export(&mut *binding.client, LABEL_CLIENT)?;
        export(&mut *binding.server, LABEL_SERVER)?;
        export(&mut *binding.fresh, LABEL_FRESH)?;
        Ok(binding)
    }

    /// The name of this connection.
    #[must_use]
    pub fn name(&self) -> ConnectionName {
        self.name
    }

    /// Proves, as this side of this connection, that the fresh one belongs to the same workload.
    #[must_use]
    pub fn prove(&self, role: ProofRole, fresh: &Self) -> ReauthProof {
        let tag = hmac::sign(&self.key(role), &*fresh.fresh);
        let mut proof = [0; 32];
        proof.copy_from_slice(tag.as_ref());
        proof
    }

    /// Whether `proof` is that side's for this connection and this fresh one; in constant time.
    #[must_use]
    pub fn verify(&self, role: ProofRole, fresh: &Self, proof: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.prove(role, fresh), proof).is_ok()
    }

    fn key(&self, role: ProofRole) -> hmac::Key {
        let key = match role {
            ProofRole::Client => &*self.client,
            ProofRole::Server => &*self.server,
        };
        hmac::Key::new(hmac::HMAC_SHA256, key)
    }
}

/// Why a connection was not re-authenticated. It keeps its current bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum ReauthRefusal {
    /// The server has no open connection of that name.
    #[error("the other side knows no such connection")]
    UnknownConnection = 1,
    /// The proof does not match the secrets of the old connection.
    #[error("the proof is wrong")]
    BadProof = 2,
    /// The fresh connection is between other identities than the old one.
    #[error("the fresh connection has another identity on one of its sides")]
    OtherIdentity = 3,
    /// Policy no longer allows what the old connection carries.
    #[error("policy no longer allows the connection")]
    Policy = 4,
    /// The fresh certificates end no later than the old ones: neither side has renewed yet.
    #[error("neither side has a certificate that ends later")]
    NotLater = 5,
    /// The message is malformed or of an unknown version.
    #[error("the message is not one of this version")]
    BadMessage = 6,
    /// No fresh connection could be made, or it broke.
    #[error("no fresh connection to the other side")]
    Unreachable = 7,
    /// The other side does not support re-authentication.
    #[error("the other side serves no re-authentication")]
    Unsupported = 8,
    /// This proxy holds no valid certificate.
    #[error("no valid certificate is held")]
    NoCertificate = 9,
}

impl ReauthRefusal {
    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownConnection => "unknown_connection",
            Self::BadProof => "bad_proof",
            Self::OtherIdentity => "other_identity",
            Self::Policy => "policy",
            Self::NotLater => "not_later",
            Self::BadMessage => "bad_message",
            Self::Unreachable => "unreachable",
            Self::Unsupported => "unsupported",
            Self::NoCertificate => "no_certificate",
        }
    }

    /// The refusal that a server's byte stands for; any other byte is malformed.
    pub(crate) fn from_wire(code: u8) -> Self {
        const SAID: [ReauthRefusal; 5] = [
            ReauthRefusal::UnknownConnection,
            ReauthRefusal::BadProof,
            ReauthRefusal::OtherIdentity,
            ReauthRefusal::Policy,
            ReauthRefusal::NotLater,
        ];
        SAID.into_iter().find(|refusal| *refusal as u8 == code).unwrap_or(Self::BadMessage)
    }
}

/// The client's message.
pub(crate) fn request(old: &ChannelBinding, fresh: &ChannelBinding) -> [u8; REQUEST] {
    let mut message = [VERSION; REQUEST];
    message[1..17].copy_from_slice(&old.name);
    message[17..].copy_from_slice(&old.prove(ProofRole::Client, fresh));
    message
}

/// The name of the old connection, and the proof.
pub(crate) fn read_request(
    message: &[u8; REQUEST],
) -> Result<(ConnectionName, &[u8]), ReauthRefusal> {
    let (head, proof) = message.split_at(17);
    match head.split_first() {
        Some((&VERSION, name)) => {
            Ok((name.try_into().map_err(|_| ReauthRefusal::BadMessage)?, proof))
        }
        _ => Err(ReauthRefusal::BadMessage),
    }
}

#[cfg(test)]
mod tests;
