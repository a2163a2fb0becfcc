//! The program's groups as the scaler sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, Floor};

use super::{
    CAPABILITIES,
    answer::{self, Description},
    program::{CloudProgram, Verb},
};
use crate::{
    CloudFuture, GroupView, Groups, History, Seen,
    groups::{Reading, read_each},
};

/// How many groups are described at once: each is a program of its own.
const READS_AT_ONCE: usize = 8;
/// After so many raises in a row that left less than was desired before, nothing is raised any more. After one, instances may have left
/// meanwhile.
const LOWERED: usize = 2;

/// Every group that the program knows.
#[derive(Debug)]
pub(super) struct CommandGroups {
    program: CloudProgram,
    /// Whether it tells states of a group apart, as far as it was asked.
    versions: AtomicBool,
    /// The groups that a raise has lowered, as often as that happened in a row.
    lowered: Mutex<Vec<String>>,
}

impl CommandGroups {
    pub(super) fn new(program: CloudProgram) -> Self {
        Self { program, versions: AtomicBool::new(false), lowered: Mutex::default() }
    }

    /// One group; `None`: there is none.
    async fn read(&self, name: &str) -> Option<(String, Seen)> {
        let described = self.program.read(Verb::Describe, &[name], answer::parse::<Description>).await;
        let seen = match described {
            Err(CloudError { kind: CloudErrorKind::NotFound, .. }) => return None,
            described => described.map(|described| described.view(name)),
        };
        let seen = seen.map(|mut view| {
            self.versions.store(view.version.is_some(), Relaxed);
            view.unscalable = (self.lowered(name) >= LOWERED).then(|| {
                "`raise` has lowered it; correct the program (docs/clouds.md), then start the scaler anew".to_owned()
            });
            view
        });
        Some((name.to_owned(), seen))
    }

    /// How many raises in a row have lowered a group.
    fn lowered(&self, name: &str) -> usize {
        self.lowered.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|lowered| *lowered == name).count()
    }

    /// Raises, and looks what came of it: the program's word that it has is no proof.
    async fn write_capacity(&self, seen: &GroupView, to: u32) -> Result<(), CloudError> {
        let wanted = to.to_string();
        let arguments: Vec<&str> = [seen.name.as_str(), &wanted].into_iter().chain(seen.version.as_deref()).collect();
        self.program.ask(Verb::Raise, &arguments).await?;
        let reading: Reading<'_> = Box::pin(self.read(&seen.name));
        let Some((name, Ok(now))) = reading.await else { return Ok(()) };
        let mut lowered = self.lowered.lock().unwrap_or_else(PoisonError::into_inner);
        if now.desired >= seen.desired {
            lowered.retain(|lowered| *lowered != name);
            return Ok(());
        }
        lowered.push(name);
        let why = format!(
            "`raise` to {to} left {} where {} were desired: it may never lower; correct the program (docs/clouds.md)",
            now.desired, seen.desired
        );
        Err(CloudError::new(CloudErrorKind::Other, why))
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

    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, Seen>> {
        Box::pin(async move {
            let readings = names.iter().map(|name| Box::pin(self.read(name)) as Reading<'_>).collect();
            Ok(read_each(readings, READS_AT_ONCE).await)
        })
    }

    /// A program keeps none; it may not lower a capacity, so that nothing is lost by an old reading.
    fn history<'a>(&'a self, _: &'a str) -> CloudFuture<'a, History> {
        Box::pin(async { Ok(History::default()) })
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        Box::pin(self.write_capacity(seen, to))
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        Box::pin(async move { self.program.ask(Verb::Floor, &[name, &floor.to_string()]).await.map(drop) })
    }
}
