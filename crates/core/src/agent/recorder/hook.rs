//! How long the group's termination hook still waits, as far as an agent can know.

use std::time::Duration;

use crate::{
    agent::{event::Outcome, operations::HEARTBEATS},
    cloud::HookRules,
    duration::format_duration,
    record::IncidentCause,
    time::Tick,
};

/// How long the group may have waited already when its notice is seen: the metadata service is asked every second.
const UNSEEN: Duration = Duration::from_secs(5);

/// The termination hook.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    /// How far the cloud lets it be extended.
    rules: Option<HookRules>,
    /// Its time-out, once it was looked up. Who changes it afterwards tells no instance.
    time_out: Option<Duration>,
    /// Since when it waits. An agent that is started again does not know it, and begins with when it sees that it waits.
    began: Option<Tick>,
    /// When it was extended last.
    extended: Option<Tick>,
}

impl Hook {
    /// One that does not wait yet.
    pub(super) fn new(rules: Option<HookRules>) -> Self {
        Self { rules, time_out: None, began: None, extended: None }
    }

    /// The group ends the instance, as is seen now.
    pub(super) fn began(&mut self, now: Tick) {
        self.began.get_or_insert(now);
    }

    /// It does not.
    pub(super) fn lifted(&mut self) {
        (self.began, self.extended) = (None, None);
    }

    /// What came of looking it up, or of extending it.
    pub(super) fn answered(&mut self, outcome: &Outcome, now: Tick) {
        if let Outcome::HookFound { heartbeat } = outcome {
            self.time_out = Some(*heartbeat * HEARTBEATS);
        } else if *outcome == Outcome::Done {
            self.extended = Some(now);
        }
    }

    /// What is behind a stop of the service, and in words. The group tells nobody that the time is over: it switches the machine off.
    pub(super) fn stopped(&self, now: Tick) -> (IncidentCause, String) {
        let stop = "the service was told to stop (SIGTERM or SIGINT)";
        match self.ran_out(now) {
            Some(how) => (IncidentCause::HookTimedOut, format!("{stop}, with the termination hook {how}")),
            None => (IncidentCause::ServiceStopped, stop.to_owned()),
        }
    }

    /// How its time has run out, if it has.
    fn ran_out(&self, now: Tick) -> Option<String> {
        let (time_out, began) = self.time_out.zip(self.began)?;
        let over = |since: Tick, span: Duration| now.since(since) + UNSEEN >= span;
        let waited = |since: Tick| format_duration(Duration::from_secs(now.since(since).as_secs()));
        let extendable = self.rules.filter(|rules| rules.extendable());
        let last = self.extended.unwrap_or(began);
        // First: no extension helps after that, accepted or not.
        if let Some(longest) = extendable.map(|rules| rules.bound(time_out)).filter(|longest| over(began, *longest)) {
            let (time_out, longest) = (format_duration(time_out), format_duration(longest));
            let waited = waited(began);
            return Some(format!(
                "waiting for {waited}: with a time-out of {time_out} it cannot be extended beyond {longest}"
            ));
        }
        over(last, time_out)
            .then(|| format!("not extended for {}: its time-out is {}", waited(last), format_duration(time_out)))
    }
}
