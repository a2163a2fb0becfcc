//! Members that never were ready, and such as are and have no job: by what they say themselves.

use super::*;

/// A world whose cloud tells who has been ready.
fn telling(instances: &[Kind]) -> World {
    let mut world = World::new(GOOD);
    (world.signs, world.instances) = (true, instances.to_vec());
    world
}

#[test]
fn a_member_that_never_was_ready_is_left_out() {
    let mut world = telling(&[Kind::Dead]);
    world.possible = 1;
    world.until_served();
    assert_eq!((world.launches.len(), world.outlook().silent, world.outlook().ready), (1, 1, 0), "{}", world.reason);
}

#[test]
fn a_member_that_is_ready_and_without_a_job_is_not_left_out() {
    let mut world = telling(&[Kind::Ready; 2]);
    world.impossible = 1;
    world.run(24);
    assert!(world.launches.is_empty(), "{}", world.reason);
    assert_eq!(world.outlook(), Outlook { ready: 2, ..Outlook::default() });
    assert!(world.reason.contains("2 of desired, ready and counted, took none"), "{}", world.reason);
    world.impossible = 0;
    world.tick();
    assert_eq!(world.outlook(), Outlook::default(), "nothing waits any more");
}

#[test]
fn of_two_side_by_side_the_one_that_never_was_ready_is_left_out_and_the_other_counts() {
    for runs in [false, true] {
        let mut world = telling(&[Kind::Dead, Kind::Ready]);
        (world.runs, world.impossible) = (runs, 1);
        world.run(12);
        // The ready one is as good for that job as any that would be launched.
        assert!(world.launches.is_empty(), "{}", world.reason);
        assert_eq!(world.outlook(), Outlook { silent: 1, ready: 1, ..Outlook::default() });
        world.possible = 1;
        world.until_served();
        assert_eq!(world.launches.len(), 1, "past the dead one, at once: {}", world.reason);
    }
}

#[test]
fn members_are_looked_at_a_few_times_an_hour_at_most() {
    for instances in [vec![Kind::Dead; 3], vec![Kind::Ready; 3], vec![Kind::Dead, Kind::Ready]] {
        for signs in [true, false] {
            let mut world = telling(&instances);
            (world.signs, world.impossible) = (signs, 5);
            world.run(10);
            assert!(!world.looks.is_empty() && world.looks.len() <= 60, "{instances:?}: {:?}", world.looks);
            assert!(world.looks.windows(2).all(|pair| pair[1] - pair[0] >= 600), "{instances:?}: {:?}", world.looks);
        }
    }
}

#[test]
fn members_that_all_are_dead_cost_a_few_an_hour_also_where_their_sign_is_missed() {
    let mut world = telling(&[]);
    (world.born, world.possible) = (Kind::Dead, 4);
    world.run(10);
    let in_first_hour = world.launches.iter().filter(|at| **at < 1000 + 3600).count();
    assert!(in_first_hour <= 4 + 3 && world.launches.len() <= 8, "{:?}", world.launches);
}

#[test]
fn who_was_dead_and_is_gone_is_soon_left_out_no_more() {
    let mut world = telling(&[Kind::Dead]);
    world.impossible = 1;
    world.until("it to be left out", |world| world.outlook().silent == 1);
    // The dead-man's switch ended it, and its group replaced it.
    world.instances = vec![Kind::Ready];
    let gone = world.now;
    world.until("it to be found gone", |world| world.outlook().silent == 0);
    assert!(world.now - gone <= 620, "{}", world.now - gone);
}

/// Three of four work, jobs wait and are taken all the time: nothing ever stands still.
#[test]
fn a_dead_member_is_left_out_also_while_others_work() {
    let all = ReadyCounts { ready: 4, missing: 0 };
    for (name, ready_counts, expected) in [
        ("one never was ready", Some(ReadyCounts { ready: 3, missing: 1 }), 1),
        ("all were", Some(all), 0),
        ("its agents write no sign", Some(ReadyCounts { ready: 0, missing: 4 }), 0),
        ("its cloud tells none", None, 0),
    ] {
        let mut raise_history = RaiseHistory::default();
        for tick in 1..=600_u32 {
            let now = Duration::from_secs(86_400) + tick * Duration::from_secs(10);
            let demand = Demand { queued: 2 + tick % 2, running: Some(3), poll_after: None };
            raise_history.see(observation(&ScalerPolicy::default(), &demand, 4), now);
            if raise_history.doubts_members() {
                raise_history.learn(ready_counts, now);
            }
            let early = tick < 150;
            assert!(!early || raise_history.outlook(now).silent == 0, "{name}: after {tick} ticks");
        }
        assert_eq!(raise_history.outlook(Duration::MAX).silent, expected, "{name}");
    }
}

/// While an image is rolled out, agents of two versions work side by side.
#[test]
fn where_most_bear_no_sign_it_is_their_version_that_lacks_it() {
    for (ready, missing, silent) in [(8, 2, 1), (5, 5, 0), (2, 8, 0)] {
        let (mut raise_history, mut now) = (RaiseHistory::default(), Duration::from_secs(86_400));
        // Jobs come and are taken all the time, and two of ten have none.
        for queued in [3, 2].into_iter().cycle().take(1_000) {
            now += Duration::from_secs(10);
            let demand = Demand { queued, running: Some(8), poll_after: None };
            raise_history.see(observation(&ScalerPolicy::default(), &demand, 10), now);
            if raise_history.doubts_members() {
                break;
            }
        }
        assert!(raise_history.doubts_members(), "jobs have waited for long enough");
        raise_history.learn(Some(ReadyCounts { ready, missing }), now);
        assert_eq!(raise_history.outlook(now).silent, silent, "{ready} ready, {missing} without the sign");
    }
}

#[test]
fn no_more_are_left_out_than_are_there() {
    let (mut raise_history, mut now) = (RaiseHistory::default(), Duration::from_secs(86_400));
    let demand = Demand { queued: 1, running: Some(0), poll_after: None };
    let mut look = |raise_history: &mut RaiseHistory, desired| {
        now += Duration::from_secs(10);
        raise_history.see(observation(&ScalerPolicy::default(), &demand, desired), now);
        raise_history.outlook(now).silent
    };
    let silent = (0..200).map(|_| look(&mut raise_history, 1)).last();
    assert_eq!(silent, Some(1), "nothing has happened for half an hour");
    assert_eq!(look(&mut raise_history, 0), 0, "it is gone");
}

#[test]
fn where_it_is_not_known_how_many_work_no_member_is_suspected_beside_others() {
    let (mut raise_history, mut now) = (RaiseHistory::default(), Duration::from_secs(86_400));
    for queued in [3, 2].into_iter().cycle().take(1_000) {
        now += Duration::from_secs(10);
        let demand = Demand { queued, running: None, poll_after: None };
        raise_history.see(observation(&ScalerPolicy::default(), &demand, 10), now);
        assert!(!raise_history.doubts_members());
    }
}
