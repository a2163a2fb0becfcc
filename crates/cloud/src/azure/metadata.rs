//! Instance metadata: who this machine is, and what Azure is about to do to it. Pure, but for [`Metadata`], which asks.

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::{
    cloud::{self, CloudError, CloudErrorKind, Ending},
    exchange::{Effect, EffectResult, Method, Reply, Request},
    settings::ScaleSetId,
};
use lightsout_io::http::{Driver, Limits};
use serde::Deserialize;
use serde_json::json;

use super::{
    error, reply,
    token::{METADATA, METADATA_VARIABLE},
};

/// The versions that are spoken (Azure, "Azure Instance Metadata Service", "Scheduled Events for Linux VMs").
const INSTANCE: &str = "2021-12-13";
const EVENTS: &str = "2020-07-01";
/// How long an answer may take that is ready; and the first about events, with which Azure begins to gather them ("up to two minutes").
const READY: Duration = Duration::from_secs(3);
const FIRST_EVENTS: Duration = Duration::from_secs(130);

/// The metadata service of this machine.
#[derive(Debug)]
pub(super) struct Metadata {
    driver: Driver,
    endpoint: String,
}

impl Metadata {
    /// At the address that the environment names, else at the usual one.
    pub(super) fn from_env() -> Self {
        let named = std::env::var(METADATA_VARIABLE).ok().filter(|value| !value.trim().is_empty());
        Self::new(&named.unwrap_or_else(|| METADATA.into()))
    }

    /// At this address.
    pub(super) fn new(endpoint: &str) -> Self {
        let limits = Limits { connect: Duration::from_secs(1), request: FIRST_EVENTS, body: 256 << 10 };
        let driver = Driver::with_limits(concat!("lightsout/", env!("CARGO_PKG_VERSION")), limits);
        Self { driver, endpoint: endpoint.trim_end_matches('/').to_owned() }
    }

    /// Who this machine is.
    pub(super) async fn machine(&self) -> Result<Machine, CloudError> {
        let reply = self.ask(Request::get(self.url("instance/compute", INSTANCE)).within(READY)).await?;
        reply::parse(&reply).map_err(|why| CloudError::new(CloudErrorKind::Other, format!("instance metadata: {why}")))
    }

    /// What is about to happen to the machines of its scale set, and by how much this machine's clock is ahead of Azure's.
    pub(super) async fn events(&self, first: bool) -> Result<(Events, Option<jiff::SignedDuration>), CloudError> {
        let within = if first { FIRST_EVENTS } else { READY };
        let reply = self.ask(Request::get(self.url("scheduledevents", EVENTS)).within(within)).await?;
        let events = reply::parse(&reply)
            .map_err(|why| CloudError::new(CloudErrorKind::Other, format!("scheduled events: {why}")))?;
        Ok((events, ahead(&reply)))
    }

    /// By how much this machine's clock is ahead of Azure's, where it is told.
    pub(super) async fn clock_ahead(&self) -> Result<Option<jiff::SignedDuration>, CloudError> {
        let reply = self.ask(Request::get(self.url("instance/compute", INSTANCE)).within(READY)).await?;
        Ok(ahead(&reply))
    }

    /// Lets these events go on.
    pub(super) async fn agree(&self, events: &[&Event]) -> Result<(), CloudError> {
        let ids: Vec<_> = events.iter().map(|event| json!({ "EventId": event.id })).collect();
        let request = Request::new(Method::Post, self.url("scheduledevents", EVENTS)).within(READY);
        self.ask(request.json(&json!({ "StartRequests": ids }), false)).await.map(drop)
    }

    fn url(&self, what: &str, version: &str) -> String {
        format!("{}/metadata/{what}?api-version={version}", self.endpoint)
    }

    async fn ask(&self, request: Request) -> Result<Reply, CloudError> {
        const WHAT: &str = "instance metadata";
        match self.driver.perform(Effect::Http(request.header("metadata", "true"))).await {
            EffectResult::Http(Ok(reply)) if reply.status == 200 => Ok(reply),
            EffectResult::Http(Ok(reply)) => Err(error::of_reply(WHAT, &reply)),
            EffectResult::Http(Err(why)) => Err(error::of_silence(WHAT, &why)),
            EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                unreachable!("a request is answered by a reply")
            }
        }
    }
}

fn ahead(reply: &Reply) -> Option<jiff::SignedDuration> {
    let date = jiff::fmt::rfc2822::parse(reply.header("date")?).ok()?;
    Some(Timestamp::now().duration_since(date.timestamp()))
}

/// A machine as its metadata describe it. Everything in them is text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    /// As scheduled events name it; not its host name.
    pub(super) name: String,
    pub(super) vm_id: String,
    pub(super) resource_id: String,
    pub(super) location: String,
    subscription_id: String,
    resource_group_name: String,
    #[serde(default)]
    vm_scale_set_name: String,
    #[serde(default)]
    vm_size: String,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    pub(super) tags_list: Vec<Tag>,
}

/// One of its tags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) value: String,
}

impl Machine {
    /// Its scale set; `None`: it is in none.
    pub(super) fn scale_set(&self) -> Option<ScaleSetId> {
        (!self.vm_scale_set_name.is_empty()).then(|| ScaleSetId {
            subscription: self.subscription_id.clone(),
            resource_group: self.resource_group_name.clone(),
            name: self.vm_scale_set_name.clone(),
        })
    }

    /// Whether it is a machine by itself, which its scale set has taken in (Flexible), and no part of it (Uniform).
    pub(super) fn is_flexible(&self) -> bool {
        !self.resource_id.to_ascii_lowercase().contains("/virtualmachinescalesets/")
    }

    /// What kind of machine it is. A machine without a priority is a regular one (Azure, "Virtual Machine Scale Sets": `priority`).
    pub(super) fn kind(&self) -> cloud::Machine {
        let spot = match self.priority.as_deref() {
            Some("Spot" | "Low") => Some(true),
            Some("Regular" | "") => Some(false),
            Some(_) | None => None,
        };
        cloud::Machine { machine_type: Some(self.vm_size.clone()).filter(|size| !size.is_empty()), spot }
    }

    /// By what its scale set knows it.
    pub(super) fn member(&self) -> &str {
        self.resource_id.rsplit('/').next().unwrap_or(&self.name)
    }

    /// A name that no other machine has or will have. Uniform scale sets give a number to another machine when it is free.
    pub(super) fn id(&self) -> String {
        if self.is_flexible() {
            return self.name.clone();
        }
        format!("{}-{}", self.name, self.vm_id.split('-').next().unwrap_or_default())
    }
}

/// What is about to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Events {
    #[serde(default)]
    events: Vec<Event>,
}

/// One event. It is told to every machine of the scale set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    #[serde(rename = "EventId")]
    pub(super) id: String,
    #[serde(rename = "EventType")]
    kind: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(rename = "EventStatus", default)]
    status: String,
    #[serde(default)]
    not_before: String,
}

/// When an event begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It has.
    Begun,
    /// Not before then.
    At(Timestamp),
    /// It is to come, and its time cannot be read.
    Unknown,
}

/// What an event means to the machine whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Azure takes the machine away (Spot).
    Preempt,
    /// Somebody deletes it.
    Terminate,
    /// It is restarted, or moved, which loses what runs.
    Restart,
    /// It stands still for some seconds; what runs goes on.
    Freeze,
    /// A word that is newer than this program.
    Unknown,
}

impl Meaning {
    /// What it ends here, if it ends anything.
    pub(super) fn ending(self) -> Option<Ending> {
        match self {
            Self::Preempt => Some(Ending::Interruption),
            Self::Terminate => Some(Ending::Termination),
            Self::Restart => Some(Ending::Maintenance),
            Self::Freeze | Self::Unknown => None,
        }
    }
}

impl Meaning {
    /// How long before it begins an event is told, at least (Azure, "Scheduled Events for Linux VMs", "Event scheduling").
    pub(super) const fn least_notice(self) -> jiff::SignedDuration {
        match self {
            Self::Preempt => jiff::SignedDuration::from_secs(30),
            Self::Terminate => jiff::SignedDuration::from_mins(5),
            Self::Restart => jiff::SignedDuration::from_mins(10),
            Self::Freeze | Self::Unknown => jiff::SignedDuration::from_mins(15),
        }
    }
}

impl Events {
    /// Those that are about this machine.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.resources.iter().any(|found| found.eq_ignore_ascii_case(name)))
    }
}

impl Event {
    pub(super) fn meaning(&self) -> Meaning {
        match self.kind.as_str() {
            "Preempt" => Meaning::Preempt,
            "Terminate" => Meaning::Terminate,
            "Reboot" | "Redeploy" => Meaning::Restart,
            "Freeze" => Meaning::Freeze,
            _ => Meaning::Unknown,
        }
    }

    /// Whether agreeing concerns this machine alone. It lets the event go on for every machine that it names, jobs or not.
    pub(super) fn is_ours_alone(&self) -> bool {
        self.resources.len() == 1
    }

    /// When it begins, at the earliest. Azure writes the time as HTTP does, and takes it away when the event has begun; Microsoft's own mock of the
    /// service writes it as RFC 3339 does. A text that is neither says nothing, least of all that the event has begun.
    pub(super) fn start(&self) -> Start {
        let text = self.not_before.trim();
        let time = || jiff::fmt::rfc2822::parse(text).map(|time| time.timestamp()).or_else(|_| text.parse());
        if text.is_empty() || self.status == "Started" {
            Start::Begun
        } else {
            time().map_or(Start::Unknown, Start::At)
        }
    }
}
