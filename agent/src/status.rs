//! What operators and systemd see: a status file that is always whole, the unit's status line, and one log line for
//! each change.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lightsout_cloud::Host;
use lightsout_core::{
    agent::{
        Status,
        phase::{LeaveReason, PhaseName},
    },
    time::Tick,
};
use lightsout_io::files::replace;
use serde::Serialize;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    boot::{self, Boot, Part},
    clock::{Clock, unix_ms_now},
};

/// How long the exit waits for the last report to be shown.
const LAST_REPORT: Duration = Duration::from_secs(1);

/// The status as `lightsout-agent status --json` and the status file show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatusReport {
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
    /// When the cloud ends the instance, or what runs on it, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<i64>,
    /// How it came up, unless this agent began beside a runner.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<Part>,
    /// Where it shows its metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// The rest.
    #[serde(flatten)]
    pub status: Status,
}

impl StatusReport {
    /// In words, for a person.
    pub(crate) fn line(&self) -> String {
        let status = &self.status;
        let mut line = status.phase.as_str().to_owned();
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

/// Shows the status to whoever looks: a task of its own, so that no slow disk or socket keeps the loop waiting.
pub(crate) struct StatusPublisher {
    instance: String,
    host: Arc<dyn Host>,
    pub(crate) boot: Boot,
    clock: Clock,
    /// Where metrics are shown.
    metrics: Option<SocketAddr>,
    since_ms: i64,
    last: Option<Status>,
    lines: LineBudget,
    reports: watch::Sender<Option<StatusReport>>,
    writing: JoinHandle<()>,
}

impl StatusPublisher {
    pub(crate) fn spawn(
        state_dir: &Path,
        instance: String,
        host: Arc<dyn Host>,
        boot: Boot,
        clock: Clock,
        metrics: Option<SocketAddr>,
    ) -> Self {
        let (reports, seen) = watch::channel(None);
        let writing = tokio::spawn(write_reports(seen, state_dir.join("status.json")));
        Self {
            instance,
            host,
            boot,
            clock,
            metrics,
            since_ms: unix_ms_now(),
            last: None,
            lines: LineBudget::new(),
            reports,
            writing,
        }
    }

    pub(crate) fn report(&self, status: Status) -> StatusReport {
        let wall = |tick: Tick| {
            let now = self.clock.now();
            let ahead = i64::try_from(tick.since(now).as_millis()).unwrap_or(i64::MAX);
            let behind = i64::try_from(now.since(tick).as_millis()).unwrap_or(i64::MAX);
            unix_ms_now() + ahead - behind
        };
        StatusReport {
            instance: self.instance.clone(),
            group: self.host.group(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            since_ms: self.since_ms,
            deadline_ms: status.deadline.map(wall),
            boot: self.boot.parts().to_owned(),
            metrics: self.metrics,
            status,
        }
    }

    /// Logs the status and has it shown, if it is another than the last one. Never waits.
    pub(crate) fn publish(&mut self, status: Status) {
        let last = self.last.replace(status.clone());
        if last.as_ref() == Some(&status) {
            return;
        }
        let same_phase = last.as_ref().is_some_and(|last| (last.phase, last.why) == (status.phase, status.why));
        let ready = self.boot.went(last.as_ref().map(|last| last.phase), status.phase);
        if !same_phase {
            self.since_ms = unix_ms_now();
        }
        if !same_phase || last.is_some_and(|last| last.jobs != status.jobs) {
            self.log(&status, ready);
        }
        self.reports.send_replace(Some(self.report(status)));
    }
}

impl StatusPublisher {
    fn log(&mut self, status: &Status, ready: bool) {
        // Only these two follow one another without a decision of ours.
        let flaps = matches!(status.phase, PhaseName::Idle | PhaseName::Busy) && status.why.is_none();
        let Some(withheld) = (if flaps { self.lines.take(Instant::now()) } else { Some(0) }) else { return };
        let jobs: Vec<&str> = status.jobs.iter().map(|job| job.0.as_str()).collect();
        tracing::info!(
            phase = status.phase.as_str(),
            why = status.why.map(LeaveReason::as_str),
            jobs = (!jobs.is_empty()).then(|| jobs.join(" ")),
            unknown = status.unknown,
            note = status.note,
            // Why it was so late, and what it took to have it at all.
            boot = (ready || status.phase == PhaseName::Retiring).then(|| boot::in_words(self.boot.parts())).flatten(),
            withheld = (withheld > 0).then_some(withheld),
            "now {}",
            status.phase.as_str()
        );
    }

    /// Waits until the last report is shown, unless the disk does not take it.
    pub(crate) async fn finish(self) {
        drop(self.reports);
        let _ = tokio::time::timeout(LAST_REPORT, self.writing).await;
    }
}

/// How many lines may be said: a burst, and then one a second. What flaps says no more by being said each time.
struct LineBudget {
    left: u32,
    since: Instant,
    withheld: u64,
}

const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(1);

impl LineBudget {
    fn new() -> Self {
        Self { left: BURST, since: Instant::now(), withheld: 0 }
    }

    /// Whether a line may be said now, and how many were not since the last one that was.
    fn take(&mut self, now: Instant) -> Option<u64> {
        while self.left < BURST && now.duration_since(self.since) >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
        if self.left == BURST {
            self.since = now;
        }
        if self.left == 0 {
            self.withheld += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

/// Shows the newest report in systemd's status line and in the status file. One that is overtaken is skipped.
async fn write_reports(mut reports: watch::Receiver<Option<StatusReport>>, path: PathBuf) {
    while reports.changed().await.is_ok() {
        let Some(report) = reports.borrow_and_update().clone() else { continue };
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Status(&report.line())]);
        let text = serde_json::to_vec(&report).unwrap_or_default();
        let file = path.clone();
        let written = tokio::task::spawn_blocking(move || replace(&file, &text, 0o644, false)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(path = %path.display(), %error, "the status file cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flaps_is_said_in_a_burst_and_then_once_a_second() {
        let begun = Instant::now();
        let mut lines = LineBudget { left: BURST, since: begun, withheld: 0 };
        // 8 changes a second for a minute.
        let said = (0..480).filter(|n| lines.take(begun + Duration::from_millis(125) * *n).is_some()).count();
        assert!((75..=82).contains(&said), "{said}");
        let later = begun + Duration::from_secs(3600);
        let withheld = lines.take(later).unwrap();
        assert!(withheld > 0, "what was not said is counted");
        assert_eq!(lines.take(later), Some(0));
    }
}
