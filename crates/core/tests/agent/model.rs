//! The real agent in a small world, explored: every interleaving of answers, jobs, faults, crashes and notices, breadth first up to a
//! bound, then long random walks. In every state that is met no promise is broken, and once the faults stop, the instance ends or serves.

mod herd;

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
    hash::Hash,
};

use lightsout_core::{
    agent::{
        action::Rung,
        host::{CloudCall, HostEffect, PlatformCall},
        jitter::Jitter,
        policy::Protection,
    },
    cloud::Capabilities,
    invariants::Violation,
    platform::Signal,
};

use crate::{
    rig::{BARE_CLOUD, CLOUD, HELD_CLOUD, PROGRAM_CLOUD, TRUSTED_CLOUD, secs},
    world::{Group, Kind, Move, Place, World},
};

/// Each way to drain, on a cloud that protects its instances from launch and lets endings be held off, on one that holds them off once and no
/// longer, on two that do neither, with more ways to leave and with one, and on one that protects nobody and ends nobody. Where no ending is held off
/// for as long as a job may take, `while-busy` is taken for `always`: that nothing asks for a hook there is explored on one of them.
fn scenarios() -> impl Iterator<Item = (Kind, Capabilities, Protection)> {
    Kind::ALL.into_iter().flat_map(|kind| {
        [
            (kind, CLOUD, Protection::Always),
            (kind, CLOUD, Protection::WhileBusy),
            (kind, HELD_CLOUD, Protection::Always),
            (kind, BARE_CLOUD, Protection::Always),
            (kind, BARE_CLOUD, Protection::WhileBusy),
            (kind, PROGRAM_CLOUD, Protection::Always),
            (kind, TRUSTED_CLOUD, Protection::Always),
        ]
    })
}

/// Something in which what may happen next is a step.
trait Explorable: Clone + Debug + Eq + Hash {
    type Step: Copy + Debug;

    fn steps(&self) -> Vec<Self::Step>;
    fn take(&mut self, step: Self::Step);
    /// What went wrong.
    fn wrong(&self) -> Option<String>;
    /// The end that it comes to when nothing gets in the way any more.
    fn settled(self) -> Self;
}

impl Explorable for World {
    type Step = Move;

    fn steps(&self) -> Vec<Move> {
        self.moves()
    }

    fn take(&mut self, step: Move) {
        self.step(step);
    }

    fn wrong(&self) -> Option<String> {
        self.ledger.violation().map(|violation| violation.to_string())
    }

    fn settled(self) -> Self {
        self.settle()
    }
}

fn check<W: Explorable>(world: &W, path: &[W::Step]) {
    if let Some(wrong) = world.wrong() {
        panic!(
            "{wrong}: after {path:?}
{world:?}"
        );
    }
}

fn check_end<W: Explorable>(start: &W, path: &[W::Step]) {
    let end = start.clone().settled();
    if let Some(wrong) = end.wrong() {
        panic!(
            "{wrong}: settling after {path:?}
from {start:?}
to {end:?}"
        );
    }
}

/// Breadth first. The bound is in states, so that the time it takes is too.
fn explore<W: Explorable>(start: W, most: usize) -> usize {
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([(start, Vec::new())]);
    let mut count = 0;
    while let Some((world, path)) = queue.pop_front() {
        count += 1;
        if count % 7 == 0 {
            check_end(&world, &path);
        }
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step);
            let mut path = path.clone();
            path.push(step);
            check(&next, &path);
            if seen.len() < most && seen.insert(next.clone()) {
                queue.push_back((next, path));
            }
        }
    }
    seen.len()
}

#[test]
fn no_interleaving_breaks_a_promise() {
    for (kind, cloud, protection) in scenarios() {
        for start in [
            World::new(kind, cloud, protection, Place::InService, Group::of(2), Jitter::NONE),
            World::new(kind, cloud, protection, Place::Warmed, Group::of(2), Jitter::NONE),
            World::idle(kind, cloud, protection, Group::of(2), Jitter::NONE),
            World::idle(kind, cloud, protection, Group::of(1), Jitter::NONE),
        ] {
            let states = explore(start, 12_000);
            assert!(states >= 1_000, "the world has become too small to prove anything: {states}");
        }
        // From here on only the beginning is another one.
        for place in [Place::InService, Place::Warmed] {
            let states = explore(World::preparing(kind, cloud, protection, place), 2_000);
            assert!(states >= 1_000, "the world has become too small to prove anything: {states}");
        }
        for place in [Place::Launching, Place::Arriving, Place::Warming] {
            let states = explore(World::launching(kind, cloud, protection, place), 4_000);
            assert!(states >= 1_000, "the world has become too small to prove anything: {states}");
        }
    }
}

/// From where it matters, since it is too deep for the search from the start.
#[test]
fn no_request_that_is_on_its_way_is_cancelled() {
    for protection in [Protection::Always, Protection::WhileBusy] {
        let states = explore(World::quiescing(CLOUD, protection), 12_000);
        assert!(states >= 1_000, "the world has become too small to prove anything: {states}");
    }
}

#[test]
fn no_right_that_may_still_come_is_taken_for_missing() {
    for (cloud, protection) in [
        (CLOUD, Protection::Always),
        (CLOUD, Protection::WhileBusy),
        (HELD_CLOUD, Protection::Always),
        (BARE_CLOUD, Protection::Always),
    ] {
        let states = explore(World::ending(cloud, protection), 2_000);
        assert!(states >= 100, "the world has become too small to prove anything: {states}");
    }
}

/// Deep runs that breadth first does not reach: a generator of its own, so that a failure is found again by its seed.
#[test]
fn no_long_run_breaks_a_promise() {
    for (kind, cloud, protection) in scenarios() {
        for seed in 1..=400_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut random = |below: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % below as u64).unwrap()
            };
            let group = if seed % 4 == 0 {
                Group::of(1)
            } else {
                Group { before: u8::try_from(random(3)).unwrap(), ..Group::of(3) }
            };
            let mut world = World::idle(kind, cloud, protection, group, Jitter::of(&format!("i-{seed}"))).fine();
            world.left.faults = 6;
            world.left.crashes = 3;
            world.left.notices = 3;
            world.left.moves = 1;
            world.left.jobs = 20;
            let mut path = Vec::new();
            for _ in 0..600 {
                let moves = world.moves();
                if moves.is_empty() {
                    break;
                }
                let step = moves[random(moves.len())];
                world.step(step);
                path.push(step);
                check(&world, &path);
            }
            check_end(&world, &path);
        }
    }
}

#[test]
fn the_model_can_fail() {
    // A proof that is worth something notices an agent whose machine is ended under a job.
    let mut world = World::idle(Kind::Signal, CLOUD, Protection::Always, Group::of(2), Jitter::NONE);
    world.step(Move::Enqueue);
    world.step(Move::Assign);
    let mut lowered = world.clone();
    world.perform(HostEffect::Cloud(CloudCall::End(Rung::Terminate)));
    assert_eq!(world.ledger.violation(), Some(Violation::JobKilled));
    lowered.left.jobs = 0;
    for _ in 0..2 {
        lowered.perform(HostEffect::Cloud(CloudCall::End(Rung::Decrement)));
    }
    assert_eq!(lowered.ledger.violation(), None, "the second is refused at the floor");
}

/// A disk that did not take the configuration excuses a cancelled request of that runner alone, until it does.
#[test]
fn a_request_is_cancelled_without_a_word_only_where_its_runner_could_not_be_quiesced() {
    const REGISTER: HostEffect = HostEffect::Platform { call: PlatformCall::Register, within: secs(1) };
    const START: HostEffect = HostEffect::StartRunner { stop_signal: Signal::Quit };
    let cancelled = |begin: fn(&mut World, usize)| {
        let mut world = World::idle(Kind::CancelsRequests, CLOUD, Protection::Always, Group::of(2), Jitter::NONE);
        world.step(Move::Enqueue);
        world.step(Move::Drain);
        let quiesce = loop {
            match world.asked(HostEffect::QuiesceRunner) {
                Some(index) => break index,
                None => world.step(Move::Answer(0)),
            }
        };
        begin(&mut world, quiesce);
        world.step(Move::Request);
        world.step(Move::HandOut);
        world.perform(HostEffect::SignalRunner(Signal::Quit));
        world.ledger.violation() == Some(Violation::JobKilled)
    };
    assert!(cancelled(|_, _| {}), "quiesced by nobody");
    assert!(!cancelled(|world, index| world.step(Move::Lose(index))), "the disk did not take it");
    assert!(cancelled(|world, index| world.step(Move::LoseAnswer(index))), "it did, without a word");
    assert!(
        cancelled(|world, index| {
            world.step(Move::Lose(index));
            world.perform(HostEffect::QuiesceRunner);
        }),
        "it did the next time"
    );
    assert!(
        cancelled(|world, index| {
            world.step(Move::Lose(index));
            for effect in [HostEffect::KillRunner, HostEffect::LookForRoom, REGISTER, START] {
                world.perform(effect);
            }
        }),
        "another runner"
    );
}
