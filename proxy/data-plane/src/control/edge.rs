//! Makes the edge of the resources in force: the ports of the Gateways, their listeners' certificates, and what their
//! clients may do.
//!
//! Whatever cannot be made fails closed, by itself: a listener without a usable certificate refuses every handshake, and
//! the others go on. A certificate that is refused leaves the one of before in force.

mod client_certificates;

use std::collections::HashMap;
use std::sync::Arc;

use identity::TrustDomain;
use policy::client_traffic::{ClientTraffic, ClientTrafficSettings, MinimumTls};
use policy::core_group::Secret;
use policy::gateway::{ListenerProtocol, TlsMode};
use policy::{GatewayListener, GatewaySelection, GatewayTable, Resources};
use zeroize::Zeroizing;

use crate::clock::unix_now;
use crate::connection::edge_tls::{
    CertificateStore, EdgeProtocols, EdgeTls, EdgeTlsOptions, OfferedCertificate, SessionTickets,
    TlsVersion,
};
use crate::control::config::{CertificateFiles, GatewayConfig};
use crate::control::gateway_certificates;
use crate::limits::Limits;
use crate::telemetry::metrics::Metrics;
use crate::traffic::answer_fields::AnswerFields;
use crate::traffic::edge::{
    AskedCertificates, EdgeListener, EdgePort, EdgePorts, GatewayBind, client_limits,
};
use crate::traffic::egress::ShownCertificate;
use client_certificates::{client_authentication, client_authorities};

/// What stays from one change to the next.
#[derive(Debug)]
pub struct EdgeBuilder {
    selection: GatewaySelection,
    files: Vec<CertificateFiles>,
    limits: Limits,
    /// Ports that the proxy listens on for itself.
    own_ports: Vec<u16>,
    /// The trust domains of the mesh, in which no client of the edge can be.
    mesh: Vec<TrustDomain>,
    certificates: CertificateStore,
    /// The keys of sessions, by listener.
    tickets: HashMap<Arc<str>, SessionTickets>,
    /// As it was made last.
    table: GatewayTable,
}

impl EdgeBuilder {
    /// For the Gateways that a configuration selects. `own_ports` are the proxy's, which no listener gets.
    #[must_use]
    pub fn new(
        config: &GatewayConfig,
        limits: Limits,
        own_ports: Vec<u16>,
        mesh: Vec<TrustDomain>,
    ) -> Self {
        Self {
            selection: config.selection(),
            files: config.certificates.clone(),
            limits,
            own_ports,
            mesh,
            certificates: CertificateStore::default(),
            tickets: HashMap::new(),
            table: GatewayTable::default(),
        }
    }

    /// The certificates in force.
    #[must_use]
    pub fn certificates(&self) -> &CertificateStore {
        &self.certificates
    }

    /// The edge of these resources, and what of it is not as it was written, for the log.
    pub fn build(&mut self, resources: &Resources, metrics: &Metrics) -> (EdgePorts, Vec<String>) {
        let mut problems = self.renew_certificates(resources.secrets(), metrics);
        problems.extend(resources.impersonations(&self.mesh).iter().map(ToString::to_string));
        let clients = ClientTraffic::build(resources.client_traffic_policies(), &self.mesh);
        self.table = self.table.renewed(resources, &self.selection);
        let table = self.table.clone();
        let mut made: HashMap<Arc<str>, Arc<EdgeListener>> = HashMap::new();
        let mut ports = EdgePorts::new();
        for port in table.ports() {
            // A socket there would share it: its clients would be answered as those of the proxy's pages, or the other way.
            if self.own_ports.contains(&port.number) {
                let labels = port.listeners().map(|listener| &*listener.label);
                let labels = labels.collect::<Vec<_>>().join(", ");
                problems.push(format!("port {} is the proxy's own, not for {labels}", port.number));
                continue;
            }
            let bind = GatewayBind { address: port.address, port: port.number };
            let listeners = port.listeners().map(|listener| {
                let known = made.get(&listener.label).cloned();
                known.unwrap_or_else(|| {
                    let one = Arc::new(self.listener(listener, &clients, resources, &mut problems));
                    made.insert(Arc::clone(&listener.label), Arc::clone(&one));
                    one
                })
            });
            let listeners = listeners.collect();
            ports.insert(bind, Arc::new(EdgePort::new(Arc::clone(port), listeners, self.limits)));
        }
        self.tickets.retain(|label, _| made.contains_key(label));
        (ports, problems)
    }

    fn renew_certificates(&mut self, secrets: &[Secret], metrics: &Metrics) -> Vec<String> {
        let of_secrets = secrets.iter().filter_map(offered);
        let of_files = self.files.iter().map(read);
        let renewed = self.certificates.renewed(of_secrets.chain(of_files), unix_now());
        self.certificates = renewed.store;
        metrics.listener_certificate_updates(renewed.taken, renewed.refused.len());
        let all = self.certificates.all();
        let ends = all.iter().map(|one| (&**one.name(), one.leaf().not_after));
        metrics.listener_certificates(ends);
        renewed.refused.iter().map(ToString::to_string).collect()
    }

    fn listener(
        &mut self,
        listener: &Arc<GatewayListener>,
        clients: &ClientTraffic,
        resources: &Resources,
        problems: &mut Vec<String>,
    ) -> EdgeListener {
        let at_port = Arc::clone(clients.at_port(&listener.place()));
        let clients = clients.of(&listener.place());
        let ends_here = |tls: &&policy::ListenerTls| tls.mode == TlsMode::Terminate;
        let asked = client_authorities(listener, clients, resources);
        let known = asked.as_ref().ok().cloned().flatten();
        let tls = listener.tls.as_ref().filter(ends_here).and_then(|_| {
            let made = asked.and_then(|asked| self.tls(listener, clients, asked.as_ref()));
            made.map_err(|error| problems.push(format!("listener {}: {error}", listener.label)))
                .ok()
        });
        let shown = listener.client_certificate.as_ref();
        let shown = shown.and_then(|name| self.certificates.get(&name.to_string()).cloned());
        EdgeListener {
            shown: shown.map(ShownCertificate::new),
            listener: Arc::clone(listener),
            gateway: listener.gateway.to_string().into(),
            clients: Arc::clone(clients),
            at_port,
            asked: known,
            tls,
            answer_fields: AnswerFields::of(clients),
            limits: client_limits(self.limits, clients),
        }
    }

    fn tls(
        &mut self,
        listener: &GatewayListener,
        clients: &ClientTrafficSettings,
        asked: Option<&AskedCertificates>,
    ) -> Result<EdgeTls, String> {
        let named = listener.tls.iter().flat_map(|tls| &tls.certificates);
        let found = named.filter_map(|name| self.certificates.get(&name.to_string()).cloned());
        let certificates: Vec<_> = found.collect();
        let tickets = match self.tickets.get(&listener.label) {
            Some(tickets) => tickets.clone(),
            None => {
                let fresh = SessionTickets::new().map_err(|error| error.to_string())?;
                self.tickets.insert(Arc::clone(&listener.label), fresh.clone());
                fresh
            }
        };
        let minimum = match clients.minimum_tls {
            MinimumTls::Tls12 => TlsVersion::Tls12,
            MinimumTls::Tls13 => TlsVersion::Tls13,
        };
        let protocols = match listener.protocol {
            ListenerProtocol::Https => EdgeProtocols::Http,
            _ => EdgeProtocols::Opaque,
        };
        let client = client_authentication(asked)?;
        let options =
            EdgeTlsOptions { certificates, client, minimum, protocols, tickets: Some(tickets) };
        EdgeTls::new(options).map_err(|error| error.to_string())
    }
}

/// The certificate of a Secret, where it has one.
fn offered(secret: &Secret) -> Option<OfferedCertificate> {
    let (certificate, key) = (secret.certificate.as_ref()?, secret.key.as_ref()?);
    let content = Ok((certificate.to_vec(), Zeroizing::new(key.to_vec())));
    Some(OfferedCertificate { name: secret.id.to_string().into(), content })
}

fn read(files: &CertificateFiles) -> OfferedCertificate {
    gateway_certificates::read(files.name.to_string().into(), &files.certificate, &files.key)
}

#[cfg(test)]
mod tests;
