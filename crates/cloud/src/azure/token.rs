//! Who asks: where an access token comes from, how it is asked for, and what the answers say.

use std::time::Duration;

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::{Method, Reply, Request, Text},
};
use secrecy::SecretString;
use serde::Deserialize;

/// Where instance metadata answer on Azure (Azure Instance Metadata Service).
pub(super) const METADATA: &str = "http://169.254.169.254";
/// The variable that names another address of them, as Azure's SDKs know it.
pub(super) const METADATA_VARIABLE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
/// Where service principals get tokens, and the variable that names another place, as Azure's SDKs know it.
const AUTHORITY: &str = "https://login.microsoftonline.com";
const AUTHORITY_VARIABLE: &str = "AZURE_AUTHORITY_HOST";

/// How long before its end a token is renewed, at most.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// Where tokens come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A service principal with a secret (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`).
    ServicePrincipal { authority: String, tenant: String, client: String, secret: SecretString },
    /// The identity of a function or a container app (`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`).
    App { endpoint: String, header: SecretString, client: Option<String> },
    /// The identity of the instance, from its metadata.
    Instance { endpoint: String, client: Option<String> },
}

impl Source {
    /// The first that the environment names; the instance's identity where it names none. `AZURE_CLIENT_ID` alone chooses one of several
    /// identities; without it an app gets tokens of its system-assigned one alone, and an instance also of its only user-assigned one.
    ///
    /// # Errors
    /// When a service principal is named in part.
    pub(super) fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CloudError> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let base =
            |name: &str, usual: &str| given(name).unwrap_or_else(|| usual.into()).trim_end_matches('/').to_owned();
        let client = given("AZURE_CLIENT_ID");
        if let Some(secret) = given("AZURE_CLIENT_SECRET") {
            let missing = |name: &str| {
                let why = format!(
                    "AZURE_CLIENT_SECRET is set, and {name} is not: set it, or remove the secret to use a managed identity"
                );
                CloudError::new(CloudErrorKind::Credentials, why)
            };
            return Ok(Self::ServicePrincipal {
                authority: base(AUTHORITY_VARIABLE, AUTHORITY),
                tenant: given("AZURE_TENANT_ID").ok_or_else(|| missing("AZURE_TENANT_ID"))?,
                client: client.ok_or_else(|| missing("AZURE_CLIENT_ID"))?,
                secret: secret.into(),
            });
        }
        if let (Some(endpoint), Some(header)) = (given("IDENTITY_ENDPOINT"), given("IDENTITY_HEADER")) {
            return Ok(Self::App { endpoint, header: header.into(), client });
        }
        Ok(Self::Instance { endpoint: base(METADATA_VARIABLE, METADATA), client })
    }

    /// Asks for a token for this audience, such as `https://management.azure.com`.
    pub(super) fn request(&self, audience: &str) -> Request {
        let query = |version: &str, client: Option<&String>| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("api-version", version).append_pair("resource", audience);
            if let Some(client) = client {
                query.append_pair("client_id", client);
            }
            query.finish()
        };
        match self {
            Self::ServicePrincipal { authority, tenant, client, secret } => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                let body = form
                    .append_pair("grant_type", "client_credentials")
                    .append_pair("client_id", client)
                    .append_pair("client_secret", secrecy::ExposeSecret::expose_secret(secret))
                    .append_pair("scope", &format!("{}/.default", audience.trim_end_matches('/')))
                    .finish();
                let mut request = Request::new(Method::Post, format!("{authority}/{tenant}/oauth2/v2.0/token"))
                    .header("content-type", "application/x-www-form-urlencoded");
                request.body = Some(Text::secret(body));
                request
            }
            Self::App { endpoint, header, client } => {
                let join = if endpoint.contains('?') { '&' } else { '?' };
                Request::get(format!("{endpoint}{join}{}", query("2019-08-01", client.as_ref())))
                    .header("x-identity-header", Text::Secret(header.clone()))
            }
            Self::Instance { endpoint, client } => Request::get(format!(
                "{endpoint}/metadata/identity/oauth2/token?{}",
                query("2018-02-01", client.as_ref())
            ))
            .header("metadata", "true"),
        }
    }

    /// What to do when there is no token.
    fn remedy(&self) -> &'static str {
        match self {
            Self::ServicePrincipal { .. } => "check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
            Self::App { .. } => {
                "give the app a managed identity, and name it by AZURE_CLIENT_ID where it is a user-assigned one"
            }
            Self::Instance { .. } => {
                "give the scale set a managed identity; where it has several, name one by AZURE_CLIENT_ID; outside of Azure set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
            }
        }
    }

    /// The token that a reply holds, and after how long to renew it.
    ///
    /// # Errors
    /// With what was said and what to do. The same may work later: a new identity needs a moment.
    pub(super) fn token(&self, reply: &Reply) -> Result<(SecretString, Duration), CloudError> {
        let fail = |why: String| {
            CloudError::new(CloudErrorKind::Credentials, format!("no access token of Azure: {why}; {}", self.remedy()))
        };
        if reply.status != 200 {
            let said: Refusal = serde_json::from_slice(&reply.body).unwrap_or_default();
            let said = said.error_description.or(said.error).unwrap_or_else(|| format!("status {}", reply.status));
            return Err(fail(said));
        }
        // What the parser says may quote the token, so it is not passed on.
        let granted: Granted =
            serde_json::from_slice(&reply.body).map_err(|_| fail("the answer cannot be understood".into()))?;
        let life = Duration::from_secs(granted.expires_in.map_or(0, Seconds::number));
        Ok((granted.access_token.into(), life.saturating_sub(RENEW_BEFORE.min(life / 10))))
    }
}

#[derive(Default, Deserialize)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<Seconds>,
}

/// Metadata write numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl Seconds {
    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Text(text) => text.trim().parse().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: &str = "https://management.azure.com";

    fn source(variables: &[(&str, &str)]) -> Result<Source, CloudError> {
        Source::find(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn header(request: &Request, name: &str) -> Option<String> {
        request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.expose().to_owned())
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: std::collections::BTreeMap::default(), body: body.into() }
    }

    #[test]
    fn the_instances_identity_is_asked_for_where_nothing_else_is_named() {
        let request = source(&[]).unwrap().request(ARM);
        let url = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com";
        assert_eq!((request.url.as_str(), header(&request, "metadata").as_deref()), (url, Some("true")));
        let chosen = source(&[("AZURE_CLIENT_ID", "one of two"), ("IDENTITY_ENDPOINT", " ")]).unwrap().request(ARM);
        assert_eq!(chosen.url, format!("{url}&client_id=one+of+two"));
    }

    #[test]
    fn a_functions_identity_goes_before_the_instances() {
        let named = [("IDENTITY_ENDPOINT", "http://127.0.0.1:41/msi/token"), ("IDENTITY_HEADER", "h")];
        let request = source(&named).unwrap().request(ARM);
        assert!(
            request.url.starts_with("http://127.0.0.1:41/msi/token?api-version=2019-08-01&resource="),
            "{}",
            request.url
        );
        assert_eq!(header(&request, "x-identity-header").as_deref(), Some("h"));
        assert!(!format!("{request:?}").contains("\"h\""), "it is a secret");
    }

    #[test]
    fn a_service_principal_goes_before_both_and_needs_all_of_its_parts() {
        let named = [
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "s&s"),
            ("IDENTITY_ENDPOINT", "x"),
            ("IDENTITY_HEADER", "h"),
        ];
        let request = source(&named).unwrap().request(ARM);
        assert_eq!(request.url, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
        let body = request.body.as_ref().unwrap().expose();
        assert_eq!(
            body,
            "grant_type=client_credentials&client_id=c&client_secret=s%26s&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"
        );
        assert!(!format!("{request:?}").contains("s%26s"), "it is a secret");
        let error = source(&named[1..]).unwrap_err();
        assert!(error.message.contains("AZURE_TENANT_ID is not"), "{error}");
    }

    #[test]
    fn a_token_is_renewed_before_it_ends_whatever_its_life_is_written_as() {
        let of = |expires: &str| {
            let body = format!(
                "{{\"access_token\":\"secret\",\"expires_in\":{expires},\"expires_on\":\"1\",\"token_type\":\"Bearer\"}}"
            );
            source(&[]).unwrap().token(&reply(200, &body)).unwrap().1.as_secs()
        };
        assert_eq!([of("\"86399\""), of("3599"), of("\"60\""), of("\"\"")], [86_099, 3_299, 54, 0]);
    }

    #[test]
    fn without_a_token_it_says_what_to_do_and_never_what_was_sent() {
        let refused = reply(400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#);
        for (variables, remedy) in [
            (vec![], "give the scale set a managed identity"),
            (
                vec![("IDENTITY_ENDPOINT", "x"), ("IDENTITY_HEADER", "h")],
                "name it by AZURE_CLIENT_ID where it is a user-assigned one",
            ),
        ] {
            let error = source(&variables).unwrap().token(&refused).unwrap_err();
            assert_eq!(error.kind, CloudErrorKind::Credentials, "a new identity needs a moment");
            assert!(error.message.contains("Identity not found") && error.message.contains(remedy), "{error}");
        }
        let half = reply(200, r#"{"access_token":"hush"#);
        assert!(!source(&[]).unwrap().token(&half).unwrap_err().message.contains("hush"));
        for status in [404, 410, 429, 500] {
            let error = source(&[]).unwrap().token(&reply(status, "")).unwrap_err();
            assert!(error.message.contains(&format!("status {status}")), "{error}");
        }
    }
}
