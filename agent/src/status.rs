//! What operators and systemd see: a status file that is always whole, the unit's status line, and one log line for each change.

use std::path::{Path, PathBuf};

use lightsout_core::{
    agent::{Lifecycle, Status},
    time::Tick,
};
use serde::Serialize;

use crate::{
    clock::{Clock, unix_ms_now},
    journal::replace,
};

/// The status as `lightsout-agent status --json` and the status file show it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The instance's id.
    pub instance: String,
    /// The group's name, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The agent's version.
    pub version: &'static str,
    /// The agent's process id.
    pub pid: u32,
    /// Since when it has been in this phase, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// When a spot deadline ends the instance, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot_deadline_ms: Option<i64>,
    /// The rest.
    #[serde(flatten)]
    pub status: Status,
}

impl Report {
    /// In words, for a person.
    pub fn line(&self) -> String {
        let status = &self.status;
        let mut line = status.phase.to_owned();
        if let Some(why) = status.why {
            line += &format!(" ({why})");
        }
        if !status.jobs.is_empty() {
            let jobs: Vec<&str> = status.jobs.iter().map(|job| job.0.as_str()).collect();
            line += &format!(", jobs {}", jobs.join(" "));
        }
        if let Some(unknown) = &status.unknown {
            line += &format!(", activity unknown: {unknown}");
        }
        if let Some(note) = &status.note {
            line += &format!("; {note}");
        }
        line
    }
}

/// Publishes the status whenever it has changed.
pub struct Publisher {
    path: PathBuf,
    instance: String,
    last: Option<Status>,
    since_ms: i64,
    clock: Clock,
}

impl Publisher {
    pub fn new(state_dir: &Path, instance: String, clock: Clock) -> Self {
        Self { path: state_dir.join("status.json"), instance, last: None, since_ms: unix_ms_now(), clock }
    }

    pub fn report(&self, agent: &Lifecycle, group: Option<String>) -> Report {
        let status = agent.status();
        let wall = |tick: Tick| {
            let now = self.clock.now();
            let ahead = i64::try_from(tick.since(now).as_millis()).unwrap_or(i64::MAX);
            let behind = i64::try_from(now.since(tick).as_millis()).unwrap_or(i64::MAX);
            unix_ms_now() + ahead - behind
        };
        Report {
            instance: self.instance.clone(),
            group,
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            since_ms: self.since_ms,
            spot_deadline_ms: status.spot_deadline.map(wall),
            status,
        }
    }

    /// Writes and logs the status, if it is another than the last one.
    pub fn publish(&mut self, agent: &Lifecycle, group: Option<String>) {
        let status = agent.status();
        let last = self.last.replace(status.clone());
        if last.as_ref() == Some(&status) {
            return;
        }
        let same_phase = last.as_ref().is_some_and(|last| (last.phase, last.why) == (status.phase, status.why));
        if !same_phase {
            self.since_ms = unix_ms_now();
        }
        let report = self.report(agent, group);
        if !same_phase || last.is_some_and(|last| last.jobs != status.jobs) {
            let jobs: Vec<&str> = status.jobs.iter().map(|job| job.0.as_str()).collect();
            let why = status.why.map(lightsout_core::agent::phase::LeaveReason::as_str);
            tracing::info!(
                phase = status.phase,
                why,
                jobs = (!jobs.is_empty()).then(|| jobs.join(" ")),
                unknown = status.unknown,
                note = status.note,
                "now {}",
                status.phase
            );
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Status(&report.line())]);
        let text = serde_json::to_vec(&report).unwrap_or_default();
        if let Err(error) = replace(&self.path, &text, 0o644, false) {
            tracing::warn!(path = %self.path.display(), %error, "the status file cannot be written");
        }
    }
}
