use proptest::prelude::*;

use super::*;

fn demand(queued: u32, running: u32) -> Demand {
    Demand { queued, running: Some(running), poll_after: None }
}

fn unknown(queued: u32) -> Demand {
    Demand { queued, running: None, poll_after: None }
}

fn at(desired: u32) -> Capacity {
    Capacity { max: 10, desired, ..Capacity::default() }
}

fn since(raise: Duration) -> PlanHistory {
    PlanHistory { since_raise: Some(raise), ..PlanHistory::default() }
}

fn to(policy: &ScalerPolicy, demand: &Demand, capacity: Capacity) -> Option<u32> {
    match plan(policy, demand, capacity, PlanHistory::default()) {
        Plan::Hold(_) => None,
        Plan::Raise { to, .. } => Some(to),
    }
}

#[test]
fn raises_to_what_is_needed() {
    let plain = ScalerPolicy::default();
    let four = ScalerPolicy { slots: 4, ..plain.clone() };
    let spare = ScalerPolicy { spare: 2, ..plain.clone() };
    let roomy = ScalerPolicy { slots: 4, utilisation: 75, ..plain.clone() };
    let few = ScalerPolicy { threshold: 3, ..plain.clone() };
    let own_bounds = ScalerPolicy { min: Some(2), max: Some(4), ..plain.clone() };
    let shared = ScalerPolicy { count_running: false, ..plain.clone() };
    let no_slot = ScalerPolicy { slots: 0, ..plain.clone() };
    let (empty, overfull) =
        (ScalerPolicy { utilisation: 0, ..plain.clone() }, ScalerPolicy { utilisation: 500, ..plain.clone() });
    for (name, policy, demand, capacity, expected) in [
        ("nothing to do", &plain, demand(0, 0), at(0), None),
        ("one job, no instance", &plain, demand(1, 0), at(0), Some(1)),
        ("running jobs count", &plain, demand(2, 3), at(3), Some(5)),
        ("booting instances are in desired", &plain, demand(5, 0), at(5), None),
        ("more than needed stays", &plain, demand(1, 1), at(7), None),
        ("slots are shared out", &four, demand(5, 0), at(0), Some(2)),
        ("a full slot table needs no more", &four, demand(0, 8), at(2), None),
        ("spare without any demand", &spare, demand(0, 0), at(0), Some(2)),
        ("spare on top of demand", &spare, demand(1, 2), at(3), Some(5)),
        ("head-room", &roomy, demand(6, 0), at(0), Some(2)),
        ("head-room rounds up", &roomy, demand(7, 0), at(0), Some(3)),
        ("below the threshold", &few, demand(2, 0), at(0), None),
        ("at the threshold all count", &few, demand(3, 0), at(0), Some(3)),
        ("the threshold leaves running jobs alone", &few, demand(1, 4), at(2), Some(4)),
        ("the group's maximum", &plain, demand(50, 0), at(3), Some(10)),
        ("already at the maximum", &plain, demand(50, 0), at(10), None),
        ("above the maximum by hand", &plain, demand(50, 0), at(12), None),
        ("the policy's minimum", &own_bounds, demand(0, 0), at(0), Some(2)),
        ("the policy's maximum", &own_bounds, demand(9, 0), at(1), Some(4)),
        ("running unknown: the queue alone", &plain, unknown(4), at(1), Some(4)),
        ("running unknown, instances boot: no more of them", &plain, unknown(4), at(4), None),
        ("running not ours", &shared, demand(2, 500), at(0), Some(2)),
        ("no slot counts as one", &no_slot, demand(2, 0), at(0), Some(2)),
        ("no part of the slots counts as one in a hundred", &empty, demand(1, 0), at(0), Some(10)),
        ("more than all of them counts as all", &overfull, demand(5, 0), at(0), Some(5)),
    ] {
        assert_eq!(to(policy, &demand, capacity), expected, "{name}");
    }
}

#[test]
fn the_upper_bound_wins_over_a_lower_one_that_is_higher() {
    let policy = ScalerPolicy { min: Some(8), max: Some(3), ..ScalerPolicy::default() };
    assert_eq!(to(&policy, &demand(0, 0), at(0)), Some(3));
    assert_eq!(to(&policy, &demand(0, 0), Capacity { min: 5, ..at(5) }), None);
}

#[test]
fn a_step_caps_one_tick_and_the_next_goes_on() {
    let policy = ScalerPolicy { max_step: Some(3), ..ScalerPolicy::default() };
    assert_eq!(to(&policy, &demand(8, 0), at(0)), Some(3));
    assert_eq!(to(&policy, &demand(8, 0), at(3)), Some(6));
    assert_eq!(to(&policy, &demand(8, 0), at(6)), Some(8));
    assert_eq!(to(&policy, &demand(8, 0), at(8)), None);
    let least = ScalerPolicy { max_step: Some(0), ..policy };
    assert_eq!(to(&least, &demand(8, 0), at(0)), Some(1), "a step is one at least");
}

#[test]
fn a_bound_that_is_met_and_not_passed_limits_nothing() {
    let step = ScalerPolicy { max_step: Some(3), ..ScalerPolicy::default() };
    let bounds = ScalerPolicy { min: Some(2), max: Some(4), ..ScalerPolicy::default() };
    for (name, policy, queued, limit) in [
        ("a step that suffices", &step, 3, Limit::None),
        ("a step that does not", &step, 4, Limit::Step),
        ("below the minimum", &bounds, 1, Limit::Min),
        ("at the minimum", &bounds, 2, Limit::None),
        ("at the maximum", &bounds, 4, Limit::None),
        ("above the maximum", &bounds, 5, Limit::Max),
    ] {
        let Plan::Raise { explanation: why, .. } = plan(policy, &demand(queued, 0), at(0), PlanHistory::default())
        else {
            panic!("{name}")
        };
        assert_eq!(why.limit, limit, "{name}");
    }
}

#[test]
fn what_may_be_lost_is_written_again_until_it_is_seen() {
    let policy = ScalerPolicy::default();
    let past = PlanHistory { unanswered: Some(3), ..PlanHistory::default() };
    let plan = |capacity| plan(&policy, &demand(3, 0), capacity, past);
    assert!(matches!(plan(Capacity { lately: 3, ..at(2) }), Plan::Raise { to: 3, .. }));
    assert!(matches!(plan(at(3)), Plan::Hold(_)), "seen");
    assert!(matches!(plan(Capacity { lately: 4, ..at(2) }), Plan::Hold(_)), "another one is the highest");
}

#[test]
fn a_cooldown_holds_until_it_is_over() {
    let policy = ScalerPolicy { cooldown: Duration::from_secs(60), ..ScalerPolicy::default() };
    let after = |seconds: u64| plan(&policy, &demand(1, 0), at(0), since(Duration::from_secs(seconds)));
    let Plan::Hold(why) = after(20) else { panic!("raised in the cooldown") };
    assert_eq!(why.limit, Limit::Cooldown { left_ms: 40_000 });
    assert!(matches!(after(60), Plan::Raise { to: 1, .. }));
    assert!(matches!(plan(&policy, &demand(1, 0), at(0), PlanHistory::default()), Plan::Raise { to: 1, .. }));
}

#[test]
fn the_floor_covers_what_is_kept_without_demand_and_nothing_else() {
    let plain = ScalerPolicy::default();
    for (name, policy, expected) in [
        ("nothing kept", &plain, 0),
        ("spare", &ScalerPolicy { spare: 2, ..plain.clone() }, 2),
        ("within the bounds", &ScalerPolicy { spare: 40, ..plain.clone() }, 10),
        ("a minimum above the group's", &ScalerPolicy { min: Some(3), ..plain.clone() }, 3),
        ("the larger of both", &ScalerPolicy { min: Some(3), spare: 2, ..plain.clone() }, 3),
    ] {
        for desired in [0, 5, 10] {
            assert_eq!(floor(policy, at(desired)), expected, "{name}");
        }
    }
    let same = ScalerPolicy { min: Some(3), ..plain };
    assert_eq!(floor(&same, Capacity { min: 3, ..at(5) }), 0, "the group keeps its own minimum");
}

#[test]
fn the_reason_reads_as_a_sentence() {
    let plain = ScalerPolicy::default();
    let rich = ScalerPolicy { slots: 4, utilisation: 80, spare: 1, threshold: 2, ..plain.clone() };
    let slow = ScalerPolicy { max_step: Some(1), ..plain.clone() };
    let cool = ScalerPolicy { cooldown: Duration::from_secs(90), ..plain.clone() };
    let min = ScalerPolicy { min: Some(2), ..plain.clone() };
    for (policy, demand, capacity, expected) in [
        (&plain, demand(3, 4), at(5), "3 waiting + 4 running: need 7; desired is 5"),
        (&plain, unknown(3), at(5), "3 waiting (running not known): need 3; desired is 5"),
        (&plain, demand(30, 4), at(5), "30 waiting + 4 running: need 34, at most 10; desired is 5"),
        (&min, demand(0, 0), at(0), "0 waiting + 0 running: need 0, at least 2; desired is 0"),
        (&slow, demand(5, 0), at(1), "5 waiting + 0 running: need 5, 1 more in one tick; desired is 1"),
        (
            &cool,
            demand(5, 0),
            at(1),
            "5 waiting + 0 running: need 5, but nothing is raised for another 1m20s; desired is 1",
        ),
        (
            &rich,
            demand(1, 5),
            at(2),
            "1 waiting (too few to count, the threshold is 2) + 5 running, 4 to an instance filled to 80 %, 1 spare: need 3; desired is 2",
        ),
    ] {
        let since_raise = (!policy.cooldown.is_zero()).then_some(Duration::from_secs(10));
        let past = PlanHistory { since_raise, ..PlanHistory::default() };
        assert_eq!(plan(policy, &demand, capacity, past).explanation().to_string(), expected);
    }
}

prop_compose! {
    fn any_policy()(
        (slots, spare, utilisation, threshold) in (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
        (min, max) in (any::<Option<u32>>(), any::<Option<u32>>()),
        count_running in any::<bool>(),
        max_step in any::<Option<u32>>(),
        (cooldown, silent_after) in (0..100_u64, 0..100_u64).prop_map(|(one, two)| (Duration::from_secs(one), Duration::from_secs(two))),
    ) -> ScalerPolicy {
        ScalerPolicy { slots, spare, entry: None, min, max, count_running, utilisation, threshold, max_step, cooldown, silent_after }
    }
}

prop_compose! {
    fn sane_policy()(
        (slots, spare, utilisation, threshold) in (1..9_u32, 0..5_u32, 1..=100_u32, 1..5_u32),
        (min, max) in (proptest::option::of(0..20_u32), proptest::option::of(1..60_u32)),
        count_running in any::<bool>(),
    ) -> ScalerPolicy {
        let more = ScalerPolicy::default();
        ScalerPolicy { slots, spare, min, max, count_running, utilisation, threshold, ..more }
    }
}

prop_compose! {
    fn any_demand()(queued in any::<u32>(), running in any::<Option<u32>>()) -> Demand {
        Demand { queued, running, poll_after: None }
    }
}

prop_compose! {
    fn small_demand()(queued in 0..100_u32, running in proptest::option::of(0..100_u32)) -> Demand {
        Demand { queued, running, poll_after: None }
    }
}

prop_compose! {
    fn any_capacity()((min, max, desired) in any::<(u32, u32, u32)>()) -> Capacity {
        Capacity { min, max, desired, lately: 0 }
    }
}

prop_compose! {
    fn real_capacity()(min in 0..10_u32, room in 0..50_u32, above in 0..50_u32) -> Capacity {
        Capacity { min, max: min + room, desired: min + above.min(room), lately: 0 }
    }
}

proptest! {
    /// Whatever the numbers are: no panic, no lowering, nothing above a bound, and a sentence for it.
    #[test]
    fn raises_only_and_only_within_bounds(
        policy in any_policy(), demand in any_demand(), capacity in any_capacity(), after in 0..200_u64,
    ) {
        let decided = plan(&policy, &demand, capacity, since(Duration::from_secs(after)));
        prop_assert!(!decided.explanation().to_string().is_empty());
        if let Plan::Raise { to, .. } = decided {
            prop_assert!(to > capacity.desired);
            prop_assert!(to <= capacity.max);
            prop_assert!(to <= policy.max.unwrap_or(u32::MAX));
            prop_assert!(policy.max_step.is_none_or(|step| to - capacity.desired <= step.max(1)));
        }
        prop_assert!(floor(&policy, capacity) <= capacity.max);
    }

    /// What a raise was for is settled by it: planning again on the same demand holds.
    #[test]
    fn is_idempotent(policy in sane_policy(), demand in small_demand(), capacity in real_capacity()) {
        if let Plan::Raise { to, .. } = plan(&policy, &demand, capacity, PlanHistory::default()) {
            let after = Capacity { desired: to, ..capacity };
            prop_assert!(matches!(plan(&policy, &demand, after, PlanHistory::default()), Plan::Hold(_)));
        }
    }

    /// More work never leads to a smaller fleet.
    #[test]
    fn is_monotone_in_demand(
        policy in sane_policy(), demand in small_demand(), capacity in real_capacity(), queued in 0..50_u32, running in 0..50_u32,
    ) {
        let more = Demand {
            queued: demand.queued + queued,
            running: demand.running.map(|known| known + running),
            ..demand.clone()
        };
        let size = |demand| to(&policy, demand, capacity).unwrap_or(capacity.desired);
        prop_assert!(size(&more) >= size(&demand));
    }

    /// What is known to run is never planned away, and every waiting job has its share of a slot.
    #[test]
    fn covers_the_demand(policy in sane_policy(), queued in 0..100_u32, running in 0..100_u32, capacity in real_capacity()) {
        let policy = ScalerPolicy { count_running: true, threshold: 1, ..policy };
        let size = to(&policy, &demand(queued, running), capacity).unwrap_or(capacity.desired);
        let max = capacity.max.min(policy.max.unwrap_or(u32::MAX));
        prop_assert!(size >= max || size * policy.slots >= queued + running);
    }

    /// Two scalers that remember nothing read at any time and write at any later time. What one writes may be below what the other wrote
    /// (`lately` is against that); but never does the capacity end above what some demand asked for.
    #[test]
    fn two_stale_scalers_never_exceed_the_need(
        policy in sane_policy(),
        start in real_capacity(),
        demands in proptest::collection::vec(small_demand(), 1..12),
        order in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut desired = start.desired;
        let mut read: [Option<(usize, u32)>; 2] = [None, None];
        let needs = demands.iter().map(|demand| plan(&policy, demand, start, PlanHistory::default()).explanation().target);
        let most = needs.max().unwrap_or(0).max(start.desired);
        for (step, (who, write)) in order.into_iter().enumerate() {
            let who = usize::from(who);
            match (write, read[who]) {
                (true, Some((seen, stale))) => {
                    let capacity = Capacity { desired: stale, ..start };
                    if let Plan::Raise { to, .. } = plan(&policy, &demands[seen], capacity, PlanHistory::default()) {
                        desired = to;
                    }
                    read[who] = None;
                }
                (true, None) | (false, _) => read[who] = Some((step % demands.len(), desired)),
            }
            prop_assert!(desired <= most);
        }
    }

    /// While nothing starts, tick after tick, the capacity settles at once: it never runs away, also with `running` unknown.
    #[test]
    fn does_not_run_away_while_instances_boot(policy in sane_policy(), demand in small_demand(), capacity in real_capacity()) {
        let first = to(&policy, &demand, capacity).unwrap_or(capacity.desired);
        let mut desired = first;
        for _ in 0..10 {
            desired = to(&policy, &demand, Capacity { desired, ..capacity }).unwrap_or(desired);
        }
        prop_assert_eq!(desired, first);
    }
}

#[test]
fn a_plan_says_which_entry_of_the_schedule_it_followed() {
    let policy =
        ScalerPolicy { spare: 4, entry: Some("mon-fri 08:00-18:00 spare 4".into()), ..ScalerPolicy::default() };
    let why = plan(&policy, &demand(1, 0), at(5), PlanHistory::default()).explanation().clone();
    assert_eq!(
        why.to_string(),
        "1 waiting + 0 running, 4 spare (by \"mon-fri 08:00-18:00 spare 4\"): need 5; desired is 5"
    );
    assert_eq!(floor(&policy, at(5)), 4);
}

#[test]
fn a_plan_says_how_many_instances_it_adds() {
    let missing = |capacity| plan(&ScalerPolicy::default(), &demand(5, 0), capacity, PlanHistory::default()).missing();
    assert_eq!([missing(at(0)), missing(at(3)), missing(at(5)), missing(at(7))], [5, 2, 0, 0]);
}

#[test]
fn raises_that_were_in_vain_are_named_where_there_were_some() {
    let said = |in_vain| {
        let past =
            PlanHistory { outlook: Outlook { silent: 1, in_vain, ..Outlook::default() }, ..PlanHistory::default() };
        plan(&ScalerPolicy::default(), &demand(1, 0), at(1), past).explanation().to_string()
    };
    assert!(!said(0).contains("in vain"), "{}", said(0));
    assert!(said(1).contains("the last 1 raises were in vain"), "{}", said(1));
}
