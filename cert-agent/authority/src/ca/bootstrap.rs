//! `postern-authority init --into-secret`: the first root, intermediate and trust bundle of a cluster.
//!
//! | object | holds | read by |
//! |---|---|---|
//! | the root's Secret | `root.pem`, `root.key.pem` (encrypted), `root.passphrase` | nobody who runs |
//! | the authority's Secret | `tls.crt`, `tls.key`, `ca.crt`, as cert-manager writes them | `run --dir`, mounted |
//! | the ConfigMap | `bundle.pem` | the control plane's own agents, mounted |
//!
//! They are made in this order, each only when it is not there; nothing that exists is changed. What comes next is
//! decided from what is found, anew after each step, so it does not matter where an earlier try ended or who else
//! tries.

use anyhow::{Context, bail};
use identity::{TrustBundle, TrustDomain};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::ca::root_key;
use crate::ca::signers::{self, NewSigner, SigningCa};
use crate::store::cluster_objects::{self, ObjectContent, ObjectNames};
use crate::store::kubernetes_store::SecretsLocation;
use crate::store::{pem, secret};

/// Steps at most: three objects, and some lost races.
const MAX_STEPS: usize = 10;

/// What shall be made.
#[derive(Debug, Clone)]
pub struct BootstrapSettings {
    /// The name.
    pub trust_domain: TrustDomain,
    /// Of the root, seconds.
    pub root_lifetime: u64,
    /// Of the intermediate, seconds.
    pub intermediate_lifetime: u64,
}

/// What is there.
#[derive(Debug, Default)]
pub struct ExistingObjects {
    /// The root's Secret.
    pub root: Option<ObjectContent>,
    /// The authority's.
    pub authority: Option<ObjectContent>,
    /// The ConfigMap.
    pub bundle: Option<ObjectContent>,
}

/// What is made next.
#[derive(Debug)]
pub enum BootstrapStep {
    /// The root's Secret.
    Root(ObjectContent),
    /// The authority's Secret.
    Authority(ObjectContent),
    /// The ConfigMap.
    Bundle(ObjectContent),
}

/// Makes what is missing; the names of what was made. `now` in Unix seconds.
///
/// # Errors
/// What exists does not fit, and the API server's.
pub async fn bootstrap(
    client: &Client,
    places: &ObjectNames,
    wanted: &BootstrapSettings,
    now: u64,
) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    for _ in 0..MAX_STEPS {
        let found = look(client, places).await?;
        let Some(step) = next(&found, places, wanted, now)? else { return Ok(made) };
        let (place, kind) = match &step {
            BootstrapStep::Root(_) => (&places.root, "Secret"),
            BootstrapStep::Authority(_) => (&places.authority, "Secret"),
            BootstrapStep::Bundle(_) => (&places.bundle, "ConfigMap"),
        };
        if create(client, place, &step)
            .await
            .with_context(|| format!("cannot make {kind} {place}"))?
        {
            made.push(format!("{kind} {place}"));
        }
    }
    bail!("others make and remove the same objects all the time; try again")
}

/// Decides what is made next; none: everything is there and fits.
///
/// # Errors
/// What exists does not fit together. Nothing is made then.
pub fn next(
    found: &ExistingObjects,
    places: &ObjectNames,
    wanted: &BootstrapSettings,
    now: u64,
) -> anyhow::Result<Option<BootstrapStep>> {
    match (&found.root, &found.authority, &found.bundle) {
        (None, None, None) => new_root(wanted, now).map(BootstrapStep::Root).map(Some),
        (None, None, Some(_)) => bail!(
            "ConfigMap {} holds roots, but no Secret {} or {} holds a key: put them back, or remove the ConfigMap to \
             begin anew",
            places.bundle,
            places.root,
            places.authority
        ),
        (Some(root), None, bundle) => {
            let place = format!("Secret {}", places.root);
            let roots = root.certificates("root.pem", &place)?;
            if let Some(bundle) = bundle {
                must_publish(bundle, &roots, places)?;
            }
            new_authority(root, &place, wanted, now).map(BootstrapStep::Authority).map(Some)
        }
        (root, Some(authority), bundle) => {
            let place = format!("Secret {}", places.authority);
            let roots = authority.certificates("ca.crt", &place)?;
            check(authority, &place, wanted)?;
            if let Some(root) = root {
                let own = root.certificates("root.pem", &format!("Secret {}", places.root))?;
                if !own.iter().all(|own| roots.contains(own)) {
                    bail!("{place} is of another root than Secret {} holds", places.root);
                }
            }
            match bundle {
                Some(bundle) => must_publish(bundle, &roots, places).map(|()| None),
                None => Ok(Some(BootstrapStep::Bundle(ObjectContent::of([(
                    "bundle.pem",
                    pem::encode(&roots).as_bytes(),
                )])))),
            }
        }
    }
}

/// A root with a passphrase of its own.
fn new_root(wanted: &BootstrapSettings, now: u64) -> anyhow::Result<ObjectContent> {
    let root = signers::new_root(&wanted.trust_domain, now, wanted.root_lifetime)?;
    let passphrase = secret::random_secret();
    let der = Zeroizing::new(root.key.serialize_der());
    let key = root_key::encrypt(&der, passphrase.as_bytes())?;
    Ok(ObjectContent::of([
        ("root.pem", root.certificate.pem().as_bytes()),
        ("root.key.pem", key.as_bytes()),
        ("root.passphrase", passphrase.as_bytes()),
    ]))
}

/// An intermediate under the root of this Secret.
fn new_authority(
    root: &ObjectContent,
    place: &str,
    wanted: &BootstrapSettings,
    now: u64,
) -> anyhow::Result<ObjectContent> {
    let (roots, signer) = intermediate(root, place, wanted, now)?;
    Ok(authority_content(&roots, &signer))
}

fn intermediate(
    root: &ObjectContent,
    place: &str,
    wanted: &BootstrapSettings,
    now: u64,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, NewSigner)> {
    let roots = root.certificates("root.pem", place)?;
    let certificate = roots.first().context("no root")?;
    let named = signers::SignerFacts::read(certificate)?.trust_domain;
    if let Some(named) = named.filter(|named| *named != wanted.trust_domain) {
        bail!("{place}: the root is of trust domain {named}, not {}", wanted.trust_domain);
    }
    let key = root_key_of(root, "root.key.pem", place)?;
    let lifetime = wanted.intermediate_lifetime;
    let signer = signers::new_intermediate(&wanted.trust_domain, certificate, key, now, lifetime)
        .with_context(|| place.to_owned())?;
    Ok((roots, signer))
}

/// The key that this member of the root's Secret holds, opened by the passphrase beside it.
pub(super) fn root_key_of(
    root: &ObjectContent,
    name: &str,
    place: &str,
) -> anyhow::Result<KeyPair> {
    let passphrase = passphrase(root, place)?;
    let der = root_key::decrypt(root.member(name, place)?, passphrase)
        .with_context(|| place.to_owned())?;
    KeyPair::try_from(der.as_slice())
        .map_err(|_| root_key::RootKeyError::Passphrase)
        .with_context(|| place.to_owned())
}

/// The first line, as people write such files too.
pub(super) fn passphrase<'c>(root: &'c ObjectContent, place: &str) -> anyhow::Result<&'c [u8]> {
    let whole = root.member("root.passphrase", place)?;
    Ok(whole.split(|byte| *byte == b'\n').next().unwrap_or_default())
}

/// The authority's Secret as cert-manager writes one.
pub(super) fn authority_content(
    roots: &[CertificateDer<'static>],
    signer: &NewSigner,
) -> ObjectContent {
    let key = Zeroizing::new(signer.key.serialize_pem());
    ObjectContent::of([
        ("tls.crt", signer.certificate.pem().as_bytes()),
        ("tls.key", key.as_bytes()),
        ("ca.crt", pem::encode(roots).as_bytes()),
    ])
}

/// The authority could serve with it.
fn check(authority: &ObjectContent, place: &str, wanted: &BootstrapSettings) -> anyhow::Result<()> {
    let given = authority.certificates("tls.crt", place)?;
    let key =
        pem::private_key_in(authority.member("tls.key", place)?, &format!("{place}, tls.key"))?;
    let roots = authority.certificates("ca.crt", place)?;
    for certificate in given.iter().chain(&roots) {
        let named = signers::SignerFacts::read(certificate)?.trust_domain;
        if let Some(named) = named.filter(|named| *named != wanted.trust_domain) {
            bail!("{place} is of trust domain {named}, not {}", wanted.trust_domain);
        }
    }
    let bundle = TrustBundle::from_der(wanted.trust_domain.clone(), roots)?;
    SigningCa::new(&given, key, bundle).with_context(|| place.to_owned())?;
    Ok(())
}

/// Agents that are given this ConfigMap believe an authority under these roots.
fn must_publish(
    bundle: &ObjectContent,
    roots: &[CertificateDer<'static>],
    places: &ObjectNames,
) -> anyhow::Result<()> {
    let place = format!("ConfigMap {}", places.bundle);
    let published = bundle.certificates("bundle.pem", &place)?;
    if !roots.iter().any(|root| published.contains(root)) {
        bail!("{place} holds other roots than the authority's; agents would not believe it");
    }
    Ok(())
}

async fn look(client: &Client, places: &ObjectNames) -> anyhow::Result<ExistingObjects> {
    let bundle = cluster_objects::config_map(client, &places.bundle).await?;
    Ok(ExistingObjects {
        bundle: bundle.map(|(content, _)| content),
        root: cluster_objects::secret(client, &places.root).await?.map(|(content, _)| content),
        authority: cluster_objects::secret(client, &places.authority)
            .await?
            .map(|(content, _)| content),
    })
}

/// False: it is there by now.
async fn create(
    client: &Client,
    place: &SecretsLocation,
    step: &BootstrapStep,
) -> kube::Result<bool> {
    let labels = [("app.kubernetes.io/managed-by", "postern-authority")];
    let metadata = ObjectMeta {
        name: Some(place.name().to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    };
    let params = PostParams::default();
    let created = match step {
        BootstrapStep::Root(content) | BootstrapStep::Authority(content) => {
            let is_pair = matches!(step, BootstrapStep::Authority(_));
            let mut made = Secret {
                metadata,
                type_: Some(if is_pair { "kubernetes.io/tls" } else { "Opaque" }.to_owned()),
                data: Some(cluster_objects::bytes(content)),
                ..Secret::default()
            };
            let api: Api<Secret> = Api::namespaced(client.clone(), place.namespace());
            let created = api.create(&params, &made).await;
            cluster_objects::wipe(&mut made);
            created.map(|mut stored| cluster_objects::wipe(&mut stored))
        }
        BootstrapStep::Bundle(content) => {
            let data = Some(cluster_objects::text(content));
            let map = ConfigMap { metadata, data, ..ConfigMap::default() };
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), place.namespace());
            api.create(&params, &map).await.map(drop)
        }
    };
    match created {
        Ok(()) => Ok(true),
        // AlreadyExists: another writer was faster. What it made is looked at next.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// `renew-intermediate --into-secret`: a new intermediate in the authority's Secret, under the root of the other one.
/// Running authorities take it up when the kubelet has renewed their mount.
///
/// # Errors
/// A Secret that is missing or does not fit, somebody else who changes it at the same moment, the API server's.
pub async fn renew_intermediate(
    client: &Client,
    authority: &SecretsLocation,
    root: &SecretsLocation,
    lifetime: u64,
    now: u64,
) -> anyhow::Result<()> {
    let (root_content, _) = cluster_objects::existing_secret(client, root).await?;
    let (old, object) = cluster_objects::existing_secret(client, authority).await?;
    let place = format!("Secret {authority}");
    let given = old.certificates("tls.crt", &place)?;
    let named = signers::SignerFacts::read(given.first().context("no intermediate")?)?.trust_domain;
    let trust_domain = named.with_context(|| format!("{place} names no trust domain"))?;
    let wanted =
        BootstrapSettings { trust_domain, root_lifetime: 0, intermediate_lifetime: lifetime };
    let root_place = format!("Secret {root}");
    let (own, signer) = intermediate(&root_content, &root_place, &wanted, now)?;
    // Roots that a roll-over publishes beside ours stay published.
    let roots = old.certificates("ca.crt", &place)?;
    if !own.iter().all(|own| roots.contains(own)) {
        bail!("{place} is of another root than {root_place} holds");
    }
    cluster_objects::replace_secret(client, authority, object, &authority_content(&roots, &signer))
        .await
}
