//! The program's groups as the scaler sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use jiff::Timestamp;
use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, Floor, Listed, Member};

use super::{
    CAPABILITIES,
    answer::{self, Description},
    program::{CloudProgram, Verb},
    raises::Raises,
};
use crate::{
    CloudFuture, GroupDescription, GroupView, Groups, History, Listing,
    groups::{Reading, read_each},
};

/// How many groups are described at once: each is a program of its own.
const READS_AT_ONCE: usize = 8;

/// Whom each group listed; `None`: it lists nobody.
type Heard = BTreeMap<String, Result<Option<Vec<Listed>>, CloudError>>;

/// Every group that the program knows.
#[derive(Debug)]
pub(super) struct CommandGroups {
    program: CloudProgram,
    /// Whether it tells states of a group apart, as far as it was asked.
    versions: AtomicBool,
    /// What came of the raises, by the group's name.
    raises: Mutex<BTreeMap<String, Raises>>,
    /// Whom the last description of each group listed, or why it failed, once somebody has asked: no further call tells it then.
    listed: Mutex<Option<Heard>>,
}

impl CommandGroups {
    pub(super) fn new(program: CloudProgram) -> Self {
        Self { program, versions: AtomicBool::new(false), raises: Mutex::default(), listed: Mutex::default() }
    }

    /// One group; `None`: there is none.
    async fn read(&self, name: &str) -> Option<(String, GroupDescription)> {
        let described = self.program.read(Verb::Describe, &[name], answer::parse::<Description>).await;
        if let Some(known) = self.listed().as_mut() {
            let listed = match &described {
                Err(CloudError { kind: CloudErrorKind::NotFound, .. }) => Ok(Some(Vec::new())),
                described => described.as_ref().map(Description::listed).map_err(Clone::clone),
            };
            known.insert(name.to_owned(), listed);
        }
        let seen = match described {
            Err(CloudError { kind: CloudErrorKind::NotFound, .. }) => return None,
            described => described.map(|described| self.learn(name, described)),
        };
        Some((name.to_owned(), seen))
    }

    /// The group as it was described, held where its raises have lowered.
    fn learn(&self, name: &str, described: Description) -> GroupView {
        let (now, reading) = (Instant::now(), described.reading());
        let mut view = described.view(name);
        self.versions.store(view.version.is_some(), Relaxed);
        let judged = self.with(name, |raises| {
            let judged = raises.look(&reading, now);
            view.unscalable = raises.held(now);
            judged
        });
        if let Some((before, warning)) = judged.and_then(|(before, verdict)| Some((before, verdict.warning()?))) {
            tracing::warn!(group = name, program = self.program.name(), before, desired = reading.desired, "{warning}");
        }
        view
    }

    fn listed(&self) -> MutexGuard<'_, Option<Heard>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, name: &str, what: impl FnOnce(&mut Raises) -> T) -> T {
        let mut raises = self.raises.lock().unwrap_or_else(PoisonError::into_inner);
        what(raises.entry(name.to_owned()).or_default())
    }

    /// Raises. What came of it is seen by the next description: there may be no time left for one now.
    async fn write_capacity(&self, seen: &GroupView, to: u32) -> Result<(), CloudError> {
        let wanted = to.to_string();
        let arguments: Vec<&str> = [seen.name.as_str(), &wanted].into_iter().chain(seen.version.as_deref()).collect();
        // Before it is asked: who is cut off may have done it.
        self.with(&seen.name, Raises::begin);
        let raised = self.program.ask(Verb::Raise, &arguments).await;
        if raised.as_ref().is_err_and(|error| !error.kind.may_have_been_applied()) {
            self.with(&seen.name, Raises::refused);
        }
        raised.map(drop)
    }
}

impl Groups for CommandGroups {
    /// Of these the scaler asks for the conditional raise alone: a program that prints versions refuses one by them.
    fn capabilities(&self) -> Capabilities {
        Capabilities { conditional_raise: self.versions.load(Relaxed), ..CAPABILITIES }
    }

    fn location(&self) -> String {
        self.program.name().to_owned()
    }

    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, GroupDescription>> {
        Box::pin(async move {
            let readings = names.iter().map(|name| Box::pin(self.read(name)) as Reading<'_>).collect();
            Ok(read_each(readings, READS_AT_ONCE).await)
        })
    }

    /// A program keeps none; it may not lower a capacity, so that nothing is lost by an old reading.
    fn history<'a>(&'a self, _: &'a str) -> CloudFuture<'a, History> {
        Box::pin(async { Ok(History::default()) })
    }

    /// What the last descriptions told; a group of which there was none is described.
    fn listing<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, Listing> {
        Box::pin(async move {
            let unknown: BTreeSet<String> = {
                let mut listed = self.listed();
                let known = listed.get_or_insert_default();
                names.iter().filter(|name| !known.contains_key(*name)).cloned().collect()
            };
            self.describe(&unknown).await?;
            let listed = self.listed();
            let of = |name: &String| Some((name.clone(), listed.as_ref()?.get(name)?.clone().transpose()?));
            Ok(names.iter().filter_map(of).collect())
        })
    }

    fn members<'a>(&'a self, name: &'a str) -> CloudFuture<'a, Option<Vec<Member>>> {
        Box::pin(async move {
            let described = self.program.read(Verb::Describe, &[name], answer::parse::<Description>).await?;
            if let Some(doubt) = described.doubt() {
                tracing::warn!(group = name, program = self.program.name(), "{doubt}");
            }
            Ok(described.signed())
        })
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        Box::pin(self.write_capacity(seen, to))
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        Box::pin(async move { self.program.ask(Verb::Floor, &[name, &floor.to_string()]).await.map(drop) })
    }

    fn memory(&self, name: &str) -> Option<String> {
        self.with(name, |raises| raises.memory((Instant::now(), Timestamp::now())))
    }

    fn recall(&self, name: &str, memory: &str) {
        if let Some(recalled) = Raises::recalled(memory, (Instant::now(), Timestamp::now())) {
            self.with(name, |raises| *raises = recalled);
        }
    }
}
