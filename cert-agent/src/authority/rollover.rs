//! The three steps of a root roll-over, in which no peer ever meets a root it does not know:
//!
//! 1. *prepare*: a new root is published in the bundle and signs nothing;
//! 2. *activate*: an intermediate of the new root signs from now on, the old root stays published;
//! 3. *retire*: the old root leaves the bundle, once no live leaf chains to it.
//!
//! The key material is files, replaced in one step each; when each step happened is one entry of
//! the shared state. Every step may be repeated after a crash and goes on where it stopped.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use identity::TrustDomain;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::ca::{self, Facts};
use super::directory::Directory;
use super::duration::human;
use super::files::{self, OWNER_ONLY, READABLE};
use super::init::write_intermediate;
use super::pem;
use super::record::{self, Everything};
use super::root_source::RootSource;
use super::store::{self, Key, Store};

/// Clocks of authorities and peers may differ by this, seconds; or by a leaf's lifetime, when that
/// is shorter.
const SKEW: u64 = 60;
/// Identities that a refusal names.
const NAMED: usize = 10;

/// When each step of each root happened; Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// It was published.
    pub prepared: Option<u64>,
    /// It began to sign.
    pub activated: Option<u64>,
    /// Another took its place.
    pub replaced: Option<u64>,
}

type Roots = BTreeMap<String, Steps>;

/// Publishes a new root that signs nothing yet. Answers its id. `lifetime` of the new root.
///
/// # Errors
/// A mounted Secret, a passphrase or token that does not work, the disk, the store.
pub fn prepare(
    directory: &Directory,
    store: &dyn Store,
    source: &RootSource,
    lifetime: Duration,
    now: u64,
) -> anyhow::Result<String> {
    let bundle = own_bundle(directory)?;
    let path = directory.next_root_certificate();
    if !path.exists() {
        let key = source.make(&directory.next_root_key())?;
        if bundle
            .1
            .iter()
            .any(|root| Facts::read(root).is_ok_and(|f| f.check_key("", &key).is_ok()))
        {
            bail!(
                "that key is the key of a published root already; give the new root another --pkcs11-key"
            );
        }
        let root = ca::self_signed_root(&bundle.0, &key, now, lifetime.as_secs())?;
        files::replace(&path, root.pem().as_bytes(), READABLE)?;
    }
    let root = ca::read_certificate(&path)?;
    let mut roots = bundle.1;
    if !roots.contains(&root) {
        roots.push(root.clone());
        write_bundle(directory, &roots)?;
    }
    let id = ca::root_id(&root);
    note(store, &id, |steps| steps.prepared = steps.prepared.or(Some(now)))?;
    Ok(id)
}

/// Lets the prepared root's intermediate sign from now on. Answers the root's id.
///
/// # Errors
/// No prepared root, too early (unless `force`), and as [`prepare`].
pub fn activate(
    directory: &Directory,
    store: &dyn Store,
    source: &RootSource,
    intermediate_lifetime: Duration,
    force: bool,
    now: u64,
) -> anyhow::Result<String> {
    let (trust_domain, roots) = own_bundle(directory)?;
    let active = ca::read_certificate(&directory.root_certificate()).ok();
    let next_path = directory.next_root_certificate();
    if !next_path.exists() {
        let id = active.as_ref().map(ca::root_id).unwrap_or_default();
        if read(store)?.get(&id).is_some_and(|steps| steps.activated.is_some()) {
            return Ok(id);
        }
        bail!("no root is prepared; run `postern-authority root prepare` first");
    }
    let next = ca::read_certificate(&next_path)?;
    let id = ca::root_id(&next);
    if !roots.contains(&next) {
        bail!(
            "the prepared root {id} is not published; run `postern-authority root prepare` again"
        );
    }
    if !force {
        let prepared = read(store)?.get(&id).and_then(|steps| steps.prepared);
        may_activate(&id, prepared, &Everything::read(store, now)?, now)?;
    }
    let intermediate = ca::read_certificate(&directory.intermediate_certificate())?;
    if !ca::is_signed_by(&intermediate, &next)? {
        let key = source.open(&directory.next_root_key())?;
        let lifetime = intermediate_lifetime.as_secs();
        let signer = ca::new_intermediate(&trust_domain, &next, key, now, lifetime)?;
        write_intermediate(directory, &signer)?;
    }
    note(store, &id, |steps| steps.activated = steps.activated.or(Some(now)))?;
    if let Some(old) = active.filter(|old| *old != next) {
        note(store, &ca::root_id(&old), |steps| steps.replaced = steps.replaced.or(Some(now)))?;
    }
    promote(directory)?;
    Ok(id)
}

/// The next root's files become the root's. The old key goes: nothing is to be signed with it.
fn promote(directory: &Directory) -> anyhow::Result<()> {
    let certificate = files::read(&directory.next_root_certificate())?;
    match files::read(&directory.next_root_key()) {
        Ok(key) => files::replace(&directory.root_key(), &key, OWNER_ONLY)?,
        // In a token, as the old one may have been not.
        Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&directory.root_key())?,
        Err(error) => return Err(error.into()),
    }
    files::replace(&directory.root_certificate(), &certificate, READABLE)?;
    // The certificate last: as long as it is there, a repetition does all of this again.
    remove(&directory.next_root_key())?;
    Ok(remove(&directory.next_root_certificate())?)
}

/// Too early when a peer that was last told before the root was published may still hold a leaf.
fn may_activate(id: &str, prepared: Option<u64>, all: &Everything, now: u64) -> anyhow::Result<()> {
    let prepared = prepared.with_context(|| {
        format!("this state knows nothing of root {id}; is --state the one that the replicas use?")
    })?;
    let from = prepared.saturating_add(all.longest_lifetime());
    if now < from {
        bail!(
            "root {id} was published {} ago; workloads that cannot reach an authority may not know it before {} \
             (in {}). Wait, or use --force when all of them are connected",
            human(now.saturating_sub(prepared)),
            ca::readable(from),
            human(from - now)
        );
    }
    Ok(())
}

/// Takes out of the bundle the root that was replaced, or the one named. Answers the ids of those
/// that left; none when there is nothing to retire.
///
/// # Errors
/// The active root, a root in use (unless `force`) with the names of those who use it, and as
/// [`prepare`].
pub fn retire(
    directory: &Directory,
    store: &dyn Store,
    wanted: Option<&str>,
    force: bool,
    now: u64,
) -> anyhow::Result<Vec<String>> {
    let (_, roots) = own_bundle(directory)?;
    let steps = read(store)?;
    let intermediate = ca::read_certificate(&directory.intermediate_certificate())?;
    let mut leaving = Vec::new();
    for root in &roots {
        let id = ca::root_id(root);
        let signs = ca::is_signed_by(&intermediate, root)?;
        let of_steps = steps.get(&id);
        match wanted {
            Some(wanted) if id.starts_with(wanted) && signs => bail!(
                "root {id} is the one that signs; run `root prepare` and `root activate` first"
            ),
            Some(wanted) if id.starts_with(wanted) => {}
            // By itself only what has been replaced; a root that was prepared waits for its turn.
            None if !signs && of_steps.is_none_or(|steps| steps.replaced.is_some()) => {}
            _ => continue,
        }
        if !force {
            may_retire(&id, of_steps, &Everything::read(store, now)?, now)?;
        }
        leaving.push(id);
    }
    if leaving.is_empty() {
        if let Some(wanted) = wanted.filter(|w| !steps.keys().any(|id| id.starts_with(w))) {
            bail!(
                "no root's id begins with `{wanted}`; `postern-authority root status` lists them"
            );
        }
        return Ok(leaving);
    }
    let (left, roots): (Vec<_>, Vec<_>) =
        roots.into_iter().partition(|root| leaving.contains(&ca::root_id(root)));
    keep_retired(directory, &left)?;
    write_bundle(directory, &roots)?;
    let next = ca::read_certificate(&directory.next_root_certificate());
    if next.is_ok_and(|next| leaving.contains(&ca::root_id(&next))) {
        remove(&directory.next_root_key())?;
        remove(&directory.next_root_certificate())?;
    }
    Ok(leaving)
}

/// Whether no live leaf can chain to this root. Names who uses it, and until when.
///
/// # Errors
/// Why not, in words for the operator.
pub fn may_retire(
    id: &str,
    steps: Option<&Steps>,
    all: &Everything,
    now: u64,
) -> anyhow::Result<()> {
    let Some(steps) = steps else {
        bail!(
            "this state knows nothing of root {id}; is --state the one that the replicas use? `--force` takes the \
             root out all the same"
        );
    };
    let longest = all.longest_lifetime();
    let skew = SKEW.min(longest);
    let by_time = steps.replaced.map(|at| at.saturating_add(longest).saturating_add(skew));
    let by_claim = all.in_use_until(id).map(|until| until.saturating_add(skew));
    let until = by_time.max(by_claim).unwrap_or(0);
    if until <= now {
        return Ok(());
    }
    let users = all.users_of(id);
    let mut message = format!(
        "root {id} may be in use until {} (in {}); peers would refuse these certificates without it:",
        ca::readable(until),
        human(until - now)
    );
    for (identity, last) in users.iter().take(NAMED) {
        message.push_str(&format!("\n  {identity} until {}", ca::readable(*last)));
    }
    if users.len() > NAMED {
        message.push_str(&format!("\n  and {} more identities", users.len() - NAMED));
    }
    if users.is_empty() {
        message.push_str(
            "\n  nobody that the record names; a replica may have signed and not recorded it yet",
        );
    }
    message.push_str(
        "\nWait; `--force` is for a root that is compromised, and closes their connections",
    );
    bail!(message)
}

/// One root as `root status` shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootStatus {
    /// Its name in the record and in commands.
    pub id: String,
    /// The certificate's subject.
    pub subject: String,
    /// `active`, `prepared`, `replaced`, or `published` (in the bundle by another way).
    pub state: &'static str,
    /// RFC 3339.
    pub not_after: String,
    /// Since when it is in this state; RFC 3339.
    pub since: Option<String>,
    /// Until when leaves under it may live; RFC 3339.
    pub in_use_until: Option<String>,
    /// Identities with live leaves under it, and until when (RFC 3339).
    pub users: BTreeMap<String, String>,
}

/// Every published root.
///
/// # Errors
/// The disk, the store.
pub fn status(
    directory: &Directory,
    store: &dyn Store,
    now: u64,
) -> anyhow::Result<Vec<RootStatus>> {
    let bundle = ca::load_bundle(directory)?;
    let steps = read(store)?;
    let all = Everything::read(store, now)?;
    let intermediates = pem::certificates(&directory.intermediate_certificate())?;
    let mut listed = Vec::new();
    for root in bundle.roots() {
        let (id, facts) = (ca::root_id(root), Facts::read(root)?);
        let of_root = steps.get(&id).cloned().unwrap_or_default();
        let mut active = false;
        for intermediate in &intermediates {
            active |= ca::is_signed_by(intermediate, root)?;
        }
        let (state, since) = match (active, &of_root) {
            (true, Steps { activated, .. }) => ("active", *activated),
            (false, Steps { replaced: Some(at), .. }) => ("replaced", Some(*at)),
            (false, Steps { prepared: Some(at), .. }) => ("prepared", Some(*at)),
            (false, _) => ("published", None),
        };
        let in_use = all.in_use_until(&id).filter(|until| *until > now);
        let users = all.users_of(&id).into_iter().map(|(who, last)| (who, ca::readable(last)));
        listed.push(RootStatus {
            subject: facts.subject,
            state,
            not_after: ca::readable(facts.not_after),
            since: since.map(ca::readable),
            in_use_until: in_use.map(ca::readable),
            users: users.collect(),
            id,
        });
    }
    Ok(listed)
}

fn own_bundle(
    directory: &Directory,
) -> anyhow::Result<(TrustDomain, Vec<CertificateDer<'static>>)> {
    if directory.is_secret() {
        bail!(
            "{} is a mounted Secret; roll its root over where it is made, in three steps: both roots in ca.crt, then \
             the new tls.crt, then the new root alone",
            directory.path().display()
        );
    }
    let bundle = ca::load_bundle(directory)?;
    Ok((bundle.trust_domain().clone(), bundle.roots().to_vec()))
}

/// Keeps the certificates of roots that leave: old issuance logs are verified with them.
fn keep_retired(directory: &Directory, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
    for root in roots {
        let path = directory.retired(&ca::root_id(root));
        if let Some(parent) = path.parent() {
            files::private_directory(parent)?;
        }
        files::replace(&path, pem::encode(std::slice::from_ref(root)).as_bytes(), READABLE)?;
    }
    Ok(())
}

fn write_bundle(directory: &Directory, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
    if roots.is_empty() {
        bail!("the bundle would be empty: nobody could be believed any more");
    }
    Ok(files::replace(&directory.bundle(), pem::encode(roots).as_bytes(), READABLE)?)
}

fn key() -> io::Result<Key> {
    Key::new("rollover", "roots")
}

fn read(store: &dyn Store) -> io::Result<Roots> {
    Ok(record::read_json(store, &key()?)?.unwrap_or_default())
}

fn note(store: &dyn Store, id: &str, change: impl Fn(&mut Steps)) -> anyhow::Result<()> {
    store::update::<anyhow::Error>(store, &key()?, |old| {
        let mut roots: Roots = match old {
            Some(old) => serde_json::from_slice(old).context("the state's entry rollover/roots")?,
            None => Roots::new(),
        };
        let before = roots.clone();
        change(roots.entry(id.to_owned()).or_default());
        Ok((roots != before).then(|| record::to_json(&roots)).transpose()?)
    })?;
    Ok(())
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => files::sync_directory(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
