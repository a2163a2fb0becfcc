//! Evidence as the programs write it.

use jiff::Timestamp;
use lightsout_core::{
    agent::phase::{BrokenBy, LeaveReason},
    cloud::Machine,
    explain::{Activity, ActivityKind, Evidence, Job, JobState, Said, Status},
    record::{
        Decision, Departure, FailedLaunch, Incident, IncidentCause, IncidentKind, JobsAtEnd, LaunchTrouble, Outcome,
        Proof, Record, TickTimes, TickTrouble, Versions, Way,
    },
    scaling::{Explanation, Limit, Outlook},
    settings::CloudName,
};

/// A second after 03:00.
pub(crate) fn at(second: i64) -> Timestamp {
    let begun: Timestamp = "2026-11-26T03:00:00Z".parse().unwrap();
    Timestamp::from_second(begun.as_second() + second).unwrap()
}

fn text(second: i64) -> String {
    format!("{:.3}", at(second))
}

/// A plan: so many jobs wait and run, each an instance of its own, and so many instances are desired of at most ten.
pub(crate) fn plan(queued: u32, running: u32, desired: u32) -> Explanation {
    let need = queued + running;
    Explanation {
        queued,
        running: Some(running),
        slots: 1,
        utilisation: 100,
        threshold: 1,
        spare: 0,
        entry: None,
        need,
        min: 0,
        max: 10,
        desired,
        lately: None,
        again: false,
        target: need.min(10),
        limit: if need > 10 { Limit::Max } else { Limit::None },
        outlook: None,
    }
}

pub(crate) fn doubting(outlook: Outlook, mut plan: Explanation) -> Explanation {
    plan.outlook = Some(outlook);
    plan
}

/// A decision of the pool `linux`, whose group is `ci-linux`.
pub(crate) fn decision(second: i64, result: Outcome, why: Option<Explanation>) -> Decision {
    Decision {
        time: text(second),
        pool: "linux".into(),
        group: "ci-linux".into(),
        cloud: Some(CloudName::Aws),
        platform: "gitlab".into(),
        result,
        to: None,
        reason: why.as_ref().map(ToString::to_string),
        why,
        missing: None,
        error: None,
        trouble: None,
        failed_launches: Vec::new(),
        launches_suspended: false,
        ms: TickTimes::default(),
    }
}

pub(crate) fn held(second: i64, why: Explanation) -> Evidence {
    recorded(Record::Decision(decision(second, Outcome::Held, Some(why))))
}

pub(crate) fn raised(second: i64, why: Explanation, to: u32) -> Evidence {
    recorded(Record::Decision(Decision { to: Some(to), ..decision(second, Outcome::Raised, Some(why)) }))
}

pub(crate) fn failed(second: i64, trouble: TickTrouble, error: &str) -> Evidence {
    let decision = decision(second, Outcome::Failed, None);
    recorded(Record::Decision(Decision { error: Some(error.into()), trouble: Some(trouble), ..decision }))
}

pub(crate) fn partly(second: i64, why: Explanation, missing: &str) -> Evidence {
    let decision = decision(second, Outcome::Held, Some(why));
    recorded(Record::Decision(Decision {
        missing: Some(missing.into()),
        trouble: Some(TickTrouble::Forbidden),
        ..decision
    }))
}

pub(crate) fn without_launches(second: i64, why: Explanation, trouble: LaunchTrouble, message: &str) -> Evidence {
    let launch = FailedLaunch { time: text(second - 5), trouble, message: message.into() };
    recorded(Record::Decision(Decision { failed_launches: vec![launch], ..decision(second, Outcome::Held, Some(why)) }))
}

pub(crate) fn recorded(record: Record) -> Evidence {
    let source = format!("records.jsonl:{}", record.time());
    Evidence::record(record, source).unwrap()
}

pub(crate) fn incident(second: i64, instance: &str, what: IncidentKind, detail: &str) -> Evidence {
    recorded(Record::Incident(Incident {
        time: text(second),
        instance: instance.into(),
        group: Some("ci-linux".into()),
        machine: Machine::default(),
        platform: "gitlab".into(),
        what,
        detail: detail.into(),
        because: None,
        jobs: Vec::new(),
        times: 1,
    }))
}

/// The same, and the agent knows what is behind it.
pub(crate) fn because(evidence: Evidence, cause: IncidentCause) -> Evidence {
    let Said::Incident(incident) = evidence.said else { panic!("no incident: {evidence:?}") };
    recorded(Record::Incident(Incident { because: Some(cause), ..*incident }))
}

pub(crate) fn departed(second: i64, instance: &str, reason: LeaveReason, trigger: &str) -> Departure {
    Departure {
        time: text(second),
        instance: instance.into(),
        group: Some("ci-linux".into()),
        machine: Machine::default(),
        platform: "gitlab".into(),
        reason,
        decided_by: reason.into(),
        trigger: trigger.into(),
        broken_by: None,
        runner_said: None,
        before_register_said: None,
        withdrawn: None,
        decided_at: Some(text(second - 1)),
        way: Way::Decrement,
        jobs: JobsAtEnd { count: Some(0), ..JobsAtEnd::default() },
        served: 0,
        phases: Vec::new(),
        boot: Vec::new(),
        notices: Vec::new(),
        proof: Proof::default(),
        warnings: Vec::new(),
        versions: Versions::default(),
        boot_id: None,
        not_known: Vec::new(),
    }
}

pub(crate) fn gone(second: i64, instance: &str, reason: LeaveReason, trigger: &str) -> Evidence {
    recorded(Record::Departure(departed(second, instance, reason, trigger)))
}

/// One that is broken by this.
pub(crate) fn broken(second: i64, instance: &str, by: BrokenBy, trigger: &str) -> Evidence {
    let departure = departed(second, instance, LeaveReason::Broken, trigger);
    recorded(Record::Departure(Departure { broken_by: Some(by), ..departure }))
}

pub(crate) fn status(second: i64, status: Status) -> Evidence {
    let status = Status { instance: "i-1".into(), group: Some("ci-linux".into()), ..status };
    Evidence { time: at(second), source: "its agent".into(), said: Said::Status(Box::new(status)) }
}

pub(crate) fn in_phase(phase: &str) -> Status {
    Status { phase: phase.into(), ..Status::default() }
}

pub(crate) fn activity(second: i64, instance: Option<&str>, kind: ActivityKind, text: &str) -> Evidence {
    let activity =
        Activity { group: "ci-linux".into(), instance: instance.map(str::to_owned), kind, text: text.into() };
    Evidence { time: at(second), source: format!("history {second}"), said: Said::Activity(Box::new(activity)) }
}

pub(crate) fn waiting_job(second: i64, tags: &[&str], waited: u64) -> Evidence {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    told_job(second, Job { state: JobState::Waiting, tags, waited_ms: waited * 1000, ..Job::default() })
}

/// What an agent writes whenever other jobs run.
pub(crate) fn running_jobs(second: i64, jobs: &[&str]) -> Evidence {
    let Said::Incident(incident) = incident(second, "i-1", IncidentKind::Busy, "").said else { panic!("an incident") };
    let jobs = jobs.iter().map(|job| (*job).to_owned()).collect();
    recorded(Record::Incident(Incident { jobs, ..*incident }))
}

/// Job 7, as its platform tells it.
pub(crate) fn told_job(second: i64, job: Job) -> Evidence {
    let job = Job { id: "7".into(), ..job };
    Evidence { time: at(second), source: "the platform".into(), said: Said::Job(Box::new(job)) }
}

/// The same decision, of another pool.
pub(crate) fn of_pool(pool: &str, evidence: Evidence) -> Evidence {
    let Said::Decision(decision) = evidence.said else { panic!("no decision: {evidence:?}") };
    let decision = Decision { pool: pool.into(), group: format!("ci-{pool}"), ..*decision };
    Evidence { source: format!("{} of {pool}", evidence.source), said: Said::Decision(Box::new(decision)), ..evidence }
}
