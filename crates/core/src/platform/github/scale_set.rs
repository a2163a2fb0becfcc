//! The queue by the session of a runner scale set.

mod session;

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use self::session::{Service, Session, Statistics};
use super::{
    GitHubAuth, GitHubScaleSetSettings, NAME, UNAUTHORIZED,
    auth::{Authorised, Wallet},
    context,
    refusal::refusal,
};
use crate::{
    exchange::{
        Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, Method, Reply, Request, Step, Text,
        Unreachable,
    },
    platform::{
        Demand, Queue, Reading,
        answer::{Document, Remedies, RequestContext, percent_encode},
    },
};

/// GitHub holds a question for messages open for some 50 s; no message in this time means that nothing changed.
const LISTEN: Duration = Duration::from_secs(2);

/// How long to wait for another owner's session to end.
const OWNED: Duration = Duration::from_secs(30);

const FORBIDDEN: &str = "the token needs the permission organization_self_hosted_runners: write for an organization (a classic token: admin:org), \
                         administration: write for a repository (a classic token: repo)";

const REMEDIES: Remedies = Remedies {
    unauthorized: UNAUTHORIZED,
    forbidden: FORBIDDEN,
    not_found: "the owner, the scale set or its session does not exist, or the token may not see it",
};

/// Reads the queue of a runner scale set from its message session: see [`crate::platform::github`].
#[derive(Debug)]
pub struct GitHubScaleSetQueue(Authorised<Listener>);

impl GitHubScaleSetQueue {
    /// A reader without a session.
    ///
    /// # Errors
    /// When the secret or a setting cannot be one of GitHub.
    pub fn new(settings: GitHubScaleSetSettings, auth: GitHubAuth) -> Result<Self, ExchangeError> {
        auth.check()?;
        settings.check()?;
        let (url, secret) = (settings.url.clone(), auth.secret().clone());
        let listener = Listener { settings, secret, session: None, at: None, renewed: false };
        Ok(Self(Authorised::new(url, auth, Wallet::default(), listener)))
    }
}

impl Exchange for GitHubScaleSetQueue {
    type Output = Reading;

    fn start(&mut self) -> Step<Reading> {
        self.0.start()
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> Step<Reading> {
        self.0.resume(id, result)
    }

    fn more(&mut self) -> Step<Reading> {
        self.0.more()
    }
}

impl Queue for GitHubScaleSetQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}

#[derive(Debug)]
struct Listener {
    settings: GitHubScaleSetSettings,
    /// What must never be shown.
    secret: SecretString,
    session: Option<Session>,
    at: Option<At>,
    /// Whether the session was renewed or made in this very reading.
    renewed: bool,
}

/// Which answer is awaited.
#[derive(Debug)]
enum At {
    /// The registration token.
    Registration,
    /// The address of the service and its token.
    Service,
    /// The scale set's number.
    ScaleSet(Service),
    /// The new session.
    Opened { service: Service, scale_set: u64 },
    /// The renewed session.
    Renewed(Session),
    /// A message.
    Message(Session),
    /// The acknowledgement of the message with this number.
    Acknowledged(Session),
}

type Next = Result<Step<Reading>, ExchangeError>;

impl Listener {
    fn begin(&mut self) -> Step<Reading> {
        self.renewed = false;
        // A reading that was cut short had the session with it.
        let cut = match self.at.take() {
            Some(At::Message(session) | At::Acknowledged(session)) => Some(session),
            Some(At::Registration | At::Service | At::ScaleSet(_) | At::Opened { .. } | At::Renewed(_)) | None => None,
        };
        match self.session.take().or(cut) {
            Some(session) => self.listen(session),
            None => self.open(),
        }
    }

    /// From the token at hand to a session: four calls.
    fn open(&mut self) -> Step<Reading> {
        self.renewed = true;
        let url = format!("{}/{}/actions/runners/registration-token", self.settings.url, self.settings.owner.path());
        self.ask(At::Registration, Request::new(Method::Post, url))
    }

    fn listen(&mut self, session: Session) -> Step<Reading> {
        let request = Request::get(session.messages())
            .header("authorization", session.bearer())
            .header("accept", "application/json; api-version=6.0-preview")
            .header("x-scalesetmaxcapacity", self.settings.max_jobs.to_string())
            .within(LISTEN);
        self.ask(At::Message(session), request)
    }

    fn ask(&mut self, at: At, request: Request) -> Step<Reading> {
        self.at = Some(at);
        Step::perform(Effect::Http(request))
    }

    fn go_on(&mut self, result: EffectResult) -> Next {
        match self.at.take() {
            None => Err(self.context("read the queue").malformed("an answer came that nobody asked for")),
            Some(At::Registration) => self.registration(result),
            Some(At::Service) => self.service(result),
            Some(At::ScaleSet(service)) => self.scale_set(result, service),
            Some(At::Opened { service, scale_set }) => self.opened(result, service, scale_set),
            Some(At::Renewed(session)) => self.session_renewed(result, session),
            Some(At::Message(session)) => self.message(result, session),
            Some(At::Acknowledged(session)) => Ok(self.acknowledged(result, session)),
        }
    }

    fn registration(&mut self, result: EffectResult) -> Next {
        let context = self.context("get a registration token");
        let reply = expect(&context, result, 201)?;
        let document = context.json(&reply)?;
        let token = document.root().key("token")?.text()?.to_owned();
        let url = format!("{}/actions/runner-registration", self.settings.url);
        let body = json!({"url": owner_page(&self.settings), "runner_event": "register"});
        let request = Request::new(Method::Post, url)
            .header("authorization", Text::secret(format!("RemoteAuth {token}")))
            .json(&body, false);
        Ok(self.ask(At::Service, request))
    }

    fn service(&mut self, result: EffectResult) -> Next {
        let context = self.context("find the Actions service");
        let reply = context.reply(result)?;
        match reply.status {
            200 => {}
            // A fresh registration token is not known everywhere at once (actions/scaleset, client.go).
            401 | 403 => {
                return Err(ExchangeError { kind: ErrorKind::Server, ..refusal(&context, &reply) });
            }
            _ => return Err(refusal(&context, &reply)),
        }
        let service = Service::read(&context, &context.json(&reply)?)?;
        let list = format!(
            "runtime/runnerscalesets?runnerGroupId={}&name={}",
            self.settings.runner_group_id,
            percent_encode(self.settings.scale_set.trim())
        );
        let request = service.request(Method::Get, &list);
        Ok(self.ask(At::ScaleSet(service), request))
    }

    fn scale_set(&mut self, result: EffectResult, service: Service) -> Next {
        let name = self.settings.scale_set.trim();
        let context = self.context(format!("find the runner scale set {name}"));
        let reply = expect(&context, result, 200)?;
        let document = context.json(&reply)?;
        let ids =
            document.root().key("value")?.list()?.map(|one| one.key("id")?.number()).collect::<Result<Vec<_>, _>>()?;
        let [scale_set] = ids[..] else {
            let why = format!(
                "there are {} of this name in the runner group {}; create one, or correct scale_set or runner_group_id",
                ids.len(),
                self.settings.runner_group_id
            );
            return Err(context.error(ErrorKind::NotFound, why));
        };
        let request = service
            .request(Method::Post, &format!("runtime/runnerscalesets/{scale_set}/sessions"))
            .json(&json!({"ownerName": format!("lightsout {name}")}), false);
        Ok(self.ask(At::Opened { service, scale_set }, request))
    }

    fn opened(&mut self, result: EffectResult, service: Service, scale_set: u64) -> Next {
        let context = self.context("open a message session of the runner scale set");
        let reply = context.reply(result)?;
        if reply.status == 409 {
            let why = "another owner holds its one session: a second scaler, Actions Runner Controller, or a scaler that has ended and whose session \
                       has not yet run out; let one `watch` have it";
            return Err(context.error(ErrorKind::Throttled(Some(OWNED)), format!("HTTP 409; {why}")));
        }
        let session = Session::read(&context, &reply, service, scale_set)?;
        Ok(self.done(session))
    }

    /// The queue's token has run out: the session is renewed, once in a reading; when it is gone a new one is opened.
    fn renew(&mut self, session: Session) -> Step<Reading> {
        if std::mem::replace(&mut self.renewed, true) {
            let context = self.context("read the messages of the runner scale set");
            return Step::Done(Err(
                context.error(ErrorKind::Server, "GitHub refuses the token that it just gave; it is asked again")
            ));
        }
        let request = session.service.request(Method::Patch, &session.path());
        self.ask(At::Renewed(session), request)
    }

    fn session_renewed(&mut self, result: EffectResult, session: Session) -> Next {
        let context = self.context("renew the message session of the runner scale set");
        let reply = context.reply(result)?;
        if matches!(reply.status, 401 | 403 | 404) {
            return Ok(self.open());
        }
        let last = session.last;
        let mut session = Session::read(&context, &reply, session.service, session.scale_set)?;
        session.last = last;
        Ok(self.done(session))
    }

    fn message(&mut self, result: EffectResult, mut session: Session) -> Next {
        let context = self.context("read the messages of the runner scale set");
        if let EffectResult::Http(Err(Unreachable::Timeout(_))) = result {
            return Ok(self.done(session));
        }
        let reply = match context.reply(result) {
            Ok(reply) => reply,
            Err(error) => {
                self.session = Some(session);
                return Err(error);
            }
        };
        match reply.status {
            202 => Ok(self.done(session)),
            401 => Ok(self.renew(session)),
            404 => Ok(self.open()),
            200 => {
                let (number, statistics) = match read_message(&context, &reply) {
                    Ok(read) => read,
                    Err(error) => {
                        self.session = Some(session);
                        return Err(error);
                    }
                };
                session.statistics = statistics;
                session.last = number;
                let request = Request::new(Method::Delete, session.message(number))
                    .header("authorization", session.bearer())
                    .header("accept", "application/json; api-version=6.0-preview");
                Ok(self.ask(At::Acknowledged(session), request))
            }
            _ => {
                self.session = Some(session);
                Err(refusal(&context, &reply))
            }
        }
    }

    /// A message that could not be acknowledged is told again, which changes nothing: its number is remembered.
    fn acknowledged(&mut self, result: EffectResult, session: Session) -> Step<Reading> {
        match result {
            EffectResult::Http(Ok(reply)) if reply.status == 401 => self.renew(session),
            EffectResult::Http(_) | EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                self.done(session)
            }
        }
    }

    fn done(&mut self, session: Session) -> Step<Reading> {
        let Statistics { assigned, running } = session.statistics;
        self.session = Some(session);
        let demand = Demand { queued: assigned.saturating_sub(running), running: Some(running), poll_after: None };
        Step::Done(Ok(demand.into()))
    }

    fn context(&self, what: impl Into<String>) -> RequestContext {
        context(&self.settings.url, &self.secret, what, REMEDIES)
    }
}

impl Exchange for Listener {
    type Output = Reading;

    fn start(&mut self) -> Step<Reading> {
        self.begin()
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> Step<Reading> {
        self.go_on(result).unwrap_or_else(|error| Step::Done(Err(error)))
    }
}

fn expect(context: &RequestContext, result: EffectResult, status: u16) -> Result<Reply, ExchangeError> {
    let reply = context.reply(result)?;
    if reply.status == status { Ok(reply) } else { Err(refusal(context, &reply)) }
}

fn read_message(context: &RequestContext, reply: &Reply) -> Result<(u64, Statistics), ExchangeError> {
    let document: Document = context.json(reply)?;
    let root = document.root();
    Ok((root.key("messageId")?.number()?, Statistics::read(&root)?))
}

/// The owner's page, by which the Actions service knows it.
fn owner_page(settings: &GitHubScaleSetSettings) -> String {
    let api = settings.url.as_str();
    let host = match api.strip_suffix("/api/v3") {
        Some(host) => host.to_owned(),
        None => api.replacen("://api.", "://", 1),
    };
    format!("{host}/{}", settings.owner.name())
}
