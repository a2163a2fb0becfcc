//! Situations: what was recorded in each, what is asked, the cause that must be named first, and all that is true in it.

use std::collections::BTreeSet;

use lightsout_core::{
    agent::phase::{BrokenBy, LeaveReason},
    explain::{ActivityKind, Cause, Evidence, Job, JobState, Question, Status},
    record::{
        Decision, Departure, IncidentCause, IncidentKind, JobsAtEnd, LaunchTrouble, Outcome, Record, TickTrouble,
    },
    scaling::{Explanation, Limit, Outlook},
};

use crate::made::{
    activity, because, broken, decision, departed, doubting, failed, gone, held, in_phase, incident, of_pool, partly,
    plan, raised, recorded, running_jobs, status, told_job, waiting_job, without_launches,
};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) question: Question,
    pub(crate) evidence: Vec<Evidence>,
    /// What comes first in the answer.
    pub(crate) first: Cause,
    /// All causes that are true in it at one time or another.
    pub(crate) truth: BTreeSet<Cause>,
}

fn scenario(name: &'static str, question: Question, evidence: Vec<Evidence>, first: Cause, also: &[Cause]) -> Scenario {
    let truth = also.iter().copied().chain([first]).collect();
    Scenario { name, question, evidence, first, truth }
}

fn pool(name: &'static str, evidence: Vec<Evidence>, first: Cause, also: &[Cause]) -> Scenario {
    scenario(name, Question::Pool("linux".into()), evidence, first, also)
}

fn instance(name: &'static str, evidence: Vec<Evidence>, first: Cause, also: &[Cause]) -> Scenario {
    scenario(name, Question::Instance("i-1".into()), evidence, first, also)
}

const IN_VAIN: Outlook = Outlook { unmet: 2, in_vain: 3, pause_ms: 60_000, silent: 0, ready: 0 };
const DEAF: Outlook = Outlook { unmet: 0, in_vain: 0, pause_ms: 0, silent: 1, ready: 0 };
const REFUSED: &str =
    "GitLab at https://ci.example.com: cannot register the runner: HTTP 401 (401 Unauthorized); set a new token";
const ABANDONED: &str = "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token 5a23 was abandoned: Heartbeat Timeout";
const EMPTY: &str = "no job for 10m (agent.idle_timeout), and the group has room";

pub(crate) fn all() -> Vec<Scenario> {
    pools().into_iter().chain(instances()).chain(jobs()).collect()
}

fn pools() -> Vec<Scenario> {
    let at_most = Explanation { max: 2, target: 2, limit: Limit::Max, ..plan(3, 2, 2) };
    let cooling = Explanation { limit: Limit::Cooldown { left_ms: 30_000 }, ..plan(3, 0, 1) };
    let stepping = Explanation { limit: Limit::Step, target: 2, ..plan(5, 0, 1) };
    let too_few = Explanation { threshold: 3, need: 0, target: 0, ..plan(2, 0, 0) };
    let lately = Explanation { lately: Some(5), ..plan(3, 0, 1) };
    let unused = |second, id| gone(second, id, LeaveReason::Idle, EMPTY);
    let broken = |second, id| broken(second, id, BrokenBy::BootDeadline, &format!("not ready within 600s: {REFUSED}"));
    let no_capacity = "We currently do not have sufficient c7i.large capacity";
    let standby = Decision { reason: Some("waits for the session".into()), ..decision(10, Outcome::Standby, None) };
    let dry = Decision { to: Some(3), ..decision(10, Outcome::WouldRaise, Some(plan(3, 0, 0))) };
    let turn = Decision { to: Some(3), ..decision(10, Outcome::Queued, Some(plan(3, 0, 0))) };
    let suspended = Decision { launches_suspended: true, ..decision(10, Outcome::Held, Some(plan(3, 0, 3))) };
    vec![
        pool(
            "at its maximum",
            vec![raised(0, plan(2, 0, 0), 2), held(10, at_most.clone())],
            Cause::AtMost,
            &[Cause::Raised],
        ),
        pool(
            "no capacity",
            vec![
                raised(0, plan(2, 0, 0), 2),
                without_launches(20, plan(2, 0, 2), LaunchTrouble::Capacity, no_capacity),
            ],
            Cause::NoCapacity,
            &[Cause::Raised, Cause::Enough],
        ),
        pool(
            "a launch hook that ran out, of an instance that had come up",
            vec![
                raised(0, plan(2, 0, 0), 2),
                incident(18, "i-1", IncidentKind::Started, "the first agent on this instance"),
                without_launches(20, plan(2, 0, 2), LaunchTrouble::Hook, ABANDONED),
            ],
            Cause::HookTimedOut,
            &[Cause::Raised, Cause::Enough],
        ),
        pool(
            "no capacity, and at its maximum",
            vec![without_launches(20, at_most, LaunchTrouble::Capacity, no_capacity)],
            Cause::NoCapacity,
            &[Cause::AtMost],
        ),
        pool(
            "no capacity, by the group's own history",
            vec![
                held(20, plan(2, 0, 2)),
                activity(15, None, ActivityKind::LaunchFailed(LaunchTrouble::Capacity), no_capacity),
            ],
            Cause::NoCapacity,
            &[Cause::Enough],
        ),
        pool(
            "no capacity at first, and then there was some",
            vec![
                without_launches(20, plan(2, 0, 2), LaunchTrouble::Capacity, no_capacity),
                incident(25, "i-1", IncidentKind::Started, "the first agent on this instance"),
                without_launches(29, plan(1, 1, 2), LaunchTrouble::Capacity, no_capacity),
                held(40, plan(1, 1, 2)),
            ],
            Cause::Enough,
            &[Cause::NoCapacity],
        ),
        pool(
            "quota",
            vec![without_launches(20, plan(2, 0, 2), LaunchTrouble::Quota, "your current vCPU limit of 32")],
            Cause::Quota,
            &[Cause::Enough],
        ),
        pool(
            "a key that may not be used",
            vec![without_launches(20, plan(2, 0, 2), LaunchTrouble::Key, "Client error on launch")],
            Cause::Key,
            &[Cause::Enough],
        ),
        pool(
            "a security group that is gone",
            vec![without_launches(20, plan(2, 0, 2), LaunchTrouble::Settings, "The security group does not exist")],
            Cause::LaunchFails,
            &[Cause::Enough],
        ),
        pool(
            "a launch hook that ran out",
            vec![without_launches(20, plan(2, 0, 2), LaunchTrouble::Hook, "was abandoned: Heartbeat Timeout")],
            Cause::HookTimedOut,
            &[Cause::Enough],
        ),
        pool(
            "launches suspended",
            vec![recorded(Record::Decision(suspended))],
            Cause::LaunchesSuspended,
            &[Cause::Enough],
        ),
        pool("cooldown", vec![held(10, cooling)], Cause::Cooldown, &[]),
        pool("a step", vec![held(10, stepping)], Cause::MaxStep, &[]),
        pool("threshold", vec![held(10, too_few)], Cause::Threshold, &[Cause::Enough]),
        pool("a description that lags", vec![held(10, lately)], Cause::Lately, &[]),
        pool(
            "a token that has expired",
            vec![failed(10, TickTrouble::Unauthorized, REFUSED)],
            Cause::TokenRefused,
            &[],
        ),
        pool("a right that is missing", vec![failed(10, TickTrouble::Forbidden, "HTTP 403")], Cause::RightMissing, &[]),
        pool("a platform in trouble", vec![failed(10, TickTrouble::Unavailable, "HTTP 502")], Cause::TickFailed, &[]),
        pool("another scaler", vec![recorded(Record::Decision(standby))], Cause::Standby, &[]),
        pool("a dry run", vec![recorded(Record::Decision(dry))], Cause::DryRun, &[]),
        pool("others first", vec![recorded(Record::Decision(turn))], Cause::WaitsForTurn, &[]),
        pool(
            "a partial reading",
            vec![partly(10, plan(0, 1, 1), "cannot read the jobs of project b: HTTP 403")],
            Cause::PartialReading,
            &[Cause::NothingWaits],
        ),
        pool(
            "futile demand, of which nothing more is known",
            vec![held(600, doubting(IN_VAIN, plan(2, 0, 0)))],
            Cause::FutileDemand,
            &[],
        ),
        pool(
            "members that are ready and take none of the jobs",
            vec![held(600, doubting(Outlook { silent: 0, ready: 2, ..DEAF }, plan(2, 0, 2)))],
            Cause::FutileDemand,
            &[Cause::Enough],
        ),
        pool(
            "tags that no instance has",
            vec![
                raised(0, plan(2, 0, 0), 2),
                held(100, plan(2, 0, 2)),
                unused(110, "i-1"),
                raised(120, plan(2, 0, 0), 2),
                held(200, plan(2, 0, 2)),
                unused(210, "i-2"),
                held(220, doubting(IN_VAIN, plan(2, 0, 0))),
            ],
            Cause::FutileDemand,
            &[Cause::TagMismatch, Cause::Raised, Cause::Enough],
        ),
        pool(
            "instances that break",
            vec![
                held(-100, plan(0, 0, 1)),
                unused(-95, "i-0"),
                held(-90, plan(0, 0, 0)),
                raised(0, plan(2, 0, 0), 2),
                incident(50, "i-1", IncidentKind::RegistrationFailed, REFUSED),
                broken(110, "i-1"),
                raised(120, plan(2, 0, 0), 2),
                broken(210, "i-2"),
                held(220, doubting(IN_VAIN, plan(2, 0, 0))),
            ],
            Cause::FutileDemand,
            &[Cause::Breaking, Cause::TokenRefused, Cause::Raised, Cause::NothingWaits, Cause::Surplus],
        ),
        pool("a deaf member", vec![held(2000, doubting(DEAF, plan(2, 0, 2)))], Cause::DeafMember, &[Cause::Enough]),
        pool(
            "instances that cannot register",
            vec![
                raised(0, plan(1, 0, 0), 1),
                incident(20, "i-1", IncidentKind::RegistrationFailed, REFUSED),
                held(30, plan(1, 0, 1)),
            ],
            Cause::TokenRefused,
            &[Cause::Enough, Cause::Raised],
        ),
        pool(
            "a job that the pool does not count",
            vec![held(30, plan(0, 0, 0)), waiting_job(31, &["gpu"], 25)],
            Cause::TagMismatch,
            &[Cause::NothingWaits],
        ),
        pool(
            "a raise",
            vec![held(0, plan(0, 0, 0)), raised(10, plan(3, 0, 0), 3)],
            Cause::Raised,
            &[Cause::NothingWaits],
        ),
        pool(
            "more than is needed",
            vec![held(10, Explanation { spare: 1, ..plan(0, 1, 4) })],
            Cause::NothingWaits,
            &[Cause::Spare, Cause::Surplus],
        ),
        pool(
            "an entry of the schedule, even one that keeps none",
            vec![held(10, Explanation { entry: Some("sat,sun spare 0".into()), ..plan(0, 1, 4) })],
            Cause::NothingWaits,
            &[Cause::Spare, Cause::Surplus],
        ),
        pool(
            "its minimum",
            vec![held(10, Explanation { min: 2, target: 2, limit: Limit::Min, ..plan(0, 0, 2) })],
            Cause::NothingWaits,
            &[Cause::AtLeast],
        ),
    ]
}

fn instances() -> Vec<Scenario> {
    let left = |reason, trigger: &str| vec![gone(100, "i-1", reason, trigger)];
    let with =
        |kind, reason, trigger: &str| vec![incident(50, "i-1", kind, trigger), gone(100, "i-1", reason, trigger)];
    let by = |kind, by, trigger: &str| vec![incident(50, "i-1", kind, trigger), broken(100, "i-1", by, trigger)];
    let jobs = vec!["7".to_owned()];
    let cut = JobsAtEnd { count: Some(1), ids: Vec::new(), cut: true, cut_ids: jobs.clone(), ..JobsAtEnd::default() };
    let cut = departed(100, "i-1", LeaveReason::Spot, "a spot notice").cutting(cut);
    let floor = "idle, but the group is at its floor (desired 1, min 1, floor 0)";
    let unknown = "the Docker engine does not answer";
    let too_old = "the runner exited by itself, and another is started; it said: Runner version v2.300.0 is deprecated";
    vec![
        instance("idle", left(LeaveReason::Idle, EMPTY), Cause::IdleTimeout, &[]),
        instance("as many jobs as it may", left(LeaveReason::Limit, "1 job served"), Cause::JobLimit, &[]),
        instance("age", left(LeaveReason::Age, "in service for 12h"), Cause::Age, &[]),
        instance(
            "a runner that became too old",
            left(LeaveReason::RunnerExpired, "since 2026-12-02T00:00:00Z the platform may refuse the runner"),
            Cause::RunnerTooOld,
            &[],
        ),
        instance(
            "an operator",
            with(IncidentKind::DrainOrdered, LeaveReason::Operator, "drain"),
            Cause::Operator,
            &[Cause::Draining],
        ),
        instance("rebalance", left(LeaveReason::Rebalance, "recommended"), Cause::Rebalance, &[]),
        instance("maintenance", left(LeaveReason::Maintenance, "scheduled"), Cause::Maintenance, &[]),
        instance(
            "spot",
            with(IncidentKind::SpotNotice, LeaveReason::Spot, "a notice"),
            Cause::Spot,
            &[Cause::Draining],
        ),
        instance("spot, with a job that was cut", vec![recorded(Record::Departure(cut))], Cause::Spot, &[Cause::Cut]),
        instance("the group's choice", left(LeaveReason::ScaleIn, "chosen"), Cause::ScaleIn, &[]),
        instance(
            "a refresh",
            vec![
                gone(100, "i-1", LeaveReason::ScaleIn, "chosen"),
                activity(90, Some("i-1"), ActivityKind::Refresh, "in response to an instance refresh."),
            ],
            Cause::Refresh,
            &[Cause::ScaleIn],
        ),
        instance(
            "a refresh, with a job that is waited for",
            vec![
                activity(90, Some("i-1"), ActivityKind::Refresh, "in response to an instance refresh."),
                status(100, Status { why: Some("scale-in".into()), ..in_phase("draining") }),
            ],
            Cause::Draining,
            &[Cause::Refresh],
        ),
        instance(
            "ended by a health check, without a certificate",
            vec![activity(90, Some("i-1"), ActivityKind::Unhealthy, "an EC2 health check")],
            Cause::Unhealthy,
            &[],
        ),
        instance(
            "a token that has expired",
            vec![
                incident(20, "i-1", IncidentKind::RegistrationFailed, REFUSED),
                broken(600, "i-1", BrokenBy::BootDeadline, &format!("not ready within 600s: {REFUSED}")),
            ],
            Cause::BootDeadline,
            &[Cause::TokenRefused],
        ),
        instance(
            "a boot that is too slow",
            vec![
                incident(70, "i-1", IncidentKind::NotInService, "the group says Pending"),
                broken(
                    600,
                    "i-1",
                    BrokenBy::BootDeadline,
                    "not ready within 600s: waiting to be in service; the group says Pending",
                ),
            ],
            Cause::BootDeadline,
            &[Cause::Booting],
        ),
        instance(
            "a runner that is too old",
            vec![
                because(incident(20, "i-1", IncidentKind::RunnerExited, too_old), IncidentCause::RunnerTooOld),
                broken(600, "i-1", BrokenBy::RunnerExits, "the runner exited 5 times in a row right after its start"),
            ],
            Cause::RunnerExits,
            &[Cause::RunnerTooOld],
        ),
        instance(
            "a runner that is too old, and ends before it could be called one that runs",
            vec![
                because(incident(20, "i-1", IncidentKind::RegistrationFailed, too_old), IncidentCause::RunnerTooOld),
                broken(600, "i-1", BrokenBy::BootDeadline, "not ready within 600s: it ended at once"),
            ],
            Cause::BootDeadline,
            &[Cause::RunnerTooOld, Cause::NotRegistered],
        ),
        instance(
            "a runner that is too old, and is started again",
            vec![
                because(incident(20, "i-1", IncidentKind::RunnerExited, too_old), IncidentCause::RunnerTooOld),
                status(30, in_phase("idle")),
            ],
            Cause::RunnerTooOld,
            &[Cause::Idle, Cause::RunnerExits],
        ),
        instance(
            "a runner that was too old, and has made itself newer",
            vec![
                because(incident(20, "i-1", IncidentKind::RunnerExited, too_old), IncidentCause::RunnerTooOld),
                incident(30, "i-1", IncidentKind::Busy, "jobs 7"),
            ],
            Cause::Busy,
            &[Cause::RunnerTooOld, Cause::RunnerExits],
        ),
        instance(
            "the operator's own program failed",
            by(
                IncidentKind::BeforeRegisterFailed,
                BrokenBy::BeforeRegister,
                "agent.before_register failed: exit status 7",
            ),
            Cause::BeforeRegister,
            &[],
        ),
        instance(
            "a slow boot whose last words are another cause's",
            vec![broken(
                600,
                "i-1",
                BrokenBy::BootDeadline,
                "not ready within 600s: HTTP 500: agent.before_register failed, the runner exited",
            )],
            Cause::BootDeadline,
            &[],
        ),
        instance(
            "a disk that stays full",
            vec![broken(600, "i-1", BrokenBy::Full, "9 MiB are free in /data; Docker has removed 0 KiB")],
            Cause::Full,
            &[],
        ),
        instance(
            "a runner that ends again and again",
            by(
                IncidentKind::RunnerExited,
                BrokenBy::RunnerExits,
                "the runner exited 5 times in a row right after its start",
            ),
            Cause::RunnerExits,
            &[],
        ),
        instance(
            "a probe that cannot be read, for too long",
            by(
                IncidentKind::ActivityUnknown,
                BrokenBy::UnknownActivity,
                "what runs here has not been known for 900s: no answer",
            ),
            Cause::UnknownProbe,
            &[],
        ),
        instance("something else broke", left(LeaveReason::Broken, "a meteor"), Cause::Broken, &[]),
        instance(
            "one that broke, whose agent was started again on the way out",
            vec![
                incident(20, "i-1", IncidentKind::BeforeRegisterFailed, "exit status 7"),
                incident(21, "i-1", IncidentKind::Leaving, "broken: agent.before_register failed: exit status 7"),
                recorded(Record::Departure(Departure {
                    decided_at: None,
                    ..departed(30, "i-1", LeaveReason::Broken, "what made it so is not known")
                })),
            ],
            Cause::Broken,
            &[Cause::Draining, Cause::BeforeRegister],
        ),
        instance(
            "a hook that ran out",
            vec![
                incident(10, "i-1", IncidentKind::ScaleInNotice, "the group chose it"),
                because(incident(900, "i-1", IncidentKind::HeartbeatRefused, "none waits"), IncidentCause::HookGone),
            ],
            Cause::Draining,
            &[Cause::HookTimedOut],
        ),
        instance(
            "a hook that ran out, since it could not be extended",
            vec![
                incident(10, "i-1", IncidentKind::ScaleInNotice, "the group chose it"),
                incident(20, "i-1", IncidentKind::HeartbeatRefused, "the cloud throttles"),
                because(incident(50, "i-1", IncidentKind::DrainOrdered, "a stop"), IncidentCause::HookTimedOut),
            ],
            Cause::Draining,
            &[Cause::HookTimedOut, Cause::HookFails],
        ),
        instance(
            "a hook that ran out under a job, of which a certificate was written while the machine went down",
            vec![
                incident(20, "i-1", IncidentKind::HeartbeatRefused, "the cloud throttles"),
                because(incident(50, "i-1", IncidentKind::DrainOrdered, "a stop"), IncidentCause::HookTimedOut),
                gone(51, "i-1", LeaveReason::ScaleIn, "chosen"),
            ],
            Cause::ScaleIn,
            &[Cause::HookTimedOut, Cause::HookFails, Cause::Draining],
        ),
        instance(
            "an operator who stops the service while a hook cannot be extended",
            vec![
                incident(20, "i-1", IncidentKind::HeartbeatRefused, "the cloud throttles"),
                because(incident(50, "i-1", IncidentKind::DrainOrdered, "a stop"), IncidentCause::ServiceStopped),
            ],
            Cause::Draining,
            &[Cause::HookFails],
        ),
        instance(
            "a launch hook that ran out",
            vec![
                incident(0, "i-1", IncidentKind::Started, "the first agent on this instance"),
                activity(1, Some("i-1"), ActivityKind::LaunchFailed(LaunchTrouble::Hook), ABANDONED),
                gone(60, "i-1", LeaveReason::ScaleIn, "the group moved the instance to Terminated"),
            ],
            Cause::HookTimedOut,
            &[Cause::ScaleIn],
        ),
        instance(
            "a hook that could not be extended",
            vec![incident(900, "i-1", IncidentKind::HeartbeatRefused, "the cloud throttles")],
            Cause::HookFails,
            &[],
        ),
        instance(
            "a right that is missing",
            vec![
                status(100, Status { why: Some("idle".into()), ..in_phase("retiring") }),
                incident(
                    90,
                    "i-1",
                    IncidentKind::CloudRefused,
                    "autoscaling:TerminateInstanceInAutoScalingGroup is denied",
                ),
            ],
            Cause::Retiring,
            &[Cause::Refused],
        ),
        instance("busy", vec![status(100, Status { jobs, ..in_phase("busy") })], Cause::Busy, &[]),
        instance(
            "an unknown probe",
            vec![status(100, Status { unknown: Some(unknown.into()), ..in_phase("busy") })],
            Cause::UnknownProbe,
            &[],
        ),
        instance(
            "an unknown probe, from records",
            vec![incident(100, "i-1", IncidentKind::ActivityUnknown, unknown)],
            Cause::UnknownProbe,
            &[],
        ),
        instance("idle, and its time is not over", vec![status(100, in_phase("idle"))], Cause::Idle, &[]),
        instance("held", vec![status(100, Status { held: true, ..in_phase("idle") })], Cause::Held, &[Cause::Idle]),
        instance("held, from records", vec![incident(100, "i-1", IncidentKind::Held, "for 10m")], Cause::Held, &[]),
        instance(
            "at its floor",
            vec![status(100, Status { note: Some(floor.into()), ..in_phase("idle") })],
            Cause::AtFloor,
            &[],
        ),
        instance(
            "at its floor, from records",
            vec![incident(100, "i-1", IncidentKind::NoRoom, floor)],
            Cause::AtFloor,
            &[],
        ),
        instance("booting", vec![status(100, in_phase("booting"))], Cause::Booting, &[]),
        instance(
            "registering",
            vec![status(100, Status { note: Some(REFUSED.into()), ..in_phase("registering") })],
            Cause::TokenRefused,
            &[],
        ),
        instance(
            "a runner that ended by itself, between two starts",
            vec![status(
                100,
                Status {
                    note: Some("the runner exited by itself and is started again".into()),
                    ..in_phase("registering")
                },
            )],
            Cause::RunnerExits,
            &[],
        ),
        instance(
            "an answer that tells nothing",
            vec![incident(100, "i-1", IncidentKind::RegistrationFailed, "HTTP 500")],
            Cause::NotRegistered,
            &[],
        ),
        instance(
            "draining",
            vec![status(100, Status { why: Some("scale-in".into()), ..in_phase("draining") })],
            Cause::Draining,
            &[],
        ),
    ]
}

fn jobs() -> Vec<Scenario> {
    let job = |name, evidence, first, also: &[Cause]| scenario(name, Question::Job("7".into()), evidence, first, also);
    let at_most = Explanation { max: 2, target: 2, limit: Limit::Max, ..plan(3, 2, 2) };
    let on = |state| Job { instance: Some("i-1".into()), state, ..Job::default() };
    let spot = || vec![incident(90, "i-1", IncidentKind::SpotNotice, "a notice")];
    let seen = || status(100, Status { jobs: vec!["7".into()], ..in_phase("busy") });
    let left = |jobs| recorded(Record::Departure(departed(100, "i-1", LeaveReason::Spot, "a notice").cutting(jobs)));
    let named = || vec!["7".to_owned()];
    let cut = || JobsAtEnd { count: Some(1), cut: true, cut_ids: named(), ..JobsAtEnd::default() };
    let last = JobsAtEnd { count: Some(1), ids: named(), ..JobsAtEnd::default() };
    vec![
        job(
            "a job that waits, at the maximum",
            vec![raised(0, plan(2, 0, 0), 2), held(30, at_most), waiting_job(31, &["linux"], 25)],
            Cause::Waiting,
            &[Cause::AtMost, Cause::Raised],
        ),
        job(
            "a job that waits, and another pool",
            vec![held(30, plan(1, 0, 1)), of_pool("other", held(30, plan(0, 0, 0))), waiting_job(31, &["linux"], 25)],
            Cause::Waiting,
            // Where the record of one of them is lost, the job is taken for the other's.
            &[Cause::Enough, Cause::NothingWaits, Cause::TagMismatch],
        ),
        job("a job that runs", vec![told_job(100, on(JobState::Running))], Cause::Running, &[]),
        job("a job that is seen to run", vec![seen()], Cause::Running, &[]),
        job(
            "a job that ran, as its agent wrote down",
            vec![running_jobs(50, &["6", "7"]), running_jobs(60, &["6"]), incident(70, "i-1", IncidentKind::Idle, "")],
            Cause::Running,
            &[],
        ),
        job("a job that is done", vec![told_job(100, on(JobState::Done))], Cause::Ended, &[]),
        job(
            "a job that was cut, as its platform says",
            [spot(), vec![left(cut()), told_job(101, on(JobState::Interrupted))]].concat(),
            Cause::Cut,
            &[Cause::Spot, Cause::Draining],
        ),
        job("a job that was cut, as its agent says", [spot(), vec![left(cut())]].concat(), Cause::Cut, &[Cause::Spot]),
        job("a job that was the last", vec![seen(), left(last)], Cause::Ended, &[Cause::Running]),
    ]
}

trait Cutting {
    fn cutting(self, jobs: JobsAtEnd) -> Self;
}

impl Cutting for Departure {
    fn cutting(self, jobs: JobsAtEnd) -> Self {
        Self { jobs, ..self }
    }
}
