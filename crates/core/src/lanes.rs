//! Records as lanes: what each instance did from its start to its end, span after span, with its jobs and why it left.
//!
//! The one fold from records to time, for whoever draws it, sums it up or puts a price on it. [`lanes`] takes agents' incidents and departures in
//! whatever order, of any number of instances; decisions are no instance's and are passed over.
//!
//! The spans of a [`Lane`] follow on one another without a gap and do not overlap, so their lengths add up to the lane's. A lane begins with the
//! kernel where a certificate tells how long the boot took and no other instance ran on that kernel, else with the first record of the instance; it ends with its last certificate. What
//! came after that, until the cloud let the machine go, is not in the records.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    activity::JobId,
    agent::phase::LeaveReason,
    cloud::Machine,
    record::{Departure, Incident, IncidentKind, Record, Way},
};

/// What an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// From its start until it is ready for jobs, and again when its agent began anew without a runner.
    Booting,
    /// Ready, and without a job.
    Idle,
    /// At least one job runs, or it is not known that none does.
    Busy,
    /// It takes no more jobs. Those that run still are in [`Span::jobs`].
    Draining,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Booting, Self::Idle, Self::Busy, Self::Draining];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }
}

/// A time in which an instance did the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    pub state: State,
    pub from: Timestamp,
    /// Until when; never before `from`.
    pub to: Timestamp,
    /// The jobs that ran meanwhile, as far as they have names; else how many they were, in the words of what counted them.
    pub jobs: Vec<String>,
    /// Why it drains, where it does and that is told.
    pub why: Option<LeaveReason>,
}

impl Span {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.duration_since(self.from).try_into().unwrap_or_default()
    }

    /// Whether a job ran, or may have run: in an instance that drains its last ones do.
    pub fn works(&self) -> bool {
        match self.state {
            State::Booting | State::Idle => false,
            State::Busy => true,
            State::Draining => !self.jobs.is_empty(),
        }
    }

    /// The part of it between these times; `None` when there is none.
    #[must_use]
    pub fn within(&self, from: Timestamp, to: Timestamp) -> Option<Self> {
        let (from, to) = (self.from.max(from), self.to.min(to));
        (from < to).then(|| Self { from, to, ..self.clone() })
    }
}

/// How an instance's life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Why it left.
    pub reason: LeaveReason,
    /// What made it so, in words.
    pub trigger: String,
    /// The way that was taken last.
    pub way: Way,
    /// Whether jobs were failed for a spot deadline.
    pub cut: bool,
}

/// One instance's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    pub instance: String,
    /// Its group, as far as known.
    pub group: Option<String>,
    /// What kind of machine it is, as far as its records tell.
    pub machine: Machine,
    /// What it did, the first span first; never empty.
    pub spans: Vec<Span>,
    /// How it ended. `None`: it is there still, or it ended without a word.
    pub end: Option<End>,
}

impl Lane {
    /// When it began.
    pub fn from(&self) -> Timestamp {
        self.spans.first().map(|span| span.from).unwrap_or_default()
    }

    /// When it ended, or until when it was looked at.
    pub fn to(&self) -> Timestamp {
        self.spans.last().map(|span| span.to).unwrap_or_default()
    }

    /// The same life as its cloud bills it, which says when the machine was launched and when it was gone: it boots until its first record, and
    /// from its last one on it does what it did last. The spans add up to the time from `launched` to `gone`, and to none where that is earlier.
    #[must_use]
    pub fn billed(mut self, launched: Timestamp, gone: Timestamp) -> Self {
        let boots = |to| Span { state: State::Booting, from: launched, to, jobs: Vec::new(), why: None };
        if launched < self.from() {
            self.spans.insert(0, boots(self.from()));
        }
        if let Some(last) = self.spans.last_mut() {
            last.to = last.to.max(gone);
        }
        self.spans = self.spans.iter().filter_map(|span| span.within(launched, gone)).collect();
        if self.spans.is_empty() {
            self.spans.push(boots(launched));
        }
        self
    }
}

/// The lives that these records tell, the earliest first; `now` ends those that have not ended. Records that are younger, or have no time, are passed over.
pub fn lanes<'a>(records: impl IntoIterator<Item = &'a Record>, now: Timestamp) -> Vec<Lane> {
    let mut lives: BTreeMap<&str, Vec<(Timestamp, LaneRecord<'a>)>> = BTreeMap::new();
    for record in records {
        let told = match record {
            Record::Incident(incident) => LaneRecord::Incident(incident),
            Record::Departure(departure) => LaneRecord::Departure(departure),
            Record::Decision(_) => continue,
        };
        if let Ok(time) = record.time().parse::<Timestamp>()
            && time <= now
        {
            lives.entry(told.instance()).or_default().push((time, told));
        }
    }
    let shared = shared_kernels(&lives);
    let mut lanes: Vec<Lane> = lives.into_iter().map(|(instance, told)| lane(instance, told, now, &shared)).collect();
    lanes.sort_by(|a, b| (a.from(), &a.instance).cmp(&(b.from(), &b.instance)));
    lanes
}

/// Kernels on which several instances ran, as where instances are groups of processes: they started before the instances did.
fn shared_kernels(lives: &BTreeMap<&str, Vec<(Timestamp, LaneRecord<'_>)>>) -> BTreeSet<String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for (instance, told) in lives {
        for (_, told) in told {
            if let Some(boot) = told.boot_id()
                && seen.insert(boot, instance).is_some_and(|other| other != *instance)
            {
                shared.insert(boot.to_owned());
            }
        }
    }
    shared
}

#[derive(Clone, Copy)]
enum LaneRecord<'a> {
    Incident(&'a Incident),
    Departure(&'a Departure),
}

impl<'a> LaneRecord<'a> {
    fn instance(self) -> &'a str {
        match self {
            Self::Incident(incident) => &incident.instance,
            Self::Departure(departure) => &departure.instance,
        }
    }

    fn boot_id(self) -> Option<&'a str> {
        match self {
            Self::Incident(_) => None,
            Self::Departure(departure) => departure.boot_id.as_deref(),
        }
    }

    fn machine(self) -> &'a Machine {
        match self {
            Self::Incident(incident) => &incident.machine,
            Self::Departure(departure) => &departure.machine,
        }
    }

    fn group(self) -> Option<&'a String> {
        match self {
            Self::Incident(incident) => incident.group.as_ref(),
            Self::Departure(departure) => departure.group.as_ref(),
        }
    }
}

fn lane(instance: &str, mut told: Vec<(Timestamp, LaneRecord<'_>)>, now: Timestamp, shared: &BTreeSet<String>) -> Lane {
    // What was written at the same moment stays in its order.
    told.sort_by_key(|(time, _)| *time);
    let group = told.iter().find_map(|(_, told)| told.group()).cloned();
    let machine = Machine {
        machine_type: told.iter().find_map(|(_, told)| told.machine().machine_type.clone()),
        spot: told.iter().find_map(|(_, told)| told.machine().spot),
    };
    let mut life = Life::begin(began(&told, shared));
    for (time, told) in &told {
        match told {
            LaneRecord::Incident(incident) => life.happened(incident, *time),
            LaneRecord::Departure(departure) => life.left(departure, *time),
        }
    }
    let until = life.end.as_ref().map_or(now, |(time, _)| *time);
    life.close(until);
    Lane { instance: instance.to_owned(), group, machine, spans: life.spans, end: life.end.map(|(_, end)| end) }
}

/// For so long at most an instance boots before its agent is heard of. A kernel that is older is a host's on which agents begin late, or one that
/// slept in a warm pool.
const LONGEST_BOOT: SignedDuration = SignedDuration::from_hours(1);

/// When its kernel started, where that can be told and it is its own; else when it was first heard of.
fn began(told: &[(Timestamp, LaneRecord<'_>)], shared: &BTreeSet<String>) -> Timestamp {
    let first = told.first().map(|(time, _)| *time).unwrap_or_default();
    if told.iter().filter_map(|(_, told)| told.boot_id()).any(|boot| shared.contains(boot)) {
        return first;
    }
    let boot = told.iter().find_map(|(_, told)| match told {
        LaneRecord::Departure(departure) => departure.boot.iter().find(|part| part.part == "ready"),
        LaneRecord::Incident(_) => None,
    });
    let ready = told
        .iter()
        .find(|(_, told)| matches!(told, LaneRecord::Incident(incident) if incident.what == IncidentKind::Ready));
    boot.zip(ready)
        .and_then(|(boot, (ready, _))| {
            ready.checked_sub(SignedDuration::from_millis(i64::try_from(boot.until_ms).ok()?)).ok()
        })
        .filter(|kernel| first.duration_since(*kernel) <= LONGEST_BOOT)
        .map_or(first, |kernel| kernel.min(first))
}

/// The jobs by their names. Where a probe has these, one that only counts jobs, or tells which worker has one, sees the same jobs once more.
pub(crate) fn named(jobs: &[String]) -> Vec<String> {
    let (named, others): (Vec<String>, Vec<String>) =
        jobs.iter().cloned().partition(|job| JobId(job.clone()).is_of_one());
    if named.is_empty() { others } else { named }
}

/// A life, while it is told.
struct Life {
    spans: Vec<Span>,
    state: State,
    since: Timestamp,
    jobs: Vec<String>,
    /// Whether jobs run, drain or not.
    busy: bool,
    why: Option<LeaveReason>,
    end: Option<(Timestamp, End)>,
}

impl Life {
    fn begin(since: Timestamp) -> Self {
        Self { spans: Vec::new(), state: State::Booting, since, jobs: Vec::new(), busy: false, why: None, end: None }
    }

    fn happened(&mut self, incident: &Incident, time: Timestamp) {
        match incident.what {
            IncidentKind::Started => {
                self.set_jobs(false, Vec::new(), time);
                self.turn(State::Booting, None, time);
            }
            IncidentKind::Ready => self.turn(State::Idle, None, time),
            // What is not known counts as busy, here as everywhere.
            IncidentKind::RunnerFound if self.state == State::Booting => {
                self.turn(State::Busy, None, time);
                self.busy = true;
            }
            IncidentKind::ActivityUnknown if self.state == State::Idle => self.turn(State::Busy, None, time),
            IncidentKind::ActivityKnown if self.state == State::Busy && !self.busy => {
                self.turn(State::Idle, None, time);
            }
            IncidentKind::Busy => self.set_jobs(true, named(&incident.jobs), time),
            IncidentKind::Idle => self.set_jobs(false, Vec::new(), time),
            IncidentKind::Leaving => {
                let word = incident.detail.split(':').next().unwrap_or_default();
                let why = serde_json::from_value(word.into()).ok();
                self.turn(State::Draining, why, time);
            }
            IncidentKind::DrainTakenBack => {
                self.end = None;
                let state = if self.busy { State::Busy } else { State::Idle };
                self.turn(state, None, time);
            }
            IncidentKind::RunnerFound
            | IncidentKind::BeforeRegisterFailed
            | IncidentKind::NotInService
            | IncidentKind::RegistrationFailed
            | IncidentKind::RunnerExited
            | IncidentKind::ActivityUnknown
            | IncidentKind::ActivityKnown
            | IncidentKind::NoRoom
            | IncidentKind::Held
            | IncidentKind::HoldEnded
            | IncidentKind::DrainOrdered
            | IncidentKind::SpotNotice
            | IncidentKind::RebalanceNotice
            | IncidentKind::MaintenanceNotice
            | IncidentKind::ScaleInNotice
            | IncidentKind::DrainFailed
            | IncidentKind::JobsCut
            | IncidentKind::StuckRunner
            | IncidentKind::HeartbeatRefused
            | IncidentKind::NoHook
            | IncidentKind::DeregistrationFailed
            | IncidentKind::CloudRefused => {}
        }
    }

    /// A certificate: the last one counts, unless it is taken back.
    fn left(&mut self, departure: &Departure, time: Timestamp) {
        if departure.withdrawn.is_some() {
            self.end = None;
            return;
        }
        if self.state != State::Draining {
            // Its agent began to leave before it was read of.
            let decided = departure.decided_at.as_ref().and_then(|at| at.parse().ok()).unwrap_or(time);
            self.turn(State::Draining, Some(departure.reason), decided.max(self.since).min(time));
        }
        self.why = Some(departure.reason);
        let Departure { reason, trigger, way, jobs, .. } = departure;
        let end = End { reason: *reason, trigger: trigger.clone(), way: *way, cut: jobs.cut };
        self.end = Some((time, end));
    }

    fn set_jobs(&mut self, busy: bool, jobs: Vec<String>, time: Timestamp) {
        if self.state == State::Draining && self.jobs != jobs {
            self.close(time);
        }
        if matches!(self.state, State::Idle | State::Busy) {
            self.close(time);
            self.state = if busy { State::Busy } else { State::Idle };
        }
        (self.busy, self.jobs) = (busy, jobs);
    }

    fn turn(&mut self, state: State, why: Option<LeaveReason>, time: Timestamp) {
        if self.state != state {
            self.close(time);
            self.state = state;
        }
        self.why = why.or(self.why.filter(|_| state == State::Draining));
    }

    /// Ends the present span.
    fn close(&mut self, time: Timestamp) {
        let to = time.max(self.since);
        if to > self.since || self.spans.is_empty() {
            let (state, from, jobs, why) = (self.state, self.since, self.jobs.clone(), self.why);
            self.spans.push(Span { state, from, to, jobs, why });
        }
        self.since = to;
    }
}

#[cfg(test)]
mod tests;
