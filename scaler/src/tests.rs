//! The loop against fake groups and queues.

mod checking;
mod hinting;
mod isolation;
mod raising;
mod rotation;
mod watching;

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use lightsout_cloud::aws::{
    AwsError, AwsErrorKind,
    groups::{Group, GroupView},
};
use lightsout_core::{
    exchange::{Effect, EffectResult, ErrorKind, Exchange, ExchangeError, Program, Step},
    platform::{Demand, Queue},
    record::Record,
    settings::{Fragment, ScalerSettings},
};
use lightsout_io::http::Driver;

use crate::{fleet::Fleet, pool::Pool, tokens::Tokens, world::World};

/// Groups in memory, and what was asked of them.
#[derive(Clone, Default)]
struct Groups(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    groups: BTreeMap<String, GroupView>,
    calls: Vec<String>,
    /// Describes and raises fail with this.
    broken: Option<AwsError>,
    /// After a describe somebody else raises to this.
    meddler: Option<u32>,
    /// How long a raise takes.
    raise_takes: Duration,
}

impl Groups {
    /// Groups from 0 to 10, desired 0, of these names.
    fn of(names: &[&str]) -> Self {
        let groups = Self::default();
        for name in names {
            groups.change(name, |_| {});
        }
        groups
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut GroupView)) {
        let mut inner = self.0.lock().unwrap();
        let view = inner.groups.entry(name.into()).or_insert_with(|| GroupView {
            name: name.into(),
            max: 10,
            new_instances_protected: true,
            ..GroupView::default()
        });
        change(view);
    }

    fn desired(&self, name: &str) -> u32 {
        self.0.lock().unwrap().groups[name].desired
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }
}

impl Group for Groups {
    async fn describe(&self, names: &[String]) -> Result<BTreeMap<String, GroupView>, AwsError> {
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(format!("describe {}", names.join(",")));
        if let Some(error) = &inner.broken {
            return Err(error.clone());
        }
        let seen = inner.groups.iter().filter(|(name, _)| names.contains(name));
        let seen = seen.map(|(name, view)| (name.clone(), view.clone())).collect();
        if let Some(desired) = inner.meddler.take() {
            inner.groups.values_mut().for_each(|view| view.desired = desired);
        }
        Ok(seen)
    }

    async fn raise(&self, name: &str, to: u32) -> Result<(), AwsError> {
        let takes = {
            let mut inner = self.0.lock().unwrap();
            inner.calls.push(format!("raise {name} {to}"));
            inner.raise_takes
        };
        tokio::time::sleep(takes).await;
        let mut inner = self.0.lock().unwrap();
        if let Some(error) = &inner.broken {
            return Err(error.clone());
        }
        inner.groups.get_mut(name).unwrap().desired = to;
        Ok(())
    }

    async fn set_tag(&self, group: &str, key: &str, value: &str) -> Result<(), AwsError> {
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(format!("tag {group} {key}={value}"));
        inner.groups.get_mut(group).unwrap().tags.insert(key.into(), value.into());
        Ok(())
    }
}

/// A queue that gives the same answer for ever, after a program that sleeps for so many seconds.
#[derive(Clone)]
struct Answers(Result<Demand, ExchangeError>, Option<&'static str>);

impl Exchange for Answers {
    type Output = Demand;

    fn start(&mut self) -> Step<Demand> {
        let Some(seconds) = self.1 else { return Step::Done(self.0.clone()) };
        let argv = vec!["sleep".into(), seconds.into()];
        Step::Perform(Effect::Program(Program { argv, env: Vec::new(), timeout: Duration::from_secs(30) }))
    }

    fn resume(&mut self, _: EffectResult) -> Step<Demand> {
        Step::Done(self.0.clone())
    }
}

impl Queue for Answers {
    fn platform(&self) -> &'static str {
        "fake"
    }
}

fn waiting(queued: u32) -> Answers {
    Answers(Ok(Demand { queued, running: Some(0), poll_after: None }), None)
}

fn failing(message: &str) -> Answers {
    Answers(Err(ExchangeError::new(ErrorKind::Server, message)), None)
}

fn throttled() -> AwsError {
    AwsError {
        kind: AwsErrorKind::Throttled,
        action: "autoscaling:DescribeAutoScalingGroups",
        code: Some("Throttling".into()),
        message: "Rate exceeded".into(),
    }
}

/// Settings of pools that are named as their groups, with more lines for each.
fn settings(pools: &[(&str, &str)]) -> ScalerSettings {
    let pool = |(group, more): &(&str, &str)| {
        format!("[[pool]]\ngroup = '{group}'\nplatform.command.queue = ['{group}-queue']\n{more}\n")
    };
    let text: String = pools.iter().map(pool).collect();
    ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap()
}

fn world(settings: &ScalerSettings, groups: &Groups) -> World<Groups> {
    let tokens = Tokens::new(|_, source| async move { panic!("nobody needs {source}") });
    World::new(Driver::new("test"), tokens, settings, |_| groups.clone())
}

/// A fleet whose pools read these queues, in the order of the settings.
fn fleet(settings: &ScalerSettings, world: World<Groups>, queues: Vec<Answers>) -> Fleet<Groups> {
    let pools = Pool::all(settings.pools.clone());
    let pools = pools.into_iter().zip(queues).map(|(pool, queue)| pool.with_queue(Box::new(queue)));
    Fleet::new(Rc::new(world), pools.collect())
}

/// One tick: the records in the order in which they came.
async fn ticked(fleet: &mut Fleet<Groups>) -> Vec<Record> {
    let mut records = Vec::new();
    fleet.once(|record| records.push(record.clone())).await;
    records
}
