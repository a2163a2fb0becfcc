//! Gets and renews the installation token of a GitHub App around another exchange.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{GitHubApp, GitHubAuth, context, refusal::refusal};
use crate::{
    exchange::{
        Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Method, Reply, Request,
        Signing, Text,
    },
    platform::{
        Queue, Waits,
        answer::{Remedies, RequestContext},
        steps::unasked,
    },
    settings::BaseUrl,
};

/// An installation token is renewed this long before its end.
const BEFORE_END: Duration = Duration::from_secs(300);

/// How far a signed token reaches into the past, for clocks that differ, and into the future, where GitHub allows ten
/// minutes (GitHub documentation, generating a JSON Web Token for a GitHub App).
const ISSUED_BEFORE: Duration = Duration::from_secs(60);
const EXPIRES_AFTER: Duration = Duration::from_secs(540);

const REMEDIES: Remedies = Remedies {
    unauthorized: "the private key does not belong to this App ID, or this machine's clock is wrong by more than a minute",
    forbidden: "the installation may be suspended; look at it in the settings of the organization",
    not_found: "there is no such installation of this App; correct the installation ID",
};

/// The installation token at hand, for all exchanges of one runner or queue.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCache(Arc<Mutex<Option<CachedToken>>>);

#[derive(Clone, Debug)]
struct CachedToken {
    token: SecretString,
    until: Timestamp,
}

impl TokenCache {
    fn get(&self) -> Option<CachedToken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, token: Option<CachedToken>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

/// An exchange whose requests are authorised on their way: it gets a token first where it must, and a new one when GitHub refuses the one at hand.
/// Requests that bring an authorisation of their own pass as they are. While a token is on its way nothing else is begun.
#[derive(Debug)]
pub(super) struct Authorised<C> {
    url: BaseUrl,
    auth: GitHubAuth,
    token_cache: TokenCache,
    inner: C,
    /// The way to a token, when we are on it.
    login: Option<Login>,
    /// The token of this run, once it is known to be good.
    token: Option<SecretString>,
    /// Whether this run has given up a token that was refused.
    renewed: bool,
    /// Requests of ours that are open, each with whether it was sent before the token was renewed.
    open: BTreeMap<EffectId, Sent>,
    /// Requests that wait for a token.
    held: VecDeque<(EffectId, Request)>,
}

#[derive(Debug)]
struct Sent {
    request: Request,
    before_renewal: bool,
}

/// Which answer on the way to a token is awaited.
#[derive(Debug)]
enum Login {
    Clock,
    /// The signature of this text.
    Signature(String),
    Token,
}

/// The number of the effects on the way to a token.
const LOGIN: EffectId = EffectId(u64::MAX);

impl<C> Authorised<C> {
    pub(super) fn new(url: BaseUrl, auth: GitHubAuth, token_cache: TokenCache, inner: C) -> Self {
        let (open, held) = (BTreeMap::new(), VecDeque::new());
        Self { url, auth, token_cache, inner, login: None, token: None, renewed: false, open, held }
    }

    /// Another exchange with the same token.
    pub(super) fn beside<D>(&self, inner: D) -> Authorised<D> {
        Authorised::new(self.url.clone(), self.auth.clone(), self.token_cache.clone(), inner)
    }

    fn authorise<T>(&mut self, id: EffectId, request: Request) -> ExchangeStep<T> {
        let token = match (&self.auth, &self.token) {
            (GitHubAuth::Token(token), _) | (GitHubAuth::App(..), Some(token)) => token,
            (GitHubAuth::App(..), None) => {
                self.held.push_back((id, request));
                if self.login.is_some() {
                    return ExchangeStep::Wait;
                }
                self.login = Some(Login::Clock);
                return ExchangeStep::Perform(LOGIN, Effect::Clock);
            }
        };
        let ask = with_headers(request.clone(), token.expose_secret());
        self.open.insert(id, Sent { request, before_renewal: false });
        ExchangeStep::Perform(id, Effect::Http(ask))
    }

    /// The time is here: the token at hand is good, or a new one is needed.
    fn clock<T>(&mut self, now: Timestamp) -> ExchangeStep<T> {
        if let Some(held) = self.token_cache.get()
            && held.until > now.saturating_add(BEFORE_END).unwrap_or(Timestamp::MAX)
        {
            return self.have(held.token);
        }
        let GitHubAuth::App(app, key) = &self.auth else { return ExchangeStep::Wait };
        let claims = claims(app, now);
        let signing = Signing { key: key.clone(), message: claims.clone().into_bytes() };
        self.login = Some(Login::Signature(claims));
        ExchangeStep::Perform(LOGIN, Effect::Sign(signing))
    }

    fn signature<T>(&mut self, claims: &str, signature: &[u8]) -> ExchangeStep<T> {
        let GitHubAuth::App(app, _) = &self.auth else { return ExchangeStep::Wait };
        let jwt = format!("{claims}.{}", URL_SAFE_NO_PAD.encode(signature));
        let url = format!("{}/app/installations/{}/access_tokens", self.url, app.installation_id);
        self.login = Some(Login::Token);
        ExchangeStep::Perform(LOGIN, Effect::Http(with_headers(Request::new(Method::Post, url), &jwt)))
    }

    fn bought<T>(&mut self, result: EffectResult) -> Result<ExchangeStep<T>, ExchangeError> {
        let context = self.context();
        let reply = context.reply(result)?;
        let held = read(&context, &reply)?;
        let token = held.token.clone();
        self.token_cache.set(Some(held));
        Ok(self.have(token))
    }

    /// Goes on with what waited for the token.
    fn have<T>(&mut self, token: SecretString) -> ExchangeStep<T> {
        self.token = Some(token);
        match self.held.pop_front() {
            Some((id, request)) => self.authorise(id, request),
            None => ExchangeStep::Wait,
        }
    }

    fn log_in<T>(&mut self, login: Login, result: EffectResult) -> Result<ExchangeStep<T>, ExchangeError> {
        match (login, result) {
            (Login::Clock, EffectResult::Clock(now)) => Ok(self.clock(now)),
            (Login::Signature(claims), EffectResult::Sign(Ok(signature))) => Ok(self.signature(&claims, &signature)),
            (Login::Signature(_), EffectResult::Sign(Err(why))) => {
                let what = format!(
                    "the GitHub App's private key cannot be used: {why}; store the .pem file that GitHub gave as it is"
                );
                Err(ExchangeError::new(ErrorKind::Unauthorized, what))
            }
            (Login::Token, result) => self.bought(result),
            (Login::Clock | Login::Signature(_), _) => {
                Err(self.context().malformed("something else came than what was asked"))
            }
        }
    }

    fn context(&self) -> RequestContext {
        context(&self.url, self.auth.secret(), "get an installation token of the GitHub App", REMEDIES)
    }
}

impl<C: Exchange> Authorised<C> {
    fn pass(&mut self, step: ExchangeStep<C::Output>) -> ExchangeStep<C::Output> {
        match step {
            ExchangeStep::Perform(id, Effect::Http(request))
                if !request.headers.iter().any(|(name, _)| *name == "authorization") =>
            {
                self.authorise(id, request)
            }
            step @ (ExchangeStep::Perform(..) | ExchangeStep::Wait | ExchangeStep::Done(_)) => step,
        }
    }

    fn answered(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<C::Output> {
        let sent = self.open.remove(&id);
        let is_app = matches!(self.auth, GitHubAuth::App(..));
        match (sent, &result) {
            (Some(sent), EffectResult::Http(Ok(reply)))
                if reply.status == 401 && is_app && (sent.before_renewal || !self.renewed) =>
            {
                if !sent.before_renewal {
                    self.renewed = true;
                    self.token = None;
                    self.token_cache.set(None);
                    self.open.values_mut().for_each(|sent| sent.before_renewal = true);
                }
                self.authorise(id, sent.request)
            }
            _ => {
                let step = self.inner.resume(id, result);
                self.pass(step)
            }
        }
    }
}

impl<C: Exchange> Exchange for Authorised<C> {
    type Output = C::Output;

    fn start(&mut self) -> ExchangeStep<C::Output> {
        (self.login, self.token, self.renewed) = (None, None, false);
        self.open.clear();
        self.held.clear();
        let step = self.inner.start();
        self.pass(step)
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<C::Output> {
        if id != LOGIN {
            return self.answered(id, result);
        }
        let Some(login) = self.login.take() else { return ExchangeStep::Done(Err(unasked())) };
        self.log_in(login, result).unwrap_or_else(|error| ExchangeStep::Done(Err(error)))
    }

    fn more(&mut self) -> ExchangeStep<C::Output> {
        if self.login.is_some() {
            return ExchangeStep::Wait;
        }
        if let Some((id, request)) = self.held.pop_front() {
            return self.authorise(id, request);
        }
        let step = self.inner.more();
        self.pass(step)
    }

    fn cut(&mut self) -> Option<C::Output> {
        self.inner.cut()
    }
}

impl<Q: Queue> Queue for Authorised<Q> {
    fn platform(&self) -> &'static str {
        self.inner.platform()
    }

    fn waits(&mut self, now: Timestamp) -> Option<Waits> {
        self.inner.waits(now)
    }

    fn only_look(&mut self) -> Option<&'static str> {
        self.inner.only_look()
    }

    fn take_secret(&mut self, secret: &SecretString) -> Result<bool, ExchangeError> {
        let auth = self.auth.with(secret.clone());
        auth.check()?;
        if !self.inner.take_secret(secret)? {
            return Ok(false);
        }
        self.auth = auth;
        self.token_cache.set(None);
        Ok(true)
    }

    fn release(&mut self) -> Option<Call<()>> {
        let call = self.inner.release()?;
        Some(Box::new(self.beside(call)))
    }

    fn memory(&self) -> Option<String> {
        self.inner.memory()
    }

    fn recall(&mut self, memory: &str) {
        self.inner.recall(memory);
    }
}

fn with_headers(request: Request, token: &str) -> Request {
    request
        .header("authorization", Text::secret(format!("Bearer {token}")))
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
}

/// The part of the JSON Web Token that is signed.
fn claims(app: &GitHubApp, now: Timestamp) -> String {
    let now = now.as_second();
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(0);
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({"iat": now - seconds(ISSUED_BEFORE), "exp": now + seconds(EXPIRES_AFTER), "iss": &*app.app_id});
    [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

fn read(context: &RequestContext, reply: &Reply) -> Result<CachedToken, ExchangeError> {
    if reply.status != 201 {
        return Err(refusal(context, reply));
    }
    let document = context.json(reply)?;
    let root = document.root();
    let token = root.key("token")?.text()?;
    let until = root.key("expires_at")?.text()?;
    let until = until.parse().map_err(|_| context.malformed("expires_at is not a time"))?;
    if token.is_empty() {
        return Err(context.malformed("token is empty"));
    }
    Ok(CachedToken { token: token.into(), until })
}
