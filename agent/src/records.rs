//! What the agent writes down: incidents as they happen, and the death certificate before the instance ends. The log has each of them at once;
//! other places get them beside the work, and an ending waits for them for a moment only.

mod sinks;

use std::{fs, path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lightsout_cloud::{Archive, Entry, Host};
use lightsout_core::{
    agent::{
        Agent,
        action::Request,
        event::{Event, Order, Outcome},
        host::{HostEffect, JournalEntry},
        phase::LeaveReason,
        recorder::{InstanceFacts, Moment, Recorder},
    },
    record::{BootPart, Departure, Severity, Versions, Warning},
};
use lightsout_io::log;
use serde_json::Value;

use self::sinks::Sinks;
use crate::{
    boot::Part,
    clock::{Clock, unix_ms_now},
    image::IMAGE,
};

/// How long the exit waits for what is on its way.
const LAST: Duration = Duration::from_secs(1);
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The hand-over of a certificate, for which an ending waits no longer than it says.
pub(crate) type Delivery = BoxFuture<'static, ()>;

/// The instance's life, and where it is written down.
pub(crate) struct Records {
    recorder: Recorder,
    host: Arc<dyn Host>,
    clock: Clock,
    versions: Versions,
    boot_id: Option<String>,
    sinks: Sinks,
}

impl Records {
    /// Begins, with what the journal said and whether a runner was found alive.
    pub(crate) fn start(
        facts: InstanceFacts,
        (entry, runner_alive): (JournalEntry, bool),
        host: Arc<dyn Host>,
        clock: Clock,
        archives: Vec<Box<dyn Archive>>,
    ) -> Self {
        Self {
            recorder: Recorder::new(facts, entry, runner_alive, now(clock)),
            host,
            clock,
            versions: versions(Path::new(IMAGE)),
            boot_id: fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned()),
            sinks: Sinks::spawn(archives),
        }
    }

    /// The agent is about to be told this.
    pub(crate) fn on_event(&mut self, event: &Event) {
        self.recorder.on_event(event, now(self.clock));
    }

    /// The last words of a runner whose exit will be told next.
    pub(crate) fn runner_said(&mut self, said: &str) {
        self.recorder.runner_said(said);
    }

    /// The last words of the operator's own program for each boot, whose failure will be told next.
    pub(crate) fn before_register_said(&mut self, said: String) {
        self.recorder.before_register_said(said);
    }

    /// An operator is about to order this.
    pub(crate) fn ordered(&mut self, order: Order) {
        self.recorder.ordered(order, now(self.clock));
    }

    /// A request of the agent ended.
    pub(crate) fn finished(&mut self, request: Request, outcome: &Outcome) {
        self.recorder.finished(request, outcome, now(self.clock));
    }

    /// Where the agent stands after a step.
    pub(crate) fn stands(&mut self, agent: &Agent) {
        self.recorder.stands(agent, now(self.clock));
    }

    /// Says what is to be said by now.
    pub(crate) fn say(&mut self, agent: &Agent, boot: &[Part]) {
        let now = now(self.clock);
        if let Some(departure) = self.recorder.unasked(agent, now) {
            self.write(departure, boot, Duration::ZERO);
        }
        while let Some(mut incident) = self.recorder.poll_incident() {
            incident.group = self.host.group();
            let (json, what) = (incident.json(), incident.what.as_str());
            log::record(&json);
            self.sinks.incident(&entry_of(&incident.instance, &incident.time, what, now, json));
        }
    }

    /// Writes the certificate down, if this effect ends the instance and none has named its way; what the effect should wait for, then.
    pub(crate) fn before(&mut self, effect: HostEffect, agent: &Agent, boot: &[Part]) -> Option<Delivery> {
        let departure = self.recorder.before(effect, agent, now(self.clock))?;
        self.write(departure, boot, Recorder::patience(effect, agent))
    }

    /// Why the instance leaves, for a tag.
    pub(crate) fn tag(&self, why: LeaveReason) -> String {
        self.recorder.tag(why)
    }

    /// Waits for what is on its way, for a moment: the agent exits.
    pub(crate) async fn finish(self) {
        self.sinks.finish(LAST).await;
    }

    fn write(&mut self, departure: Departure, boot: &[Part], patience: Duration) -> Option<Delivery> {
        let warnings = log::recent().into_iter().map(|said| Warning {
            time: text(said.unix_ms),
            level: if said.error { Severity::Error } else { Severity::Warn },
            message: said.message,
        });
        let boot = boot.iter().map(|Part { part, until_ms }| BootPart { part: part.to_string(), until_ms: *until_ms });
        let departure = Departure {
            group: self.host.group(),
            boot: boot.collect(),
            warnings: warnings.collect(),
            versions: self.versions.clone(),
            boot_id: self.boot_id.clone(),
            ..departure
        };
        let json = departure.json();
        log::record(&json);
        let Departure { instance, time, way, withdrawn, .. } = &departure;
        let what = if withdrawn.is_some() { "withdrawn" } else { way.as_str() };
        self.sinks.departure(&entry_of(instance, time, what, now(self.clock), json), patience)
    }
}

/// What an archive gets. Colons are nothing for the name of an object.
fn entry_of(instance: &str, time: &str, what: &str, now: Moment, json: String) -> Entry {
    let name = format!("{}-{what}", time.replace(':', "-"));
    Entry { instance: instance.to_owned(), name, unix_ms: now.unix_ms, json }
}

fn now(clock: Clock) -> Moment {
    Moment { tick: clock.now(), unix_ms: unix_ms_now() }
}

fn text(unix_ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(unix_ms).unwrap_or_default())
}

/// The agent's own, and what the image says of itself and its runner.
fn versions(image: &Path) -> Versions {
    let said: Option<Value> = fs::read(image).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let word = |pointer: &str| said.as_ref()?.pointer(pointer)?.as_str().map(str::to_owned);
    Versions { agent: env!("CARGO_PKG_VERSION").into(), image: word("/image"), runner: word("/runner/version") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_tells_its_own_version_and_the_runners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.json");
        let own = |image: Option<&str>, runner: Option<&str>| Versions {
            agent: env!("CARGO_PKG_VERSION").into(),
            image: image.map(str::to_owned),
            runner: runner.map(str::to_owned),
        };
        assert_eq!(versions(&path), own(None, None), "there is none");
        fs::write(&path, r#"{"image":"lightsout-gitlab-1","runner":{"name":"gitlab-runner","version":"18.5.0"}}"#)
            .unwrap();
        assert_eq!(versions(&path), own(Some("lightsout-gitlab-1"), Some("18.5.0")));
        fs::write(&path, r#"{"image":"lightsout-1","runner":{"name":null,"version":null}}"#).unwrap();
        assert_eq!(versions(&path), own(Some("lightsout-1"), None));
    }
}
