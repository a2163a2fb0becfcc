//! How many jobs wait in a Buildkite queue.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{BuildkiteQueueSettings, NAME, settings::check_agent_token};
use crate::{
    exchange::{Effect, EffectId, EffectResult, Exchange, ExchangeError, ExchangeStep, Reply, Request, Text},
    platform::{
        Demand, Queue, Reading,
        answer::{Remedies, RequestContext, percent_encode},
    },
    settings::BaseUrl,
};

/// The longest wait that is taken on: a mistaken header must not stop us for a day.
const LONGEST_WAIT: u64 = 3600;

const REMEDIES: Remedies = Remedies {
    unauthorized: "the agent token is wrong or revoked, or may not be used from this address (its allowed IP addresses); \
                   create one in Buildkite under Agents > the queue's cluster > Agent Tokens and put it into the secret that the scaler reads",
    forbidden: "an agent token of the queue's cluster is needed (not an API access token), and its allowed IP addresses must include the scaler's",
    not_found: "the token's cluster has no such queue: an agent token sees its own cluster only; correct the queue's key, or use an agent token of \
                the cluster that the queue is in",
};

/// Reads a queue of Buildkite: see [`crate::platform::buildkite`] for what it can and cannot know.
#[derive(Debug)]
pub struct BuildkiteQueue {
    settings: BuildkiteQueueSettings,
    token: SecretString,
}

impl BuildkiteQueue {
    /// A reader with these settings and an agent token of the queue's cluster.
    ///
    /// # Errors
    /// When the token cannot be one of Buildkite.
    pub fn new(settings: BuildkiteQueueSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_agent_token(&token)?;
        Ok(Self { settings, token })
    }

    fn read(&self, result: EffectResult) -> Result<Reading, ExchangeError> {
        let context = RequestContext {
            platform: format!("Buildkite at {}", self.settings.url),
            what: format!("read the metrics of queue {}", self.settings.queue),
            remedies: REMEDIES,
            secret: self.token.clone(),
        };
        let reply = context.reply(result)?;
        if reply.status != 200 {
            return Err(context.refusal(&reply));
        }
        let metrics = context.json(&reply)?;
        let jobs = metrics.root().key("jobs")?;
        let (scheduled, running) = (jobs.key("scheduled")?.count()?, jobs.key("running")?.count()?);
        let waiting = if self.settings.include_waiting { jobs.key("waiting")?.count()? } else { 0 };
        let queued = scheduled.saturating_add(waiting);
        Ok(Demand { queued, running: Some(running), poll_after: poll_after(&reply) }.into())
    }
}

/// Asks for the metrics of a queue, with an agent token of its cluster.
pub(super) fn metrics(url: &BaseUrl, queue: &str, token: &SecretString) -> Effect {
    let url = format!("{url}/v3/metrics/queue?name={}", percent_encode(queue));
    let token = Text::secret(format!("Token {}", token.expose_secret()));
    Effect::Http(Request::get(url).header("authorization", token).header("accept", "application/json"))
}

/// How long Buildkite wants us to wait; what cannot be read is no wish.
fn poll_after(reply: &Reply) -> Option<Duration> {
    let seconds: u64 = reply.header("buildkite-agent-metrics-poll-duration")?.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

impl Exchange for BuildkiteQueue {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        ExchangeStep::perform(metrics(&self.settings.url, &self.settings.queue, &self.token))
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        ExchangeStep::Done(self.read(result))
    }
}

impl Queue for BuildkiteQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}
