//! Secrets of Key Vault.

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::Request,
    settings::SecretSource,
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{client::Azure, error, reply};
use crate::{
    CloudFuture, SecretError, Secrets,
    secrets::{Failure, finish, local},
};

/// The version of the Key Vault API that is spoken.
const VERSION: &str = "7.4";
/// For what tokens are asked where a vault's address does not say it.
const AUDIENCE: &str = "https://vault.azure.net";
/// What a caller must be allowed, as the roles name it.
const RIGHT: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";

/// The vaults that the identity may read.
#[derive(Debug, Default)]
pub(super) struct AzureSecrets {
    azure: Azure,
}

#[derive(Deserialize)]
struct Secret {
    value: String,
}

impl AzureSecrets {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Those that a person may read.
    #[cfg(feature = "host")]
    pub(super) fn on_workstation() -> Self {
        Self { azure: Azure::on_workstation(super::survey::cli::AZ) }
    }

    #[cfg(test)]
    pub(super) fn with(azure: Azure) -> Self {
        Self { azure }
    }

    async fn read(&self, url: &str) -> Result<String, CloudError> {
        let asked = Request::get(format!("{}?api-version={VERSION}", url.trim_end_matches('/')));
        let reply = self.azure.authorized(&audience(url), RIGHT, &asked).await?;
        if reply.status != 200 {
            return Err(error::of_reply(RIGHT, &reply));
        }
        // What the parser says may quote the secret, so it is not passed on.
        let secret: Secret = reply::parse(&reply)
            .map_err(|_| CloudError::new(CloudErrorKind::Other, "the answer cannot be understood"))?;
        Ok(secret.value)
    }
}

/// For what a token must be that this vault accepts: each of Azure's clouds has an address of its own (Azure, "Key Vault DNS suffixes").
fn audience(url: &str) -> String {
    let host = url.trim_start_matches("https://").split('/').next().unwrap_or_default();
    let domain = host.split_once('.').map_or("", |(_, domain)| domain);
    if domain.starts_with("vault.") { format!("https://{domain}") } else { AUDIENCE.into() }
}

impl Secrets for AzureSecrets {
    fn resolve<'a>(&'a self, source: &'a SecretSource) -> CloudFuture<'a, SecretString, SecretError> {
        Box::pin(async move {
            let SecretSource::KeyVault(url) = source else { return local(source).await };
            finish(source, self.read(url).await.map_err(Failure::from))
        })
    }

    fn forget(&self) {
        self.azure.forget();
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        let transient = match error.kind {
            CloudErrorKind::Throttled
            | CloudErrorKind::Timeout
            | CloudErrorKind::Unreachable
            | CloudErrorKind::InProgress
            | CloudErrorKind::Credentials => true,
            CloudErrorKind::AtFloor
            | CloudErrorKind::OutOfBounds
            | CloudErrorKind::NotFound
            | CloudErrorKind::NothingHeld
            | CloudErrorKind::Denied
            | CloudErrorKind::Other => false,
        };
        Self { why: error.to_string(), transient, denied: error.kind == CloudErrorKind::Denied }
    }
}

#[cfg(test)]
mod tests {
    use lightsout_io::testing::{Answer, Server};
    use secrecy::ExposeSecret;

    use super::*;
    use crate::azure::tests::{at, granted};

    #[test]
    fn a_token_is_asked_for_the_cloud_that_has_the_vault() {
        for (url, wanted) in [
            ("https://ci.vault.azure.net/secrets/t", "https://vault.azure.net"),
            ("https://ci.vault.usgovcloudapi.net/secrets/t/1", "https://vault.usgovcloudapi.net"),
            ("https://ci.vault.azure.cn/secrets/t", "https://vault.azure.cn"),
            ("http://127.0.0.1:80/secrets/t", AUDIENCE),
        ] {
            assert_eq!(audience(url), wanted);
        }
    }

    #[tokio::test]
    async fn a_secret_is_fetched_by_its_identifier() {
        let server = Server::start(|seen, _| {
            granted(seen).unwrap_or_else(|| match seen.path.as_str() {
                "/secrets/token?api-version=7.4" => Answer::ok(r#"{"value":"glrt-1\n","id":"x"}"#),
                "/secrets/half?api-version=7.4" => Answer::ok(r#"{"value":"hush"#),
                _ => Answer::status(403, r#"{"error":{"code":"Forbidden","message":"Caller is not authorized"}}"#),
            })
        })
        .await;
        let secrets = AzureSecrets::with(at(&server.url));
        let get =
            async |name: &str| secrets.resolve(&SecretSource::KeyVault(format!("{}/secrets/{name}", server.url))).await;
        assert_eq!(get("token").await.unwrap().expose_secret(), "glrt-1");
        assert!(!get("half").await.unwrap_err().to_string().contains("hush"));
        let denied = get("other").await.unwrap_err();
        assert!(denied.why.contains("Caller is not authorized") && !denied.transient, "{denied}");
        let foreign = secrets.resolve(&SecretSource::Ssm("/ci".into())).await.unwrap_err();
        assert!(foreign.why.contains("no such store"), "{foreign}");
    }
}
