//! References to one key of one Secret, always in the namespace of the binding.
//!
//! One type per kind of reference, because each has its own default key and the API server takes
//! defaults from the schema.

#![allow(
    unreachable_pub,
    reason = "the schema derive copies each struct, with its `pub`, into a function"
)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// One key of one Secret, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKey {
    /// The Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}

macro_rules! secret_ref {
    ($(#[$doc:meta])* $name:ident, $default:ident, $path:literal, $key:literal) => {
        $(#[$doc])*
        #[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The name of the Secret, in the namespace of the binding.
            #[schemars(length(min = 1, max = rules::SECRET_MAX))]
            #[x_kube(validation = rules::SECRET_NAME)]
            pub name: String,
            /// The key in the Secret.
            #[serde(default = $path)]
            #[schemars(length(min = 1, max = rules::SECRET_MAX))]
            #[x_kube(validation = rules::SECRET_KEY)]
            pub key: String,
        }

        fn $default() -> String {
            $key.to_owned()
        }

        impl From<&$name> for SecretKey {
            fn from(reference: &$name) -> Self {
                Self { name: reference.name.clone(), key: reference.key.clone() }
            }
        }
    };
}

secret_ref!(
    /// The Secret that holds the token of the Notion connection.
    TokenSecretRef,
    token_key,
    "token_key",
    "token"
);
secret_ref!(
    /// The Secret that holds Notion's verification token.
    VerificationTokenSecretRef,
    verification_token_key,
    "verification_token_key",
    "verification-token"
);
secret_ref!(
    /// The Secret that holds a shared secret.
    SharedSecretRef,
    shared_secret_key,
    "shared_secret_key",
    "shared-secret"
);
secret_ref!(
    /// The Secret that holds a connection string.
    ConnectionSecretRef,
    uri_key,
    "uri_key",
    "uri"
);
secret_ref!(
    /// The Secret that holds a certificate authority.
    CaSecretRef,
    ca_key,
    "ca_key",
    "ca.crt"
);
