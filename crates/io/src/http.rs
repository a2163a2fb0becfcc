//! Performs the core's exchanges: HTTP over reqwest, programs over [`crate::program`].

mod clients;
mod redirect;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use lightsout_core::{
    duration::not_within,
    exchange::{
        Effect, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Reply, Request, RunAs, Unreachable,
    },
};
use reqwest::{Url, header::HeaderMap};
use tokio::{process::Command, sync::Semaphore};

pub use clients::{Clients, Limits, root};

use crate::{program, sign};

/// How many effects of one exchange are performed at the same time, at most. An exchange may wish for fewer.
pub const AT_ONCE: usize = 32;

/// How many redirects one request may take.
const REDIRECTS: usize = 3;

/// Carries questions to CI platforms and their answers back.
///
/// It connects lazily and loads certificates at the first `https` URL. Proxies of the environment
/// (`HTTPS_PROXY`, `NO_PROXY`, ...) are used, but never towards loopback or link-local addresses.
#[derive(Debug)]
pub struct Driver {
    clients: Clients,
    as_runner: Option<AsRunner>,
}

/// What makes a program run as the platform's runner does: as its user, with its environment and nothing else.
pub struct AsRunner(Box<Prepare>);

type Prepare = dyn Fn(&mut Command) -> Result<(), String> + Send + Sync;

impl AsRunner {
    /// By these changes to how the program is started; an error says why it cannot be.
    pub fn new(prepare: impl Fn(&mut Command) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Box::new(prepare))
    }
}

impl fmt::Debug for AsRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsRunner")
    }
}

impl Driver {
    /// For this program: `lightsout/VERSION (agent)`.
    pub fn new(user_agent: &str) -> Self {
        Self::with_limits(user_agent, Limits::default())
    }

    /// With other limits than the usual ones.
    pub fn with_limits(user_agent: &str, limits: Limits) -> Self {
        Self { clients: Clients::new(limits, Some(user_agent.to_owned())), as_runner: None }
    }

    /// The same where a runner may have another user: without it, what runs as the runner does runs as this program.
    #[must_use]
    pub fn with_runner(self, as_runner: AsRunner) -> Self {
        Self { as_runner: Some(as_runner), ..self }
    }

    /// Asks what the exchange wants to ask until it is over, up to [`AT_ONCE`] things at a time.
    ///
    /// # Errors
    /// What the exchange concluded, or [`ErrorKind::TimeOver`] when it was not over in this time and nothing is known of it.
    pub async fn complete<T>(&self, call: &mut dyn Exchange<Output = T>, time: Duration) -> Result<T, ExchangeError> {
        self.complete_sharing(call, (time, time), &Semaphore::new(AT_ONCE)).await
    }

    /// The same, with requests and programs for which there is room beside those of other exchanges. Whoever waits for
    /// it is served in turn; the time goes on meanwhile. It begins when there is room for the first of them, so that those
    /// who wait take no memory for what they will ask. After the first of the two times, what is known by then is the
    /// result; if that is nothing, the exchange goes on until the second.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub async fn complete_sharing<T>(
        &self,
        call: &mut dyn Exchange<Output = T>,
        (enough, time): (Duration, Duration),
        room: &Semaphore,
    ) -> Result<T, ExchangeError> {
        let mut over = std::pin::pin!(tokio::time::sleep(time));
        let mut enough = std::pin::pin!(tokio::time::sleep(enough).fuse());
        let mut first = tokio::select! {
            biased;
            permit = room.acquire() => permit.ok(),
            () = &mut over => return Err(no_room(time)),
        };
        let mut open = FuturesUnordered::new();
        let (mut asked, mut answered) = (BTreeMap::new(), 0_u32);
        let mut step = call.start();
        loop {
            match step {
                ExchangeStep::Done(result) => return result,
                ExchangeStep::Perform(id, effect) => {
                    asked.insert(id, what(&effect));
                    let needs_room = matches!(effect, Effect::Http(_) | Effect::Program(_));
                    let permit = if needs_room { first.take() } else { None };
                    open.push(async move {
                        let _permit = match permit {
                            None if needs_room => room.acquire().await.ok(),
                            permit => permit,
                        };
                        // A request that waits for room must not take the memory of one that is on its way.
                        (id, Box::pin(self.perform(effect)).await)
                    });
                    step = if open.len() < AT_ONCE { call.more() } else { ExchangeStep::Wait };
                }
                ExchangeStep::Wait => tokio::select! {
                    biased;
                    Some((id, result)) = open.next() => {
                        asked.remove(&id);
                        answered += 1;
                        step = call.resume(id, result);
                    }
                    () = &mut enough => match call.cut() {
                        Some(known) => return Ok(known),
                        None => step = ExchangeStep::Wait,
                    },
                    () = &mut over => return call.cut().ok_or_else(|| time_over(time, answered, asked.values())),
                },
            }
        }
    }

    /// Asks one question.
    pub async fn perform(&self, effect: Effect) -> EffectResult {
        match effect {
            Effect::Http(request) => EffectResult::Http(self.request(&request).await),
            Effect::Program(program) => {
                let answer = match (program.run_as, &self.as_runner) {
                    (RunAs::Runner, Some(AsRunner(prepare))) => program::run_prepared(&program, prepare).await,
                    (RunAs::Runner, None) | (RunAs::Caller, _) => program::run(&program).await,
                };
                EffectResult::Program(answer.map_err(|error| error.why))
            }
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
        let timeout = request.timeout.map(|timeout| self.clients.at_most(timeout));
        if let Some(timeout) = timeout {
            sending = sending.timeout(timeout);
        }
        let as_asked = |error| match (error, timeout) {
            (Unreachable::Timeout(_), Some(timeout)) => Unreachable::Timeout(timeout),
            (error, _) => error,
        };
        let response = self.clients.send(sending).await.map_err(as_asked)?;
        let status = response.status().as_u16();
        let headers = headers(response.headers());
        Ok(Reply { status, headers, body: self.clients.body(response, request.max_body).await.map_err(as_asked)? })
    }
}

/// What is asked, as it may be told.
fn what(effect: &Effect) -> String {
    match effect {
        Effect::Http(request) => {
            let url = Url::parse(&request.url).map_or_else(|_| request.url.clone(), |url| redact(&url));
            format!("{} {url}", request.method.as_str())
        }
        Effect::Program(program) => program.argv.first().cloned().unwrap_or_default(),
        Effect::Clock => "the time".into(),
        Effect::Sign(_) => "the signature".into(),
    }
}

/// The time was over before anything was asked.
fn no_room(time: Duration) -> ExchangeError {
    let message = not_within("the requests of others left no room for its first one", time, "nothing was asked");
    ExchangeError::new(ErrorKind::TimeOver, message)
}

/// The time was over before anything was known.
fn time_over<'a>(time: Duration, answered: u32, mut open: impl Iterator<Item = &'a String>) -> ExchangeError {
    let what = open.next().map_or("nothing that was asked", String::as_str);
    let others = match open.count() {
        0 => " was".to_owned(),
        others => format!(" and {others} more were"),
    };
    let before = match answered {
        0 => "nothing before it was".to_owned(),
        1 => "one request before it was".into(),
        answered => format!("{answered} requests before it were"),
    };
    ExchangeError::new(ErrorKind::TimeOver, not_within(format!("{what}{others} not answered"), time, before))
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
