//! Scale sets as the scaler sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use lightsout_core::{
    cloud::{Capabilities, CloudError, CloudErrorKind, Floor, Listed, Member},
    record::FailedLaunch,
    settings::ScaleSetId,
};
use serde::{Deserialize, Serialize};

use super::{
    CAPABILITIES, call,
    client::Azure,
    reply::{self, Operation, OwnMachine, Progress, ScaleSet, Sku},
};
use crate::{
    CloudFuture, GroupView, Groups, History, Listing,
    groups::{GroupDescription, Reading, read_each},
};

/// How many scale sets are read at once: each is a call of its own.
const READS_AT_ONCE: usize = 16;

/// Every scale set that the identity may see.
#[derive(Debug, Default)]
pub(super) struct AzureGroups {
    azure: Azure,
    known: Mutex<BTreeMap<String, Known>>,
}

/// What is remembered of a scale set between two calls. All of it may be lost.
#[derive(Debug, Default)]
struct Known {
    sku: Sku,
    /// Whether its machines are resources of their own; `None`: that was not seen yet.
    flexible: Option<bool>,
    raise: Option<Raise>,
}

/// The last raise, which Azure carries out after it has answered: the operation that tells what became of it, when it began, and why it failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Raise {
    operation: String,
    began: String,
    failed: Option<FailedLaunch>,
}

impl AzureGroups {
    pub(super) fn new() -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(super) fn with(azure: Azure) -> Self {
        Self { azure, known: Mutex::default() }
    }

    fn know<T>(&self, name: &str, act: impl FnOnce(&mut Known) -> T) -> T {
        act(self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default())
    }

    /// One scale set; `None`: there is none.
    async fn read(&self, name: &str) -> Option<GroupDescription> {
        let reading = async {
            let set = find(name)?;
            let reply = self.azure.call(call::read(&self.azure.manager(), &set)).await?;
            let found: ScaleSet = reply::parse(&reply).map_err(other)?;
            let view = found.view(name, reply.header("etag")).map_err(other)?;
            let flexible = found.is_flexible();
            self.know(name, |known| (known.sku, known.flexible) = (found.sku, Some(flexible)));
            Ok(view)
        };
        match reading.await {
            Err(CloudError { kind: CloudErrorKind::NotFound, .. }) => None,
            seen => Some(seen),
        }
    }

    async fn read_named(&self, name: &str) -> Option<(String, GroupDescription)> {
        Some((name.to_owned(), self.read(name).await?))
    }

    async fn write_capacity(&self, seen: &GroupView, to: u32) -> Result<(), CloudError> {
        let set = find(&seen.name)?;
        // Without its entity tag the number would replace whatever somebody else has written meanwhile.
        let etag = seen.version.as_deref().ok_or_else(|| {
            CloudError::new(
                CloudErrorKind::Other,
                format!("{}: nothing is raised of which Azure tells no etag", seen.name),
            )
        })?;
        let sku = self.know(&seen.name, |known| {
            known.raise = None;
            known.sku.clone()
        });
        let manager = self.azure.manager();
        let reply = self.azure.call(call::raise(&manager, &set, etag, Some(&sku), to)).await?;
        let operation = ["azure-asyncoperation", "location"].into_iter().find_map(|name| reply.header(name));
        if let Some(operation) = operation {
            let (operation, began) = (operation.to_owned(), Timestamp::now().to_string());
            self.follow(&seen.name, Raise { operation, began, failed: None });
        }
        Ok(())
    }

    async fn machines(&self, name: &str, flexible: bool) -> Result<Vec<OwnMachine>, CloudError> {
        let (manager, set) = (self.azure.manager(), find(name)?);
        let list = if flexible { call::machines(&manager, &set) } else { call::members(&manager, &set) };
        self.azure.list(list).await
    }

    async fn list_named(&self, name: &str) -> Option<(String, Result<Vec<Listed>, CloudError>)> {
        let machines = self.machines(name, true).await;
        Some((name.to_owned(), machines.map(|found| found.into_iter().map(OwnMachine::listed).collect())))
    }

    /// Remembers a raise that can be asked about: only the Resource Manager is shown a token.
    fn follow(&self, name: &str, raise: Raise) {
        if raise.operation.starts_with(&format!("{}/", self.azure.manager())) {
            self.know(name, |known| known.raise = Some(raise));
        }
    }

    /// What became of the last raise. What is not known yet is no failure.
    async fn last_raise(&self, name: &str) -> Result<Option<FailedLaunch>, CloudError> {
        let set = find(name)?;
        let raise = match self.know(name, |known| known.raise.clone()) {
            None => return Ok(None),
            Some(Raise { failed: Some(failed), .. }) => return Ok(Some(failed)),
            Some(raise) => raise,
        };
        let reply = self.azure.call(call::operation(&set, &raise.operation)).await?;
        // While it runs, the other of the two addresses answers with an empty body.
        let Ok(found) = reply::parse::<Operation>(&reply) else { return Ok(None) };
        let failed = match found.progress(&raise.began) {
            Progress::Running => return Ok(None),
            Progress::Succeeded => None,
            Progress::Failed(failed) => Some(failed),
        };
        self.know(name, |known| known.raise = failed.clone().map(|failed| Raise { failed: Some(failed), ..raise }));
        Ok(failed)
    }
}

impl Groups for AzureGroups {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn location(&self) -> String {
        "Azure".into()
    }

    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, GroupDescription>> {
        Box::pin(async move {
            let readings = names.iter().map(|name| Box::pin(self.read_named(name)) as Reading<'_>).collect();
            Ok(read_each(readings, READS_AT_ONCE).await)
        })
    }

    fn history<'a>(&'a self, name: &'a str) -> CloudFuture<'a, History> {
        Box::pin(async move {
            let failed_launches = self.last_raise(name).await?.into_iter().collect();
            Ok(History { changes: Vec::new(), failed_launches })
        })
    }

    /// Of a Uniform scale set no machine has tags of its own.
    fn members<'a>(&'a self, name: &'a str) -> CloudFuture<'a, Option<Vec<Member>>> {
        Box::pin(async move {
            let Some(flexible) = self.know(name, |known| known.flexible) else { return Ok(None) };
            let machines = self.machines(name, flexible).await?;
            let signed = |machine: &OwnMachine| machine.member(flexible);
            Ok(Some(machines.iter().filter_map(signed).collect()))
        })
    }

    /// Of Flexible scale sets: the machines of a Uniform one have names that come again, and nothing stands on them.
    fn listing<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, Listing> {
        Box::pin(async move {
            let flexible = names.iter().filter(|name| self.know(name, |known| known.flexible == Some(true)));
            let readings = flexible.map(|name| Box::pin(self.list_named(name)) as Reading<'_, _>).collect();
            Ok(read_each(readings, READS_AT_ONCE).await)
        })
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        Box::pin(self.write_capacity(seen, to))
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        Box::pin(async move {
            let set = find(name)?;
            self.azure.call(call::leave_floor(&self.azure.manager(), &set, floor)).await?;
            Ok(())
        })
    }

    fn memory(&self, name: &str) -> Option<String> {
        serde_json::to_string(&self.know(name, |known| known.raise.clone())?).ok()
    }

    fn recall(&self, name: &str, memory: &str) {
        if let Ok(raise) = serde_json::from_str(memory) {
            self.follow(name, raise);
        }
    }
}

fn find(name: &str) -> Result<ScaleSetId, CloudError> {
    reply::scale_set(name).map_err(other)
}

fn other(why: String) -> CloudError {
    CloudError::new(CloudErrorKind::Other, why)
}

#[cfg(test)]
mod tests;
