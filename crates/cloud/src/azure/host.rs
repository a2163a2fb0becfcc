//! What an instance may do to itself.

mod diagnosis;

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::{
    cloud::{Capabilities, CloudError, CloudErrorKind, GroupSize, Leave, LifecycleHook, Membership},
    settings::ScaleSetId,
};
use tokio::sync::OnceCell;

use super::{
    CAPABILITIES, READY_TAG, call,
    client::{Azure, PAGES},
    metadata::{Event, Events, Machine, Meaning, Metadata},
    reply::{self, Member, Members, ScaleSet},
};
use crate::{CloudFuture, Host, REASON_TAG, host::advised};

pub(super) use diagnosis::{ON_MACHINE, ON_SCALE_SET, metadata};

/// This machine, as a member of its scale set.
#[derive(Debug)]
pub(super) struct AzureHost {
    azure: Azure,
    metadata: Metadata,
    machine: OnceCell<Machine>,
    group: Option<String>,
}

impl AzureHost {
    pub(super) fn new(group: Option<String>) -> Self {
        Self { azure: Azure::default(), metadata: Metadata::from_env(), machine: OnceCell::new(), group }
    }

    #[cfg(test)]
    pub(super) fn with(azure: Azure, metadata: Metadata) -> Self {
        Self { azure, metadata, machine: OnceCell::new(), group: None }
    }

    /// Who this is; asked once.
    async fn machine(&self) -> Result<&Machine, CloudError> {
        self.machine.get_or_try_init(|| self.metadata.machine()).await
    }

    async fn member(&self) -> Result<(&Machine, ScaleSetId), CloudError> {
        let machine = self.machine().await?;
        let set = machine
            .scale_set()
            .ok_or_else(|| CloudError::new(CloudErrorKind::NotFound, format!("{} is in no scale set", machine.name)))?;
        Ok((machine, set))
    }

    /// What is announced for the machines of the scale set; nothing where that cannot be told now.
    async fn announced(&self) -> Events {
        self.metadata.events(false).await.map(|(events, _)| events).unwrap_or_default()
    }

    async fn look(&self) -> Result<Membership, CloudError> {
        let machine = self.machine().await?;
        let Some(set) = machine.scale_set() else { return Ok(Membership::Outside) };
        let reply = match self.azure.call(call::member(&self.azure.manager(), &set, machine.member())).await {
            Err(error) if error.kind == CloudErrorKind::NotFound => return Ok(Membership::Outside),
            reply => reply?,
        };
        let member: Member = reply::parse(&reply).map_err(|why| CloudError::new(CloudErrorKind::Other, why))?;
        let announced = self.announced().await;
        let ends = announced.of(&machine.name).any(|event| event.meaning() == Meaning::Terminate);
        Ok(if ends { Membership::Terminating { waiting: true } } else { member.membership() })
    }

    async fn count(&self) -> Result<GroupSize, CloudError> {
        let (machine, set) = self.member().await?;
        let manager = self.azure.manager();
        let other = |why| CloudError::new(CloudErrorKind::Other, why);
        let reply = self.azure.call(call::read(&manager, &set)).await?;
        let group: ScaleSet = reply::parse(&reply).map_err(other)?;
        let view = group.view(&set.to_string(), None).map_err(other)?;
        let mut members = Vec::new();
        let mut next = Some(call::members(&manager, &set));
        for _ in 0..PAGES {
            let Some(call) = next.take() else { break };
            let reply = self.azure.call(call).await?;
            let page: Members = reply::parse(&reply).map_err(other)?;
            next = page.next(&manager).map(|url| call::more_members(&set, url));
            members.extend(page.counted());
        }
        // Half of a list would show another rank to each of those who read it.
        if next.is_some() {
            return Err(other(format!("the list of the members of {set} does not end")));
        }
        if !members.iter().any(|member| member.eq_ignore_ascii_case(machine.member())) {
            let why = format!("{} is no member of {set}, or not any more", machine.name);
            return Err(CloudError::new(CloudErrorKind::NotFound, why));
        }
        let before =
            members.iter().filter(|member| member.to_ascii_lowercase() < machine.member().to_ascii_lowercase());
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(GroupSize {
            desired: view.desired,
            min: view.min,
            floor: advised(view.floor, Timestamp::now()),
            rank: count(before.count()),
            members: count(members.len()),
        })
    }

    /// Deletes this member. Where Azure says that something is in the way, that may be an event that waits for this machine alone: a restart that
    /// somebody wishes, say. Nothing runs here any more, so it is let go on.
    async fn delete(&self) -> Result<(), CloudError> {
        let (machine, set) = self.member().await?;
        let deleted = self.azure.call(call::delete(&self.azure.manager(), &set, machine.member())).await;
        if deleted.as_ref().is_err_and(|error| error.kind == CloudErrorKind::InProgress) {
            let announced = self.announced().await;
            let ours: Vec<&Event> = announced.of(&machine.name).filter(|event| event.is_ours_alone()).collect();
            if !ours.is_empty() {
                self.metadata.agree(&ours).await?;
            }
        }
        deleted.map(drop)
    }

    /// A member of a Uniform scale set has no tags of its own.
    async fn tag(&self, name: &str, value: &str) -> Result<(), CloudError> {
        let machine = self.machine().await?;
        if machine.is_flexible() {
            self.azure.call(call::tag(&self.azure.manager(), &machine.resource_id, name, value)).await?;
        }
        Ok(())
    }

    async fn agree(&self) -> Result<(), CloudError> {
        let machine = self.machine().await?;
        let (announced, _) = self.metadata.events(false).await?;
        let ends = announced.of(&machine.name).filter(|event| event.meaning() == Meaning::Terminate);
        let ours: Vec<&Event> = ends.filter(|event| event.is_ours_alone()).collect();
        if ours.is_empty() {
            let why = "no ending waits for this instance alone: agreeing would end others, too, whose jobs may run";
            return Err(CloudError::new(CloudErrorKind::NothingHeld, why));
        }
        self.metadata.agree(&ours).await
    }

    async fn notification(&self) -> Result<Option<LifecycleHook>, CloudError> {
        let (_, set) = self.member().await?;
        let reply = self.azure.call(call::read(&self.azure.manager(), &set)).await?;
        let group: ScaleSet = reply::parse(&reply).map_err(|why| CloudError::new(CloudErrorKind::Other, why))?;
        Ok(group.terminate_notification().map(|timeout| LifecycleHook { timeout }))
    }
}

impl Host for AzureHost {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn group(&self) -> Option<String> {
        self.group.clone()
    }

    fn membership(&self) -> CloudFuture<'_, Membership> {
        Box::pin(self.look())
    }

    fn group_size(&self) -> CloudFuture<'_, GroupSize> {
        Box::pin(self.count())
    }

    fn protect(&self, on: bool) -> CloudFuture<'_, ()> {
        Box::pin(async move {
            let (machine, set) = self.member().await?;
            self.azure.call(call::protect(&self.azure.manager(), &set, machine.member(), on)).await.map(drop)
        })
    }

    fn find_hook(&self) -> CloudFuture<'_, Option<LifecycleHook>> {
        Box::pin(self.notification())
    }

    fn complete_hook(&self) -> CloudFuture<'_, ()> {
        Box::pin(self.agree())
    }

    /// The capacity falls with every member that leaves, so that both ways are the same.
    fn leave(&self, how: Leave) -> CloudFuture<'_, ()> {
        match how {
            Leave::Decrement | Leave::Replace => Box::pin(self.delete()),
        }
    }

    fn report_unhealthy(&self) -> CloudFuture<'_, ()> {
        let why = "a scale set takes no word of its members on their health";
        Box::pin(std::future::ready(Err(CloudError::new(CloudErrorKind::Other, why))))
    }

    /// Without waiting for the machine to shut down, and past the scale set where that can be. One that is gone has ended.
    fn terminate(&self) -> CloudFuture<'_, ()> {
        Box::pin(async move {
            let machine = self.machine().await?;
            let delete = call::force_delete(&self.azure.manager(), &machine.resource_id, machine.is_flexible());
            match self.azure.call(delete).await {
                Err(error) if error.kind == CloudErrorKind::NotFound => Ok(()),
                deleted => deleted.map(drop),
            }
        })
    }

    fn record_ready(&self) -> CloudFuture<'_, ()> {
        Box::pin(async { self.tag(READY_TAG, &format!("{:.0}", Timestamp::now())).await })
    }

    fn record_reason<'a>(&'a self, reason: &'a str) -> CloudFuture<'a, ()> {
        Box::pin(self.tag(REASON_TAG, reason))
    }

    fn forget(&self) {
        self.azure.forget();
    }
}

/// A time-out as the profile writes it, such as `PT5M`.
pub(super) fn minutes(text: &str) -> Option<Duration> {
    let minutes: u64 = text.strip_prefix("PT")?.strip_suffix('M')?.parse().ok()?;
    (5..=15).contains(&minutes).then(|| Duration::from_secs(60 * minutes))
}

#[cfg(test)]
pub(super) mod tests;
