//! How long the group's termination hook still waits, as far as an agent can know.

use std::time::Duration;

use crate::{
    agent::{event::Outcome, operations::HEARTBEATS},
    duration::format_duration,
    record::IncidentCause,
    time::Tick,
};

/// How long the group may have waited already when its notice is seen: the metadata service is asked every second.
const UNSEEN: Duration = Duration::from_secs(5);

/// The termination hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Hook {
    /// Its time-out, once it was looked up. Who changes it afterwards tells no instance.
    time_out: Option<Duration>,
    /// Since when it waits, or when it was extended last.
    since: Option<Tick>,
}

impl Hook {
    /// The group ends the instance, as is seen now.
    pub(super) fn began(&mut self, now: Tick) {
        self.since.get_or_insert(now);
    }

    /// It does not.
    pub(super) fn lifted(&mut self) {
        self.since = None;
    }

    /// What came of looking it up, or of extending it.
    pub(super) fn answered(&mut self, outcome: &Outcome, now: Tick) {
        match outcome {
            Outcome::HookFound { heartbeat } => self.time_out = Some(*heartbeat * HEARTBEATS),
            Outcome::Done => self.since = Some(now),
            _ => {}
        }
    }

    /// What is behind a stop of the service, and in words. The group tells nobody that the time is over: it switches the machine off.
    pub(super) fn stopped(&self, now: Tick) -> (IncidentCause, String) {
        let stop = "the service was told to stop (SIGTERM or SIGINT)";
        let waited = self.since.map(|since| now.since(since));
        match self.time_out.zip(waited) {
            Some((time_out, waited)) if waited + UNSEEN >= time_out => {
                let span = format_duration(Duration::from_secs(waited.as_secs()));
                let time_out = format_duration(time_out);
                let detail =
                    format!("{stop}, with the termination hook not extended for {span}: its time-out is {time_out}");
                (IncidentCause::HookTimedOut, detail)
            }
            Some(_) | None => (IncidentCause::ServiceStopped, stop.to_owned()),
        }
    }
}
