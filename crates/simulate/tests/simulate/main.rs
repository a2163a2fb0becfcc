//! What must hold of every simulation, and that what is simulated are the shipped decisions.

use std::time::Duration;

use lightsout_core::{
    agent::{phase::LeaveReason, policy::AgentPolicy},
    scaling::{Plan, ScalerPolicy, Schedule, Zone, plan},
};
use lightsout_simulate::{Boots, Fleet, Job, LightsoutSettings, Outcome, PEERS, Setup, Trace, Turn, made, simulate};
use proptest::prelude::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn setup() -> Setup {
    Setup { boots: Boots::new(vec![secs(80), secs(90), secs(140)]).expect("some"), max: 60, ..Setup::default() }
}

fn jobs(jobs: impl IntoIterator<Item = (u64, u64)>) -> Trace {
    Trace::new(jobs.into_iter().map(|(arrives, runs)| Job { arrives: secs(arrives), runs: secs(runs) }).collect())
}

fn lightsout(trace: &Trace, settings: LightsoutSettings) -> Outcome {
    simulate(trace, &setup(), &Fleet::Lightsout(settings))
}

fn with(agent: AgentPolicy, scaler: ScalerPolicy) -> LightsoutSettings {
    LightsoutSettings { agent, scaler, ..LightsoutSettings::default() }
}

fn idle(seconds: u64) -> AgentPolicy {
    AgentPolicy { idle_timeout: Some(secs(seconds)), ..AgentPolicy::default() }
}

#[test]
fn a_seed_gives_the_same_outcome_to_the_last_bit() {
    let trace = made(3, 400, 1);
    let fleets = PEERS.map(Fleet::Peer).into_iter().chain([Fleet::Lightsout(LightsoutSettings::default())]);
    for fleet in fleets {
        let play = |seed| simulate(&trace, &Setup { seed, losses: 20.0, ..setup() }, &fleet);
        assert_eq!(format!("{:?}", play(1)), format!("{:?}", play(1)), "{fleet:?}");
        assert_ne!(play(1), play(2), "{fleet:?}: nothing is left to chance");
    }
}

#[test]
fn a_small_fleet_does_what_one_would_write_down_by_hand() {
    // Three at once, and one when those three have left.
    let outcome = lightsout(&jobs([(0, 60), (0, 60), (0, 300), (3_600, 30)]), LightsoutSettings::default());
    let left = Turn::Left { why: Some(LeaveReason::Idle) };
    assert_eq!(outcome.turns, [Turn::Raised { to: 3 }, left, left, left, Turn::Raised { to: 1 }, left]);
    assert_eq!((outcome.launched, outcome.peak, outcome.cut, outcome.unserved), (4, 3, 0, 0));
    assert!((outcome.seconds.busy - 450.0).abs() < 0.01, "{outcome:?}");
    // Ten minutes each, and the seconds until the agent sees that it is idle and its hook lets it go.
    assert!((2_400.0..2_440.0).contains(&outcome.seconds.idle), "{outcome:?}");
    assert!((0.0..20.0).contains(&outcome.seconds.draining), "{outcome:?}");
}

#[test]
fn another_rule_of_the_scaler_is_another_outcome() {
    let trace = made(1, 300, 1);
    let shipped = lightsout(&trace, LightsoutSettings::default());
    // One instance more than the shipped plan says.
    let generous = lightsout(
        &trace,
        LightsoutSettings {
            plan: |policy, demand, capacity, past| match plan(policy, demand, capacity, past) {
                Plan::Raise { to, explanation } => Plan::Raise { to: to + 1, explanation },
                hold @ Plan::Hold(_) => hold,
            },
            ..LightsoutSettings::default()
        },
    );
    assert!(generous.launched > shipped.launched, "{generous:?}");
    assert!(generous.waits.p95 <= shipped.waits.p95 && generous.seconds.all() > shipped.seconds.all());
    let never = lightsout(
        &trace,
        LightsoutSettings {
            plan: |_, _, capacity, past| {
                plan(&ScalerPolicy::default(), &lightsout_core::platform::Demand::default(), capacity, past)
            },
            ..LightsoutSettings::default()
        },
    );
    assert_eq!((never.launched, never.unserved), (0, 300));
}

#[test]
fn each_setting_of_the_agent_and_of_the_scaler_has_its_effect() {
    let trace = made(1, 600, 1);
    let now = lightsout(&trace, LightsoutSettings::default());
    let brief = lightsout(&trace, with(idle(60), ScalerPolicy::default()));
    assert!(brief.seconds.idle < now.seconds.idle && brief.launched > now.launched, "{brief:?}");
    let spare = lightsout(&trace, with(AgentPolicy::default(), ScalerPolicy { spare: 3, ..ScalerPolicy::default() }));
    assert!(spare.waits.p50 <= now.waits.p50 && spare.seconds.idle > now.seconds.idle, "{spare:?}");
    let slots = lightsout(&trace, with(AgentPolicy::default(), ScalerPolicy { slots: 4, ..ScalerPolicy::default() }));
    assert!(slots.launched < now.launched, "{slots:?}");
    let rare = lightsout(&trace, LightsoutSettings { tick: secs(60), ..LightsoutSettings::default() });
    let hinted = lightsout(&trace, LightsoutSettings { tick: secs(60), webhook: true, ..LightsoutSettings::default() });
    assert!(rare.waits.p99 > now.waits.p99 && hinted.waits.p99 < now.waits.p99, "{rare:?} {hinted:?}");
    let once = AgentPolicy { jobs_per_instance: Some(1), ..AgentPolicy::default() };
    let once = lightsout(&trace, with(once, ScalerPolicy::default()));
    assert_eq!(once.turns.iter().filter(|turn| **turn == Turn::Left { why: Some(LeaveReason::Idle) }).count(), 0);
    let stays = AgentPolicy { idle_timeout: None, ..AgentPolicy::default() };
    let stays = lightsout(&trace, with(stays, ScalerPolicy::default()));
    assert!(stays.turns.iter().all(|turn| matches!(turn, Turn::Raised { .. })), "{stays:?}");
}

#[test]
fn spare_instances_stay_and_more_than_the_group_may_have_are_never_there() {
    let spare = ScalerPolicy { spare: 2, ..ScalerPolicy::default() };
    let outcome = lightsout(&jobs([(0, 60), (7_200, 60)]), with(idle(60), spare));
    // Two stay of three: the job of two hours later waits for none.
    assert!(outcome.waits.p50 < 0.001, "{outcome:?}");
    assert!(!outcome.turns.iter().any(|turn| matches!(turn, Turn::Raised { to: 4.. })), "{outcome:?}");
    let many = jobs((0..200).map(|_| (0, 60)));
    assert_eq!(lightsout(&many, LightsoutSettings::default()).peak, 60);
    for peer in PEERS {
        assert!(simulate(&many, &setup(), &Fleet::Peer(peer)).peak <= 60, "{peer:?}");
    }
}

/// Jobs of a Thursday, 1 January 1970, whose clock shows UTC: at 07:00, 09:00 and 12:00.
#[test]
fn a_schedule_holds_at_its_hours_on_its_clock() {
    let trace = jobs([(7 * 3_600, 60), (9 * 3_600, 60), (12 * 3_600, 60)]);
    let play = |zone: &str| {
        let entry = "thu 08:00-10:00 spare 2".parse().expect("an entry");
        let schedule = Schedule::new(vec![entry], Zone::parse(zone, &|_| None).expect("a zone"));
        lightsout(&trace, LightsoutSettings { schedule, ..with(idle(60), ScalerPolicy::default()) })
    };
    let plain = lightsout(&trace, with(idle(60), ScalerPolicy::default()));
    assert!(plain.waits.p50 > 80.0 && plain.entries.is_empty(), "{plain:?}");
    let here = play("UTC");
    let held = &here.entries[0];
    assert_eq!((held.entry.as_str(), held.jobs), ("thu 08:00-10:00 spare 2", 1));
    assert!((held.seconds - 7_200.0).abs() <= 20.0 && held.waits.most < 0.001, "{held:?}");
    // What is kept of it: two for two hours, which then leave by themselves; the other jobs wait as ever.
    assert!(here.waits.p50 > 80.0 && here.cut == 0, "{here:?}");
    let more = here.seconds.idle - plain.seconds.idle;
    assert!((2.0 * 6_900.0..2.0 * 7_400.0).contains(&more), "{more}");
    // Two hours further east it is over by then.
    let there = play("<+02>-2");
    assert_eq!((there.entries[0].jobs, there.waits.p50 > 80.0), (1, true), "{there:?}");
    assert!(there.seconds.idle < here.seconds.idle, "{there:?}");
}

#[test]
fn a_spot_loss_ends_what_two_minutes_do_not_suffice_for_and_nothing_else() {
    let losing = Setup { losses: 60.0, ..setup() };
    let short =
        simulate(&jobs((0..300).map(|n| (n * 20, 60))), &losing, &Fleet::Lightsout(LightsoutSettings::default()));
    assert_eq!((short.spot, short.cut, short.unserved, short.violation), (0, 0, 0, None), "{short:?}");
    assert!(short.turns.contains(&Turn::Left { why: Some(LeaveReason::Spot) }));
    let long =
        simulate(&jobs((0..300).map(|n| (n * 20, 1_800))), &losing, &Fleet::Lightsout(LightsoutSettings::default()));
    assert!(long.spot > 0 && long.cut == 0 && long.violation.is_none(), "{long:?}");
}

#[test]
fn a_group_that_anybody_may_shrink_loses_jobs_and_ours_does_not() {
    let trace = made(1, 1_000, 1);
    let cut = |fleet| simulate(&trace, &setup(), &fleet).cut;
    assert!(cut(Fleet::Peer(lightsout_simulate::Peer::CircleCi)) > 0);
    assert_eq!(cut(Fleet::Lightsout(LightsoutSettings::default())), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Nothing is lost and nothing is counted twice: every job runs for its time, every instance boots for its time, and no agent breaks a promise.
    #[test]
    fn seconds_add_up_and_no_promise_is_broken(
        arrivals in proptest::collection::vec((0_u64..20_000, 1_u64..2_000), 1..150),
        seed in 0_u64..1_000,
        idle_seconds in 10_u64..1_500,
        spare in 0_u32..4,
        slots in 1_u32..4,
        tick in 1_u64..120,
        webhook: bool,
        age in proptest::option::of(600_u64..7_200),
    ) {
        let trace = jobs(arrivals);
        let setup = Setup { seed, boots: Boots::new(vec![secs(90)]).expect("one"), ..setup() };
        let agent = AgentPolicy { max_age: age.map(secs), confirm: secs(5), ..idle(idle_seconds) };
        let scaler = ScalerPolicy { spare, slots, ..ScalerPolicy::default() };
        let fleet = LightsoutSettings { tick: secs(tick), webhook, ..with(agent, scaler) };
        let outcome = simulate(&trace, &setup, &Fleet::Lightsout(fleet));
        prop_assert_eq!((outcome.unserved, outcome.cut, outcome.spot, outcome.violation), (0, 0, 0, None));
        let work = trace.work().as_secs_f64();
        let seconds = outcome.seconds;
        prop_assert!(seconds.busy <= work + 0.01 && seconds.busy * f64::from(slots) >= work - 0.01);
        if slots == 1 {
            prop_assert!((seconds.busy - work).abs() < 0.01);
        }
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let boots = outcome.launched as f64 * 90.0;
        // Spare ones may boot still when nobody looks any more.
        prop_assert!(seconds.booting <= boots + 0.01, "{} of {}", seconds.booting, boots);
        if spare == 0 {
            prop_assert!((seconds.booting - boots).abs() < 0.01, "{} of {}", seconds.booting, boots);
            let left = outcome.turns.iter().filter(|turn| matches!(turn, Turn::Left { .. })).count();
            prop_assert_eq!(left, outcome.launched, "no instance stays behind");
        }
    }
}
