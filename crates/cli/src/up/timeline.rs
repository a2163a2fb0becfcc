//! What happens in a fleet, told in lines: the cloud's and the CI platform's events, the scaler's decisions, the
//! agents' phases.

use std::collections::{BTreeMap, VecDeque};

use lightsout_core::record::{Decision, Outcome};
use lightsout_localcloud::{FleetEvent, Snapshot};
use serde::Serialize;

use super::summary::Scaler;
use crate::agent_report;

const TIMELINE: usize = 500;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who it is about: an instance, `job N`, `scaler`, or the fleet.
    pub who: String,
    pub what: String,
    /// How it should strike the reader.
    #[serde(skip)]
    pub tone: Tone,
}

/// How a line should strike the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Leaving,
    Bad,
}

/// Everything that was told so far, and what is needed to tell more.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The last lines, oldest first.
    pub lines: VecDeque<Line>,
    /// What the scaler has done.
    pub scaler: Scaler,
    /// What the scaler decided last.
    pub decision: Option<Decision>,
    /// Each agent's phase, and since when, in milliseconds since the Unix epoch.
    pub phases: BTreeMap<String, (String, i64)>,
    error: Option<String>,
}

impl Timeline {
    /// Takes a line in and gives it back.
    pub(super) fn push(&mut self, line: Line) -> Line {
        self.lines.push_back(line.clone());
        while self.lines.len() > TIMELINE {
            self.lines.pop_front();
        }
        line
    }

    /// Events of the embedded cloud. Jobs that were queued together make one line.
    pub(super) fn on_events(&mut self, events: &[FleetEvent]) -> Vec<Line> {
        let together = |a: &FleetEvent, b: &FleetEvent| is_queued(a) && is_queued(b);
        events.chunk_by(together).map(|events| self.group_line(events)).collect()
    }

    fn group_line(&mut self, events: &[FleetEvent]) -> Line {
        let (event, last) = (&events[0], &events[events.len() - 1]);
        let job = match (event.job, last.job) {
            (Some(first), Some(last)) if first != last => Some(format!("jobs {first} to {last}")),
            (job, _) => job.map(|job| format!("job {job}")),
        };
        let (who, what) = match (&event.instance, job) {
            (Some(instance), Some(job)) => (instance.clone(), format!("{job} {}", event.what)),
            (Some(instance), None) => (instance.clone(), event.what.clone()),
            (None, Some(job)) => (job, event.what.clone()),
            (None, None) => (event.group.clone().unwrap_or_else(|| "fleet".to_owned()), event.what.clone()),
        };
        self.push(Line { at_ms: event.at_ms, who, tone: tone(&what), what })
    }

    /// A decision of the scaler; only what is new is worth a line.
    pub(super) fn on_decision(&mut self, record: &Decision, now_ms: i64) -> Option<Line> {
        self.scaler.ticks += 1;
        let news = match record.result {
            Outcome::Raised => {
                self.scaler.raises += 1;
                let to = record.to.map_or_else(String::new, |to| to.to_string());
                let from = record.why.as_ref().map_or_else(String::new, |why| format!("{} -> ", why.desired));
                Some((
                    format!("raised {from}{to}: {}", record.reason.as_deref().unwrap_or("no reason given")),
                    Tone::Good,
                ))
            }
            Outcome::Failed if record.error != self.error => {
                Some((format!("failed: {}", record.error.as_deref().unwrap_or("no error given")), Tone::Bad))
            }
            Outcome::Held | Outcome::WouldRaise | Outcome::Queued if self.error.is_some() => {
                Some(("works again".to_owned(), Tone::Good))
            }
            Outcome::Held | Outcome::WouldRaise | Outcome::Queued | Outcome::Standby | Outcome::Failed => None,
        };
        self.error.clone_from(&record.error);
        self.decision = Some(record.clone());
        news.map(|(what, tone)| self.push(Line { at_ms: now_ms, who: "scaler".to_owned(), what, tone }))
    }

    /// What the agents' reports say that they did not say before.
    pub(super) fn on_snapshot(&mut self, snapshot: &Snapshot) -> Vec<Line> {
        let mut lines = Vec::new();
        let living: Vec<_> = snapshot.instances.iter().filter(|instance| instance.ended_ms.is_none()).collect();
        self.phases.retain(|id, _| living.iter().any(|instance| instance.id == *id));
        for instance in living {
            let Some(phase) = agent_report::phase(instance) else { continue };
            let before = self.phases.get(&instance.id).map(|(phase, _)| phase.as_str());
            if before == Some(phase.as_str()) {
                continue;
            }
            // Busy and idle follow from the jobs' own lines.
            let why = agent_report::leaving(instance).map_or_else(String::new, |why| format!(" ({why})"));
            let news = match phase.as_str() {
                "draining" => Some((format!("takes no more jobs{why}"), Tone::Leaving)),
                "retiring" => Some((format!("is empty and ends itself{why}"), Tone::Leaving)),
                "idle" if before.is_none_or(|before| ["preparing", "booting", "registering"].contains(&before)) => {
                    Some(("is ready for jobs".to_owned(), Tone::Good))
                }
                _ => None,
            };
            if let Some((what, tone)) = news {
                lines.push(self.push(Line { at_ms: snapshot.at_ms, who: instance.id.clone(), what, tone }));
            }
            self.phases.insert(instance.id.clone(), (phase, snapshot.at_ms));
        }
        lines
    }
}

fn is_queued(event: &FleetEvent) -> bool {
    event.job.is_some() && event.what == "queued"
}

fn tone(what: &str) -> Tone {
    let has = |words: &[&str]| words.iter().any(|word| what.contains(word));
    if has(&["lost", "fail", "crash", "killed", "interrupt", "unhealthy"]) {
        Tone::Bad
    } else if has(&["succeeded", "done", "in service", "InService"]) {
        Tone::Good
    } else if has(&["erminat", "rebalance", "scale-in", "lowered", "ended"]) {
        Tone::Leaving
    } else {
        Tone::Plain
    }
}

#[cfg(test)]
mod tests {
    use lightsout_core::record::TickTimes;
    use lightsout_localcloud::fleet::{AgentReport, InstanceView, Source};
    use serde_json::json;

    use super::*;

    fn record(result: Outcome, error: Option<&str>) -> Decision {
        Decision {
            time: "2026-01-01T00:00:00Z".into(),
            pool: "p".into(),
            group: "p".into(),
            cloud: None,
            platform: "gitlab".into(),
            result,
            to: (result == Outcome::Raised).then_some(3),
            why: None,
            reason: Some("3 waiting".into()),
            missing: None,
            error: error.map(str::to_owned),
            trouble: None,
            failed_launches: Vec::new(),
            launches_suspended: false,
            ms: TickTimes::default(),
        }
    }

    #[test]
    fn the_scaler_speaks_when_it_acts_and_when_its_trouble_changes() {
        let mut timeline = Timeline::default();
        let mut say = |record| timeline.on_decision(&record, 0).map(|line| line.what);
        assert_eq!(say(record(Outcome::Held, None)), None);
        assert_eq!(say(record(Outcome::Raised, None)).as_deref(), Some("raised 3: 3 waiting"));
        assert_eq!(say(record(Outcome::Failed, Some("401"))).as_deref(), Some("failed: 401"));
        assert_eq!(say(record(Outcome::Failed, Some("401"))), None);
        assert_eq!(say(record(Outcome::Failed, Some("503"))).as_deref(), Some("failed: 503"));
        assert_eq!(say(record(Outcome::Held, None)).as_deref(), Some("works again"));
        assert_eq!(timeline.scaler, Scaler { ticks: 6, raises: 1 });
        assert_eq!(timeline.lines.len(), 4);
    }

    #[test]
    fn a_phase_is_told_once() {
        let mut timeline = Timeline::default();
        let mut see = |phase: &str, at_ms| {
            let agent = Some(AgentReport(json!({ "phase": phase, "why": "idle" })));
            let instance = InstanceView { id: "i-1".into(), agent, ..InstanceView::default() };
            let snapshot = Snapshot { at_ms, instances: vec![instance], ..Snapshot::default() };
            timeline.on_snapshot(&snapshot).into_iter().map(|line| line.what).collect::<Vec<_>>()
        };
        assert_eq!(see("booting", 0), [""; 0]);
        assert_eq!(see("idle", 1), ["is ready for jobs"]);
        assert_eq!(see("busy", 2), [""; 0]);
        assert_eq!(see("idle", 3), [""; 0]);
        assert_eq!(see("draining", 4), ["takes no more jobs (idle)"]);
        assert_eq!(see("draining", 5), [""; 0]);
        assert_eq!(timeline.phases["i-1"], ("draining".to_owned(), 4));
    }

    fn event(instance: Option<&str>, job: Option<u64>, what: &str) -> FleetEvent {
        FleetEvent {
            seq: 1,
            at_ms: 5,
            source: Source::Ci,
            group: Some("g".into()),
            instance: instance.map(str::to_owned),
            job,
            what: what.to_owned(),
        }
    }

    fn group_line(events: &[FleetEvent]) -> Vec<(String, String)> {
        Timeline::default().on_events(events).into_iter().map(|line| (line.who, line.what)).collect()
    }

    fn pair(who: &str, what: &str) -> (String, String) {
        (who.to_owned(), what.to_owned())
    }

    #[test]
    fn an_event_says_who_and_what() {
        assert_eq!(group_line(&[event(Some("i-1"), Some(7), "ended")]), [pair("i-1", "job 7 ended")]);
        assert_eq!(group_line(&[event(None, Some(7), "ended")]), [pair("job 7", "ended")]);
        assert_eq!(group_line(&[event(None, None, "ended")]), [pair("g", "ended")]);
    }

    #[test]
    fn jobs_that_are_queued_together_make_one_line() {
        let queued = |job| event(None, Some(job), "queued");
        let events = [queued(1), queued(2), queued(3), event(Some("i-1"), Some(1), "picked"), queued(4)];
        assert_eq!(
            group_line(&events),
            [pair("jobs 1 to 3", "queued"), pair("i-1", "job 1 picked"), pair("job 4", "queued")]
        );
    }
}
