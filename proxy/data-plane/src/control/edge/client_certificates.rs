//! Which certificates a listener asks its clients for.

use std::sync::Arc;

use policy::client_traffic::{CertificateMode, ClientTrafficSettings};
use policy::gateway::ClientValidationMode;
use policy::{GatewayListener, Resources};

use crate::connection::edge_tls::{ClientAuthentication, ClientAuthorities};
use crate::traffic::edge::AskedCertificates;

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
        let mandatory = own.mode == CertificateMode::Required;
        return Ok(Some(AskedCertificates { authorities: pem.into(), mandatory }));
    }
    let of_gateway = listener.tls.as_ref().and_then(|tls| tls.client_certificates.as_ref());
    Ok(of_gateway.map(|own| AskedCertificates {
        authorities: Arc::clone(&own.authorities),
        mandatory: own.mode == ClientValidationMode::AllowValidOnly,
    }))
}

/// What is asked of clients, with the authorities made ready.
pub(super) fn client_authentication(
    asked: Option<&AskedCertificates>,
) -> Result<ClientAuthentication, String> {
    let Some(asked) = asked else { return Ok(ClientAuthentication::None) };
    let taken = ClientAuthorities::from_pem(&asked.authorities, None);
    let taken = taken.map_err(|error| error.to_string())?;
    Ok(match asked.mandatory {
        true => ClientAuthentication::Required(taken),
        false => ClientAuthentication::Optional(taken),
    })
}
