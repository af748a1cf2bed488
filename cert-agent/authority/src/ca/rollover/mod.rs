//! The three steps of a root roll-over, in which no peer ever meets a root it does not know:
//!
//! 1. *prepare*: a new root is published in the bundle and signs nothing;
//! 2. *activate*: an intermediate of the new root signs from now on, the old root stays published;
//! 3. *retire*: the old root leaves the bundle, once no live leaf chains to it.
//!
//! The key material is files or objects of a cluster ([`KeyMaterialStore`]), replaced in one step each; when each step
//! happened is one entry of the shared state. Every step may be repeated after a crash and goes on
//! where it stopped.

pub mod in_cluster;
pub mod in_directory;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use identity::TrustDomain;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::ca::signers::{self, SignerFacts};
use crate::duration::human;
use crate::store::record::{self, FullRecord};
use crate::store::{self, EntryKey, Store};

/// Clocks of authorities and peers may differ by this, seconds; or by a leaf's lifetime, when that
/// is shorter.
const SKEW: u64 = 60;
/// Identities that a refusal names.
const NAMED: usize = 10;

/// When each step of each root happened; Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootSteps {
    /// It was published.
    pub prepared: Option<u64>,
    /// It began to sign.
    pub activated: Option<u64>,
    /// Another took its place.
    pub replaced: Option<u64>,
}

type RootHistory = BTreeMap<String, RootSteps>;

/// The certificates in force, wherever they are kept.
#[derive(Debug, Clone)]
pub struct KeyMaterial {
    /// Whose roots they are.
    pub trust_domain: TrustDomain,
    /// What peers are told to believe.
    pub published: Vec<CertificateDer<'static>>,
    /// What signs leaves; the first is in use, others may stand behind it.
    pub intermediates: Vec<CertificateDer<'static>>,
    /// The root whose key is kept as the root's.
    pub root: Option<CertificateDer<'static>>,
    /// The root that was prepared.
    pub next: Option<CertificateDer<'static>>,
}

/// Where the key material is, and how each step changes it. What a change did before a crash is seen by the next
/// [`KeyMaterialStore::material`].
pub trait KeyMaterialStore {
    /// What is there.
    ///
    /// # Errors
    /// Something is missing or unreadable.
    fn material(&self) -> anyhow::Result<KeyMaterial>;

    /// Makes the next root, which is not published yet. `lifetime` in seconds.
    ///
    /// # Errors
    /// The key cannot be made or kept.
    fn make_next(
        &self,
        found: &KeyMaterial,
        lifetime: u64,
        now: u64,
    ) -> anyhow::Result<CertificateDer<'static>>;

    /// Tells peers to believe these roots and no others; one at least.
    ///
    /// # Errors
    /// It cannot be written.
    fn publish(&self, roots: &[CertificateDer<'static>]) -> anyhow::Result<()>;

    /// Lets an intermediate of the next root sign. `lifetime` in seconds.
    ///
    /// # Errors
    /// The next root's key cannot be used, or nothing be written.
    fn sign_by_next(&self, found: &KeyMaterial, lifetime: u64, now: u64) -> anyhow::Result<()>;

    /// Makes the next root the root. The old key goes: nothing is to be signed with it.
    ///
    /// # Errors
    /// It cannot be written.
    fn promote(&self) -> anyhow::Result<()>;

    /// Gives the next root up.
    ///
    /// # Errors
    /// It cannot be written.
    fn drop_next(&self) -> anyhow::Result<()>;

    /// Keeps the certificate of a root that leaves: old issuance logs are verified with it.
    ///
    /// # Errors
    /// It cannot be written.
    fn keep_retired(&self, root: &CertificateDer<'static>) -> anyhow::Result<()>;

    /// Where [`KeyMaterialStore::keep_retired`] keeps the root of this id, as a sentence for the operator.
    fn where_retired(&self, id: &str) -> String;
}

/// Publishes a new root that signs nothing yet. Answers its id. `lifetime` of the new root.
///
/// # Errors
/// A mounted Secret, a passphrase or token that does not work, the disk, the API server, the store.
pub fn prepare(
    keys: &dyn KeyMaterialStore,
    store: &dyn Store,
    lifetime: Duration,
    now: u64,
) -> anyhow::Result<String> {
    let found = keys.material()?;
    let next = match &found.next {
        Some(next) => next.clone(),
        None => keys.make_next(&found, lifetime.as_secs(), now)?,
    };
    if !found.published.contains(&next) {
        publish(keys, &[&found.published[..], std::slice::from_ref(&next)].concat())?;
    }
    let id = signers::root_id(&next);
    note(store, &id, |steps| steps.prepared = steps.prepared.or(Some(now)))?;
    Ok(id)
}

/// Lets the prepared root's intermediate sign from now on. Answers the root's id.
///
/// # Errors
/// No prepared root, too early (unless `force`), and as [`prepare`].
pub fn activate(
    keys: &dyn KeyMaterialStore,
    store: &dyn Store,
    intermediate_lifetime: Duration,
    force: bool,
    now: u64,
) -> anyhow::Result<String> {
    let found = keys.material()?;
    let Some(next) = &found.next else {
        let id = found.root.as_ref().map(signers::root_id).unwrap_or_default();
        if read(store)?.get(&id).is_some_and(|steps| steps.activated.is_some()) {
            return Ok(id);
        }
        bail!("no root is prepared; run `postern-authority root prepare` first");
    };
    let id = signers::root_id(next);
    if !found.published.contains(next) {
        bail!(
            "the prepared root {id} is not published; run `postern-authority root prepare` again"
        );
    }
    if !force {
        let prepared = read(store)?.get(&id).and_then(|steps| steps.prepared);
        may_activate(&id, prepared, &FullRecord::read(store, now)?, now)?;
    }
    if !found.signs(next)? {
        keys.sign_by_next(&found, intermediate_lifetime.as_secs(), now)?;
    }
    note(store, &id, |steps| steps.activated = steps.activated.or(Some(now)))?;
    if let Some(old) = found.root.as_ref().filter(|old| *old != next) {
        note(store, &signers::root_id(old), |steps| steps.replaced = steps.replaced.or(Some(now)))?;
    }
    keys.promote()?;
    Ok(id)
}

impl KeyMaterial {
    /// Whether the intermediate in use is of this root.
    fn signs(&self, root: &CertificateDer<'static>) -> anyhow::Result<bool> {
        match self.intermediates.first() {
            Some(intermediate) => signers::is_signed_by(intermediate, root),
            None => Ok(false),
        }
    }
}

/// Too early when a peer that was last told before the root was published may still hold a leaf.
fn may_activate(id: &str, prepared: Option<u64>, all: &FullRecord, now: u64) -> anyhow::Result<()> {
    let prepared = prepared.with_context(|| {
        format!("this state knows nothing of root {id}; is --state the one that the replicas use?")
    })?;
    let from = prepared.saturating_add(all.longest_lifetime());
    if now < from {
        bail!(
            "root {id} was published {} ago; workloads that cannot reach an authority may not know it before {} \
             (in {}). Wait, or use --force when all of them are connected",
            human(now.saturating_sub(prepared)),
            signers::readable(from),
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
    keys: &dyn KeyMaterialStore,
    store: &dyn Store,
    wanted: Option<&str>,
    force: bool,
    now: u64,
) -> anyhow::Result<Vec<String>> {
    let found = keys.material()?;
    let steps = read(store)?;
    let leaving = leaving(&found, &steps, wanted)?;
    if leaving.is_empty() {
        if let Some(wanted) = wanted.filter(|w| !steps.keys().any(|id| id.starts_with(w))) {
            bail!(
                "no root's id begins with `{wanted}`; `postern-authority root status` lists them"
            );
        }
        return Ok(leaving);
    }
    if !force {
        let all = FullRecord::read(store, now)?;
        leaving.iter().try_for_each(|id| may_retire(id, steps.get(id), &all, now))?;
    }
    let (left, roots): (Vec<_>, Vec<_>) =
        found.published.into_iter().partition(|root| leaving.contains(&signers::root_id(root)));
    left.iter().try_for_each(|root| keys.keep_retired(root))?;
    publish(keys, &roots)?;
    if found.next.is_some_and(|next| leaving.contains(&signers::root_id(&next))) {
        keys.drop_next()?;
    }
    Ok(leaving)
}

/// The ids of the published roots that are to go: those that `wanted` means, or by itself only what has been
/// replaced; a root that was prepared waits for its turn.
fn leaving(
    found: &KeyMaterial,
    steps: &RootHistory,
    wanted: Option<&str>,
) -> anyhow::Result<Vec<String>> {
    let mut leaving = Vec::new();
    for root in &found.published {
        let (id, signs) = (signers::root_id(root), found.signs(root)?);
        let goes = match wanted {
            Some(wanted) if id.starts_with(wanted) && signs => bail!(
                "root {id} is the one that signs; run `root prepare` and `root activate` first"
            ),
            Some(wanted) => id.starts_with(wanted),
            None => !signs && steps.get(&id).is_none_or(|steps| steps.replaced.is_some()),
        };
        if goes {
            leaving.push(id);
        }
    }
    Ok(leaving)
}

fn publish(keys: &dyn KeyMaterialStore, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
    if roots.is_empty() {
        bail!("the bundle would be empty: nobody could be believed any more");
    }
    keys.publish(roots)
}

/// Whether no live leaf can chain to this root. Names who uses it, and until when.
///
/// # Errors
/// Why not, in words for the operator.
pub fn may_retire(
    id: &str,
    steps: Option<&RootSteps>,
    all: &FullRecord,
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
        signers::readable(until),
        human(until - now)
    );
    for (identity, last) in users.iter().take(NAMED) {
        message.push_str(&format!("\n  {identity} until {}", signers::readable(*last)));
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
/// A certificate that cannot be read, the store.
pub fn status(found: &KeyMaterial, store: &dyn Store, now: u64) -> anyhow::Result<Vec<RootStatus>> {
    let steps = read(store)?;
    let all = FullRecord::read(store, now)?;
    let mut listed = Vec::new();
    for root in &found.published {
        let (id, facts) = (signers::root_id(root), SignerFacts::read(root)?);
        let of_root = steps.get(&id).cloned().unwrap_or_default();
        let mut active = false;
        for intermediate in &found.intermediates {
            active |= signers::is_signed_by(intermediate, root)?;
        }
        let (state, since) = match (active, &of_root) {
            (true, RootSteps { activated, .. }) => ("active", *activated),
            (false, RootSteps { replaced: Some(at), .. }) => ("replaced", Some(*at)),
            (false, RootSteps { prepared: Some(at), .. }) => ("prepared", Some(*at)),
            (false, _) => ("published", None),
        };
        let in_use = all.in_use_until(&id).filter(|until| *until > now);
        let users = all.users_of(&id).into_iter().map(|(who, last)| (who, signers::readable(last)));
        listed.push(RootStatus {
            subject: facts.subject,
            state,
            not_after: signers::readable(facts.not_after),
            since: since.map(signers::readable),
            in_use_until: in_use.map(signers::readable),
            users: users.collect(),
            id,
        });
    }
    Ok(listed)
}

fn key() -> io::Result<EntryKey> {
    EntryKey::new("rollover", "roots")
}

fn read(store: &dyn Store) -> io::Result<RootHistory> {
    Ok(record::read_json(store, &key()?)?.unwrap_or_default())
}

fn note(store: &dyn Store, id: &str, change: impl Fn(&mut RootSteps)) -> anyhow::Result<()> {
    store::update::<anyhow::Error>(store, &key()?, |old| {
        let mut roots: RootHistory = match old {
            Some(old) => serde_json::from_slice(old).context("the state's entry rollover/roots")?,
            None => RootHistory::new(),
        };
        let before = roots.clone();
        change(roots.entry(id.to_owned()).or_default());
        Ok((roots != before).then(|| record::to_json(&roots)).transpose()?)
    })?;
    Ok(())
}
