//! Key Vault, as far as an agent or a scaler reads it: the value of a secret.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::identity::{Tokens, Unauthenticated, VAULT};
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// The secrets, by name: letters, digits and dashes, compared without case.
pub(crate) struct Vault {
    values: BTreeMap<String, String>,
    tenant: String,
    since: Timestamp,
}

impl Vault {
    /// Takes the secrets that the other cloud's services hold, too. What a name cannot have here becomes a dash:
    /// `/ci/runner-token` is `ci-runner-token`.
    pub(crate) fn new(values: &BTreeMap<String, String>, tenant: &str, since: Timestamp) -> Self {
        let values = values.iter().map(|(name, value)| (vault_name(name), value.clone())).collect();
        Self { values, tenant: tenant.to_owned(), since }
    }

    /// Whether a request is one of the vault's.
    pub(crate) fn is_for(request: &Request) -> bool {
        request.path.starts_with("/secrets/") || request.path == "/secrets"
    }

    /// Answers `GET /secrets/{name}` and `GET /secrets/{name}/{version}`.
    pub(crate) fn handle(&self, tokens: &Tokens, request: &Request, now: Timestamp) -> Response {
        if let Err(why) = tokens.caller(request, &VAULT, now) {
            return self.unauthorized(why);
        }
        if request.query("api-version").is_none() {
            return error(400, "BadParameter", "api-version must be specified");
        }
        let segments = request.segments();
        let (name, version) = match segments.as_slice() {
            [_, name] => (name.to_lowercase(), None),
            [_, name, version] => (name.to_lowercase(), Some(version)),
            _ => return error(404, "NotFound", "The requested resource was not found."),
        };
        if request.method != "GET" {
            return error(405, "MethodNotAllowed", "The embedded vault is read only.");
        }
        let found = self.values.get(&name).map(|value| (value, version_of(&name, value)));
        let Some((value, newest)) = found.filter(|(_, newest)| version.is_none_or(|version| version == newest)) else {
            let message = format!(
                "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may \
                 be able to recover it using the correct recovery command. For help resolving this issue, please see \
                 https://go.microsoft.com/fwlink/?linkid=2125182"
            );
            return error(404, "SecretNotFound", &message);
        };
        let host = request.header("host").unwrap_or("127.0.0.1");
        let since = self.since.0.div_euclid(1000);
        let body = json!({
            "value": value,
            "id": format!("http://{host}/secrets/{name}/{newest}"),
            "attributes": {"enabled": true, "created": since, "updated": since, "recoveryLevel": "Recoverable+Purgeable"},
            "tags": {},
        });
        Response::json(200, &body)
    }

    /// The refusal of a call without a token for the vault: it names where one is to be had, and for what.
    fn unauthorized(&self, why: Unauthenticated) -> Response {
        let message = match why {
            Unauthenticated::Missing => "AKV10000: Request is missing a Bearer or PoP token.",
            Unauthenticated::Expired => "AKV10063: Token is expired.",
            Unauthenticated::Audience => "AKV10022: Invalid audience. Expected https://vault.azure.net.",
        };
        let challenge = format!(
            "Bearer authorization=\"https://login.microsoftonline.com/{}\", resource=\"{}\"",
            self.tenant, VAULT[0]
        );
        error(401, "Unauthorized", message).header("www-authenticate", challenge)
    }
}

pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// What a secret of this name is called in a vault: letters, digits and dashes.
pub fn vault_name(name: &str) -> String {
    let dashed: String =
        name.chars().map(|it| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' }).collect();
    dashed.trim_matches('-').to_owned()
}

/// 32 hexadecimal digits.
fn version_of(name: &str, value: &str) -> String {
    hex::encode(&Sha256::digest(format!("{name}={value}"))[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    fn get(vault: &Vault, tokens: &Tokens, path: &str, token: Option<&str>) -> Response {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers = token.map(|token| ("authorization".to_owned(), format!("Bearer {token}")));
        let request = Request {
            method: "GET".into(),
            path: path.into(),
            query: http::pairs(query.as_bytes()),
            headers: headers.into_iter().collect(),
            ..Request::default()
        };
        vault.handle(tokens, &request, Timestamp(0))
    }

    #[test]
    fn a_secret_is_read_with_a_token_for_the_vault() {
        let values = [("/ci/runner-token".to_owned(), "glpat-1".to_owned())].into();
        let vault = Vault::new(&values, "t", Timestamp(0));
        let mut tokens = Tokens::new(1);
        let token = |tokens: &mut Tokens, audience: &str| {
            let body = format!("grant_type=client_credentials&client_id=c&client_secret=s&scope={audience}/.default");
            let answer = tokens.application(&Request { body: body.into(), ..Request::default() }, Timestamp(0));
            let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            answer["access_token"].as_str().unwrap().to_owned()
        };
        let (ours, other) = (token(&mut tokens, VAULT[0]), token(&mut tokens, "https://management.azure.com"));
        let path = "/secrets/CI-runner-token?api-version=7.4";
        let found = get(&vault, &tokens, path, Some(&ours));
        assert_eq!(found.status, 200);
        let found: serde_json::Value = serde_json::from_slice(&found.body).unwrap();
        assert_eq!(found["value"], "glpat-1");
        let version = found["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let of_version = |version: &str| format!("/secrets/ci-runner-token/{version}?api-version=7.4");
        assert_eq!(get(&vault, &tokens, &of_version(&version), Some(&ours)).status, 200);
        assert_eq!(get(&vault, &tokens, &of_version("other"), Some(&ours)).status, 404);
        for token in [None, Some(other.as_str())] {
            let refused = get(&vault, &tokens, path, token);
            assert_eq!(refused.status, 401);
            assert!(refused.get("www-authenticate").unwrap().contains("resource=\"https://vault.azure.net\""));
        }
        let missing = get(&vault, &tokens, "/secrets/none?api-version=7.4", Some(&ours));
        assert!(missing.status == 404 && missing.text().contains("SecretNotFound"));
    }
}
