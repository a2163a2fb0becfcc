//! Situations of a pool.

use lightsout_core::{
    agent::phase::{BrokenBy, LeaveReason},
    explain::{ActivityKind, Cause},
    record::{Decision, IncidentKind, LaunchTrouble, Outcome, Record, TickTrouble},
    scaling::{Explanation, Limit, Outlook},
};

use super::{ABANDONED, DEAF, EMPTY, IN_VAIN, REFUSED, Scenario, pool};
use crate::made::{
    activity, broken, decision, doubting, failed, gone, held, incident, partly, plan, raised, recorded, waiting_job,
    without_launches,
};

pub(super) fn all() -> Vec<Scenario> {
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
