//! A pod's volumes, as folders.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config_map;
use super::variables::field;
use crate::mesh::Mesh;

/// The token that a pod is projected: of the form of a JSON Web Token, and known to the API server.
pub(super) fn token_of(pod: &Value) -> String {
    format!("header.{}.signature", pod["metadata"]["uid"].as_str().unwrap_or_default())
}

/// Makes the folder of a volume and says where it is.
pub(super) fn make(mesh: &Mesh, pod: &Value, volume: &Value, volumes: &Path) -> PathBuf {
    let name = volume["name"].as_str().expect("a volume has a name");
    let folder = volumes.join(name);
    fs::create_dir_all(&folder).expect("a volume's folder");
    if volume.get("emptyDir").is_some() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("open to all users");
    } else if let Some(map) = volume.get("configMap") {
        return of_config_map(mesh, map).unwrap_or(folder);
    } else if let Some(api) = volume.get("downwardAPI") {
        write_fields(pod, api, &folder);
    } else if let Some(sources) = volume["projected"]["sources"].as_array() {
        for source in sources {
            let token = source.get("serviceAccountToken").unwrap_or_else(|| {
                panic!("the volume {name} projects {source}, which this harness does not know")
            });
            let path = token["path"].as_str().expect("a projection has a path");
            fs::write(folder.join(path), token_of(pod)).expect("a token file");
        }
    } else {
        panic!("this harness knows no volume like {volume}");
    }
    folder
}

/// Nothing for one that is optional and not there.
fn of_config_map(mesh: &Mesh, map: &Value) -> Option<PathBuf> {
    let name = map["name"].as_str().expect("a ConfigMap has a name");
    let folder = config_map(mesh, name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert_eq!(map["optional"], true, "there is no ConfigMap {name}, and the pod needs it");
    None
}

fn write_fields(pod: &Value, api: &Value, folder: &Path) {
    for item in api["items"].as_array().into_iter().flatten() {
        let path = item["path"].as_str().expect("an item has a path");
        let of = item["fieldRef"]["fieldPath"].as_str().expect("an item names a field");
        fs::write(folder.join(path), field(pod, of)).expect("a file of the downward API");
    }
}
