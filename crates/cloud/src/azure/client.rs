//! Carries calls to Azure: with a token that is kept, and leaving alone for a while what says that it was asked too often.

use std::{
    collections::BTreeMap,
    env,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    duration::format_about,
    exchange::{Effect, EffectResult, Reply, Request, Text, Unreachable},
};
use lightsout_io::http::Driver;
use secrecy::{ExposeSecret, SecretString};

use super::{call::Call, error, token::Source};
#[cfg(feature = "host")]
use super::{reply, survey::cli};

/// The most pages of a list that are read: a scale set has 1000 instances at most.
pub(super) const PAGES: usize = 50;

/// Where the Resource Manager is, and the variable that names another place: another of Azure's clouds, or an embedded one.
const MANAGER: &str = "https://management.azure.com";
const MANAGER_VARIABLE: &str = "AZURE_RESOURCE_MANAGER_ENDPOINT";

/// The same of the logs of applications.
#[cfg(feature = "host")]
const LOGS: &str = "https://api.applicationinsights.io";
#[cfg(feature = "host")]
const LOGS_VARIABLE: &str = "AZURE_APPLICATION_INSIGHTS_ENDPOINT";

/// Azure, asked by one identity.
///
/// It costs nothing until it is used, and [`Azure::forget`] gives back what it then took.
#[derive(Debug, Default)]
pub(super) struct Azure {
    /// Replaced to forget it.
    driver: Mutex<Option<std::sync::Arc<Driver>>>,
    tokens: tokio::sync::Mutex<BTreeMap<String, Token>>,
    resting: Mutex<BTreeMap<String, Instant>>,
    /// The Azure CLI, where a person asks, who may have signed in with it.
    #[cfg(feature = "host")]
    cli: Option<String>,
    #[cfg(test)]
    pub(super) everything_at: Option<String>,
}

/// An access token. Its `Debug` form does not show it.
#[derive(Clone, Debug)]
struct Token {
    text: SecretString,
    renew_at: Instant,
}

impl Azure {
    /// Asked by a person: in the name that the environment says, else as they have signed in with the Azure CLI by this name.
    #[cfg(feature = "host")]
    pub(super) fn on_workstation(cli: &str) -> Self {
        Self { cli: Some(cli.to_owned()), ..Self::default() }
    }

    /// The Resource Manager's address, without a slash at its end.
    pub(super) fn manager(&self) -> String {
        let named = self.variable(MANAGER_VARIABLE).filter(|value| !value.trim().is_empty());
        named.unwrap_or_else(|| MANAGER.into()).trim_end_matches('/').to_owned()
    }

    /// The address of the queries of Application Insights.
    #[cfg(feature = "host")]
    pub(super) fn logs(&self) -> String {
        let named = self.variable(LOGS_VARIABLE).filter(|value| !value.trim().is_empty());
        named.unwrap_or_else(|| LOGS.into()).trim_end_matches('/').to_owned()
    }

    /// Makes a call, and answers what came of it: a success.
    ///
    /// # Errors
    /// As [`error`] says of everything else.
    pub(super) async fn call(&self, call: Call) -> Result<Reply, CloudError> {
        let left = {
            let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
            resting.retain(|_, until| *until > Instant::now());
            resting.get(&call.scope).map(|until| until.saturating_duration_since(Instant::now()))
        };
        if let Some(left) = left {
            let why = format!("{}: Azure wishes to be left alone for another {}", call.right, format_about(left));
            return Err(CloudError::new(CloudErrorKind::Throttled, why));
        }
        let audience = self.manager();
        let reply = self.authorized(&audience, call.right, &call.request).await?;
        if let Some(rest) = error::rest(&reply) {
            self.resting.lock().unwrap_or_else(PoisonError::into_inner).insert(call.scope, Instant::now() + rest);
        }
        if (200..300).contains(&reply.status) { Ok(reply) } else { Err(error::of_reply(call.right, &reply)) }
    }

    /// All pages of a list.
    pub(super) async fn list<T: serde::de::DeserializeOwned>(&self, mut call: Call) -> Result<Vec<T>, CloudError> {
        let other = |why: String| CloudError::new(CloudErrorKind::Other, why);
        let manager = self.manager();
        let (right, scope) = (call.right, call.scope.clone());
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let page: reply::Page<T> = reply::parse(&self.call(call).await?).map_err(other)?;
            found.extend(page.value);
            let Some(next) = page.next_link.filter(|next| !next.is_empty()) else { return Ok(found) };
            // Only the Resource Manager is shown a token.
            if !next.starts_with(&format!("{manager}/")) {
                return Err(other(format!("{right}: the list goes on elsewhere")));
            }
            call = Call { right, scope: scope.clone(), request: Request::get(next) };
        }
        Err(other(format!("{right}: the list does not end")))
    }

    /// Sends a request with a token for this audience; once more with a new one when that is refused.
    pub(super) async fn authorized(&self, audience: &str, right: &str, request: &Request) -> Result<Reply, CloudError> {
        let mut refused = None;
        loop {
            let token = self.token(audience, refused.as_ref()).await?;
            let bearer = Text::secret(format!("Bearer {}", token.expose_secret()));
            let asked = request.clone().header("authorization", bearer);
            let reply = self.send(asked).await.map_err(|why| error::of_silence(right, &why))?;
            if reply.status != 401 || refused.is_some() {
                return Ok(reply);
            }
            // What was refused for who asks was not applied.
            refused = Some(token);
        }
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, Unreachable> {
        let driver = {
            let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
            let made = || std::sync::Arc::new(Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"))));
            std::sync::Arc::clone(driver.get_or_insert_with(made))
        };
        match driver.perform(Effect::Http(request)).await {
            EffectResult::Http(result) => result,
            EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                unreachable!("a request is answered by a reply")
            }
        }
    }

    /// Drops connections, tokens and certificates until the next call.
    pub(super) fn forget(&self) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Whoever fetches a token just now uses it.
        if let Ok(mut tokens) = self.tokens.try_lock() {
            tokens.clear();
        }
    }

    /// The token at hand, or a new one when that was refused or is near its end. Concurrent callers share one request.
    async fn token(&self, audience: &str, refused: Option<&SecretString>) -> Result<SecretString, CloudError> {
        let mut tokens = self.tokens.lock().await;
        let again = |held: &SecretString| refused.is_some_and(|text| text.expose_secret() == held.expose_secret());
        if let Some(Token { text, .. }) =
            tokens.get(audience).filter(|token| Instant::now() < token.renew_at && !again(&token.text))
        {
            return Ok(text.clone());
        }
        tokens.remove(audience);
        let source = Source::find(|name| self.variable(name))?;
        #[cfg(feature = "host")]
        if let (Source::Instance { .. }, Some(cli)) = (&source, &self.cli)
            && let Some(text) = cli::token(cli, audience).await?
        {
            let renew_at = Instant::now() + cli::KEPT;
            tokens.insert(audience.to_owned(), Token { text: text.clone(), renew_at });
            return Ok(text);
        }
        let reply = self.send(source.request(audience)).await.map_err(|why| {
            let CloudError { message, .. } = error::of_silence("no access token of Azure", &why);
            CloudError::new(CloudErrorKind::Credentials, message)
        })?;
        let (text, life) = source.token(&reply)?;
        let renew_at = Instant::now() + life.max(Duration::from_secs(1));
        tokens.insert(audience.to_owned(), Token { text: text.clone(), renew_at });
        Ok(text)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests have an environment of their own")]
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    /// Everything is at one address.
    #[cfg(test)]
    fn variable(&self, name: &str) -> Option<String> {
        match (&self.everything_at, name) {
            #[cfg(feature = "host")]
            (Some(url), LOGS_VARIABLE) => Some(url.clone()),
            (Some(url), MANAGER_VARIABLE | super::token::METADATA_VARIABLE) => Some(url.clone()),
            (Some(_), _) => None,
            (None, _) => env::var(name).ok(),
        }
    }
}
