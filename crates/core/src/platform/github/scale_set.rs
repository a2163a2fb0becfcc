//! The queue by the session of a runner scale set.

mod closing;
mod offers;
pub(super) mod service;
mod session;
mod waits;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use self::{
    offers::Offers,
    service::Service,
    session::{Message, Session, Statistics},
    waits::{JobEvent, WaitingJobs},
};
use super::{
    GitHubAuth, GitHubScaleSetSettings, NAME, UNAUTHORIZED,
    auth::{Authorised, TokenCache},
    context,
    refusal::refusal,
};
use crate::{
    duration::format_duration,
    exchange::{
        Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Method, Request,
        Unreachable,
    },
    platform::{
        Demand, Queue, Reading, Waits,
        answer::{Remedies, RequestContext},
        steps::unasked,
    },
};

/// GitHub holds a question for messages open for some 50 s; no message in this time means that nothing changed.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);

/// A message that waits already is given at once. So the next one is asked for after each, for this long.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// So many messages are read in one reading at most, which has a deadline.
const MOST_MESSAGES: u32 = 8;

/// How long to wait for another owner's session to end.
const SESSION_WAIT: Duration = Duration::from_secs(30);

const FIND_SERVICE: &str = "find the Actions service";

const FORBIDDEN: &str = "the token needs the permission organization_self_hosted_runners: write for an organization (a classic token: admin:org), \
                         administration: write for a repository (a classic token: repo)";

const REMEDIES: Remedies = Remedies {
    unauthorized: UNAUTHORIZED,
    forbidden: FORBIDDEN,
    not_found: "the owner, the scale set or its session does not exist, or the token may not see it",
};

/// Reads the queue of a runner scale set from its message session: see [`crate::platform::github`].
///
/// # Errors
/// When the secret cannot be one of GitHub.
pub fn scale_set_queue(settings: GitHubScaleSetSettings, auth: GitHubAuth) -> Result<impl Queue, ExchangeError> {
    auth.check()?;
    let (url, secret) = (settings.url.clone(), auth.secret().clone());
    let listener = Listener {
        settings,
        secret,
        session: None,
        at: None,
        renewed: false,
        told: false,
        offers: Offers::default(),
        messages: 0,
        events: Vec::new(),
        assigned: WaitingJobs::default(),
    };
    Ok(Authorised::new(url, auth, TokenCache::default(), listener))
}

impl Queue for Listener {
    fn platform(&self) -> &'static str {
        NAME
    }

    /// A question that GitHub holds open is cut off, so that no answer has its time.
    fn waits(&mut self, now: Timestamp) -> Option<Waits> {
        Some(self.assigned.told(now))
    }

    fn only_look(&mut self) -> Option<&'static str> {
        self.offers.looks = true;
        Some("jobs that are offered are counted and not taken, and messages stay for who reads on")
    }

    fn take_secret(&mut self, secret: &SecretString) -> Result<bool, ExchangeError> {
        if self.session.is_none() {
            return Ok(false);
        }
        self.secret = secret.clone();
        Ok(true)
    }

    fn release(&mut self) -> Option<Call<()>> {
        let session = self.session.take()?;
        Some(closing::close(self.settings.clone(), self.secret.clone(), session))
    }
}

#[derive(Debug)]
struct Listener {
    settings: GitHubScaleSetSettings,
    /// What must never be shown.
    secret: SecretString,
    /// Ours, until GitHub says that it is gone or another one is open: no failure on the way loses it, since only its
    /// id renews it, and what is lost stands in the way of every other until it runs out.
    session: Option<Session>,
    at: Option<At>,
    /// Whether the session was renewed or made in this very reading.
    renewed: bool,
    /// Whether GitHub said in this reading what the scale set has to do: what was counted then is a lower bound, whatever fails later.
    told: bool,
    offers: Offers,
    /// How many messages were read in this reading.
    messages: u32,
    /// What the message at hand says of jobs; it counts once the message is done with.
    events: Vec<JobEvent>,
    /// The jobs that messages told of.
    assigned: WaitingJobs,
}

/// Which answer is awaited.
#[derive(Debug)]
enum At {
    /// The registration token, on the way to the service.
    Registration(Goal),
    /// The address of the service and its token.
    Service(Goal),
    /// The scale set's number.
    ScaleSet(Service),
    /// The new session.
    Opened {
        service: Service,
        scale_set: u64,
    },
    /// The renewed session; `fresh` when the service's own token is.
    Renewed {
        fresh: bool,
    },
    Message,
    /// The jobs that were offered before the session was.
    Acquirable,
    /// The jobs that were offered, by a message of this number or before any.
    Acquired {
        number: Option<u64>,
        offered: u32,
    },
    /// The acknowledgement of the message.
    Acknowledged,
}

/// What the service is needed for.
#[derive(Clone, Copy, Debug)]
enum Goal {
    Open,
    /// To renew the session, since the token that the service gave for it has run out, too.
    Renew,
}

type Next = Result<ExchangeStep<Reading>, ExchangeError>;

impl Listener {
    fn begin(&mut self) -> ExchangeStep<Reading> {
        (self.renewed, self.told, self.messages) = (false, false, 0);
        self.offers.begin();
        self.assigned.begin();
        match &self.session {
            Some(session) => {
                let request = session.listen(self.settings.max_jobs.get()).within(LISTEN_TIMEOUT);
                self.ask(At::Message, request)
            }
            None => self.log_in(Goal::Open),
        }
    }

    /// The statistics that count are those of the last message: with one message a reading, a busy scale set's would be ever older.
    fn listen_again(&mut self) -> Next {
        if self.messages >= MOST_MESSAGES {
            return self.done(None);
        }
        let max_jobs = self.settings.max_jobs.get();
        let request = self.session()?.listen(max_jobs).within(LISTEN_AGAIN);
        Ok(self.ask(At::Message, request))
    }

    fn session(&mut self) -> Result<&mut Session, ExchangeError> {
        self.session.as_mut().ok_or_else(unasked)
    }

    /// From the token at hand to the service: two calls.
    fn log_in(&mut self, goal: Goal) -> ExchangeStep<Reading> {
        self.renewed = true;
        let request = service::ask_registration(&self.settings.url, &self.settings.owner);
        self.ask(At::Registration(goal), request)
    }

    fn ask(&mut self, at: At, request: Request) -> ExchangeStep<Reading> {
        self.at = Some(at);
        ExchangeStep::perform(Effect::Http(request))
    }

    fn go_on(&mut self, result: EffectResult) -> Next {
        let GitHubScaleSetSettings { url, owner, scale_set, runner_group_id, .. } = &self.settings;
        let name = scale_set.trim();
        match self.at.take() {
            None => Err(unasked()),
            Some(At::Registration(goal)) => {
                let request = service::ask_service(&self.context("get a registration token"), result, url, owner)?;
                Ok(self.ask(At::Service(goal), request))
            }
            Some(At::Service(Goal::Renew)) => {
                let service = Service::read(&self.context(FIND_SERVICE), result)?;
                let session = self.session()?;
                session.service = service;
                let request = session.renew();
                Ok(self.ask(At::Renewed { fresh: true }, request))
            }
            Some(At::Service(Goal::Open)) => {
                let service = Service::read(&self.context(FIND_SERVICE), result)?;
                let request = service.ask_scale_set(name, runner_group_id.get());
                Ok(self.ask(At::ScaleSet(service), request))
            }
            Some(At::ScaleSet(service)) => {
                let context = self.context(format!("find the runner scale set {name}"));
                let scale_set = service::scale_set(&context, result, runner_group_id.get())?;
                let request = service
                    .request(Method::Post, &format!("runtime/runnerscalesets/{scale_set}/sessions"))
                    .json(&json!({"ownerName": format!("lightsout {name}")}), false);
                Ok(self.ask(At::Opened { service, scale_set }, request))
            }
            Some(At::Opened { service, scale_set }) => self.opened(result, service, scale_set),
            Some(At::Renewed { fresh }) => self.session_renewed(result, fresh),
            Some(At::Message) => self.message(result),
            Some(At::Acquirable) => self.acquirable(result),
            Some(At::Acquired { number, offered }) => self.acquired(result, number, offered),
            Some(At::Acknowledged) => self.acknowledged(result),
        }
    }

    fn opened(&mut self, result: EffectResult, service: Service, scale_set: u64) -> Next {
        let context = self.context("open a message session of the runner scale set");
        let reply = context.reply(result)?;
        if reply.status == 409 {
            let said = context.own_message(&reply.body).map_or_else(String::new, |said| format!(" (GitHub: {said})"));
            let message = format!(
                "waits for the session of the runner scale set {}, which another owner holds{said}: another scaler, Actions Runner Controller, or \
                 a scaler that was killed and whose session has not yet run out. It is asked for again every {}, and this scaler takes over \
                 when it is free",
                self.settings.scale_set.trim(),
                format_duration(SESSION_WAIT)
            );
            return Err(ExchangeError::new(ErrorKind::Occupied(SESSION_WAIT), message));
        }
        self.session = Some(Session::read(&context, &reply, service, scale_set)?);
        // Whoever opens a session for one reading alone, a run of a timer, never comes to the messages that offer them.
        self.told = true;
        self.offers.owed = true;
        self.no_message()
    }

    /// The queue's token has run out: the session is renewed, once in a reading; when it is gone a new one is opened.
    fn renew(&mut self) -> Next {
        if std::mem::replace(&mut self.renewed, true) {
            let context = self.context("read the messages of the runner scale set");
            return Err(
                context.error(ErrorKind::Server, "GitHub refuses the token that it just gave; it is asked again")
            );
        }
        let request = self.session()?.renew();
        Ok(self.ask(At::Renewed { fresh: false }, request))
    }

    fn session_renewed(&mut self, result: EffectResult, fresh: bool) -> Next {
        let context = self.context("renew the message session of the runner scale set");
        let reply = context.reply(result)?;
        match reply.status {
            // The service's token, too, lasts an hour. A new session would find this one in its way.
            401 | 403 if !fresh => Ok(self.log_in(Goal::Renew)),
            // Gone or not, it is kept until another one is open, and with it what was counted.
            401 | 403 | 404 => Ok(self.log_in(Goal::Open)),
            _ => {
                let session = self.session()?;
                let renewed = Session::read(&context, &reply, session.service.clone(), session.scale_set)?;
                let last = std::mem::replace(session, renewed).last;
                session.last = last;
                self.told = true;
                self.done(None)
            }
        }
    }

    fn message(&mut self, result: EffectResult) -> Next {
        let context = self.context("read the messages of the runner scale set");
        if let EffectResult::Http(Err(Unreachable::Timeout(_))) = result {
            return self.no_message();
        }
        let reply = context.reply(result)?;
        let message = match reply.status {
            200 => Message::read(&context, &reply)?,
            202 => return self.no_message(),
            401 => return self.renew(),
            404 => return Ok(self.log_in(Goal::Open)),
            _ => return Err(refusal(&context, &reply)),
        };
        self.messages += 1;
        self.told = true;
        if message.events.iter().any(JobEvent::is_assigned) {
            // By now GitHub counts what was taken before.
            self.offers.acquired = 0;
        }
        self.events = message.events;
        let session = self.session()?;
        session.statistics = message.statistics;
        if message.offered.is_empty() || self.offers.looks {
            return self.acknowledge(message.number);
        }
        self.acquire(&message.offered, Some(message.number))
    }

    fn acknowledge(&mut self, number: u64) -> Next {
        self.assigned.take(std::mem::take(&mut self.events));
        self.session()?.last = number;
        if self.offers.looks {
            // Whoever reads on finds it again.
            return self.listen_again();
        }
        let request = self.session()?.acknowledge(number);
        Ok(self.ask(At::Acknowledged, request))
    }

    /// A message that could not be acknowledged is told again, which changes nothing: its number is remembered.
    fn acknowledged(&mut self, result: EffectResult) -> Next {
        match result {
            EffectResult::Http(Ok(reply)) if reply.status == 401 => self.renew(),
            EffectResult::Http(_) | EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                self.listen_again()
            }
        }
    }

    fn done(&mut self, missing: Option<ExchangeError>) -> Next {
        let Statistics { available, assigned, running } = self.session()?.statistics;
        let offered = if self.offers.looks { available } else { self.offers.acquired };
        let counted = assigned.saturating_sub(running).saturating_add(offered);
        // A message was seen that counts nothing and assigns a job (actions/actions-runner-controller, issues 3204 and 3420).
        let queued = counted.max(self.assigned.fresh());
        self.assigned.settle(queued);
        let missing = self.offers.missing.take().or(missing);
        Ok(ExchangeStep::Done(Ok(Reading {
            demand: Demand { queued, running: Some(running), poll_after: None },
            missing,
        })))
    }

    fn context(&self, what: impl Into<String>) -> RequestContext {
        context(&self.settings.url, &self.secret, what, REMEDIES)
    }
}

impl Exchange for Listener {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        self.begin()
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        let next = self.go_on(result);
        let lower_bound = |error| if self.told { self.done(Some(error)) } else { Err(error) };
        next.or_else(lower_bound).unwrap_or_else(|error| ExchangeStep::Done(Err(error)))
    }
}
