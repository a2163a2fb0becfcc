//! Each reason to leave has its certificate.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        event::{Event, Order},
        host::Prepared,
        phase::{BrokenBy, LeaveReason},
        policy::AgentPolicy,
    },
    cloud::{Ending, Membership, TargetState},
    platform::{DrainBy, DrainRules},
    record::{DecidedBy, IncidentKind, NoticeKind, ProofBy, Record, Way},
};

use super::story::{BY_CALL, BY_SIGNAL, Story, machine, steps};
use crate::rig::{busy, secs};

/// An instance that leaves for this reason, to its end.
pub(super) fn left_for(why: LeaveReason, rules: DrainRules) -> Story {
    let default = AgentPolicy::default();
    match why {
        LeaveReason::Full => unreachable!("no instance departs for it: who stays full is broken"),
        LeaveReason::Idle => {
            let mut story = Story::idle(default, rules);
            story.pass(secs(601));
            story
        }
        LeaveReason::Limit => {
            let mut story = Story::idle(AgentPolicy { jobs_per_instance: Some(1), ..default }, rules);
            story.see(busy("job-1"));
            story.see(Activity::Quiet);
            story.pass(secs(30));
            story
        }
        LeaveReason::Age => {
            let policy = AgentPolicy { max_age: Some(secs(3_600)), idle_timeout: None, ..default };
            let mut story = Story::idle(policy, rules);
            story.pass(secs(3_700));
            story
        }
        LeaveReason::RunnerExpired => {
            let mut story = Story::idle(AgentPolicy { idle_timeout: None, ..default }, rules);
            let at = story.now + secs(3_600);
            story.event(Event::RunnerExpires { at });
            story.pass(secs(3_700));
            story
        }
        LeaveReason::Operator => {
            let mut story = Story::idle(default, rules);
            story.order(Order::Drain);
            story
        }
        LeaveReason::Rebalance => {
            let mut story = Story::idle(AgentPolicy { rebalance_after: Duration::ZERO, ..default }, rules);
            story.event(Event::Rebalance);
            story
        }
        LeaveReason::Maintenance => {
            let mut story = Story::idle(default, rules);
            story.event(Event::Ending { by: Ending::Maintenance, at: None });
            story
        }
        LeaveReason::ScaleIn => {
            let mut story = Story::idle(default, rules);
            story.membership = Membership::Terminating { waiting: true };
            story.event(Event::TargetState(TargetState::Terminated));
            story
        }
        LeaveReason::Spot => {
            let mut story = Story::idle(default, rules);
            story.see(busy("job-1"));
            let at = story.now + secs(120);
            story.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
            story.pass(secs(121));
            story
        }
        LeaveReason::Broken => {
            let mut story = Story::begin(AgentPolicy { before_register: Some(secs(60)), ..default }, rules);
            story.prepared = Prepared::Failed("exit status: 3: no disk".into());
            story.go();
            story
        }
    }
}

#[test]
fn each_reason_has_its_certificate() {
    use LeaveReason as Why;
    let cases = [
        (Why::Idle, DecidedBy::Agent, "no job for 10m (agent.idle_timeout)", None),
        (Why::Limit, DecidedBy::Limit, "1 busy periods served; agent.jobs_per_instance is 1", None),
        (Why::Age, DecidedBy::Limit, "agent.max_age lets it become, which is 1h", None),
        (
            Why::RunnerExpired,
            DecidedBy::Limit,
            "since 2026-11-26T04:00:00.000Z the platform may refuse the runner of the machine image",
            None,
        ),
        (Why::Operator, DecidedBy::Operator, "an operator's drain at 2026-11-26T03:00:00", Some(NoticeKind::Drain)),
        (Why::Rebalance, DecidedBy::Cloud, "a rebalance recommendation of the cloud", Some(NoticeKind::Rebalance)),
        (Why::Maintenance, DecidedBy::Cloud, "maintenance that the cloud has scheduled", Some(NoticeKind::Maintenance)),
        (Why::ScaleIn, DecidedBy::Group, "the group moved the instance to Terminated", Some(NoticeKind::ScaleIn)),
        (
            Why::Spot,
            DecidedBy::Cloud,
            "the cloud ends the instance at 2026-11-26T03:02:00.000Z",
            Some(NoticeKind::Spot),
        ),
        (Why::Broken, DecidedBy::Agent, "agent.before_register failed: exit status: 3: no disk", None),
    ];
    for (why, decided_by, trigger, notice) in cases {
        for rules in [BY_SIGNAL, BY_CALL] {
            let story = left_for(why, rules);
            let departure = story.departure();
            assert_eq!((departure.reason, departure.decided_by), (why, decided_by));
            assert!(departure.trigger.contains(trigger), "{why}: {}", departure.trigger);
            assert_eq!(departure.broken_by, (why == Why::Broken).then_some(BrokenBy::BeforeRegister), "{why}");
            assert!(departure.decided_at.is_some() && departure.not_known.is_empty(), "{departure:#?}");
            let notices: Vec<NoticeKind> = departure.notices.iter().map(|seen| seen.notice).collect();
            assert_eq!(notices, notice.into_iter().collect::<Vec<_>>(), "{why}");
            let way = if why == Why::ScaleIn { Way::Group } else { Way::Decrement };
            assert_eq!(departure.way, way, "{why}");
            assert!(departure.proof.proven, "{why}: {:#?}", departure.proof);
            assert_eq!(departure.proof.without, None, "{why}");
            let expected = match (why, rules.drain) {
                (Why::Broken, _) => ProofBy::NoRunner,
                (Why::Spot, _) | (_, DrainBy::Signal(_)) => ProofBy::RunnerExit,
                (_, DrainBy::Call) => ProofBy::Platform,
            };
            assert!(steps(departure).contains(&expected), "{why} {rules:?}: {:#?}", departure.proof);
            assert_eq!(steps(departure).last(), Some(&ProofBy::Probes), "{why}: the last look is the last word");
            assert_eq!(departure.jobs.cut, why == Why::Spot);
            assert_eq!(story.told().contains(&IncidentKind::JobsCut), why == Why::Spot);
            assert!(story.recorder.tag(why).starts_with(&format!("{why}: ")), "{}", story.recorder.tag(why));
            assert_eq!(departure.machine, machine(), "{why}");
            assert!(story.incidents.iter().all(|incident| incident.machine == machine()), "{why}");
            let record = Record::Departure(departure.clone());
            assert_eq!(Record::find(&record.json()), Some(record));
        }
    }
}
