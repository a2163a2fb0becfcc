//! What an agent writes down of its instance's life: incidents as they happen, and the death certificate before the end.
//!
//! It only watches: what the agent is told, how its requests end, and where it stands after each step. Nothing is decided from it, so it is no part
//! of the [`Agent`], whose states the model compares. It is bounded: whatever repeats is counted.

mod cut;
mod hook;
mod leaving;
mod moment;
mod notices;
mod requests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub use self::moment::Moment;
use self::{cut::Cut, hook::Hook, leaving::Leaving};
use super::{
    Agent,
    action::{Request, Rung},
    event::Outcome,
    host::{CloudCall, HostEffect, JournalEntry},
    phase::{LeaveReason, Phase, PhaseName, Saved},
};
use crate::{
    cloud::{HookRules, Machine, Membership, StandingOrder},
    duration::format_duration,
    platform::{self, DrainRules},
    record::{Departure, Incident, IncidentCause, IncidentKind, NoticeSeen, Way},
    redact::{redact, shortened},
    time::Tick,
};

/// How long nothing may be known about activity before that is an incident.
const UNKNOWN_AFTER: Duration = Duration::from_secs(60);
/// How long the group may take to put the instance in service before that is one.
const IN_SERVICE_LIMIT: Duration = Duration::from_secs(60);
/// How many characters an incident's words have at most.
const DETAIL: usize = 300;
/// How much of a runner's last words is told, in characters.
const SAID: usize = 200;
/// How long an ending waits for its certificate to be handed in, at most.
const CERTIFICATE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of the instance from the agent's start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceFacts {
    pub instance: String,
    /// What kind of machine it is.
    pub machine: Machine,
    /// Its CI platform.
    pub platform: String,
    /// How that platform drains.
    pub rules: DrainRules,
    /// How the cloud holds off an ending; `None`: not at all.
    pub termination_hook: Option<HookRules>,
    /// Whether no agent ran on this instance before.
    pub first: bool,
}

/// An instance's life so far.
#[derive(Clone, Debug)]
pub struct Recorder {
    facts: InstanceFacts,
    began: Moment,
    /// Whether anything was ever registered.
    registered: bool,
    /// The present phase and since when, and how long the others took.
    phase: Option<(PhaseName, Tick)>,
    spans: Vec<(PhaseName, Duration)>,
    notices: Vec<NoticeSeen>,
    /// How often in a row.
    counts: BTreeMap<(IncidentKind, &'static str), u32>,
    /// Since when nothing is known about activity, and whether that was said.
    doubt: Option<(Tick, bool)>,
    ready: bool,
    size_asked: bool,
    /// The jobs that were last seen, and those that ran when the service was told to stop.
    jobs: Vec<String>,
    at_stop: Vec<String>,
    /// The jobs that were told last; `None` while none runs.
    told_jobs: Option<Vec<String>>,
    cut: Cut,
    /// The last words of a runner whose exit is about to be told.
    said: Option<String>,
    /// The last that a runner said that ended right after its start.
    said_last: Option<String>,
    /// The last that the operator's own program said, which failed.
    before_register_said: Option<String>,
    /// A certificate that no longer counts, and is to be written once more.
    withdrawn: Option<Departure>,
    leaving: Option<Leaving>,
    hook: Hook,
    /// What was told last of an order that stands on the instance.
    standing_order: Option<StandingOrder<Tick>>,
    out: VecDeque<Incident>,
}

impl Recorder {
    /// Begins, with what the journal said and whether a runner was found alive.
    pub fn new(facts: InstanceFacts, entry: JournalEntry, runner_alive: bool, now: Moment) -> Self {
        let mut recorder = Self {
            hook: Hook::new(facts.termination_hook),
            facts,
            began: now,
            registered: entry.registered || runner_alive,
            phase: None,
            spans: Vec::new(),
            notices: Vec::new(),
            counts: BTreeMap::new(),
            doubt: None,
            ready: runner_alive,
            size_asked: false,
            jobs: Vec::new(),
            at_stop: Vec::new(),
            // What an earlier agent's runner does is busy until it is known.
            told_jobs: runner_alive.then(Vec::new),
            cut: Cut::default(),
            said: None,
            said_last: None,
            before_register_said: None,
            withdrawn: None,
            leaving: None,
            standing_order: None,
            out: VecDeque::new(),
        };
        if let Saved::Leaving { why } = entry.saved {
            recorder.leaving = Some(recorder.resumed(why, entry.proven, now));
        }
        match (runner_alive, recorder.facts.first) {
            (true, _) => recorder.happened(
                IncidentKind::RunnerFound,
                "the agent was started again; the runner of an earlier one runs",
                now,
            ),
            (false, false) => {
                recorder.happened(IncidentKind::Started, "the agent was started again; no runner was found", now);
            }
            (false, true) => recorder.happened(IncidentKind::Started, "the first agent on this instance", now),
        }
        recorder
    }

    /// The next incident, until there is none.
    pub fn poll_incident(&mut self) -> Option<Incident> {
        self.out.pop_front()
    }

    /// The last words of a runner whose exit, or whose start that came to nothing, will be told next.
    pub fn runner_said(&mut self, said: &str) {
        // Whole: why it ends may stand anywhere in it, and a secret is known by what stands before it.
        self.said = Some(redact(said, usize::MAX));
    }

    /// The last words of the operator's own program for each boot, whose failure will be told next ([`last_words`](crate::last_words)).
    pub fn before_register_said(&mut self, said: String) {
        self.before_register_said = Some(said).filter(|said| !said.is_empty());
    }

    /// A request of the agent ended.
    pub fn finished(&mut self, request: Request, outcome: &Outcome, now: Moment) {
        if self.leaving.is_some() {
            self.speaks_for_emptiness(request, outcome, now);
        }
        match (request, outcome) {
            (Request::Register, Outcome::Registered) => {
                self.registered = true;
                self.counts.retain(|(kind, _), _| *kind != IncidentKind::RegistrationFailed);
                self.said = None;
            }
            (Request::GroupSize, _) => self.size_asked = true,
            (Request::Abort { .. }, _) => self.abort_ended(outcome, now),
            (Request::FindHook | Request::ExtendHook, _) => self.hook.answered(outcome, now.tick),
            (Request::Describe, Outcome::Member(membership)) => self.described(*membership, now),
            _ => {}
        }
        if let Some((kind, mut detail)) = requests::trouble(request, outcome) {
            let because = if kind == IncidentKind::HeartbeatRefused && *outcome == Outcome::NoHook {
                Some(IncidentCause::HookGone)
            } else if kind == IncidentKind::RegistrationFailed && self.said.is_some() {
                // A runner may have been started, and have ended before anyone could call it one that runs.
                self.last_words(&mut detail)
            } else {
                None
            };
            self.counted(kind, requests::words(request), &detail, because, now);
        }
    }

    /// Where the agent stands after a step.
    pub fn stands(&mut self, agent: &Agent, now: Moment) {
        let status = agent.status();
        let Some((before, since)) = self.phase.replace((status.phase, now.tick)) else {
            return self.follow(agent, now);
        };
        if before == status.phase {
            self.phase = Some((before, since));
        } else {
            self.spend(before, now.tick.since(since));
        }
        self.watch_activity(status.unknown.as_deref(), status.phase, now);
        if matches!(agent.phase(), Phase::Idle { .. } | Phase::Busy) && before == PhaseName::Registering && !self.ready
        {
            self.ready = true;
            self.happened(IncidentKind::Ready, "the runner is registered and runs", now);
        }
        self.watch_jobs(agent, now);
        if std::mem::take(&mut self.size_asked) {
            match (agent.phase(), &status.note) {
                (Phase::Idle { .. }, Some(note)) => self.counted(IncidentKind::NoRoom, "", note, None, now),
                _ => self.counts.retain(|(kind, _), _| *kind != IncidentKind::NoRoom),
            }
        }
        if status.unknown.is_none() {
            let before = std::mem::take(&mut self.jobs);
            self.jobs = status.jobs.iter().take(cut::JOBS).map(|job| redact(&job.0, 100)).collect();
            if self.jobs.is_empty() && self.cut.begins(agent.aborted()) {
                self.jobs = before;
            }
        }
        self.cut.stands(agent.aborted(), &self.jobs);
        self.follow(agent, now);
    }

    /// What is to be written down before this effect is performed, if it ends the instance by a way that no certificate has named.
    pub fn before(&mut self, effect: HostEffect, agent: &Agent, now: Moment) -> Option<Departure> {
        let HostEffect::Cloud(call) = effect else { return None };
        if let CloudCall::End(rung) = call {
            self.certify(Way::from(rung), agent, now)
        } else if call == CloudCall::CompleteHook {
            self.certify(Way::Group, agent, now)
        } else {
            None
        }
    }

    /// How long the ending may wait for the certificate to be handed in, beside the log. Not at all once the cloud takes it back or jobs were failed for a deadline, nor for the last way, when
    /// nothing else has worked and the network may be what is broken.
    pub fn patience(effect: HostEffect, agent: &Agent) -> Duration {
        let last = effect == HostEffect::Cloud(CloudCall::End(Rung::PowerOff));
        let pressed = agent.aborted() || agent.phase().why() == Some(LeaveReason::Spot);
        if last || pressed { Duration::ZERO } else { CERTIFICATE_TIMEOUT }
    }

    /// Whether it ends: that its group moves it and its machine goes down is what it has asked for itself.
    fn retires(&self) -> bool {
        self.phase.is_some_and(|(phase, _)| phase == PhaseName::Retiring)
    }

    fn described(&mut self, membership: Membership, now: Moment) {
        match (self.phase, membership) {
            (Some((PhaseName::Booting, since)), membership)
                if !matches!(
                    membership,
                    Membership::InService { .. } | Membership::Warming { .. } | Membership::Warm
                ) && now.tick.since(since) >= IN_SERVICE_LIMIT =>
            {
                let detail = format!("the group says that {}", membership.in_words());
                self.counted(IncidentKind::NotInService, "", &detail, None, now);
            }
            // It ends without a call of ours: what is known is written down now.
            (Some((PhaseName::Retiring, _)), Membership::Terminating { .. }) => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.taken = true;
                }
            }
            _ => {}
        }
    }

    fn watch_activity(&mut self, unknown: Option<&str>, phase: PhaseName, now: Moment) {
        let serves = matches!(phase, PhaseName::Idle | PhaseName::Busy | PhaseName::Draining);
        match (unknown, self.doubt) {
            (Some(_), None) if serves => self.doubt = Some((now.tick, false)),
            (Some(why), Some((since, false))) if now.tick.since(since) >= UNKNOWN_AFTER => {
                self.doubt = Some((since, true));
                self.happened(IncidentKind::ActivityUnknown, why, now);
            }
            (None, Some((since, said))) => {
                self.doubt = None;
                if said {
                    let span = format_duration(Duration::from_secs(now.tick.since(since).as_secs()));
                    self.happened(IncidentKind::ActivityKnown, &format!("after {span}"), now);
                }
            }
            _ => {}
        }
    }

    /// Which jobs run, whenever that is another answer than before. A drain does not end it: they run on.
    fn watch_jobs(&mut self, agent: &Agent, now: Moment) {
        let status = agent.status();
        // Nothing is known yet, or for the moment; when that lasts, it is told as such.
        if status.unknown.is_some() || matches!(agent.phase(), Phase::Preparing | Phase::Booting | Phase::Registering) {
            return;
        }
        let seen = status.jobs;
        let names = || seen.iter().take(cut::JOBS).map(|job| redact(&job.0, 100)).collect::<Vec<String>>();
        let jobs = (!seen.is_empty()).then(names);
        if jobs == self.told_jobs {
            return;
        }
        self.told_jobs.clone_from(&jobs);
        match jobs {
            None => self.happened(IncidentKind::Idle, "no job runs any more", now),
            Some(jobs) => {
                self.happened(IncidentKind::Busy, &format!("jobs {}", jobs.join(" ")), now);
                if let Some(incident) = self.out.back_mut() {
                    incident.jobs = jobs;
                }
            }
        }
    }

    fn runner_exited(&mut self, now: Moment) {
        let mut detail = "the runner exited by itself, and another is started".to_owned();
        let because = self.last_words(&mut detail);
        if self.leaving.is_some() {
            self.runner_left(now);
        } else {
            self.counted(IncidentKind::RunnerExited, "", &detail, because, now);
        }
    }

    /// Adds what the runner that has just ended said last, and what that tells.
    fn last_words(&mut self, detail: &mut String) -> Option<IncidentCause> {
        let said = self.said.take();
        let because = said.as_deref().is_some_and(platform::says_too_old).then_some(IncidentCause::RunnerTooOld);
        self.said_last = said.as_deref().map(|said| shortened(said, SAID));
        if let Some(said) = &self.said_last {
            // They tell more than what was known without them: where there is no room for both, that is cut.
            let words = format!("; it said: {said}");
            *detail = redact(detail, DETAIL - words.chars().count()) + &words;
        }
        because
    }

    fn spend(&mut self, phase: PhaseName, span: Duration) {
        match self.spans.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, total)) => *total += span,
            None => self.spans.push((phase, span)),
        }
    }

    /// Something that repeats: it is written down when its number has doubled.
    fn counted(
        &mut self,
        what: IncidentKind,
        of: &'static str,
        detail: &str,
        because: Option<IncidentCause>,
        now: Moment,
    ) {
        let times = self.counts.entry((what, of)).or_default();
        *times = times.saturating_add(1);
        if times.is_power_of_two() {
            let times = *times;
            self.write(what, detail, because, times, now);
        }
    }

    fn happened(&mut self, what: IncidentKind, detail: &str, now: Moment) {
        self.write(what, detail, None, 1, now);
    }

    fn write(&mut self, what: IncidentKind, detail: &str, because: Option<IncidentCause>, times: u32, now: Moment) {
        self.out.push_back(Incident {
            time: now.text(),
            instance: self.facts.instance.clone(),
            group: None,
            machine: self.facts.machine.clone(),
            platform: self.facts.platform.clone(),
            what,
            detail: redact(detail, DETAIL),
            because,
            jobs: Vec::new(),
            times,
        });
    }
}
