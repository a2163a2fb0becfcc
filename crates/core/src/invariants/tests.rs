use super::*;

const SERVING: Membership = Membership::InService { protected: true };
const UNPROTECTED: Membership = Membership::InService { protected: false };
const READY: RunnerFacts = RunnerFacts { job: false, asks: false, accepts: true, quiesced: false };
const CLOUD: Capabilities = Capabilities {
    protection: ProtectionSupport::AtLaunch,
    termination_hook: None,
    leaving_lowers_capacity: false,
    replaces_unhealthy: true,
    power_off_ends_billing: true,
    conditional_raise: false,
    longest_notice: Duration::ZERO,
};
const ENDS: EndFacts = EndFacts {
    rung: Rung::Replace,
    cloud: CLOUD,
    retiring: Duration::from_secs(9),
    patience: Duration::from_secs(10),
    places: [SERVING; 2],
    surplus: false,
    refused: false,
    denied: false,
};

fn after(acts: impl FnOnce(&mut Ledger)) -> Option<Violation> {
    let mut ledger = Ledger::default();
    acts(&mut ledger);
    ledger.violation()
}

fn started(another: bool, place: Membership, protect: bool, preparation: Preparation) -> Option<Violation> {
    after(|ledger| {
        ledger.looked_for_room(false);
        ledger.runner_started(another, place, protect, ProtectionSupport::OnDemand, preparation);
    })
}

#[test]
fn each_violation_is_told_from_the_others() {
    let texts: std::collections::BTreeSet<String> = ALL.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), ALL.len());
    assert!(texts.iter().all(|text| text.len() > 10), "{texts:?}");
}

#[test]
fn a_job_may_end_only_when_a_deadline_is_near() {
    let spot = Some(Deadline { at: Tick(120_000), margin: Duration::from_secs(25) });
    assert_eq!(after(|ledger| ledger.job_ended(None, Tick(0))), Some(Violation::JobKilled));
    assert_eq!(after(|ledger| ledger.job_ended(spot, Tick(94_999))), Some(Violation::JobKilled));
    assert_eq!(after(|ledger| ledger.job_ended(spot, Tick(95_000))), None);
}

#[test]
fn capacity_is_lowered_once_and_by_who_counts() {
    assert_eq!(after(|ledger| ledger.lowered(SERVING)), None);
    let twice = after(|ledger| {
        ledger.lowered(SERVING);
        ledger.agent_began();
        ledger.lowered(Membership::Terminating { waiting: true });
    });
    assert_eq!(twice, Some(Violation::LoweredTwice));
    for place in [Membership::Warm, Membership::Standby, Membership::Outside] {
        assert_eq!(after(|ledger| ledger.lowered(place)), Some(Violation::LoweredUncounted));
    }
}

#[test]
fn a_runner_starts_alone_and_in_service() {
    assert_eq!(started(false, SERVING, true, Preparation::NotAsked), None);
    assert_eq!(started(true, SERVING, true, Preparation::NotAsked), Some(Violation::TwoRunners));
    for place in [Membership::Warm, Membership::Pending { waiting: true }] {
        assert_eq!(started(false, place, false, Preparation::NotAsked), Some(Violation::StartedTooEarly));
    }
    assert_eq!(started(false, UNPROTECTED, false, Preparation::NotAsked), None);
    assert_eq!(started(false, UNPROTECTED, true, Preparation::NotAsked), Some(Violation::StartedUnprotected));
    let nobody_ends_it = after(|ledger| {
        ledger.looked_for_room(false);
        ledger.runner_started(false, UNPROTECTED, true, ProtectionSupport::Never, Preparation::NotAsked);
    });
    assert_eq!(nobody_ends_it, None);
}

#[test]
fn a_runner_starts_once_the_operators_program_has_succeeded() {
    assert_eq!(started(false, SERVING, true, Preparation::Succeeded), None);
    for preparation in [Preparation::Open, Preparation::Failed] {
        assert_eq!(started(false, SERVING, true, preparation), Some(Violation::StartedUnprepared));
    }
}

#[test]
fn a_runner_starts_after_a_look_of_its_own_that_found_room() {
    let start = |ledger: &mut Ledger| {
        ledger.runner_started(false, SERVING, true, ProtectionSupport::AtLaunch, Preparation::NotAsked);
    };
    assert_eq!(after(start), Some(Violation::StartedWithoutRoom));
    let short = after(|ledger| {
        ledger.looked_for_room(true);
        start(ledger);
    });
    assert_eq!(short, Some(Violation::StartedWithoutRoom));
    let by_the_look_before = after(|ledger| {
        ledger.looked_for_room(false);
        start(ledger);
        start(ledger);
    });
    assert_eq!(by_the_look_before, Some(Violation::StartedWithoutRoom));
    let by_another_agents_look = after(|ledger| {
        ledger.looked_for_room(false);
        ledger.agent_began();
        start(ledger);
    });
    assert_eq!(by_another_agents_look, Some(Violation::StartedWithoutRoom));
}

#[test]
fn a_launch_goes_on_when_nothing_is_missing() {
    let parts = [Part::Token, Part::Platform, Part::Program];
    let let_in = |without: Option<Part>, short, preparation| {
        after(|ledger| {
            parts.into_iter().filter(|part| Some(*part) != without).for_each(|part| ledger.seen(part));
            ledger.looked_for_room(short);
            ledger.let_in(preparation);
        })
    };
    assert_eq!(let_in(None, false, Preparation::Succeeded), None);
    assert_eq!(let_in(None, true, Preparation::Succeeded), Some(Violation::LetInUnready));
    assert_eq!(let_in(None, false, Preparation::Open), Some(Violation::LetInUnready));
    for part in parts {
        assert_eq!(let_in(Some(part), false, Preparation::NotAsked), Some(Violation::LetInUnready), "{part:?}");
    }
}

#[test]
fn a_launch_is_given_up_when_its_boot_failed_or_lasts_too_long() {
    assert_eq!(after(|ledger| ledger.launch_given_up(true, Tick(9), Tick(8))), None);
    assert_eq!(after(|ledger| ledger.launch_given_up(false, Tick(9), Tick(9))), None);
    let early = after(|ledger| ledger.launch_given_up(false, Tick(9), Tick(8)));
    assert_eq!(early, Some(Violation::LaunchGivenUp));
}

#[test]
fn room_is_made_where_no_job_is_and_none_can_come() {
    let idle = RunnerFacts { accepts: false, ..READY };
    assert_eq!(after(|ledger| ledger.makes_room(None)), None);
    assert_eq!(after(|ledger| ledger.makes_room(Some(idle))), None);
    for runner in [READY, RunnerFacts { job: true, ..idle }, RunnerFacts { asks: true, ..idle }] {
        assert_eq!(after(|ledger| ledger.makes_room(Some(runner))), Some(Violation::CleanedUnderJob), "{runner:?}");
    }
}

#[test]
fn nobody_leaves_for_an_order_that_was_not_given() {
    let leaves = |why, called| after(|ledger| ledger.leaves(why, called));
    assert_eq!(leaves(Some(LeaveReason::Operator), true), None);
    assert_eq!(leaves(Some(LeaveReason::Idle), false), None);
    assert_eq!(leaves(None, false), None);
    assert_eq!(leaves(Some(LeaveReason::Operator), false), Some(Violation::LeftUncalled));
}

#[test]
fn a_blunt_way_needs_an_excuse() {
    let asked = |facts| after(|ledger| ledger.asked_to_end(facts));
    let blunt = Some(Violation::TooBlunt);
    assert_eq!(asked(EndFacts { rung: Rung::Decrement, ..ENDS }), None);
    let ways = [Rung::Replace, Rung::Unhealthy, Rung::Terminate, Rung::PowerOff].map(|rung| EndFacts { rung, ..ENDS });
    for facts in ways {
        assert_eq!(asked(facts), blunt, "{facts:?}");
        assert_eq!(asked(EndFacts { denied: true, ..facts }), None, "{facts:?}");
        assert_eq!(asked(EndFacts { retiring: ENDS.patience, ..facts }), None, "{facts:?}");
        // What the group does not hear of in time is no answer to its refusal.
        let unheard = matches!(facts.rung, Rung::Unhealthy | Rung::PowerOff);
        for suits in [
            EndFacts { refused: true, ..facts },
            EndFacts { surplus: true, ..facts },
            EndFacts { places: [SERVING, Membership::Standby], ..facts },
            EndFacts { places: [Membership::Outside, UNPROTECTED], ..facts },
        ] {
            assert_eq!(asked(suits), blunt.filter(|_| unheard), "{suits:?}");
        }
    }
    // Where each leave lowers the capacity, one at the floor says that it is unhealthy.
    let cloud = Capabilities { leaving_lowers_capacity: true, ..CLOUD };
    assert_eq!(asked(EndFacts { rung: Rung::Unhealthy, cloud, ..ENDS }), None);
    assert_eq!(asked(EndFacts { rung: Rung::Terminate, cloud, ..ENDS }), blunt);
}

#[test]
fn who_is_there_in_the_end_takes_jobs() {
    let settled = |phase, runner| after(|ledger| ledger.settled(true, false, phase, runner));
    assert_eq!(settled(Phase::Busy, Some(READY)), None);
    assert_eq!(settled(Phase::Idle { since: Tick(1) }, Some(READY)), None);
    let stuck = Some(Violation::Stuck);
    assert_eq!(settled(Phase::Busy, None), stuck);
    assert_eq!(settled(Phase::Busy, Some(RunnerFacts { accepts: false, ..READY })), stuck);
    assert_eq!(settled(Phase::Busy, Some(RunnerFacts { quiesced: true, ..READY })), stuck);
    let draining = Phase::Draining { why: LeaveReason::Idle };
    assert_eq!(settled(draining, Some(READY)), stuck);
    assert_eq!(after(|ledger| ledger.settled(false, false, draining, None)), None);
    assert_eq!(after(|ledger| ledger.settled(true, true, draining, None)), None);
}

#[test]
fn the_first_violation_is_kept() {
    let first = after(|ledger| {
        ledger.settled(true, false, Phase::Booting, None);
        ledger.job_ended(None, Tick(0));
    });
    assert_eq!(first, Some(Violation::Stuck));
}
