//! Situations of an instance.

use lightsout_core::{
    agent::phase::{BrokenBy, LeaveReason},
    explain::{ActivityKind, Cause, Status},
    record::{Departure, IncidentCause, IncidentKind, JobsAtEnd, LaunchTrouble, Record},
};

use super::{ABANDONED, Cutting, EMPTY, REFUSED, Scenario, instance};
use crate::made::{activity, because, broken, departed, gone, in_phase, incident, recorded, status};

pub(super) fn all() -> Vec<Scenario> {
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
