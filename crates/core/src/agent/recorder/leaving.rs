//! Leaving: what decided it, what shows that the instance is empty, and the certificate.

use std::time::Duration;

use super::{
    Moment, Recorder,
    cut::{Ended, JOBS},
};
use crate::{
    activity::Activity,
    agent::{
        Agent,
        action::Request,
        event::Outcome,
        phase::{LeaveReason, Phase},
        policy::AgentPolicy,
    },
    duration::format_duration,
    platform::{DrainBy, Drained},
    record::{Departure, IncidentKind, JobsAtEnd, NoticeKind, PhaseSpan, Proof, ProofBy, ProofStep, Versions, Way},
    redact::{redact, shortened},
    time::Tick,
};

/// How many pieces of a proof are kept: the first ones, and the last, which counts.
const STEPS: usize = 8;
/// How long a tag's value may be (EC2 User Guide, "Tag your Amazon EC2 resources"; Azure, "Use tags to organize your Azure resources").
const TAG: usize = 256;

/// While it leaves.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    why: LeaveReason,
    trigger: String,
    /// When that was decided, unless an earlier agent did.
    at: Option<Moment>,
    steps: Vec<ProofStep>,
    /// What it thought of the proof when it began to retire.
    judged: Option<(bool, Option<String>)>,
    /// The bluntest way that a certificate has named.
    written: Option<Way>,
    /// The last certificate.
    certificate: Option<Box<Departure>>,
    /// The group ends it already.
    pub(super) taken: bool,
}

impl Recorder {
    /// A leave that an earlier agent began.
    pub(super) fn resumed(&self, why: LeaveReason, proven: bool, now: Moment) -> Leaving {
        let began = self.began.text();
        let trigger = format!(
            "decided by an earlier agent on this instance: what made it so is not known, because the agent was started again at {began}"
        );
        let mut leaving = Leaving {
            why,
            trigger,
            at: None,
            steps: Vec::new(),
            judged: None,
            written: None,
            certificate: None,
            taken: false,
        };
        if proven {
            let detail = "an earlier agent has noted that it was proven that no job runs and none can come".into();
            leaving.steps.push(ProofStep { time: now.text(), by: ProofBy::Journal, detail });
        }
        leaving
    }

    /// Follows the agent into a leave, through it, and back.
    pub(super) fn follow(&mut self, agent: &Agent, now: Moment) {
        let status = agent.status();
        match (status.why, &mut self.leaving) {
            (Some(why), None) => {
                let trigger = self.trigger(why, agent, now);
                self.happened(IncidentKind::Leaving, &format!("{why}: {trigger}"), now);
                let (steps, at) = (Vec::new(), Some(now));
                self.leaving = Some(Leaving {
                    why,
                    trigger,
                    at,
                    steps,
                    judged: None,
                    written: None,
                    certificate: None,
                    taken: false,
                });
            }
            (Some(why), Some(leaving)) if why > leaving.why => {
                let trigger = self.trigger(why, agent, now);
                self.happened(IncidentKind::Leaving, &format!("{why}: {trigger}"), now);
                if let Some(leaving) = &mut self.leaving {
                    (leaving.why, leaving.trigger, leaving.at) = (why, trigger, Some(now));
                }
            }
            (None, None) | (Some(_), Some(_)) => {}
            (None, Some(_)) if agent.phase() == Phase::Gone => {}
            (None, Some(leaving)) => {
                let (why, certificate) = (leaving.why, leaving.certificate.take());
                self.leaving = None;
                let note = status.note.as_deref().map_or(String::new(), |note| format!(": {note}"));
                let words = format!("it does not leave ({why}){note}");
                self.withdrawn = certificate.map(|certificate| Departure {
                    time: now.text(),
                    withdrawn: Some(redact(&words, 300)),
                    ..*certificate
                });
                self.happened(IncidentKind::DrainTakenBack, &words, now);
            }
        }
        if let (Phase::Retiring { .. }, Some(leaving)) = (agent.phase(), &mut self.leaving) {
            leaving.judged.get_or_insert_with(|| (agent.proven_empty(), status.note.clone()));
        }
    }

    /// What comes of a request may say that no job runs.
    pub(super) fn speaks_for_emptiness(&mut self, request: Request, outcome: &Outcome, now: Moment) {
        let by_call = self.facts.rules.drain == DrainBy::Call;
        match (request, outcome) {
            (Request::Drain, Outcome::Drained(Drained::Empty)) if !self.registered => {
                self.step(ProofBy::NoRunner, "nothing was ever registered on this instance", now);
            }
            (Request::Drain, Outcome::Drained(Drained::Empty)) if by_call => {
                self.step(ProofBy::Platform, "the platform sends no more jobs, and none runs by its word", now);
            }
            (Request::Drain, Outcome::Drained(Drained::Empty)) => {
                self.step(ProofBy::NoRunner, "no runner runs that could take a job", now);
            }
            (Request::Drain, Outcome::Absent) => {
                self.step(ProofBy::NoRunner, "no runner is left, and the platform knows of none", now);
            }
            (Request::Probe, Outcome::Snapshot(activity)) => {
                // Only the last look counts.
                if let Some(leaving) = &mut self.leaving {
                    leaving.steps.retain(|step| step.by != ProofBy::Probes);
                }
                if *activity == Activity::Quiet {
                    self.step(ProofBy::Probes, "all probes were asked, and none saw a job", now);
                }
            }
            _ => {}
        }
    }

    /// What failed jobs for a deadline is over, or what ended a stuck runner.
    pub(super) fn abort_ended(&mut self, outcome: &Outcome, now: Moment) {
        match self.cut.ended(outcome) {
            Ended::Untold(jobs) => self.jobs_cut(&jobs, now),
            Ended::Other => {
                let detail = "told to exit, it had no job and did not exit";
                self.happened(IncidentKind::StuckRunner, detail, now);
            }
            Ended::Told => {}
        }
    }

    fn jobs_cut(&mut self, jobs: &[String], now: Moment) {
        let jobs = if jobs.is_empty() { "whatever still ran".to_owned() } else { jobs.join(" ") };
        self.happened(IncidentKind::JobsCut, &format!("the cloud was about to end them: {jobs}"), now);
    }

    /// The runner has exited while the instance leaves. Once it retires the runner is ended, which says nothing.
    pub(super) fn runner_left(&mut self, now: Moment) {
        if self.leaving.as_ref().is_some_and(|leaving| leaving.judged.is_none()) {
            self.step(ProofBy::RunnerExit, "the runner exited", now);
        }
    }

    fn step(&mut self, by: ProofBy, detail: &str, now: Moment) {
        if let Some(leaving) = &mut self.leaving {
            leaving.steps.truncate(STEPS - 1);
            leaving.steps.push(ProofStep { time: now.text(), by, detail: detail.into() });
        }
    }

    /// The certificate, unless one was written that names this way or a blunter one. What only the shell knows (group, boot, warnings, versions,
    /// the boot's id) it adds.
    pub(super) fn certify(&mut self, way: Way, agent: &Agent, now: Moment) -> Option<Departure> {
        let leaving = self.leaving.as_mut()?;
        if leaving.written.is_some_and(|written| written >= way) {
            return None;
        }
        leaving.written = Some(way);
        for jobs in self.cut.end_unseen() {
            self.jobs_cut(&jobs, now);
        }
        let leaving = self.leaving.as_ref()?;
        let status = agent.status();
        let proof = leaving.proof(agent.proven_empty());
        let (reason, trigger, at) = (leaving.why, leaving.trigger.clone(), leaving.at);
        let departure = Departure {
            time: now.text(),
            instance: self.facts.instance.clone(),
            group: None,
            machine: self.facts.machine.clone(),
            platform: self.facts.platform.clone(),
            reason,
            decided_by: reason.into(),
            trigger,
            broken_by: agent.trouble().map(|(by, _)| by).filter(|_| reason == LeaveReason::Broken),
            runner_said: self.said_last.clone().filter(|_| reason == LeaveReason::Broken),
            before_register_said: self.before_register_said.clone().filter(|_| reason == LeaveReason::Broken),
            withdrawn: None,
            decided_at: at.map(Moment::text),
            way,
            jobs: JobsAtEnd {
                count: status.unknown.is_none().then(|| u32::try_from(status.jobs.len()).unwrap_or(u32::MAX)),
                ids: status.jobs.iter().take(JOBS).map(|job| redact(&job.0, 100)).collect(),
                unknown: status.unknown.map(|why| redact(&why, 300)),
                cut: self.cut.any(),
                cut_ids: self.cut.ids(),
                at_stop: self.at_stop.clone(),
            },
            served: status.served,
            phases: self.phases(now.tick),
            boot: Vec::new(),
            notices: self.notices.clone(),
            proof,
            warnings: Vec::new(),
            versions: Versions::default(),
            boot_id: None,
            not_known: self.not_known(),
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.certificate = Some(Box::new(departure.clone()));
        }
        Some(departure)
    }

    /// The certificate of an instance that the group ends without a call of ours, or whose agent exits before it has made one; or one that no
    /// longer counts.
    pub fn unasked(&mut self, agent: &Agent, now: Moment) -> Option<Departure> {
        if let Some(withdrawn) = self.withdrawn.take() {
            return Some(withdrawn);
        }
        let leaving = self.leaving.as_ref().filter(|leaving| leaving.written.is_none())?;
        let gone = agent.phase() == Phase::Gone && leaving.judged.is_some();
        if leaving.taken || gone { self.certify(Way::Group, agent, now) } else { None }
    }

    /// Why it leaves, for a tag: the reason's word, and what made it so.
    pub fn tag(&self, why: LeaveReason) -> String {
        let Some(leaving) = &self.leaving else { return why.to_string() };
        // What every service takes in a tag's value (EC2 User Guide, "Tag your Amazon EC2 resources").
        let allowed = |c: char| if c.is_alphanumeric() || " +-=._:/@".contains(c) { c } else { ' ' };
        let text: String = format!("{}: {}", leaving.why, leaving.trigger).chars().map(allowed).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        shortened(&text, TAG)
    }

    fn not_known(&self) -> Vec<String> {
        if self.facts.first {
            return Vec::new();
        }
        let began = self.began.text();
        vec![format!(
            "phases, notices, warnings and proof before {began}: the agent was started again then, and what an earlier one knew of them is lost"
        )]
    }

    fn phases(&self, now: Tick) -> Vec<PhaseSpan> {
        let mut spans = self.spans.clone();
        if let Some((phase, since)) = self.phase {
            let span = now.since(since);
            match spans.iter_mut().find(|(known, _)| *known == phase) {
                Some((_, total)) => *total += span,
                None => spans.push((phase, span)),
            }
        }
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        spans.into_iter().map(|(phase, span)| PhaseSpan { phase: phase.as_str().into(), ms: ms(span) }).collect()
    }

    /// What made this reason hold, in words.
    fn trigger(&self, why: LeaveReason, agent: &Agent, now: Moment) -> String {
        let policy: &AgentPolicy = agent.policy();
        let seen = |notices: &[NoticeKind]| {
            self.notices
                .iter()
                .rev()
                .find(|seen| notices.contains(&seen.notice))
                .map(|seen| (seen.notice, &seen.time, &seen.at))
        };
        match why {
            LeaveReason::Full => redact(&agent.status().note.unwrap_or_default(), 600),
            LeaveReason::Idle => {
                let span = policy.idle_timeout.map(format_duration).unwrap_or_default();
                format!("no job for {span} (agent.idle_timeout), and the group has room")
            }
            LeaveReason::Limit => {
                let most = policy.jobs_per_instance.unwrap_or_default();
                format!("{} busy periods served; agent.jobs_per_instance is {most}", agent.status().served)
            }
            LeaveReason::Age => {
                let span = policy.max_age.map(format_duration).unwrap_or_default();
                format!("as old as agent.max_age lets it become, which is {span}, less up to a tenth")
            }
            LeaveReason::RunnerExpired => {
                let day = agent.runner_expires().map(|at| now.at(at)).unwrap_or_default();
                format!(
                    "since {day} the platform may refuse the runner of the machine image (agent.leave_on_runner_expiry)"
                )
            }
            LeaveReason::Operator => match seen(&[NoticeKind::Drain, NoticeKind::Stop]) {
                Some((NoticeKind::Stop, time, _)) => format!("the service was told to stop at {time}"),
                Some((_, time, _)) => format!("an operator's drain at {time}"),
                None => format!("an operator's wish, seen at {}", now.text()),
            },
            LeaveReason::Rebalance => match seen(&[NoticeKind::Rebalance]) {
                Some((_, time, _)) => format!("a rebalance recommendation of the cloud, seen at {time}"),
                None => "a rebalance recommendation of the cloud".into(),
            },
            LeaveReason::Maintenance => match seen(&[NoticeKind::Maintenance]) {
                Some((_, time, Some(at))) => {
                    format!("maintenance that the cloud has scheduled for {at}, seen at {time}")
                }
                Some((_, time, None)) => format!("maintenance that the cloud has scheduled, seen at {time}"),
                None => "maintenance that the cloud has scheduled".into(),
            },
            LeaveReason::ScaleIn => match seen(&[NoticeKind::ScaleIn]) {
                Some((_, time, at)) => {
                    let until = at.as_ref().map(|at| format!(", with time until {at}")).unwrap_or_default();
                    format!(
                        "the group moved the instance to Terminated, seen at {time}{until}: a refresh, a scale-in, or somebody's wish"
                    )
                }
                None => "the group describes the instance as terminating".into(),
            },
            LeaveReason::Spot => match seen(&[NoticeKind::Spot]) {
                Some((_, time, Some(at))) => {
                    format!("a spot notice, seen at {time}: the cloud ends the instance at {at}")
                }
                Some((_, time, None)) => format!("a spot notice, seen at {time}"),
                None => "a spot notice".into(),
            },
            LeaveReason::Broken => {
                let words = agent.trouble().map(|(_, words)| words);
                redact(words.unwrap_or("it cannot do its work, and what is wrong is not known"), 600)
            }
        }
    }
}

impl Leaving {
    fn proof(&self, proven_now: bool) -> Proof {
        let (proven, note) = self.judged.clone().unwrap_or((proven_now, None));
        let quiet = self.steps.iter().any(|step| step.by == ProofBy::Probes);
        let without = (!proven || !quiet)
            .then(|| redact(&note.unwrap_or_else(|| "the agent did not say what it went by".into()), 300));
        Proof { proven, steps: self.steps.clone(), without }
    }
}
