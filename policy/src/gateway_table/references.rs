//! Where references of Gateways and ListenerSets lead: to certificates in Secrets, and to authorities in ConfigMaps.
//!
//! A reference into another namespace needs a ReferenceGrant there. Whether it has one is asked before whether anything is
//! there: who may not refer to it is not told.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::ListenerOwner;
use crate::Resources;
use crate::core_group::{ConfigMap, Secret, SecretKind};
use crate::gateway::{Gateway, ObjectName, ObjectReference};
use crate::route::{GrantedKind, Referrer};
use crate::route_table::resolve::Grants;

/// A reference of a Gateway or listener that leads nowhere, for the condition `ResolvedRefs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedReference {
    /// The reason of the condition.
    pub reason: UnresolvedReason,
    /// What is wrong, for its message.
    pub message: String,
}

/// The reasons of the condition `ResolvedRefs`, where it is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnresolvedReason {
    /// There is no such Secret, or it has no certificate with a key.
    InvalidCertificateRef,
    /// A kind of route that the listener cannot have.
    InvalidRouteKinds,
    /// It lies in another namespace, and no ReferenceGrant there permits it.
    RefNotPermitted,
    /// There is no such ConfigMap, or it has no certificates of authorities.
    InvalidCaCertificateRef,
    /// Certificates of authorities are read from ConfigMaps and Secrets alone.
    InvalidCaCertificateKind,
    /// Of the Gateway's own certificate: there is no such Secret, or it has no certificate with a key.
    InvalidClientCertificateRef,
}

impl UnresolvedReason {
    /// The reason as the standard writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidCertificateRef => "InvalidCertificateRef",
            Self::InvalidRouteKinds => "InvalidRouteKinds",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::InvalidCaCertificateRef => "InvalidCACertificateRef",
            Self::InvalidCaCertificateKind => "InvalidCACertificateKind",
            Self::InvalidClientCertificateRef => "InvalidClientCertificateRef",
        }
    }
}

impl fmt::Display for UnresolvedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl UnresolvedReason {
    fn because(self, message: impl Into<String>) -> UnresolvedReference {
        UnresolvedReference { reason: self, message: message.into() }
    }
}

/// What can be referred to.
pub(super) struct References<'r> {
    secrets: HashMap<&'r ObjectName, &'r Secret>,
    config_maps: HashMap<&'r ObjectName, &'r ConfigMap>,
    grants: Grants<'r>,
    elsewhere: BTreeSet<ObjectName>,
}

impl<'r> References<'r> {
    pub(super) fn new(resources: &'r Resources, elsewhere: &BTreeSet<ObjectName>) -> Self {
        let secrets = resources.secrets().iter().map(|secret| (&secret.id, secret));
        let config_maps = resources.config_maps().iter().map(|map| (&map.id, map));
        Self {
            secrets: secrets.collect(),
            config_maps: config_maps.collect(),
            grants: Grants::new(resources.reference_grants()),
            elsewhere: elsewhere.clone(),
        }
    }

    /// The certificate of a listener.
    pub(super) fn certificate(
        &self,
        owner: ListenerOwner<'_>,
        reference: &ObjectReference,
    ) -> Result<ObjectName, UnresolvedReference> {
        let referrer = match owner {
            ListenerOwner::Gateway(_) => Referrer::Gateway,
            ListenerOwner::ListenerSet(_) => Referrer::ListenerSet,
        };
        let invalid = UnresolvedReason::InvalidCertificateRef;
        self.key_pair(referrer, owner.id(), reference, invalid)
    }

    /// The certificate that a Gateway shows to backends.
    pub(super) fn client_certificate(
        &self,
        gateway: &ObjectName,
        reference: &ObjectReference,
    ) -> Result<ObjectName, UnresolvedReference> {
        let invalid = UnresolvedReason::InvalidClientCertificateRef;
        self.key_pair(Referrer::Gateway, gateway, reference, invalid)
    }

    fn key_pair(
        &self,
        referrer: Referrer,
        from: &ObjectName,
        reference: &ObjectReference,
        invalid: UnresolvedReason,
    ) -> Result<ObjectName, UnresolvedReference> {
        if !reference.is_core("Secret") {
            return Err(invalid.because(format!("{reference} is no Secret")));
        }
        self.permit(referrer, from, GrantedKind::Secret, reference)?;
        if self.elsewhere.contains(&reference.object) {
            return Ok(reference.object.clone());
        }
        let Some(secret) = self.secrets.get(&reference.object) else {
            return Err(invalid.because(format!("there is no {reference}")));
        };
        let is_pair =
            secret.kind == SecretKind::Tls && secret.certificate.is_some() && secret.key.is_some();
        match is_pair {
            true => Ok(reference.object.clone()),
            false => Err(invalid.because(format!(
                "{reference} is not of type kubernetes.io/tls with tls.crt and tls.key"
            ))),
        }
    }

    /// The authorities whose certificates clients of a Gateway may show, PEM.
    pub(super) fn authorities(
        &self,
        gateway: &Gateway,
        reference: &ObjectReference,
    ) -> Result<&'r [u8], UnresolvedReference> {
        let kind = match () {
            () if reference.is_core("ConfigMap") => GrantedKind::ConfigMap,
            () if reference.is_core("Secret") => GrantedKind::Secret,
            () => {
                let message = format!("{reference} is neither a ConfigMap nor a Secret");
                return Err(UnresolvedReason::InvalidCaCertificateKind.because(message));
            }
        };
        self.permit(Referrer::Gateway, &gateway.id, kind, reference)?;
        let found = match kind {
            GrantedKind::Secret => {
                let secret = self.secrets.get(&reference.object);
                secret.and_then(|secret| secret.authorities.as_ref()).map(|pem| pem.as_slice())
            }
            _ => {
                let map = self.config_maps.get(&reference.object);
                map.and_then(|map| map.authorities.as_ref()).map(|pem| pem.as_bytes())
            }
        };
        found.filter(|pem| identity::web_roots(pem).is_ok()).ok_or_else(|| {
            let message =
                format!("there is no {reference} with certificates of authorities in ca.crt");
            UnresolvedReason::InvalidCaCertificateRef.because(message)
        })
    }

    fn permit(
        &self,
        referrer: Referrer,
        from: &ObjectName,
        kind: GrantedKind,
        reference: &ObjectReference,
    ) -> Result<(), UnresolvedReference> {
        let (own, to) = (&from.namespace, &reference.object);
        let is_permitted = *own == to.namespace
            || self.grants.permit(referrer, own, kind, &to.namespace, &to.name);
        is_permitted.then_some(()).ok_or_else(|| {
            let message = format!("no ReferenceGrant of {} permits {reference}", to.namespace);
            UnresolvedReason::RefNotPermitted.because(message)
        })
    }
}
