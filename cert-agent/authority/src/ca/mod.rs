//! What signs, and the rules it signs by.
//!
//! [`signers`] are the root and the intermediate, [`root_key`], [`root_source`] and the token of a hardware security
//! module say where the root's key is. [`csr`] reads what is asked for and [`leaf`] decides what is signed;
//! [`jwt_svid`] and [`token_exchange`] do the same for tokens, with the keys of [`jwt_keys`], for whom [`holder`] proves
//! and as whom [`token_issuer`] says. [`rate`] says how often, [`crl`] revokes,
//! [`issuance_log`] tells who got what. [`init`] and [`bootstrap`] make the first root, [`rollover`] the next one.

pub mod bootstrap;
pub mod crl;
pub mod csr;
pub mod holder;
#[cfg(feature = "pkcs11")]
pub mod hsm;
pub mod init;
pub mod issuance_log;
pub mod issuance_log_verify;
pub mod jwt_keys;
pub mod jwt_svid;
pub mod leaf;
pub mod rate;
pub mod rollover;
pub mod root_key;
pub mod root_source;
pub mod signers;
pub mod token_exchange;
pub mod token_issuer;
