//! Names that injection gives to containers and volumes of its own.
//!
//! What carries one counts as ours only in a pod that is marked as injected (decision 0503): a later injection takes it
//! away and makes it anew. In any other pod it is the app's, and nothing of the app's is taken away.

use super::Refusal;
use crate::inject::additions::containers::{NAMES, VOLUMES};
use crate::inject::options::annotation::INJECTED;
use crate::inject::pod::{LocatedName, Pod};

/// Refuses what has a name of ours and is not ours; all of it.
pub(crate) fn check(pod: &Pod) -> Vec<Refusal> {
    if pod.metadata.annotations.contains_key(INJECTED) {
        return Vec::new();
    }
    let containers = pod.all_containers().map(|container| &container.name);
    let containers = taken(containers, &NAMES, "container");
    let volumes = taken(pod.spec.volumes.iter(), &VOLUMES, "volume");
    let mounts = pod.all_containers().flat_map(|container| &container.mounts);
    let mounts = taken(mounts, &VOLUMES, "the mount of volume");
    containers.chain(volumes).chain(mounts).collect()
}

fn taken<'a>(
    named: impl Iterator<Item = &'a LocatedName>,
    ours: &'a [&str],
    what: &'static str,
) -> impl Iterator<Item = Refusal> {
    let taken = named.filter(|named| ours.contains(&named.name.as_str()));
    taken.map(move |named| Refusal::OwnName {
        what,
        name: named.name.clone(),
        pointer: named.pointer.clone(),
    })
}
