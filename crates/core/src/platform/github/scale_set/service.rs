//! The way to the Actions service, and to a scale set in it. Three calls: a registration token, the service's own address
//! and token, the scale set's number (actions/scaleset, client.go).

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::{
    exchange::{EffectResult, ErrorKind, ExchangeError, Method, Reply, Request, Text},
    platform::{
        answer::{Document, RequestContext, percent_encode},
        github::{GitHubOwner, refusal::refusal},
    },
    settings::BaseUrl,
};

/// The Actions service, which has an address and a token of its own.
#[derive(Clone, Debug)]
pub(in crate::platform::github) struct Service {
    url: String,
    token: SecretString,
}

/// Asks for a token with which to ask for the service.
pub(in crate::platform::github) fn ask_registration(url: &BaseUrl, owner: &GitHubOwner) -> Request {
    Request::new(Method::Post, format!("{url}/{}/actions/runners/registration-token", owner.path()))
}

/// Asks for the service, with the answer to [`ask_registration`].
pub(in crate::platform::github) fn ask_service(
    context: &RequestContext,
    result: EffectResult,
    url: &BaseUrl,
    owner: &GitHubOwner,
) -> Result<Request, ExchangeError> {
    let reply = expect(context, result, 201)?;
    let token = context.json(&reply)?.root().key("token")?.text()?.to_owned();
    let body = json!({"url": owner_page(url, owner), "runner_event": "register"});
    Ok(Request::new(Method::Post, format!("{url}/actions/runner-registration"))
        .header("authorization", Text::secret(format!("RemoteAuth {token}")))
        .json(&body, false))
}

/// The reply, which must have this status.
pub(in crate::platform::github) fn expect(
    context: &RequestContext,
    result: EffectResult,
    status: u16,
) -> Result<Reply, ExchangeError> {
    let reply = context.reply(result)?;
    if reply.status == status { Ok(reply) } else { Err(refusal(context, &reply)) }
}

impl Service {
    /// The service, from the answer to [`ask_service`].
    pub(in crate::platform::github) fn read(
        context: &RequestContext,
        result: EffectResult,
    ) -> Result<Self, ExchangeError> {
        let reply = context.reply(result)?;
        match reply.status {
            200 => {}
            // A fresh registration token is not known everywhere at once (actions/scaleset, client.go).
            401 | 403 => return Err(ExchangeError { kind: ErrorKind::Server, ..refusal(context, &reply) }),
            _ => return Err(refusal(context, &reply)),
        }
        let document: Document = context.json(&reply)?;
        let root = document.root();
        let url = root.key("url")?.text()?;
        let token = root.key("token")?.text()?;
        Ok(Self { url: address(context, "url", url)?, token: token.into() })
    }

    /// Asks for the scale set of this name.
    pub(in crate::platform::github) fn ask_scale_set(&self, name: &str, runner_group: u64) -> Request {
        let name = percent_encode(name.trim());
        self.request(Method::Get, &format!("runtime/runnerscalesets?runnerGroupId={runner_group}&name={name}"))
    }

    /// A call of the service; `path` may have a query.
    pub(in crate::platform::github) fn request(&self, method: Method, path: &str) -> Request {
        let mark = if path.contains('?') { '&' } else { '?' };
        Request::new(method, format!("{}/_apis/{path}{mark}api-version=6.0-preview", self.url.trim_end_matches('/')))
            .header("authorization", Text::secret(format!("Bearer {}", self.token.expose_secret())))
            .header("accept", "application/json")
    }
}

/// The number of the scale set, from the answer to [`Service::ask_scale_set`].
pub(in crate::platform::github) fn scale_set(
    context: &RequestContext,
    result: EffectResult,
    runner_group: u64,
) -> Result<u64, ExchangeError> {
    let reply = expect(context, result, 200)?;
    let document = context.json(&reply)?;
    let ids =
        document.root().key("value")?.list()?.map(|one| one.key("id")?.number()).collect::<Result<Vec<_>, _>>()?;
    let [scale_set] = ids[..] else {
        let why = format!(
            "there are {} of this name in the runner group {runner_group}; create one, or correct scale_set or runner_group_id",
            ids.len()
        );
        return Err(context.error(ErrorKind::NotFound, why));
    };
    Ok(scale_set)
}

/// The owner's page, by which the Actions service knows it.
fn owner_page(url: &BaseUrl, owner: &GitHubOwner) -> String {
    let api = url.as_str();
    let host = match api.strip_suffix("/api/v3") {
        Some(host) => host.to_owned(),
        None => api.replacen("://api.", "://", 1),
    };
    format!("{host}/{}", owner.name())
}

/// An address that GitHub gave, to which a token will go.
pub(super) fn address(context: &RequestContext, key: &str, url: &str) -> Result<String, ExchangeError> {
    let tls = !context.platform.contains("http://");
    let fits = url.starts_with("https://") || (!tls && url.starts_with("http://"));
    if fits && !url.contains(['@', '#']) && !url.contains(char::is_whitespace) {
        return Ok(url.to_owned());
    }
    Err(context.malformed(&format!("{key} is no address to which a token may go")))
}
