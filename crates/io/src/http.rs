//! Performs the core's exchanges: HTTP over reqwest, programs over [`crate::program`].

mod clients;
mod redirect;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lightsout_core::exchange::{
    Effect, EffectResult, ErrorKind, Exchange, ExchangeError, Reply, Request, Step, Unreachable,
};
use reqwest::{Url, header::HeaderMap};

pub use clients::{Clients, Limits, root};

use crate::{program, sign};

/// How many redirects one request may take.
const REDIRECTS: usize = 3;

/// Carries questions to CI platforms and their answers back.
///
/// It connects lazily and loads certificates at the first `https` URL. Proxies of the environment
/// (`HTTPS_PROXY`, `NO_PROXY`, ...) are used, but never towards loopback or link-local addresses.
#[derive(Debug)]
pub struct Driver {
    clients: Clients,
}

impl Driver {
    /// For this program: `lightsout/VERSION (agent)`.
    pub fn new(user_agent: &str) -> Self {
        Self::with_limits(user_agent, Limits::default())
    }

    /// With other limits than the usual ones.
    pub fn with_limits(user_agent: &str, limits: Limits) -> Self {
        Self { clients: Clients::new(limits, Some(user_agent.to_owned())) }
    }

    /// Asks what the exchange wants to ask until it is over.
    ///
    /// # Errors
    /// What the exchange concluded, or [`ErrorKind::Unreachable`] when it was not over at the deadline.
    pub async fn complete<T>(
        &self,
        call: &mut dyn Exchange<Output = T>,
        deadline: Duration,
    ) -> Result<T, ExchangeError> {
        let talking = async {
            let mut step = call.start();
            loop {
                match step {
                    Step::Perform(effect) => {
                        let result = self.perform(effect).await;
                        step = call.resume(result);
                    }
                    Step::Done(result) => return result,
                }
            }
        };
        tokio::time::timeout(deadline, talking).await.unwrap_or_else(|_| {
            Err(ExchangeError::new(
                ErrorKind::Unreachable,
                format!("the conversation with the platform was not over within {deadline:?}: it is slow or hangs"),
            ))
        })
    }

    /// Asks one question.
    pub async fn perform(&self, effect: Effect) -> EffectResult {
        match effect {
            Effect::Http(request) => EffectResult::Http(self.request(&request).await),
            Effect::Program(program) => EffectResult::Program(program::run(&program).await),
            Effect::Clock => EffectResult::Clock(Timestamp::now()),
            Effect::Sign(signing) => EffectResult::Sign(sign::rs256(&signing.key, &signing.message)),
        }
    }

    async fn request(&self, request: &Request) -> Result<Reply, Unreachable> {
        let mut url = Url::parse(&request.url)
            .map_err(|error| Unreachable::Connect(format!("{} is not a URL: {error}", request.url)))?;
        for _ in 0..REDIRECTS {
            let reply = self.hop(request, &url).await?;
            match redirect::target(request.method, &url, &reply) {
                Some(next) => url = next,
                None => return Ok(reply),
            }
        }
        self.hop(request, &url).await
    }

    /// One request and its reply, a redirect included.
    async fn hop(&self, request: &Request, url: &Url) -> Result<Reply, Unreachable> {
        let started = Instant::now();
        let result = self.exchange(request, url).await;
        let (method, url) = (request.method.as_str(), redact(url));
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(reply) => tracing::debug!(method, url, status = reply.status, ms, "request answered"),
            Err(error) => tracing::debug!(method, url, %error, ms, "request without an answer"),
        }
        result
    }

    async fn exchange(&self, request: &Request, url: &Url) -> Result<Reply, Unreachable> {
        let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes())
            .map_err(|error| Unreachable::Connect(error.to_string()))?;
        let mut sending = self.clients.for_url(url)?.request(method, url.clone());
        for (name, value) in &request.headers {
            sending = sending.header(*name, value.expose());
        }
        if let Some(body) = &request.body {
            sending = sending.body(body.expose().to_owned());
        }
        if let Some(timeout) = request.timeout {
            sending = sending.timeout(self.clients.at_most(timeout));
        }
        let response = self.clients.send(sending).await?;
        let status = response.status().as_u16();
        let headers = headers(response.headers());
        Ok(Reply { status, headers, body: self.clients.body(response).await? })
    }
}

/// The URL as it may be logged: without a user, and without the values of parameters that look like secrets.
fn redact(url: &Url) -> String {
    const SECRETS: [&str; 5] = ["token", "secret", "password", "key", "sig"];
    let mut shown = url.clone();
    // Both fail only for URLs that cannot have a user.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let secret = |name: &str| SECRETS.iter().any(|word| name.to_ascii_lowercase().contains(word));
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        shown.query_pairs_mut().clear().extend_pairs(
            url.query_pairs().map(|(name, value)| if secret(&name) { (name, "***".into()) } else { (name, value) }),
        );
    }
    shown.into()
}

fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    headers
}

#[cfg(test)]
mod tests;
