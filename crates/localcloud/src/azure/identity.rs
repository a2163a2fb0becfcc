//! Identities and their tokens: who a bearer is, for whom the token was made out, and until when.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::model::{Azure, ScaleSet};
use crate::{
    http::{self, Request, Response},
    random::Random,
    time::Timestamp,
};

/// What the Resource Manager's tokens are made out for.
pub(crate) const MANAGEMENT: [&str; 2] = ["https://management.azure.com", "https://management.core.windows.net"];
/// What those of Application Insights are.
pub(crate) const INSIGHTS: [&str; 1] = ["https://api.applicationinsights.io"];
/// What Key Vault's are.
pub(crate) const VAULT: [&str; 1] = ["https://vault.azure.net"];

/// How long a token of a managed identity lasts.
const MANAGED_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long one of an application does.
const APPLICATION_LIFE: Duration = Duration::from_secs(3600);

/// The tokens that were issued.
#[derive(Debug)]
pub(crate) struct Tokens {
    issued: BTreeMap<String, Token>,
    random: Random,
}

#[derive(Clone, Debug)]
struct Token {
    /// The machine whose identity it is.
    machine: Option<String>,
    identity: String,
    audience: String,
    expires: Timestamp,
}

/// Who calls. An emulator lets strangers in: a token that nobody issued here is an operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Machine(String),
    Operator,
}

/// Why a call has no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unauthenticated {
    Missing,
    Expired,
    Audience,
}

impl Caller {
    /// The machine, where it is one.
    pub(crate) fn machine(&self) -> Option<&str> {
        match self {
            Self::Machine(name) => Some(name),
            Self::Operator => None,
        }
    }

    /// By what calls are counted.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Machine(_) => "instance",
            Self::Operator => "operator",
        }
    }
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        Self { issued: BTreeMap::new(), random: Random::new(seed ^ 0x70CE) }
    }

    /// Who sent this request to a service whose tokens are made out for one of these.
    ///
    /// # Errors
    /// Why nobody did.
    pub(crate) fn caller(
        &self,
        request: &Request,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<Caller, Unauthenticated> {
        let header = request.header("authorization").and_then(|header| header.split_once(' '));
        let bearer = header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
        let Some(token) = self.issued.get(token.ok_or(Unauthenticated::Missing)?) else { return Ok(Caller::Operator) };
        if !audiences.contains(&token.audience.trim_end_matches('/')) {
            return Err(Unauthenticated::Audience);
        }
        if token.expires <= now {
            return Err(Unauthenticated::Expired);
        }
        Ok(token.machine.clone().map_or(Caller::Operator, Caller::Machine))
    }

    /// Every token of this machine has expired.
    pub(crate) fn expire(&mut self, machine: &str) {
        let own = self.issued.values_mut().filter(|token| token.machine.as_deref() == Some(machine));
        own.for_each(|token| token.expires = Timestamp::default());
    }

    /// This machine is gone, and its tokens with it.
    pub(crate) fn forget(&mut self, machine: &str) {
        self.issued.retain(|_, token| token.machine.as_deref() != Some(machine));
    }

    /// `/metadata/identity/oauth2/token`: a token of one of the identities that the machine's set gave it.
    pub(crate) fn managed(&mut self, azure: &Azure, machine: &str, request: &Request, now: Timestamp) -> Response {
        let Some(resource) = request.query("resource").filter(|resource| !resource.is_empty()) else {
            return refused(400, "invalid_request", "Required audience parameter not specified");
        };
        let set = azure.machine(machine).and_then(|machine| azure.scale_set(&machine.set));
        let identity = match set.map(|set| identity(set, request)) {
            Some(Ok(identity)) => identity,
            Some(Err(why)) => return refused(400, "invalid_request", why),
            None => return refused(404, "not_found", "there is no such machine"),
        };
        let bypass = request.query("bypass_cache").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let kept = self.issued.iter().find(|(_, token)| {
            let same =
                token.machine.as_deref() == Some(machine) && token.audience == resource && token.identity == identity;
            same && token.expires > now + Duration::from_secs(300)
        });
        let kept = kept.filter(|_| !bypass).map(|(text, token)| (text.clone(), token.expires));
        let (token, expires) = kept.unwrap_or_else(|| {
            let expires = now + MANAGED_LIFE;
            let (machine, audience) = (Some(machine.to_owned()), resource.to_owned());
            (self.issue(Token { machine, identity: identity.clone(), audience, expires }), expires)
        });
        // Numbers are strings here.
        let seconds = |at: Timestamp| at.0.div_euclid(1000).to_string();
        let body = json!({
            "access_token": token,
            "client_id": client_id(&identity),
            "expires_in": expires.since(now).as_secs().to_string(),
            "expires_on": seconds(expires),
            "ext_expires_in": expires.since(now).as_secs().to_string(),
            "not_before": seconds(now),
            "resource": resource,
            "token_type": "Bearer",
        });
        Response::json(200, &body)
    }

    /// `/{tenant}/oauth2/v2.0/token`: an application's token for its credentials, whatever they are.
    pub(crate) fn application(&mut self, request: &Request, now: Timestamp) -> Response {
        let form: BTreeMap<String, String> = http::pairs(&request.body).into_iter().collect();
        let field = |key: &str| form.get(key).map(String::as_str).filter(|value| !value.is_empty());
        if field("grant_type") != Some("client_credentials") {
            return refused(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.");
        }
        let missing = ["client_id", "scope"].into_iter().find(|key| field(key).is_none());
        let proof = field("client_secret").or(field("client_assertion"));
        if let Some(key) = missing.or(if proof.is_none() { Some("client_secret") } else { None }) {
            let why = format!("AADSTS900144: The request body must contain the following parameter: '{key}'.");
            return refused(400, "invalid_request", &why);
        }
        let Some(audience) = field("scope").and_then(|scope| scope.strip_suffix("/.default")) else {
            return refused(400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.");
        };
        let (identity, audience) = (field("client_id").unwrap_or_default().to_owned(), audience.to_owned());
        let expires = now + APPLICATION_LIFE;
        let token = self.issue(Token { machine: None, identity, audience, expires });
        let life = APPLICATION_LIFE.as_secs() - 1;
        let body = json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token});
        Response::json(200, &body)
    }

    /// `/{tenant}/v2.0/.well-known/openid-configuration`: where clients look for the rest.
    pub(crate) fn discovery(tenant: &str) -> Response {
        let login = format!("https://login.microsoftonline.com/{tenant}");
        let body = json!({
            "issuer": format!("{login}/v2.0"),
            "authorization_endpoint": format!("{login}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{login}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["code"],
        });
        Response::json(200, &body)
    }

    fn issue(&mut self, token: Token) -> String {
        let words: Vec<String> = (0..6).map(|_| format!("{:016x}", self.random.next())).collect();
        let text = format!("eyJ0eXAiOiJKV1QifQ.{}.{}", words[..4].concat(), words[4..].concat());
        self.issued.insert(text.clone(), token);
        text
    }
}

/// The identity that a request asks for, of those that its set has.
fn identity(set: &ScaleSet, request: &Request) -> Result<String, &'static str> {
    let users = set.user_identities();
    let by_client = request.query("client_id");
    let by_resource = request.query("msi_res_id").or(request.query("mi_res_id"));
    let by_object = request.query("object_id");
    if by_client.is_some() || by_resource.is_some() || by_object.is_some() {
        let found = users.into_iter().find(|id| {
            by_client.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&client_id(id)))
                && by_resource.is_none_or(|wanted| wanted.eq_ignore_ascii_case(id))
                && by_object.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&principal_id(id)))
        });
        return found.map(str::to_owned).ok_or("Identity not found");
    }
    if set.has_system_identity() {
        return Ok(set.unique_id.clone());
    }
    match users.as_slice() {
        [] => Err("Identity not found"),
        [one] => Ok((*one).to_owned()),
        _ => Err(
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the \
             token request",
        ),
    }
}

/// The client id of an identity: made of its resource id, so that it can be known before.
pub(crate) fn client_id(identity: &str) -> String {
    uuid_of("client", identity)
}

/// The object id of the principal behind an identity.
pub(crate) fn principal_id(identity: &str) -> String {
    uuid_of("principal", identity)
}

/// The id of an Application Insights, by which its log is read.
pub(crate) fn application_id(component: &str) -> String {
    uuid_of("application", component)
}

/// The key with which applications write to it.
pub(crate) fn instrumentation_key(component: &str) -> String {
    uuid_of("instrumentation", component)
}

fn uuid_of(what: &str, identity: &str) -> String {
    let hex = hex::encode(&Sha256::digest(format!("{what}:{}", identity.to_lowercase()))[..16]);
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn refused(status: u16, error: &str, why: &str) -> Response {
    Response::json(status, &json!({"error": error, "error_description": why}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_forgotten_leaves_no_token() {
        let mut tokens = Tokens::new(1);
        let of = |machine: &str| Token {
            machine: Some(machine.to_owned()),
            identity: "id".into(),
            audience: MANAGEMENT[0].into(),
            expires: Timestamp(1),
        };
        let _ = (tokens.issue(of("a")), tokens.issue(of("a")), tokens.issue(of("b")));
        tokens.forget("a");
        assert_eq!(tokens.issued.values().map(|it| it.machine.as_deref()).collect::<Vec<_>>(), [Some("b")]);
    }
}
