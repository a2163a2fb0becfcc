//! Many instances that see the same at the same time do not act in step.

use std::{collections::BTreeSet, time::Duration};

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Outcome},
        jitter::Jitter,
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::GroupSize,
    time::Tick,
};

use crate::rig::{EMPTY, IN_SERVICE, QUIET, Rig, busy, secs};

#[test]
fn what_a_herd_sees_at_once_it_does_not_do_at_once() {
    // For age and for a risk: the moments at which a hundred instances of one launch leave.
    let policy = AgentPolicy { max_age: Some(secs(36_000)), idle_timeout: None, ..AgentPolicy::default() };
    let expiring = AgentPolicy { max_age: None, ..policy.clone() };
    for (policy, told) in [
        (&policy, None),
        (&policy, Some(Event::Rebalance)),
        (&expiring, Some(Event::RunnerExpires { at: Tick(1_000_000) + secs(36_000) })),
    ] {
        let mut moments: Vec<_> = (0..100)
            .map(|n| {
                let mut rig = Rig::with_jitter(policy.clone(), Jitter::of(&format!("i-{n}")));
                rig.answer(Request::Describe, IN_SERVICE);
                rig.answer(Request::Register, Outcome::Registered);
                let start = rig.now;
                if let Some(told) = &told {
                    rig.event(told.clone());
                }
                while rig.phase().why().is_none() {
                    rig.event(Event::Activity(Activity::Quiet));
                    rig.pass(secs(10));
                }
                rig.now.since(start).as_secs()
            })
            .collect();
        moments.sort_unstable();
        let (least, most) = match told {
            None => (32_400, 36_010),
            Some(Event::Rebalance) => (900, 1360),
            Some(_) => (36_000, 39_610),
        };
        assert!(moments[0] >= least && moments[99] <= most, "{moments:?}");
        let together = moments.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
        assert!(together < Some(12), "{moments:?}");
    }
}

/// What an idle instance does about this room: leaves by a rung, or looks again after so long.
fn use_group_size(size: GroupSize) -> Result<Rung, Duration> {
    idle_out(&mut Rig::idle(AgentPolicy::default()), size)
}

/// The same at the end of this one's idle time.
fn idle_out(rig: &mut Rig, size: GroupSize) -> Result<Rung, Duration> {
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, Outcome::GroupSize(size));
    if rig.phase().why().is_none() {
        let asked = rig.now;
        while !rig.open().contains(&Request::GroupSize) {
            rig.pass(Duration::from_millis(500));
        }
        return Err(rig.now.since(asked));
    }
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Idle }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.answer(Request::Describe, IN_SERVICE);
    match rig.open()[..] {
        [Request::End(rung)] => Ok(rung),
        _ => panic!("{:?}", rig.open()),
    }
}

#[test]
fn of_a_herd_that_sees_the_same_room_as_many_leave_as_there_is_room_for() {
    for members in 1..=5 {
        for (desired, min, floor) in
            (0..=5).flat_map(|desired| (0..=desired).flat_map(move |min| [0, 2, 4].map(|floor| (desired, min, floor))))
        {
            let acts: Vec<_> =
                (0..members).map(|rank| use_group_size(GroupSize { desired, min, floor, members, rank })).collect();
            let by = |rung| u32::try_from(acts.iter().filter(|act| **act == Ok(rung)).count()).unwrap();
            let (shrunk, replaced) = (by(Rung::Decrement), by(Rung::Replace));
            let what = format!("{members} of {desired}, min {min}, floor {floor}: {acts:?}");
            assert!(replaced <= members.saturating_sub(desired), "too many without lowering: {what}");
            assert!(shrunk == 0 || desired - shrunk >= min.max(floor), "below the floor: {what}");
            let free = members.saturating_sub(desired) + desired.saturating_sub(min.max(floor));
            assert_eq!(shrunk + replaced, free.min(members), "room is left unused: {what}");
        }
    }
}

#[test]
fn a_leave_that_is_taken_back_chooses_no_way_for_the_next_one() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, Outcome::GroupSize(GroupSize { desired: 5, min: 0, floor: 0, members: 6, rank: 0 }));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Idle }), Outcome::Done);
    rig.event(Event::Activity(busy("a")));
    // Too late.
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    rig.answer(Request::Save(Saved::Serving), Outcome::Done);
    rig.event(Event::Activity(Activity::Quiet));
    let full = GroupSize { desired: 5, min: 0, floor: 0, members: 5, rank: 0 };
    assert_eq!(idle_out(&mut rig, full), Ok(Rung::Decrement), "the group has none too many now");
}

#[test]
fn who_lets_others_go_first_looks_again_soon_and_then_goes() {
    // The others that saw the same room look before or after, not at the same time.
    let size = |rank| GroupSize { desired: 6, min: 5, floor: 0, members: 6, rank };
    let waits: Vec<_> = (1..6).map(|rank| use_group_size(size(rank)).unwrap_err()).collect();
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= secs(60)), "{waits:?}");
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, Outcome::GroupSize(size(5)));
    rig.pass(waits[4]);
    rig.answer(Request::GroupSize, Outcome::GroupSize(size(5)));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle }, "those before it are busy");
}

#[test]
fn those_far_back_in_a_large_herd_look_again_one_after_the_other() {
    // A hundred and one where a hundred are wanted, those before them busy.
    let moments: BTreeSet<_> = (30..60)
        .map(|rank| {
            let size = GroupSize { desired: 100, min: 100, floor: 0, members: 101, rank };
            idle_out(&mut idle_one_of_many(rank), size).unwrap_err()
        })
        .collect();
    assert!(moments.len() > 20, "{moments:?}");
    assert!(moments.iter().all(|moment| (secs(60)..=secs(121)).contains(moment)), "after those before: {moments:?}");
}

#[test]
fn those_that_the_floor_keeps_look_again_in_about_a_minute_and_not_in_step() {
    let size = GroupSize { desired: 30, min: 30, floor: 0, members: 30, rank: 0 };
    let moments: BTreeSet<_> = (0..30).map(|n| idle_out(&mut idle_one_of_many(n), size).unwrap_err()).collect();
    assert!(moments.len() > 10, "{moments:?}");
    assert!(moments.iter().all(|moment| (secs(45)..=secs(61)).contains(moment)), "{moments:?}");
}

/// One of an idle pool, with a jitter of its own.
fn idle_one_of_many(n: u32) -> Rig {
    let mut rig = Rig::with_jitter(AgentPolicy::default(), Jitter::of(&format!("i-{n}")));
    rig.answer(Request::Describe, IN_SERVICE);
    rig.answer(Request::Register, Outcome::Registered);
    rig.event(Event::Activity(Activity::Quiet));
    rig
}
