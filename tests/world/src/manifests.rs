//! What users apply: the shipped manifests, and objects like those they write.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::control_plane::ControlPlane;
use crate::paths;

/// The namespace that `deploy/` installs into.
pub const SYSTEM_NAMESPACE: &str = "notion-sync-system";
/// The `ServiceAccount` that the operator runs as.
pub const SERVICE_ACCOUNT: &str = "notion-sync-operator";

const CRD: &str = "crd/notionsyncbindings.notionsync.dev";
const ESTABLISHED_TIMEOUT: Duration = Duration::from_secs(30);

/// Installs the operator for the whole cluster, by the command that users run.
///
/// A cluster with nodes starts none of its pods: the operator under test runs beside it.
pub async fn install(control_plane: &ControlPlane) -> Result<()> {
    apply_folder(control_plane, &paths::repository().join("deploy")).await?;
    if control_plane.is_existing() {
        let of = ["--namespace", SYSTEM_NAMESPACE];
        let scale = ["scale", "deployment/notion-sync-operator", "--replicas=0"];
        control_plane
            .kubectl(&[of.as_slice(), &scale].concat())
            .await?
            .ok()?;
    }
    Ok(())
}

/// Installs the operator for one namespace, with Roles only, into a namespace of another name
/// than the shipped one. `directory` gets the overlay that says so.
pub async fn install_namespaced(
    control_plane: &ControlPlane,
    namespace: &str,
    directory: &Path,
) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    let directory = directory.canonicalize()?;
    let up = "../".repeat(directory.components().count().saturating_sub(1));
    let shipped = paths::repository()
        .canonicalize()?
        .join("deploy/namespaced");
    let shipped = shipped
        .strip_prefix("/")
        .context("the checkout's path is relative")?;
    let overlay = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        // Kustomize takes no absolute path.
        "resources": [format!("{up}{}", shipped.display())],
        // Kustomize moves the ServiceAccount but not what the binding says of it.
        "patches": [{
            "target": {"kind": "RoleBinding", "name": SERVICE_ACCOUNT},
            "patch": json!([
                {"op": "replace", "path": "/subjects/0/namespace", "value": namespace},
            ]).to_string(),
        }],
    });
    std::fs::write(directory.join("kustomization.yaml"), overlay.to_string())?;
    apply_folder(control_plane, &directory).await
}

async fn apply_folder(control_plane: &ControlPlane, folder: &Path) -> Result<()> {
    let folder = folder.to_str().context("the folder's name is not UTF-8")?;
    let arguments = ["apply", "--server-side", "--force-conflicts", "-k", folder];
    control_plane.kubectl(&arguments).await?.ok()?;
    let timeout = format!("--timeout={}s", ESTABLISHED_TIMEOUT.as_secs());
    let arguments = ["wait", "--for=condition=Established", &timeout, CRD];
    control_plane.kubectl(&arguments).await?.ok().map(drop)
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A Secret with these keys and values.
pub fn secret(namespace: &str, name: &str, entries: &[(&str, &str)]) -> Value {
    let entries: Map<String, Value> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "stringData": entries,
    })
}

/// A binding with that spec.
pub fn binding(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "notionsync.dev/v1alpha1",
        "kind": "NotionSyncBinding",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    })
}

/// The smallest spec: one data source, one table, columns by property name. It refers to the
/// Secrets `notion` and `app-db` by their default keys.
pub fn minimal_spec(data_source: &str, table: &str, properties: &[(&str, &str)]) -> Value {
    let properties: Vec<Value> = properties
        .iter()
        .map(|(column, property)| json!({"column": column, "property": property}))
        .collect();
    json!({
        "notion": {"dataSourceId": data_source, "tokenSecretRef": {"name": "notion"}},
        "postgres": {
            "connectionSecretRef": {"name": "app-db"},
            "table": table,
            "pageIdColumn": "notionPageId",
        },
        "properties": properties,
    })
}

/// Lays `changes` over `base`: objects are merged, `null` removes, everything else replaces
/// (RFC 7396).
#[must_use]
pub fn merged(mut base: Value, changes: &Value) -> Value {
    merge(&mut base, changes);
    base
}

fn merge(base: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *base = changes.clone();
        return;
    };
    if !base.is_object() {
        *base = json!({});
    }
    let Value::Object(base) = base else { return };
    for (name, change) in changes {
        if change.is_null() {
            base.remove(name);
        } else {
            merge(base.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_objects_and_removes_by_null() {
        let base = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        let changes = json!({"a": {"b": null, "e": {"f": 3}}, "d": [3]});
        assert_eq!(
            merged(base, &changes),
            json!({"a": {"c": 2, "e": {"f": 3}}, "d": [3]})
        );
    }
}
