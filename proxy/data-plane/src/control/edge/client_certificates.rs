//! Which certificates a listener asks its clients for.

use std::sync::Arc;

use policy::client_traffic::{CertificateMode, ClientTrafficSettings};
use policy::gateway::ClientValidationMode;
use policy::{GatewayListener, Resources};

use crate::connection::edge_tls::{ClientAuthentication, ClientAuthorities};

/// Who must show a certificate.
#[derive(Clone, Copy)]
pub(super) enum CertificateDemand {
    Required,
    Optional,
}

/// The certificates of authorities, PEM, and what is demanded of clients.
pub(super) type AskedCertificates = (Arc<[u8]>, CertificateDemand);

/// Whose certificates are asked for, PEM: those that a ClientTrafficPolicy names, else those of the Gateway itself.
pub(super) fn client_authorities(
    listener: &GatewayListener,
    clients: &ClientTrafficSettings,
    resources: &Resources,
) -> Result<Option<AskedCertificates>, String> {
    let of_policy = clients.client_certificates.as_ref().filter(|own| !own.authorities.is_empty());
    if let Some(own) = of_policy {
        let mut pem = Vec::new();
        for name in &own.authorities {
            let mut maps = resources.config_maps().iter();
            let found = maps.find(|map| map.id.to_string() == **name);
            let found = found.and_then(|map| map.authorities.as_ref());
            let found = found.ok_or_else(|| format!("there is no ConfigMap {name} with ca.crt"))?;
            pem.extend_from_slice(found.as_bytes());
            pem.push(b'\n');
        }
        let demand = match own.mode {
            CertificateMode::Required => CertificateDemand::Required,
            CertificateMode::Optional => CertificateDemand::Optional,
        };
        return Ok(Some((pem.into(), demand)));
    }
    let of_gateway = listener.tls.as_ref().and_then(|tls| tls.client_certificates.as_ref());
    Ok(of_gateway.map(|own| {
        let demand = match own.mode {
            ClientValidationMode::AllowValidOnly => CertificateDemand::Required,
            ClientValidationMode::AllowInsecureFallback => CertificateDemand::Optional,
        };
        (Arc::clone(&own.authorities), demand)
    }))
}

/// What is asked of clients, with the authorities made ready.
pub(super) fn client_authentication(
    asked: Option<&AskedCertificates>,
) -> Result<ClientAuthentication, String> {
    let Some((pem, demand)) = asked else { return Ok(ClientAuthentication::None) };
    let taken = ClientAuthorities::from_pem(pem, None).map_err(|error| error.to_string())?;
    Ok(match demand {
        CertificateDemand::Required => ClientAuthentication::Required(taken),
        CertificateDemand::Optional => ClientAuthentication::Optional(taken),
    })
}
