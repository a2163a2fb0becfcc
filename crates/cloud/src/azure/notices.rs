//! Watches scheduled events, and the tag by which an operator gives orders. No answer is no notice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lightsout_core::cloud::{CloudError, CloudErrorKind, Ending, Notice};
use tokio::sync::mpsc;

use super::metadata::{Event, Events, Machine, Metadata, Start};
use crate::{CloudFuture, Identity, NoticeIntervals, Notices, notices::until_told};

/// After this many failed looks in a row someone will want to know.
const SILENT: u32 = 30;
/// How long there is, about, when an event has begun that ends the machine.
const TIME_LEFT: SignedDuration = SignedDuration::from_secs(5);
/// How far this machine's clock may be off before a deadline is put right: Azure tells its own only to the second.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(3);
/// The tag by which an operator gives orders from afar.
const ORDER: &str = "lightsout:order";

/// The metadata service of this machine.
pub(super) fn open() -> Box<dyn Notices> {
    Box::new(AzureNotices { metadata: Arc::new(Metadata::from_env()) })
}

#[derive(Debug)]
pub(super) struct AzureNotices {
    pub(super) metadata: Arc<Metadata>,
}

impl AzureNotices {
    /// Asks until it is told, for so long.
    async fn machine(&self, deadline: Duration) -> Result<Machine, CloudError> {
        let told =
            until_told(("instance metadata", "who this instance is"), deadline, || self.metadata.machine()).await;
        told.map_err(|error| {
            CloudError::new(
                error.kind,
                format!("{error}; is this a virtual machine of Azure, without a proxy before its metadata?"),
            )
        })
    }
}

impl Notices for AzureNotices {
    fn is_here(&self) -> CloudFuture<'_, ()> {
        Box::pin(async { self.metadata.machine().await.map(drop) })
    }

    fn identity(&self, deadline: Duration) -> CloudFuture<'_, Identity> {
        Box::pin(async move {
            let machine = self.machine(deadline).await?;
            let group = machine.scale_set().map(|set| set.to_string());
            let (instance, kind) = (machine.id(), machine.kind());
            Ok(Identity { instance, group, machine: kind, location: machine.location, capabilities: None })
        })
    }

    fn tags<'a>(&'a self, prefix: &'a str, deadline: Duration) -> CloudFuture<'a, Vec<(String, String)>> {
        Box::pin(async move {
            let tags = self.machine(deadline).await?.tags_list.into_iter();
            Ok(tags.filter(|tag| tag.name.starts_with(prefix)).map(|tag| (tag.name, tag.value)).collect())
        })
    }

    fn watch(&self, every: NoticeIntervals) -> mpsc::Receiver<Notice> {
        let (notices, receiver) = mpsc::channel(16);
        let shortest = every.interruption.min(every.target).min(every.maintenance);
        tokio::spawn(events(Arc::clone(&self.metadata), shortest, notices.clone()));
        tokio::spawn(orders(Arc::clone(&self.metadata), every.order, notices));
        receiver
    }
}

async fn events(metadata: Arc<Metadata>, every: Duration, notices: mpsc::Sender<Notice>) {
    let (mut told, mut name, mut failures, mut first) = (SeenEvents::default(), None, 0_u32, true);
    while !notices.is_closed() {
        // By its name it knows which events are its own.
        if name.is_none() {
            name = metadata.machine().await.ok().map(|machine| machine.name);
        }
        let looked = match &name {
            Some(name) => {
                metadata.events(first).await.map(|(events, ahead)| told.news(&events, name, Timestamp::now(), ahead))
            }
            None => {
                Err(CloudError::new(CloudErrorKind::Unreachable, "instance metadata does not say who this instance is"))
            }
        };
        match looked {
            Ok(news) => {
                if failures >= SILENT {
                    tracing::info!("scheduled events are told again");
                }
                (failures, first) = (0, false);
                for notice in news {
                    tracing::warn!(?notice, "a scheduled event is about this instance");
                    if notices.send(notice).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                if failures == SILENT {
                    tracing::warn!(%error, "scheduled events are not told; notices may be missed");
                }
            }
        }
        tokio::time::sleep(every * (1 << (failures / 3).min(4))).await;
    }
}

/// What was told already: of each kind the event that comes first.
#[derive(Debug, Default)]
pub(super) struct SeenEvents {
    nearest: BTreeMap<Ending, Nearest>,
}

#[derive(Debug)]
struct Nearest {
    id: String,
    at: Timestamp,
    begun: bool,
}

impl SeenEvents {
    /// What is new of these events for the machine of this name. `ahead` is by how much its clock is ahead of Azure's.
    pub(super) fn news(
        &mut self,
        events: &Events,
        name: &str,
        now: Timestamp,
        ahead: Option<SignedDuration>,
    ) -> Vec<Notice> {
        let mut news = Vec::new();
        // Maintenance that is not announced any more was called off, unless it has begun. What deletes the machine is never taken back: such
        // an event may go from the list while it is carried out.
        let off = |nearest: &Nearest| !nearest.begun && events.of(name).all(|event| event.id != nearest.id);
        if self.nearest.get(&Ending::Maintenance).is_some_and(off) {
            self.nearest.remove(&Ending::Maintenance);
            news.push(Notice::Lifted(Ending::Maintenance));
        }
        for event in events.of(name) {
            let Some(by) = event.meaning().ending() else { continue };
            let at = on_this_clock(event, now, ahead);
            let begun = event.start() == Start::Begun;
            match self.nearest.get_mut(&by) {
                // Told again with another time, only a nearer one is news.
                Some(nearest) if nearest.at <= at => nearest.begun |= begun && nearest.id == event.id,
                _ => {
                    say_if_passed(event, at);
                    self.nearest.insert(by, Nearest { id: event.id.clone(), at, begun });
                    news.push(Notice::Ending { by, at: Some(at) });
                }
            }
        }
        news
    }
}

/// That a time which has passed is taken for now, whoever was told it should know.
fn say_if_passed(event: &Event, taken: Timestamp) {
    if let Start::At(told) = event.start()
        && taken.duration_since(told) > TIME_LEFT + CLOCK_TOLERANCE
    {
        tracing::warn!(event = event.id, %told, taken = %format_args!("{taken:.0}"), "the event's time has passed, and the machine is still here: it counts as begun");
    }
}

/// When this machine's clock will show the moment at which the event begins.
fn on_this_clock(event: &Event, now: Timestamp, ahead: Option<SignedDuration>) -> Timestamp {
    let within = |span| now.checked_add(span).unwrap_or(now);
    let at = match event.start() {
        Start::Begun => return within(TIME_LEFT),
        Start::Unknown => return within(event.meaning().least_notice()),
        Start::At(at) => at,
    };
    // Without Azure's time there is no telling whether its moment has passed or this clock is wrong.
    let Some(ahead) = ahead else { return at };
    let at = if ahead.abs() > CLOCK_TOLERANCE { at.checked_add(ahead).unwrap_or(at) } else { at };
    // It has passed, and the machine is still here: it begins now.
    at.max(within(TIME_LEFT))
}

/// Tells what is written on the instance as an order when that changes.
async fn orders(metadata: Arc<Metadata>, every: Duration, notices: mpsc::Sender<Notice>) {
    let mut last = None;
    while !notices.is_closed() {
        // That there is no answer changes nothing.
        if let Ok(machine) = metadata.machine().await {
            let found = machine.tags_list.into_iter().find(|tag| tag.name == ORDER).map(|tag| tag.value);
            if found != last {
                last.clone_from(&found);
                if notices.send(Notice::Order(found)).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests;
