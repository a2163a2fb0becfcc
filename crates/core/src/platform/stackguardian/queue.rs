//! How many workflows of a runner group wait and run.

use secrecy::SecretString;

use super::{
    NAME, StackGuardianQueueSettings,
    api::{Api, members},
    settings::check_api_key,
};
use crate::{
    exchange::{EffectId, EffectResult, Exchange, ExchangeError, ExchangeStep},
    platform::{Demand, Queue, Reading, answer::Remedies},
};

const REMEDIES: Remedies = Remedies {
    unauthorized: "the API key is wrong, expired or deleted; create one in StackGuardian's settings (sgu_... or sgo_...) and put it into the \
                   secret that the scaler reads",
    forbidden: "the API key's role does not allow to read this runner group (GET on it); add it to the role in StackGuardian",
    not_found: "there is no such organization or runner group, or the key may not see it; correct organization and runner_group, and check \
                that the url is that of your region",
};

/// Reads the queue of a runner group: see [`crate::platform::stackguardian`].
#[derive(Debug)]
pub struct StackGuardianQueue {
    api: Api,
}

impl StackGuardianQueue {
    /// A reader with these settings and an API key of a user (`sgu_...`) or of the organization (`sgo_...`).
    ///
    /// # Errors
    /// When the key cannot be one of StackGuardian.
    pub fn new(settings: StackGuardianQueueSettings, api_key: SecretString) -> Result<Self, ExchangeError> {
        check_api_key(&api_key)?;
        let StackGuardianQueueSettings { url, organization, runner_group } = settings;
        Ok(Self { api: Api { url, organization, runner_group, key: api_key, remedies: REMEDIES } })
    }

    fn demand(&self, result: EffectResult) -> Result<Reading, ExchangeError> {
        let context = self.api.context("read the queue");
        let reply = context.reply(result)?;
        if reply.status != 200 {
            return Err(context.refusal(&reply));
        }
        let queued = context.json(&reply)?.root().key("msg")?.key("QueuedWorkflowsCount")?.count()?;
        let running = members(&context, &reply)?
            .and_then(|members| members.iter().try_fold(0_u32, |sum, member| Some(sum.saturating_add(member.tasks?))));
        Ok(Demand { queued, running, poll_after: None }.into())
    }
}

impl Exchange for StackGuardianQueue {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        ExchangeStep::perform(self.api.read_group())
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        ExchangeStep::Done(self.demand(result))
    }
}

impl Queue for StackGuardianQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}
