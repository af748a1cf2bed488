//! A root key in a PKCS#11 token: an ECDSA P-256 key pair found (or made) by its label. It never
//! leaves the token; we ask for signatures.

use std::fmt;

use anyhow::{Context, anyhow, bail};
use aws_lc_rs::digest;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::ca::root_source::{Pkcs11, read_secret_line};

/// `CKA_EC_PARAMS` of P-256: the DER of 1.2.840.10045.3.1.7.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// An uncompressed point of P-256 (SEC 1 §2.3.3): 4, x, y.
const POINT: usize = 65;

/// A key pair in a token, with a session that may use it.
pub struct TokenKey {
    session: Mutex<Session>,
    private: ObjectHandle,
    point: Vec<u8>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

impl TokenKey {
    /// Opens the token, finds the key pair by its label, and makes it when `make` says so and there
    /// is none.
    ///
    /// # Errors
    /// A module that cannot be loaded, a token that is not there, a wrong PIN, a key that is missing
    /// or not of P-256.
    pub fn open(settings: &Pkcs11, make: bool) -> anyhow::Result<Self> {
        let session = log_in(settings)?;
        let label = Attribute::Label(settings.key.clone().into_bytes());
        let find = |class| session.find_objects(&[Attribute::Class(class), label.clone()]);
        let private = find(ObjectClass::PRIVATE_KEY)?;
        let (public, private) = match private.as_slice() {
            [private] => {
                let public = find(ObjectClass::PUBLIC_KEY)?.first().copied();
                (public.with_context(|| missing("public", settings))?, *private)
            }
            [] if make => generate(&session, &label)?,
            [] => bail!(missing("private", settings)),
            _ => bail!(
                "several keys are labelled `{}` in the token `{}`",
                settings.key,
                settings.token
            ),
        };
        let point = point_of(&session, public).with_context(|| {
            format!("the key `{}` of the token `{}`", settings.key, settings.token)
        })?;
        Ok(Self { session: Mutex::new(session), private, point })
    }
}

fn missing(part: &str, settings: &Pkcs11) -> String {
    format!("the token `{}` holds no {part} key labelled `{}`", settings.token, settings.key)
}

fn log_in(settings: &Pkcs11) -> anyhow::Result<Session> {
    let path = settings.module.display();
    let module = Module::new(&settings.module)
        .with_context(|| format!("{path}: cannot load the PKCS#11 module"))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // By this process, for another key.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error).with_context(|| format!("{path}: cannot initialise it")),
    }
    let slots = module.get_slots_with_initialized_token()?;
    let slot = slots
        .into_iter()
        .find(|slot| module.get_token_info(*slot).is_ok_and(|t| t.label() == settings.token))
        .ok_or_else(|| anyhow!("{path}: there is no token labelled `{}`", settings.token))?;
    let session = module.open_rw_session(slot)?;
    let pin = read_secret_line(&settings.pin_file, 4)?;
    let pin = std::str::from_utf8(&pin).context("the PIN is not UTF-8")?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(error).with_context(|| {
            format!(
                "the token `{}` refuses the PIN of {}",
                settings.token,
                settings.pin_file.display()
            )
        }),
    }
}

fn generate(session: &Session, label: &Attribute) -> anyhow::Result<(ObjectHandle, ObjectHandle)> {
    let public = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(P256.to_vec()),
        label.clone(),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        label.clone(),
    ];
    session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .context("the token cannot make a P-256 key")
}

/// The public point. PKCS#11 wraps it in a DER OCTET STRING; some tokens do not.
fn point_of(session: &Session, public: ObjectHandle) -> anyhow::Result<Vec<u8>> {
    let attributes =
        session.get_attributes(public, &[AttributeType::EcPoint, AttributeType::EcParams])?;
    let mut point = Vec::new();
    for attribute in attributes {
        match attribute {
            Attribute::EcPoint(value) => point = value,
            Attribute::EcParams(value) if value != P256 => bail!("it is not of the curve P-256"),
            _ => {}
        }
    }
    let point = point.strip_prefix(&[0x04, 0x41]).filter(|p| p.len() == POINT).unwrap_or(&point);
    if point.len() != POINT || point.first() != Some(&4) {
        bail!("it is no uncompressed point of P-256");
    }
    Ok(point.to_vec())
}

impl PublicKeyData for TokenKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let hash = digest::digest(&digest::SHA256, message);
        let raw = self.session.lock().sign(&Mechanism::Ecdsa, self.private, hash.as_ref());
        let raw = raw.map_err(|error| {
            tracing::error!(%error, "the token refuses to sign");
            rcgen::Error::RemoteKeyError
        })?;
        der_signature(&raw).ok_or(rcgen::Error::RemoteKeyError)
    }
}

/// `r || s` of 32 bytes each, as PKCS#11 gives it, in the form of X.509 (RFC 3279 §2.2.3).
fn der_signature(raw: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = raw.split_at_checked(32).filter(|(_, s)| s.len() == 32)?;
    let mut body = Vec::with_capacity(72);
    for number in [r, s] {
        let first = number.iter().position(|byte| *byte != 0).unwrap_or(31);
        let digits = number.get(first..)?;
        let sign = digits.first().is_some_and(|byte| *byte >= 0x80);
        body.extend([0x02, u8::try_from(digits.len() + usize::from(sign)).ok()?]);
        if sign {
            body.push(0);
        }
        body.extend_from_slice(digits);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(der)
}
