//! The loop against fake groups and queues.

mod checking;
pub(crate) mod hinting;
mod isolation;
mod metering;
mod partial;
mod raise_history;
mod raising;
mod recent_desired;
mod releasing;
mod remembering;
mod rotation;
mod showing;
mod standby;
mod turns;
mod watching;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use lightsout_cloud::{
    Groups,
    fake::{FakeGroups, Fault, GroupsCall},
};
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::{Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Program},
    platform::{Demand, Queue, Reading},
    record::Decision,
    settings::{Fragment, ScalerSettings},
};
use lightsout_io::http::Driver;

use crate::{
    pool::{Pool, TickContext},
    scheduler::Scheduler,
    tokens::Tokens,
};

/// What was asked of these groups, in order.
fn calls(groups: &FakeGroups) -> Vec<String> {
    groups.calls().iter().map(ToString::to_string).collect()
}

/// A queue that gives the same answer for ever, after a program that sleeps for so many seconds.
#[derive(Clone, Debug)]
struct Answers(Result<Reading, ExchangeError>, Option<&'static str>);

impl Exchange for Answers {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        let Some(seconds) = self.1 else { return ExchangeStep::Done(self.0.clone()) };
        let argv = vec!["sleep".into(), seconds.into()];
        ExchangeStep::perform(Effect::Program(Program::new(argv, Vec::new(), Duration::from_secs(30))))
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<Reading> {
        ExchangeStep::Done(self.0.clone())
    }
}

impl Queue for Answers {
    fn platform(&self) -> &'static str {
        "fake"
    }
}

fn waiting(queued: u32) -> Answers {
    Answers(Ok(Demand { queued, running: Some(0), poll_after: None }.into()), None)
}

/// Some jobs wait, and a part of the queue was not read.
fn partly(queued: u32, missing: ExchangeError) -> Answers {
    let demand = Demand { queued, running: Some(0), poll_after: None };
    Answers(Ok(Reading { demand, missing: Some(missing) }), None)
}

fn failing(message: &str) -> Answers {
    Answers(Err(ExchangeError::new(ErrorKind::Server, message)), None)
}

fn throttled() -> CloudError {
    CloudError::new(CloudErrorKind::Throttled, "the cloud throttles the account's calls")
}

/// Settings of pools that are named as their groups, with more lines for each.
fn settings(pools: &[(&str, &str)]) -> ScalerSettings {
    let pool = |(group, more): &(&str, &str)| {
        format!("[[pool]]\ngroup = '{group}'\nplatform.command.queue = ['{group}-queue']\n{more}\n")
    };
    let text: String = pools.iter().map(pool).collect();
    ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap()
}

fn context(settings: &ScalerSettings, groups: &FakeGroups) -> TickContext {
    let tokens = Tokens::new(|_, source| async move { panic!("nobody needs {source}") });
    TickContext::new(Driver::new("test"), tokens, settings, |location| {
        Box::new(groups.clone().at(&location.region.unwrap_or_default())) as Box<dyn Groups>
    })
}

/// A scheduler whose pools read these queues, in the order of the settings.
fn scheduler(settings: &ScalerSettings, context: TickContext, queues: Vec<Answers>) -> Scheduler {
    let pools = Pool::all(settings.pools.clone());
    let pools = pools.into_iter().zip(queues).map(|(pool, queue)| pool.with_queue(Box::new(queue)));
    Scheduler::new(Rc::new(context), pools.collect())
}

/// One tick: the records in the order in which they came.
async fn ticked(scheduler: &mut Scheduler) -> Vec<Decision> {
    let mut records = Vec::new();
    scheduler.once(|record| records.push(record.clone())).await;
    records
}
