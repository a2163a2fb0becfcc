//! GraphQL exchanges behind the login with an API key.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{SpaceliftQueueSettings, graphql, settings::check_key_secret};
use crate::{
    exchange::{
        Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Method, Reply, Request,
        Text,
    },
    platform::{
        answer::{Document, Remedies, RequestContext, sent_at},
        steps::{Next, Transition, unasked},
    },
};

/// A token that is valid for less than this is not used any more, in seconds. Our clock is the last answer's, so it
/// covers the time between two questions.
const MARGIN: u64 = 300;

const LOGIN: &str = "mutation Login($keyId: ID!, $keySecret: String!) { apiKeyUser(id: $keyId, secret: $keySecret) { jwt validUntil } }";

const BAD_KEY: &str = "the API key's id or secret is wrong, or the key was deleted; create one in Spacelift under API keys and give its id as \
                       api_key_id and its secret as api_key_secret";

const LOGIN_REMEDIES: Remedies =
    Remedies { unauthorized: BAD_KEY, forbidden: BAD_KEY, not_found: "check that the url is your account's address" };

/// A question to the GraphQL API.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// What we want, as an infinitive.
    pub(super) what: &'static str,
    pub(super) query: &'static str,
    pub(super) variables: Value,
    pub(super) remedies: Remedies,
}

/// An account, the API key to it, and the token that the key was last exchanged for. Its clones share the token.
#[derive(Clone)]
pub(super) struct Client {
    settings: SpaceliftQueueSettings,
    secret: SecretString,
    session: Arc<Mutex<Session>>,
}

#[derive(Default)]
struct Session {
    token: Option<Token>,
    /// Spacelift's time when it last answered, in seconds since the Unix epoch.
    clock: Option<u64>,
}

struct Token {
    jwt: SecretString,
    valid_until: Option<u64>,
}

impl Client {
    pub(super) fn new(settings: SpaceliftQueueSettings, secret: SecretString) -> Result<Self, ExchangeError> {
        check_key_secret(&secret)?;
        Ok(Self { settings, secret, session: Arc::default() })
    }

    /// The worker pool's id.
    pub(super) fn worker_pool(&self) -> &str {
        &self.settings.worker_pool
    }

    /// An exchange of questions: `first` asks the first, `next` reads each answer's document. The token is seen to in
    /// between.
    pub(super) fn call<S: Send + 'static, T: 'static>(
        &self,
        first: impl FnMut() -> Next<Question, S, T> + Send + 'static,
        next: impl FnMut(S, &Document) -> Next<Question, S, T> + Send + 'static,
    ) -> Call<T> {
        Box::new(QueryExchange { client: self.clone(), first, next, open: None, fresh: false, output: PhantomData })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, unless it is about to expire.
    fn token(&self) -> Option<SecretString> {
        let session = self.session();
        let token = session.token.as_ref()?;
        let over = token.valid_until.zip(session.clock).is_some_and(|(until, now)| until <= now.saturating_add(MARGIN));
        (!over).then(|| token.jwt.clone())
    }

    fn saw(&self, reply: &Reply) {
        if let Some(now) = sent_at(reply).and_then(|at| u64::try_from(at.as_second()).ok()) {
            self.session().clock = Some(now);
        }
    }

    fn context(&self, what: &str, remedies: Remedies, secret: SecretString) -> RequestContext {
        RequestContext {
            platform: format!("Spacelift at {}", self.settings.url),
            what: what.to_owned(),
            remedies,
            secret,
        }
    }

    fn asked_login(&self) -> RequestContext {
        self.context("log in with the API key", LOGIN_REMEDIES, self.secret.clone())
    }

    fn request(&self) -> Request {
        let url = format!("{}/graphql", self.settings.url);
        Request::new(Method::Post, url).header("accept", "application/json")
    }

    fn login(&self) -> Effect {
        let secret = self.secret.expose_secret();
        let variables = json!({ "keyId": &*self.settings.api_key_id, "keySecret": secret });
        Effect::Http(self.request().json(&json!({ "query": LOGIN, "variables": variables }), true))
    }

    fn question(&self, question: &Question, jwt: &SecretString) -> Effect {
        let bearer = Text::secret(format!("Bearer {}", jwt.expose_secret()));
        let body = json!({ "query": question.query, "variables": question.variables });
        Effect::Http(self.request().header("authorization", bearer).json(&body, false))
    }

    /// Takes the token out of the answer to a login.
    fn logged_in(&self, result: EffectResult) -> Result<SecretString, ExchangeError> {
        let context = self.asked_login();
        let reply = context.reply(result)?;
        self.saw(&reply);
        let document = graphql::read(&context, &reply)?;
        let Some(user) = document.root().key("data")?.key("apiKeyUser")?.not_null() else {
            return Err(context.error(ErrorKind::Unauthorized, BAD_KEY));
        };
        let jwt = user.key("jwt")?.text()?;
        if jwt.is_empty() || !jwt.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(context.malformed("data.apiKeyUser.jwt is no token"));
        }
        let valid_until = user.optional("validUntil")?.map(|until| until.number()).transpose()?;
        let jwt = SecretString::from(jwt);
        self.session().token = Some(Token { jwt: jwt.clone(), valid_until });
        Ok(jwt)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct QueryExchange<B, G, S, T> {
    client: Client,
    first: B,
    next: G,
    /// The question that is open, and the token that it was asked with; without one the login is open.
    open: Option<(Question, S, Option<SecretString>)>,
    /// Whether this very exchange logged in: then a refusal is no longer the token's age.
    fresh: bool,
    output: PhantomData<fn() -> T>,
}

impl<B, G, S, T> QueryExchange<B, G, S, T>
where
    G: FnMut(S, &Document) -> Next<Question, S, T> + Send,
{
    fn step(&mut self, next: Next<Question, S, T>) -> ExchangeStep<T> {
        match next {
            Ok(Transition::Perform(question, at)) => {
                let token = self.client.token();
                let ask = match &token {
                    Some(jwt) => self.client.question(&question, jwt),
                    None => self.client.login(),
                };
                self.open = Some((question, at, token));
                ExchangeStep::perform(ask)
            }
            Ok(Transition::Done(output)) => ExchangeStep::Done(Ok(output)),
            Err(error) => ExchangeStep::Done(Err(error)),
        }
    }

    fn go_on(&mut self, result: EffectResult) -> Result<ExchangeStep<T>, ExchangeError> {
        let (question, at, token) = self.open.take().ok_or_else(unasked)?;
        let Some(jwt) = token else {
            let jwt = self.client.logged_in(result)?;
            self.fresh = true;
            let ask = self.client.question(&question, &jwt);
            self.open = Some((question, at, Some(jwt)));
            return Ok(ExchangeStep::perform(ask));
        };
        let context = self.client.context(question.what, question.remedies, jwt);
        let reply = context.reply(result)?;
        self.client.saw(&reply);
        if graphql::unauthorized(&reply) {
            self.client.session().token = None;
            if !self.fresh {
                self.open = Some((question, at, None));
                return Ok(ExchangeStep::perform(self.client.login()));
            }
        }
        let document = graphql::read(&context, &reply)?;
        let next = (self.next)(at, &document);
        Ok(self.step(next))
    }
}

impl<B, G, S, T> Exchange for QueryExchange<B, G, S, T>
where
    B: FnMut() -> Next<Question, S, T> + Send,
    G: FnMut(S, &Document) -> Next<Question, S, T> + Send,
    S: Send,
{
    type Output = T;

    fn start(&mut self) -> ExchangeStep<T> {
        self.open = None;
        self.fresh = false;
        let next = (self.first)();
        self.step(next)
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<T> {
        self.go_on(result).unwrap_or_else(|error| ExchangeStep::Done(Err(error)))
    }
}
