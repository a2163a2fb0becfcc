//! Where a secret comes from.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;

/// Where a secret comes from. The shell resolves it; the settings never hold more than this.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// It stands in the settings themselves.
    Inline(SecretString),
    /// The text of a file, without the white space around it.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
    /// A parameter of Systems Manager, by name or ARN, decrypted.
    Ssm(String),
    /// A secret of Secrets Manager.
    SecretsManager {
        /// Its name or ARN.
        id: String,
        /// The key in it when it holds a JSON object; else its whole text.
        key: Option<String>,
    },
    /// A secret of Azure's Key Vault, by its identifier: `https://VAULT.vault.azure.net/secrets/NAME`, with or without a version.
    KeyVault(String),
}

impl fmt::Display for SecretSource {
    /// Says where the secret is, and never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("the settings"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::Ssm(name) => write!(f, "the SSM parameter {name}"),
            Self::SecretsManager { id, key: None } => write!(f, "the Secrets Manager secret {id}"),
            Self::KeyVault(url) => write!(f, "the Key Vault secret {url}"),
            Self::SecretsManager { id, key: Some(key) } => {
                write!(f, "the key {key} of the Secrets Manager secret {id}")
            }
        }
    }
}
