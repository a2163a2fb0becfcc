//! The scaler as a function of a cloud, whichever that is: what an invocation does, ticks as many as fit, or a webhook with the ticks that it asks
//! for. How invocations come is told by [`crate::lambda`] and [`crate::custom_handler`].

mod open;
mod settings;

use std::{
    collections::BTreeMap,
    fmt::Display,
    rc::Rc,
    time::{Duration, Instant},
};

use hyper::StatusCode;
use jiff::Timestamp;
use lightsout_core::{
    duration::format_duration,
    platform::webhook::Refused,
    record::{Decision, Outcome},
    settings::{PoolSettings, ScalerSettings},
};
use lightsout_io::log::Format;
use serde_json::{Value, json};

pub(crate) use self::open::{Opened, SettingsSource, run};
use crate::{
    listener::{Limits, LogLimiter},
    meter::Meter,
    pool::{Pool, TickContext, TickDeadline},
    say,
    scheduler::{Scheduler, Span},
    trouble::summarize,
    webhooks::Webhooks,
};

/// How long before the time-out everything ends: enough to say what did not.
const WRAP_UP: Duration = Duration::from_secs(1);
/// How long before that no tick goes on: what platforms hold for this environment is given back.
const RELEASE: Duration = Duration::from_secs(1);
/// How long before the time-out, beyond a pool's deadline, no tick begins any more.
const RESERVE: Duration = Duration::from_secs(3);
/// How long a webhook's ticks may take. Senders give up after 10 s (GitLab, "Webhooks"; GitHub, "Handling failed webhook deliveries").
const WEBHOOK: Duration = Duration::from_secs(6);
/// What is said of a tick that was cut off.
const CUT: &str =
    "its tick had not ended when the function's time-out came near: see why it is slow, or raise the time-out";
/// The same of one for a webhook.
const CUT_OF_WEBHOOK: &str = "its tick for a webhook had not ended when the sender was to be answered: see why it is slow; the next scheduled \
                              invocation ticks again";

/// Below this a function's address takes webhooks.
const HOOKS: &str = "/hooks/";

/// The variable that says how often an invocation ticks.
const TICKS: &str = "LIGHTSOUT_SCALER_TICKS";

/// What the environment of the process holds.
type Variables = BTreeMap<String, String>;

/// Why an invocation fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionError {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl FunctionError {
    pub(crate) fn new(kind: &'static str, message: impl Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

/// A request that somebody sent to the function's address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case; one that came several times holds all its values, with commas.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// How often a scheduled invocation ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticks {
    /// Every `tick`, until the time-out is near.
    UntilDeadline,
    /// Once.
    One,
}

impl Ticks {
    /// As the environment says.
    fn read(variables: &Variables) -> Result<Self, String> {
        match variables.get(TICKS).map(String::as_str) {
            None | Some("" | "until-deadline") => Ok(Self::UntilDeadline),
            Some("one") => Ok(Self::One),
            Some(other) => Err(format!("{TICKS} = {other:?}: write until-deadline or one")),
        }
    }
}

/// The pools and what they remember.
pub(crate) struct Function {
    context: Rc<TickContext>,
    scheduler: Scheduler,
    settings: ScalerSettings,
    ticks: Ticks,
    webhooks: Option<Webhooks>,
    refusals: LogLimiter,
    /// Apart from these, since an operator must see to them.
    troubles: LogLimiter,
    /// Whether it was said that the time-out is short.
    warned: bool,
}

impl Function {
    /// One that has done nothing yet.
    fn new(mut context: TickContext, settings: ScalerSettings, ticks: Ticks) -> Self {
        match ticks {
            Ticks::UntilDeadline => context.carries = true,
            Ticks::One => context.only_once(settings.pools.len()),
        }
        if settings.metrics.emf {
            context.meter = Meter::new(&settings.pools, true);
        }
        let context = Rc::new(context);
        let scheduler = Scheduler::new(Rc::clone(&context), Pool::all(settings.pools.clone()));
        let (refusals, troubles) = (LogLimiter::new(Instant::now()), LogLimiter::new(Instant::now()));
        Self { context, scheduler, settings, ticks, webhooks: None, refusals, troubles, warned: false }
    }

    /// The same function, whose pools have other queues.
    #[cfg(test)]
    fn replace_queues(&mut self, queue: impl Fn(&str) -> Box<dyn lightsout_core::platform::Queue>) {
        self.scheduler.replace_queues(queue);
    }

    /// Ticks until this time is near. Fails when a tick of any pool failed, after every pool had its ticks.
    pub(crate) async fn scheduled(&mut self, until: Instant) -> Result<Value, FunctionError> {
        self.warn_of_short_time(until);
        let span = span(Instant::now(), until, self.context.deadline);
        let pause = (self.ticks == Ticks::UntilDeadline).then_some(self.settings.tick);
        let (mut ticks, mut raises, mut failures) = (0_u32, 0_u32, BTreeMap::<String, Vec<String>>::new());
        let meter = self.context.meter.clone();
        let done = |record: &Decision| {
            say(Format::Json, record, &meter);
            ticks += 1;
            raises += u32::from(record.result == Outcome::Raised);
            if let Some(failure) = record.failure() {
                failures.entry(record.pool.clone()).or_default().push(failure.to_owned());
            }
        };
        self.scheduler.spell(pause, span, done).await;
        let pools = self.settings.pools.len();
        let failed = failures.into_iter().filter_map(|(pool, mut errors)| {
            let (count, last) = (errors.len(), errors.pop()?);
            Some((pool, if count > 1 { format!("{last} ({count} ticks failed)") } else { last }))
        });
        match summarize(pools, &failed.collect::<Vec<_>>()) {
            Ok(()) => Ok(json!({ "pools": pools, "ticks": ticks, "raises": raises })),
            Err(failure) => Err(FunctionError::new("PoolsFailed", failure)),
        }
    }

    /// Takes a webhook, and ticks the pools that it is about before it answers: afterwards the process stands still.
    pub(crate) async fn request(&mut self, request: &Request, until: Instant) -> StatusCode {
        let Some(path) = request.path.strip_prefix(HOOKS) else { return StatusCode::NOT_FOUND };
        if request.method != "POST" {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        if request.body.len() > Limits::default().body {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        // By the settings: whoever does not know a path makes nobody fetch a secret.
        let mut paths =
            self.settings.pools.iter().filter_map(|pool| pool.webhook.as_ref()).map(|hook| &hook.path).peekable();
        if paths.peek().is_none() {
            return StatusCode::NOT_FOUND;
        }
        if !paths.any(|known| known == path) {
            return StatusCode::UNAUTHORIZED;
        }
        let webhooks = match &mut self.webhooks {
            Some(webhooks) => webhooks,
            none => {
                let pools: Vec<Rc<PoolSettings>> = self.settings.pools.iter().cloned().map(Rc::new).collect();
                match Webhooks::resolve(&pools, &self.context.tokens).await {
                    Ok(webhooks) => none.insert(webhooks),
                    Err(error) => return no_secret(&self.troubles, &error),
                }
            }
        };
        let mut accepted = accept(webhooks, path, request);
        // It may be the secret that was changed: an environment lives for hours.
        if accepted == Err(Refused::Forged) {
            match webhooks.renew(path, &self.context.tokens).await {
                Ok(true) => accepted = accept(webhooks, path, request),
                Ok(false) => {}
                Err(error) => return no_secret(&self.troubles, &error),
            }
        }
        let pools = match accepted {
            Ok(pools) => pools,
            Err(why) => return self.refusals.say(path, why),
        };
        let meter = self.context.meter.clone();
        let times = webhook_span(Instant::now(), until);
        self.scheduler.tick_soon(pools, times, |record| say(Format::Json, record, &meter)).await;
        StatusCode::ACCEPTED
    }

    fn warn_of_short_time(&mut self, until: Instant) {
        let (left, enough) = (until.saturating_duration_since(Instant::now()), self.context.deadline + RESERVE);
        if left < enough && !std::mem::replace(&mut self.warned, true) {
            let (left, enough) = (Duration::from_secs(left.as_secs() + 1), format_duration(enough));
            tracing::warn!(
                left = format_duration(left),
                "the function's time-out is shorter than one tick may take: set it to 60 s, and to {enough} at least, or lower `deadline`"
            );
        }
    }
}

/// When the ticks of an invocation begin and end whose time is over at `until`. No tick goes on while the process stands still between two.
fn span(now: Instant, until: Instant, deadline: Duration) -> Span {
    let before = |span: Duration| until.checked_sub(span).unwrap_or(now);
    Span {
        last: before(deadline + RESERVE),
        cut: TickDeadline { at: before(WRAP_UP + RELEASE), why: CUT },
        end: before(WRAP_UP),
    }
}

/// When a webhook's ticks are cut off, and when what platforms hold must be given back.
fn webhook_span(now: Instant, until: Instant) -> (TickDeadline, Instant) {
    let end = until.checked_sub(WRAP_UP).unwrap_or(now).min(now + WEBHOOK + RELEASE);
    (TickDeadline { at: end.checked_sub(RELEASE).unwrap_or(now), why: CUT_OF_WEBHOOK }, end)
}

fn accept(webhooks: &Webhooks, path: &str, request: &Request) -> Result<Vec<String>, Refused> {
    let pools = webhooks.accept(path, &request.headers, &request.body, Timestamp::now())?;
    Ok(pools.into_iter().map(str::to_owned).collect())
}

fn no_secret(lines: &LogLimiter, error: &str) -> StatusCode {
    // Whoever knows the path can make it come again and again.
    lines.line(|withheld| tracing::error!(error, withheld, "webhooks cannot be taken"));
    StatusCode::INTERNAL_SERVER_ERROR
}

#[cfg(test)]
mod tests;
