//! The program's groups as the scaler sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use futures_util::{StreamExt, stream};
use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, Floor};

use super::{
    CAPABILITIES,
    answer::{self, Description},
    program::{CloudProgram, Verb},
};
use crate::{CloudFuture, GroupView, Groups, History, Seen};

/// How many groups are described at once: each is a program of its own.
const READS_AT_ONCE: usize = 8;

/// Every group that the program knows.
#[derive(Debug)]
pub(super) struct CommandGroups {
    program: CloudProgram,
    /// Whether it tells states of a group apart, as far as it was asked.
    versions: AtomicBool,
}

impl CommandGroups {
    pub(super) fn new(program: CloudProgram) -> Self {
        Self { program, versions: AtomicBool::new(false) }
    }

    /// One group; `None`: there is none.
    async fn read(&self, name: &str) -> Option<(String, Seen)> {
        let described = self.program.read(Verb::Describe, &[name], answer::parse::<Description>).await;
        let seen = match described {
            Err(CloudError { kind: CloudErrorKind::NotFound, .. }) => return None,
            described => described.map(|described| described.view(name)),
        };
        if let Ok(view) = &seen {
            self.versions.store(view.version.is_some(), Relaxed);
        }
        Some((name.to_owned(), seen))
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
            let reads: Vec<_> = names.iter().map(|name| self.read(name)).collect();
            let found = stream::iter(reads).buffer_unordered(READS_AT_ONCE).filter_map(std::future::ready);
            Ok(found.collect().await)
        })
    }

    /// A program keeps none; it may not lower a capacity, so that nothing is lost by an old reading.
    fn history<'a>(&'a self, _: &'a str) -> CloudFuture<'a, History> {
        Box::pin(async { Ok(History::default()) })
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        Box::pin(async move {
            let to = to.to_string();
            let arguments: Vec<&str> = [seen.name.as_str(), &to].into_iter().chain(seen.version.as_deref()).collect();
            self.program.ask(Verb::Raise, &arguments).await.map(drop)
        })
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        Box::pin(async move { self.program.ask(Verb::Floor, &[name, &floor.to_string()]).await.map(drop) })
    }
}
