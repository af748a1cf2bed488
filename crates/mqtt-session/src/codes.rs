//! The reason codes that the session answers with (MQTT 5.0 §2.4, 3.1.1 §3.2.2.3), and what a packet is refused for.

/// A reason code of MQTT 5.
pub(crate) type Code = u8;

pub(crate) const UNSPECIFIED: Code = 0x80;
pub(crate) const MALFORMED: Code = 0x81;
pub(crate) const PROTOCOL_ERROR: Code = 0x82;
pub(crate) const UNSUPPORTED_VERSION: Code = 0x84;
pub(crate) const CLIENT_ID_NOT_VALID: Code = 0x85;
pub(crate) const NOT_AUTHORIZED: Code = 0x87;
pub(crate) const SERVER_UNAVAILABLE: Code = 0x88;
pub(crate) const SERVER_SHUTTING_DOWN: Code = 0x8B;
pub(crate) const TOPIC_FILTER_INVALID: Code = 0x8F;
pub(crate) const TOPIC_NAME_INVALID: Code = 0x90;
pub(crate) const PACKET_ID_NOT_FOUND: Code = 0x92;
pub(crate) const TOPIC_ALIAS_INVALID: Code = 0x94;
pub(crate) const PACKET_TOO_LARGE: Code = 0x95;
pub(crate) const QUOTA_EXCEEDED: Code = 0x97;

/// The answers of a CONNACK and the one of a SUBACK in 3.1.1.
pub(crate) mod old {
    pub(crate) const UNACCEPTABLE_VERSION: u8 = 1;
    pub(crate) const IDENTIFIER_REJECTED: u8 = 2;
    pub(crate) const SERVER_UNAVAILABLE: u8 = 3;
    pub(crate) const NOT_AUTHORIZED: u8 = 5;
    pub(crate) const FAILURE: u8 = 0x80;
}

/// Why a packet ends the connection: the code that MQTT 5 has for it, and words for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) what: &'static str,
}

impl Problem {
    /// Bytes that are no packet.
    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self { code: MALFORMED, what }
    }

    /// A packet that may not be sent there and then.
    pub(crate) const fn protocol(what: &'static str) -> Self {
        Self { code: PROTOCOL_ERROR, what }
    }

    /// Whether a limit of this side is what ends it.
    pub(crate) const fn is_limit(self) -> bool {
        matches!(self.code, PACKET_TOO_LARGE | QUOTA_EXCEEDED)
    }
}
