//! Watches the instance's metadata. 200 is a notice, 404 is none; anything else is not known, and changes nothing.

mod parse;
#[cfg(test)]
mod tests;

use std::{mem, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind, Ending, Machine, Notice, TargetState},
    doctor::facts::MetadataFacts,
};
use tokio::sync::mpsc;

use super::{
    ORDER_TAG,
    metadata::{Imds, ImdsError},
};
use crate::{CloudFuture, Identity, NoticeIntervals, Notices, notices::until_told};

/// Where metadata show the instance's tags, if that is switched on (`InstanceMetadataTags`).
const TAGS: &str = "/latest/meta-data/tags/instance/";
/// The tag that an Auto Scaling group puts on its instances; metadata shows it where tags are enabled there.
const GROUP_TAG: &str = "/latest/meta-data/tags/instance/aws:autoscaling:groupName";
const TYPE: &str = "/latest/meta-data/instance-type";
const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
/// What it is called in messages.
const METADATA: &str = "instance metadata";
/// How far this machine's clock may be off before a deadline is put right: the cloud tells its own only to the second.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(3);
/// After this many failed looks in a row someone will want to know.
const SILENT: u32 = 30;

/// The metadata service at the address that the environment names, else at the usual one.
///
/// # Errors
/// When the environment's address is no URL.
pub(super) fn open() -> Result<Box<dyn Notices>, CloudError> {
    let imds = Imds::from_env().map_err(|error| CloudError::new(CloudErrorKind::Other, error.to_string()))?;
    Ok(Box::new(AwsNotices { imds: Arc::new(imds) }))
}

/// What metadata say of themselves, but for the identity, for a diagnosis; nothing when the environment's address is no URL.
pub(super) async fn look() -> MetadataFacts {
    let Ok(imds) = Imds::from_env() else { return MetadataFacts::default() };
    let said = |error: ImdsError| error.to_string();
    let tags = imds.get(TAGS).await.map(|found| found.is_some()).map_err(said);
    let tokens_required = imds.requires_tokens().await.map_err(said);
    MetadataFacts {
        identity: None,
        // Every answer has told it.
        clock_ahead: tokens_required.is_ok().then(|| Ok(imds.clock_ahead())),
        tokens_required: Some(tokens_required),
        tags: Some(tags),
    }
}

#[derive(Debug)]
struct AwsNotices {
    imds: Arc<Imds>,
}

impl Notices for AwsNotices {
    fn is_here(&self) -> CloudFuture<'_, ()> {
        Box::pin(async {
            let found = self.imds.get("/latest/meta-data/instance-id").await;
            let why = match found {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => "instance metadata has no instance-id".to_owned(),
                Err(error) => error.to_string(),
            };
            Err(CloudError::new(CloudErrorKind::Unreachable, why))
        })
    }

    fn identity(&self, deadline: Duration) -> CloudFuture<'_, Identity> {
        Box::pin(async move {
            let told = until_told((METADATA, "who this instance is"), deadline, || self.ask_identity()).await;
            let (instance, location) = told.map_err(|error| {
                let remedy = "is this an EC2 instance with IMDSv2 enabled, and is its hop limit reached?";
                CloudError::new(error.kind, format!("{error}; {remedy}"))
            })?;
            let item = async |path| self.imds.get(path).await.ok().flatten();
            let (group, machine_type, life_cycle) = tokio::join!(item(GROUP_TAG), item(TYPE), item(LIFE_CYCLE));
            let machine = Machine { machine_type, spot: life_cycle.as_deref().and_then(parse::is_spot) };
            Ok(Identity { instance, location, group, machine, capabilities: None })
        })
    }

    fn tags<'a>(&'a self, prefix: &'a str, deadline: Duration) -> CloudFuture<'a, Vec<(String, String)>> {
        Box::pin(until_told((METADATA, "which tags this instance has"), deadline, || self.ask_tags(prefix)))
    }

    fn watch(&self, every: NoticeIntervals) -> mpsc::Receiver<Notice> {
        let (notices, receiver) = mpsc::channel(16);
        let item = |path, every| Item::new(&self.imds, path, every);
        tokio::spawn(spot(item(parse::SPOT, every.interruption), notices.clone()));
        tokio::spawn(target(item(parse::TARGET, every.target), notices.clone()));
        tokio::spawn(rebalance(item(parse::REBALANCE, every.rebalance), notices.clone()));
        tokio::spawn(maintenance(item(parse::MAINTENANCE, every.maintenance), notices.clone()));
        tokio::spawn(order(item(&format!("tags/instance/{ORDER_TAG}"), every.order), notices));
        receiver
    }
}

impl AwsNotices {
    async fn ask_tags(&self, prefix: &str) -> Result<Vec<(String, String)>, ImdsError> {
        let names = self.imds.get(TAGS).await?.unwrap_or_default();
        let mut tags = Vec::new();
        // Metadata show no tag whose name cannot stand in a path.
        for name in names.lines().map(str::trim).filter(|name| name.starts_with(prefix)) {
            if let Some(value) = self.imds.get(&format!("{TAGS}{name}")).await? {
                tags.push((name.to_owned(), value));
            }
        }
        Ok(tags)
    }

    /// The instance's id and region.
    async fn ask_identity(&self) -> Result<(String, String), String> {
        Ok((self.ask_one("instance-id").await?, self.ask_one("placement/region").await?))
    }

    async fn ask_one(&self, item: &str) -> Result<String, String> {
        let found = self.imds.get(&format!("/latest/meta-data/{item}")).await;
        found.map_err(|error| error.to_string())?.ok_or_else(|| format!("it has no {item}"))
    }
}

/// One item that is looked at again and again.
struct Item {
    imds: Arc<Imds>,
    path: String,
    every: Duration,
    /// Whether it was looked at before: the first look is at once, for a notice may be older than this agent.
    looked: bool,
    failures: u32,
}

impl Item {
    fn new(imds: &Arc<Imds>, path: &str, every: Duration) -> Self {
        Self { imds: Arc::clone(imds), path: format!("/latest/meta-data/{path}"), every, looked: false, failures: 0 }
    }

    /// The item's next known value.
    async fn next(&mut self) -> Option<String> {
        loop {
            if mem::replace(&mut self.looked, true) {
                tokio::time::sleep(self.pause()).await;
            }
            match self.imds.get(&self.path).await {
                Ok(value) => {
                    if self.failures >= SILENT {
                        tracing::info!(path = self.path, "instance metadata answers again");
                    }
                    self.failures = 0;
                    return value;
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn failed(&mut self, error: &ImdsError) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == SILENT {
            tracing::warn!(path = self.path, %error, "instance metadata does not answer; notices may be missed");
        } else {
            tracing::debug!(path = self.path, %error, "instance metadata did not answer");
        }
    }

    /// Looks less often while the service refuses or does not answer: it is throttled for each instance.
    fn pause(&self) -> Duration {
        self.every * (1 << (self.failures / 3).min(4))
    }
}

async fn spot(mut item: Item, notices: mpsc::Sender<Notice>) {
    let mut last = None;
    let mut nearest: Option<Timestamp> = None;
    loop {
        let Some(body) = item.next().await else { continue };
        if last.as_ref() == Some(&body) {
            continue;
        }
        match parse::spot(&body) {
            Ok(notice) => {
                let at = on_this_clock(notice.at, item.imds.clock_ahead());
                // Told again with another time, only a nearer one is news.
                if nearest.is_none_or(|nearest| at < nearest) {
                    nearest = Some(at);
                    tracing::warn!(action = notice.action, %at, "spot notice: the cloud takes this instance away");
                    if notices.send(Notice::Ending { by: Ending::Interruption, at: Some(at) }).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => tracing::error!(%error, "a spot notice cannot be read; ignored"),
        }
        last = Some(body);
    }
}

/// When this machine's clock will show the moment at which the cloud's shows `at`.
fn on_this_clock(at: Timestamp, ahead: SignedDuration) -> Timestamp {
    if ahead.abs() <= CLOCK_TOLERANCE {
        return at;
    }
    tracing::warn!(%ahead, "this machine's clock differs from its cloud's, which counts for the deadline: is time synchronised?");
    at.checked_add(ahead).unwrap_or(at)
}

async fn target(mut item: Item, notices: mpsc::Sender<Notice>) {
    let mut last = TargetState::Unknown;
    loop {
        let target = item.next().await.as_deref().map_or(TargetState::Unknown, parse::target);
        // An absent state after a known one says nothing new.
        if target == last || target == TargetState::Unknown {
            continue;
        }
        tracing::info!(?target, "the group moves this instance");
        last = target;
        if notices.send(Notice::Target(target)).await.is_err() {
            return;
        }
    }
}

/// Tells what is written on the instance as an order when that changes.
async fn order(mut item: Item, notices: mpsc::Sender<Notice>) {
    let mut last = None;
    loop {
        let found = item.next().await;
        if found == last {
            continue;
        }
        last.clone_from(&found);
        if notices.send(Notice::Order(found)).await.is_err() {
            return;
        }
    }
}

async fn rebalance(mut item: Item, notices: mpsc::Sender<Notice>) {
    loop {
        let Some(body) = item.next().await else { continue };
        match parse::rebalance(&body) {
            Ok(at) => {
                tracing::warn!(%at, "rebalance recommendation: an interruption is likely");
                // It is never taken back: once is enough.
                let _ = notices.send(Notice::Rebalance).await;
                return;
            }
            Err(error) => tracing::error!(%error, "a rebalance recommendation cannot be read; ignored"),
        }
    }
}

/// Tells of maintenance when it is first scheduled, and when all of it is called off before it began: once it has begun, it goes from the list when
/// it is done.
async fn maintenance(mut item: Item, notices: mpsc::Sender<Notice>) {
    let mut begins: Option<Timestamp> = None;
    while !notices.is_closed() {
        let events = match item.next().await.as_deref().map_or_else(|| Ok(Vec::new()), parse::maintenance) {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(%error, "scheduled maintenance cannot be read; ignored");
                continue;
            }
        };
        let notice = match (events.first(), begins) {
            (Some(event), None) => {
                begins = events.iter().map(|event| event.not_before).min();
                tracing::warn!(code = event.code, not_before = %event.not_before, "maintenance is scheduled for this instance");
                Notice::Ending { by: Ending::Maintenance, at: None }
            }
            (None, Some(begun)) if Timestamp::now() < begun => {
                begins = None;
                tracing::warn!("the maintenance that was scheduled for this instance was called off");
                Notice::Lifted(Ending::Maintenance)
            }
            (Some(_), Some(_)) => {
                // It may be put off, or moved nearer.
                begins = events.iter().map(|event| event.not_before).min();
                continue;
            }
            (None, _) => continue,
        };
        if notices.send(notice).await.is_err() {
            return;
        }
    }
}
