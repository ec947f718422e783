//! Secrets, one at a time and by name: the operator may neither list nor watch them.
//!
//! Requests go through [`Client::request_text`], because the client's typed calls log a body that
//! they cannot decode. No error of this module quotes a body or a value. The one write is the
//! handshake's: a key in a Secret that exists, by server-side apply; without an existing object the
//! UID in the applied metadata makes the API server refuse instead of creating one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::{GetParams, Patch, PatchParams, Request};
use kube::{Client, Resource};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::SecretKey;

/// The field manager of keys that the handshake stored.
pub const SECRET_MANAGER: &str = "notion-sync-operator/secret";

/// What can go wrong with a Secret. That it is missing is no error.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server refused or could not be reached.
    #[error("the API server did not answer for the Secret: {}", code(.0))]
    Api(#[source] Box<kube::Error>),
    /// The answer is no Secret; the decoder's own error may quote it and is dropped.
    #[error("the API server's answer is no Secret")]
    Unreadable,
}

impl From<kube::Error> for SecretError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

fn code(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        _ => "unreachable".to_owned(),
    }
}

/// The state of a Secret at one moment; another one after every change, also after it was deleted
/// and made anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretVersion {
    uid: String,
    resource_version: String,
}

/// One key of a Secret.
pub enum SecretRead {
    /// The Secret does not exist.
    MissingSecret,
    /// The Secret exists; the key is absent or empty.
    MissingKey(SecretVersion),
    /// The key has a value.
    Found(SecretValue),
}

/// The value of a key.
pub struct SecretValue {
    bytes: SecretSlice<u8>,
    /// The Secret's version when it was read.
    pub version: SecretVersion,
}

impl SecretValue {
    /// The value as it is.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.expose_secret()
    }

    /// The value as text, without white space around it: files end in a newline. `None` if it is
    /// not UTF-8.
    pub fn text(&self) -> Option<SecretString> {
        let text = std::str::from_utf8(self.bytes()).ok()?;
        Some(SecretString::from(text.trim()))
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretValue").finish_non_exhaustive()
    }
}

/// What came of storing a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Stored,
    /// The Secret does not exist, and is not created.
    MissingSecret,
    /// The key has a value already, and keeps it.
    AlreadySet,
    /// The Secret changed meanwhile; look again.
    Raced,
}

/// Reads and completes Secrets by name.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    first_read: FirstReads,
}

/// The versions of Secrets that were read before anybody asked for versions; `None` for one that
/// did not exist.
type FirstReads = Arc<Mutex<HashMap<(String, String), Option<SecretVersion>>>>;

/// A request for one Secret.
enum Call {
    Get,
    Metadata,
    Apply(Value),
}

#[derive(Deserialize)]
struct Document {
    metadata: ObjectMeta,
    #[serde(default)]
    data: Option<BTreeMap<String, Option<ByteString>>>,
}

#[derive(Deserialize)]
struct Metadata {
    metadata: ObjectMeta,
}

impl Document {
    fn value(&self, key: &str) -> Option<&[u8]> {
        let bytes = self.data.as_ref()?.get(key)?.as_ref()?;
        (!bytes.0.trim_ascii().is_empty()).then_some(&*bytes.0)
    }
}

fn version(metadata: &ObjectMeta) -> SecretVersion {
    SecretVersion {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
    }
}

impl Secrets {
    /// Secrets as this client may see them.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            first_read: Arc::default(),
        }
    }

    /// The version of a Secret at the first read of its data since this was last called for it. A
    /// change between that read and the first question for versions shows by this alone.
    pub fn take_first_read(&self, secret: &(String, String)) -> Option<Option<SecretVersion>> {
        self.first_reads().remove(secret)
    }

    fn first_reads(&self) -> MutexGuard<'_, HashMap<(String, String), Option<SecretVersion>>> {
        self.first_read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one key.
    pub async fn read(&self, namespace: &str, at: &SecretKey) -> Result<SecretRead, SecretError> {
        let Some(document) = self.document(namespace, &at.name).await? else {
            return Ok(SecretRead::MissingSecret);
        };
        let version = version(&document.metadata);
        Ok(match document.value(&at.key) {
            None => SecretRead::MissingKey(version),
            Some(bytes) => SecretRead::Found(SecretValue {
                bytes: bytes.to_vec().into(),
                version,
            }),
        })
    }

    /// The version of a Secret, without its data; `None` if it does not exist. Cheap enough to ask
    /// every few seconds.
    pub async fn version(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SecretVersion>, SecretError> {
        let text = self.send(namespace, name, Call::Metadata).await?;
        let object: Option<Metadata> = text.as_deref().map(parse).transpose()?;
        Ok(object.map(|object| version(&object.metadata)))
    }

    /// Gives a key its first value. Other keys are not touched, and neither is one with a value.
    pub async fn store(
        &self,
        namespace: &str,
        at: &SecretKey,
        value: &SecretString,
    ) -> Result<Stored, SecretError> {
        let Some(document) = self.document(namespace, &at.name).await? else {
            return Ok(Stored::MissingSecret);
        };
        if document.value(&at.key).is_some() {
            return Ok(Stored::AlreadySet);
        }
        let call = Call::Apply(applied(namespace, at, value, &document));
        match self.send(namespace, &at.name, call).await {
            Ok(Some(_)) => Ok(Stored::Stored),
            Ok(None) => Ok(Stored::MissingSecret),
            Err(SecretError::Api(error)) if is_conflict(&error) => Ok(Stored::Raced),
            Err(error) => Err(error),
        }
    }

    async fn document(&self, namespace: &str, name: &str) -> Result<Option<Document>, SecretError> {
        let text = self.send(namespace, name, Call::Get).await?;
        let document: Option<Document> = text.as_deref().map(parse).transpose()?;
        let read = document
            .as_ref()
            .map(|document| version(&document.metadata));
        let secret = (namespace.to_owned(), name.to_owned());
        self.first_reads().entry(secret).or_insert(read);
        Ok(document)
    }

    /// Makes one request and returns its body; `None` is 404.
    async fn send(
        &self,
        namespace: &str,
        name: &str,
        call: Call,
    ) -> Result<Option<String>, SecretError> {
        let Some(requests) = requests(namespace, name) else {
            return Ok(None);
        };
        let request = match call {
            Call::Get => requests.get(name, &GetParams::default()),
            Call::Metadata => requests.get_metadata(name, &GetParams::default()),
            Call::Apply(document) => {
                let params = PatchParams::apply(SECRET_MANAGER).force();
                requests.patch(name, &params, &Patch::Apply(document))
            }
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        match self.client.request_text(request).await {
            Ok(text) => Ok(Some(text)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// `None` for names that cannot be a Secret's; the schema refuses them too, but here they would
/// become segments of a path.
fn requests(namespace: &str, name: &str) -> Option<Request> {
    let plain = |text: &str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
    };
    (plain(namespace) && plain(name)).then(|| Request::new(Secret::url_path(&(), Some(namespace))))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SecretError> {
    serde_json::from_str(text).map_err(|_| SecretError::Unreadable)
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// The document to apply: the new key beside the keys that an earlier handshake stored in the same
/// Secret. A manager that stops sending a field deletes it.
fn applied(namespace: &str, at: &SecretKey, value: &SecretString, now: &Document) -> Value {
    let mut data = BTreeMap::new();
    for key in owned_keys(now.metadata.managed_fields.as_deref().unwrap_or_default()) {
        if let Some(Some(bytes)) = now.data.as_ref().and_then(|data| data.get(&key)) {
            data.insert(key, bytes.clone());
        }
    }
    let bytes = ByteString(value.expose_secret().as_bytes().to_vec());
    data.insert(at.key.clone(), bytes);
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": at.name,
            "namespace": namespace,
            "uid": now.metadata.uid,
            "resourceVersion": now.metadata.resource_version,
        },
        "data": data,
    })
}

fn owned_keys(managed: &[ManagedFieldsEntry]) -> Vec<String> {
    (managed.iter())
        .filter(|entry| entry.manager.as_deref() == Some(SECRET_MANAGER))
        .filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:data")?.as_object())
        .flat_map(|fields| fields.keys())
        .filter_map(|field| field.strip_prefix("f:").map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let text = json!({
            "metadata": {
                "uid": "u", "resourceVersion": "7",
                "managedFields": [
                    { "manager": SECRET_MANAGER, "fieldsV1": { "f:data": { "f:ours": {}, "f:gone": {} } } },
                    { "manager": "kubectl", "fieldsV1": { "f:data": { "f:theirs": {} } } },
                ],
            },
            "data": { "ours": "b3Vycw==", "theirs": "dGhlaXJz", "blank": "Cg==", "null": null },
        });
        parse(&text.to_string()).unwrap()
    }

    #[test]
    fn blank_values_are_none() {
        let document = document();
        assert_eq!(document.value("ours"), Some(&b"ours"[..]));
        for key in ["blank", "null", "absent"] {
            assert_eq!(document.value(key), None, "{key}");
        }
    }

    #[test]
    fn an_apply_keeps_what_an_earlier_one_stored_and_no_more() {
        let at = SecretKey {
            name: "s".into(),
            key: "new".into(),
        };
        let value = applied("ns", &at, &SecretString::from("v"), &document());
        assert_eq!(value["data"], json!({ "ours": "b3Vycw==", "new": "dg==" }));
        assert_eq!(value["metadata"]["uid"], "u");
        assert_eq!(value["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn names_never_become_other_paths() {
        assert!(requests("team-a", "app.db-1").is_some());
        for name in ["", "..", "../x", "a/b", "a?b", "A", "a%2f"] {
            assert!(requests("team-a", name).is_none(), "{name}");
        }
    }

    #[test]
    fn nothing_shows_a_value() {
        let value = SecretValue {
            bytes: b"canary\n".to_vec().into(),
            version: version(&ObjectMeta::default()),
        };
        assert_eq!(value.text().unwrap().expose_secret(), "canary");
        assert!(!format!("{value:?}").contains("canary"));
        let error = parse::<Document>("{\"metadata\":\"canary\"}")
            .err()
            .unwrap();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
