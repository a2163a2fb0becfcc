//! A healthy pool that is looked at often or rarely, with and without memory.

use super::*;

/// How long each job waited on instances of one job each, which end with it, where the scaler looks every so many seconds:
/// a job a minute for four hours, at moments that the seed gives.
fn waits(seed: u64, every: u64, remembers: bool) -> Vec<u64> {
    const BOOT: u64 = 40;
    const JOB: u64 = 15;
    let mut raise_history = RaiseHistory::default();
    let mut chance = seed;
    let (mut waiting, mut waits) = (VecDeque::new(), Vec::new());
    // When an instance is up, and when one ends with its job.
    let (mut up, mut ends) = (Vec::<u64>::new(), Vec::<u64>::new());
    for second in 0..5 * 3600 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if second < 4 * 3600 && (chance >> 33).is_multiple_of(60) {
            waiting.push_back(second);
        }
        ends.retain(|at| *at > second);
        up.retain(|at| {
            let job = if *at <= second { waiting.pop_front() } else { None };
            if let Some(came) = job {
                waits.push(second - came);
                ends.push(second + JOB);
            }
            job.is_none() && second < at + IDLE
        });
        if !second.is_multiple_of(every) {
            continue;
        }
        let [queued, running, booting] =
            [waiting.len(), ends.len(), up.len()].map(|count| u32::try_from(count).unwrap());
        let now = Duration::from_secs(86_400 + second);
        let demand = Demand { queued, running: Some(running), poll_after: None };
        let capacity = Capacity { max: 100, desired: booting + running, ..Capacity::default() };
        raise_history.see(observation(&ScalerPolicy::default(), &demand, capacity.desired), now);
        let outlook = if remembers { raise_history.outlook(now) } else { Outlook::default() };
        if let Plan::Raise { to, .. } =
            plan(&ScalerPolicy::default(), &demand, capacity, PlanHistory { outlook, ..PlanHistory::default() })
        {
            raise_history.raised(to);
            up.extend((capacity.desired..to).map(|_| second + BOOT));
        }
    }
    assert!(waiting.is_empty(), "{waiting:?} wait for ever");
    waits
}

#[test]
fn a_healthy_pool_that_is_looked_at_rarely_waits_as_without_memory() {
    for (seed, every) in (0..20).flat_map(|seed| [31, 60, 300, 3600].map(|every| (seed, every))) {
        let (with, without) = (waits(seed, every, true), waits(seed, every, false));
        assert_eq!(with.len(), without.len(), "every {every} s, seed {seed}");
        let longest = |waits: &[u64]| waits.iter().copied().max();
        let sum = |waits: &[u64]| waits.iter().sum::<u64>();
        assert!(
            longest(&with) <= longest(&without) && sum(&with) <= sum(&without),
            "every {every} s, seed {seed}: {:?} {} instead of {:?} {}",
            longest(&with),
            sum(&with),
            longest(&without),
            sum(&without),
        );
    }
}

/// Between two looks an instance may come, do a job and leave unseen even then; that costs a tick or two, and no more.
#[test]
fn a_healthy_pool_that_is_looked_at_often_hardly_waits_longer() {
    for (seed, every) in (0..20).flat_map(|seed| [1, 5, 10, 15].map(|every| (seed, every))) {
        let (with, without) = (waits(seed, every, true), waits(seed, every, false));
        let longest = |waits: &[u64]| waits.iter().copied().max().unwrap_or(0);
        let sum = |waits: &[u64]| waits.iter().sum::<u64>();
        assert!(
            longest(&with) <= longest(&without) + 2 * every && sum(&with) * 100 <= sum(&without) * 101,
            "every {every} s, seed {seed}"
        );
    }
}

/// Whether a timer was stopped, a machine was suspended, or a clock was set.
#[test]
fn a_gap_is_no_silence_and_ends_a_pause() {
    for (name, then) in [("later", 10 * 3600), ("earlier", -600)] {
        let mut world = World::new(GOOD);
        world.impossible = 2;
        world.run(2);
        world.until_braked();
        world.now = world.now.checked_add_signed(then).unwrap();
        world.tick();
        assert_eq!(world.outlook(), Outlook::default(), "{name}");
        let mut raise_history = RaiseHistory::default();
        let demand = Demand { queued: 2, running: Some(0), poll_after: None };
        let now = Duration::from_secs(86_400);
        raise_history.see(observation(&ScalerPolicy::default(), &demand, 2), now);
        let now = Duration::from_secs(86_400_u64.checked_add_signed(then).unwrap());
        raise_history.see(observation(&ScalerPolicy::default(), &demand, 2), now);
        assert_eq!(raise_history.outlook(now), Outlook::default(), "{name}");
    }
}

/// However rarely it is looked at: a job behind it would wait for ever.
#[test]
fn a_dead_instance_hides_no_job_from_rare_looks() {
    let demand = Demand { queued: 1, running: Some(0), poll_after: None };
    for (every, expected) in [(10, 151), (60, 51), (300, 51)] {
        let mut raise_history = RaiseHistory::default();
        let looks = (1..=200_u32).find(|look| {
            let now = Duration::from_secs(every) * *look;
            raise_history.see(observation(&ScalerPolicy::default(), &demand, 1), now);
            raise_history.outlook(now).silent == 1
        });
        assert_eq!(looks, Some(expected), "25 min of which no gap counts for more than 30 s, each {every} s");
    }
}
