//! Gets and renews the installation token of a GitHub App around another exchange.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{GitHubApp, GitHubAuth, context, refusal::refusal};
use crate::{
    exchange::{Effect, EffectResult, ErrorKind, Exchange, ExchangeError, Method, Reply, Request, Signing, Step, Text},
    platform::answer::{Remedies, RequestContext},
    settings::BaseUrl,
};

/// An installation token is renewed this long before its end.
const BEFORE_END: Duration = Duration::from_secs(300);

/// How far a signed token reaches into the past, for clocks that differ, and into the future, where GitHub allows ten
/// minutes (GitHub documentation, generating a JSON Web Token for a GitHub App).
const PAST: Duration = Duration::from_secs(60);
const FUTURE: Duration = Duration::from_secs(540);

const REMEDIES: Remedies = Remedies {
    unauthorized: "the private key does not belong to this App ID, or this machine's clock is wrong by more than a minute",
    forbidden: "the installation may be suspended; look at it in the settings of the organization",
    not_found: "there is no such installation of this App; correct the installation ID",
};

/// The installation token at hand, for all exchanges of one runner or queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Wallet(Arc<Mutex<Option<Held>>>);

#[derive(Clone, Debug)]
struct Held {
    token: SecretString,
    until: Timestamp,
}

impl Wallet {
    fn held(&self) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, held: Option<Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

/// An exchange whose requests are authorised on their way: it gets a token first where it must, and a new one when
/// GitHub refuses the one at hand. Requests that bring an authorisation of their own pass as they are.
#[derive(Debug)]
pub(super) struct Authorised<C> {
    url: BaseUrl,
    auth: GitHubAuth,
    wallet: Wallet,
    inner: C,
    at: At,
    /// The token of this run, once it is known to be good.
    token: Option<SecretString>,
    renewed: bool,
}

/// Which answer is awaited.
#[derive(Debug, Default)]
enum At {
    #[default]
    Nowhere,
    /// The time, then the signature, then the token, for this request.
    Clock(Request),
    Signature(Request, String),
    Token(Request),
    /// The answer to this request of ours.
    Ours(Request),
    /// The answer to something that needs no token.
    Other,
}

impl<C> Authorised<C> {
    pub(super) fn new(url: BaseUrl, auth: GitHubAuth, wallet: Wallet, inner: C) -> Self {
        Self { url, auth, wallet, inner, at: At::Nowhere, token: None, renewed: false }
    }

    fn authorise<T>(&mut self, request: Request) -> Step<T> {
        let token = match (&self.auth, &self.token) {
            (GitHubAuth::Token(token), _) | (GitHubAuth::App(..), Some(token)) => token,
            (GitHubAuth::App(..), None) => {
                self.at = At::Clock(request);
                return Step::Perform(Effect::Clock);
            }
        };
        let ask = with_headers(request.clone(), token.expose_secret());
        self.at = At::Ours(request);
        Step::Perform(Effect::Http(ask))
    }

    /// The time is here: the token at hand is good, or a new one is needed.
    fn clock<T>(&mut self, request: Request, now: Timestamp) -> Step<T> {
        if let Some(held) = self.wallet.held()
            && held.until > now.saturating_add(BEFORE_END).unwrap_or(Timestamp::MAX)
        {
            self.token = Some(held.token);
            return self.authorise(request);
        }
        let GitHubAuth::App(app, key) = &self.auth else { return self.authorise(request) };
        let claims = claims(app, now);
        let signing = Signing { key: key.clone(), message: claims.clone().into_bytes() };
        self.at = At::Signature(request, claims);
        Step::Perform(Effect::Sign(signing))
    }

    fn signature<T>(&mut self, request: Request, claims: &str, signature: &[u8]) -> Step<T> {
        let GitHubAuth::App(app, _) = &self.auth else { return self.authorise(request) };
        let jwt = format!("{claims}.{}", URL_SAFE_NO_PAD.encode(signature));
        let url = format!("{}/app/installations/{}/access_tokens", self.url, app.installation_id);
        self.at = At::Token(request);
        Step::Perform(Effect::Http(with_headers(Request::new(Method::Post, url), &jwt)))
    }

    fn bought<T>(&mut self, request: Request, result: EffectResult) -> Result<Step<T>, ExchangeError> {
        let context = self.context();
        let reply = context.reply(result)?;
        let held = read(&context, &reply)?;
        self.token = Some(held.token.clone());
        self.wallet.hold(Some(held));
        Ok(self.authorise(request))
    }

    fn context(&self) -> RequestContext {
        context(&self.url, self.auth.secret(), "get an installation token of the GitHub App", REMEDIES)
    }
}

impl<C: Exchange> Authorised<C> {
    fn pass(&mut self, step: Step<C::Output>) -> Step<C::Output> {
        match step {
            Step::Perform(Effect::Http(request))
                if !request.headers.iter().any(|(name, _)| *name == "authorization") =>
            {
                self.authorise(request)
            }
            Step::Perform(ask) => {
                self.at = At::Other;
                Step::Perform(ask)
            }
            Step::Done(result) => Step::Done(result),
        }
    }

    fn go_on(&mut self, result: EffectResult) -> Result<Step<C::Output>, ExchangeError> {
        match (mem::take(&mut self.at), result) {
            (At::Clock(request), EffectResult::Clock(now)) => Ok(self.clock(request, now)),
            (At::Signature(request, claims), EffectResult::Sign(Ok(signature))) => {
                Ok(self.signature(request, &claims, &signature))
            }
            (At::Signature(..), EffectResult::Sign(Err(why))) => {
                let what = format!(
                    "the GitHub App's private key cannot be used: {why}; store the .pem file that GitHub gave as it is"
                );
                Err(ExchangeError::new(ErrorKind::Unauthorized, what))
            }
            (At::Token(request), result) => self.bought(request, result),
            (At::Ours(request), EffectResult::Http(Ok(reply)))
                if reply.status == 401 && !self.renewed && matches!(self.auth, GitHubAuth::App(..)) =>
            {
                self.renewed = true;
                self.token = None;
                self.wallet.hold(None);
                Ok(self.authorise(request))
            }
            (At::Ours(_) | At::Other, result) => {
                let step = self.inner.resume(result);
                Ok(self.pass(step))
            }
            (At::Nowhere, _) => Err(self.context().malformed("an answer came that nobody asked for")),
            (At::Clock(_) | At::Signature(..), _) => {
                Err(self.context().malformed("something else came than what was asked"))
            }
        }
    }
}

impl<C: Exchange> Exchange for Authorised<C> {
    type Output = C::Output;

    fn start(&mut self) -> Step<C::Output> {
        (self.at, self.token, self.renewed) = (At::Nowhere, None, false);
        let step = self.inner.start();
        self.pass(step)
    }

    fn resume(&mut self, result: EffectResult) -> Step<C::Output> {
        self.go_on(result).unwrap_or_else(|error| Step::Done(Err(error)))
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
    let claims = json!({"iat": now - seconds(PAST), "exp": now + seconds(FUTURE), "iss": app.app_id});
    [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

fn read(context: &RequestContext, reply: &Reply) -> Result<Held, ExchangeError> {
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
    Ok(Held { token: token.into(), until })
}
