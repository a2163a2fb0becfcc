use proptest::{prelude::*, test_runner::TestRunner};

use super::*;
use crate::{
    platform::Demand,
    scaling::{Capacity, Plan, PlanHistory, ScalerPolicy, plan},
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn set(seconds: u64, to: u32) -> Change {
    Change { at: at(seconds), kind: ChangeKind::Set { to } }
}

fn left(seconds: u64) -> Change {
    Change { at: at(seconds), kind: ChangeKind::Left }
}

#[test]
fn the_highest_of_lately_holds_until_a_description_must_show_what_followed() {
    let mut recent = RecentDesired::default();
    assert!(recent.is_empty());
    recent.learn(at(100), 40);
    recent.learn(at(110), 10);
    recent.learn(at(105), 20);
    for (now, expected) in [(110, 40), (130, 40), (131, 20), (136, 10), (140, 10), (141, 0)] {
        assert_eq!(recent.highest(&[], at(now)), expected, "at {now} s");
    }
    recent.forget(at(131));
    assert_eq!(recent.highest(&[], at(110)), 20, "what is forgotten is gone");
    assert!(!recent.is_empty());
    recent.forget(at(141));
    assert!(recent.is_empty());
}

/// Each tick learns what was read: it must not grow by what says nothing new.
#[test]
fn what_says_no_more_than_something_known_is_not_kept() {
    let known = |learnt: &[(u64, u32)]| {
        let mut recent = RecentDesired::default();
        for (seconds, desired) in learnt {
            recent.learn(at(*seconds), *desired);
        }
        recent.known
    };
    assert_eq!(known(&[(10, 5), (10, 5)]), [(at(10), 5)]);
    assert_eq!(known(&[(10, 5), (10, 4)]), [(at(10), 5)]);
    assert_eq!(known(&[(10, 5), (9, 5)]), [(at(10), 5)]);
    assert_eq!(known(&[(10, 5), (10, 6)]), [(at(10), 6)]);
    assert_eq!(known(&[(10, 5), (11, 5)]), [(at(11), 5)]);
    assert_eq!(known(&[(10, 5), (11, 4)]), [(at(10), 5), (at(11), 4)]);
    assert_eq!(known(&[(10, 5), (9, 6)]), [(at(10), 5), (at(9), 6)]);
}

#[test]
fn what_the_history_tells_of_a_fall_is_believed_at_once() {
    let mut recent = RecentDesired::default();
    recent.learn(at(100), 5);
    for (name, changes, expected) in [
        ("nobody left", vec![], 5),
        ("two left", vec![left(101), left(109)], 3),
        ("one had left before, and the number may hold that already", vec![left(99), left(100), left(101)], 4),
        ("all left, and one more", vec![left(101); 6], 0),
        ("somebody set it lower, and one left", vec![left(108), set(104, 2), left(103)], 1),
        ("somebody set it higher", vec![set(104, 8)], 8),
        ("twice: the later one holds", vec![set(106, 2), set(104, 8)], 2),
        ("before it was known", vec![set(99, 2)], 5),
        ("at the same moment: either may be the later", vec![set(100, 2)], 5),
    ] {
        let mut recent = recent.clone();
        recent.learn_changes(&changes);
        assert_eq!(recent.highest(&changes, at(110)), expected, "{name}");
        recent.learn_changes(&changes);
        assert_eq!(recent.highest(&changes, at(110)), expected, "{name}, told again");
    }
}

#[test]
fn a_stale_description_is_not_written_over_what_was_desired_lately() {
    let policy = ScalerPolicy::default();
    let demand = |queued| Demand { queued, running: Some(0), poll_after: None };
    let capacity = Capacity { max: 100, desired: 10, lately: 40, ..Capacity::default() };
    let Plan::Hold(why) = plan(&policy, &demand(30), capacity, PlanHistory::default()) else {
        panic!("30 written over 40")
    };
    assert_eq!(
        why.to_string(),
        "30 waiting + 0 running: need 30; desired is 10, and was 40 within 30s, which may hold still"
    );
    assert!(matches!(plan(&policy, &demand(41), capacity, PlanHistory::default()), Plan::Raise { to: 41, .. }));
    let slow = ScalerPolicy { max_step: Some(3), ..policy };
    assert!(
        matches!(plan(&slow, &demand(60), capacity, PlanHistory::default()), Plan::Raise { to: 43, .. }),
        "a step from the higher"
    );
}

/// One step of a history. Lags are in seconds and below [`STALENESS`]; `hidden` is how many of the newest changes the
/// history does not show yet.
#[derive(Clone, Debug)]
enum Event {
    Tick { who: usize, need: u32, lags: (u64, u64), hidden: usize },
    Leave,
    Operator { to: u32 },
    Wait { seconds: u64 },
}

/// A group in a cloud whose descriptions lag, and two scalers.
struct World {
    now: Duration,
    /// What was desired, and since when.
    desired: Vec<(Duration, u32)>,
    changes: Vec<Change>,
    scalers: [RecentDesired; 2],
    /// Whether the scalers remember: `false` is what they did before.
    remember: bool,
    lowered: Vec<(u32, u32)>,
}

impl World {
    fn new(start: u32, remember: bool) -> Self {
        Self {
            now: at(1000),
            desired: vec![(Duration::ZERO, start)],
            changes: Vec::new(),
            scalers: Default::default(),
            remember,
            lowered: Vec::new(),
        }
    }

    fn after(start: u32, events: &[Event], remember: bool) -> Self {
        let mut world = Self::new(start, remember);
        for event in events {
            world.step(event);
        }
        world
    }

    fn truth(&self) -> u32 {
        self.desired.last().expect("a beginning").1
    }

    fn describe(&self, lag: u64) -> u32 {
        let seen = self.now.saturating_sub(at(lag).min(STALENESS));
        self.desired.iter().rev().find(|(since, _)| *since <= seen).expect("a beginning").1
    }

    fn becomes(&mut self, desired: u32, kind: ChangeKind) {
        self.desired.push((self.now, desired));
        self.changes.push(Change { at: self.now, kind });
    }

    fn step(&mut self, event: &Event) {
        // No two things happen at the same time.
        self.now += Duration::from_millis(10);
        match *event {
            Event::Wait { seconds } => self.now += at(seconds),
            Event::Leave => {
                if let Some(less) = self.truth().checked_sub(1) {
                    self.becomes(less, ChangeKind::Left);
                }
            }
            Event::Operator { to } => self.becomes(to, ChangeKind::Set { to }),
            Event::Tick { who, need, lags, hidden } => {
                if let Some(to) = self.tick(who, need, lags, hidden) {
                    if to < self.truth() {
                        self.lowered.push((self.truth(), to));
                    }
                    self.becomes(to, ChangeKind::Set { to });
                    self.scalers[who].learn(self.now, to);
                }
            }
        }
    }

    /// What the shell does in a tick: a look, and before a raise another one and the history.
    fn tick(&mut self, who: usize, need: u32, lags: (u64, u64), hidden: usize) -> Option<u32> {
        let policy = ScalerPolicy::default();
        let demand = Demand { queued: need, running: Some(0), poll_after: None };
        let (first, second) = (self.describe(lags.0), self.describe(lags.1));
        let shown = self.changes[..self.changes.len().saturating_sub(hidden)].to_vec();
        let recent = &mut self.scalers[who];
        recent.forget(self.now);
        recent.learn(self.now, first);
        let capacity = Capacity { max: 1000, desired: first, ..Capacity::default() };
        let Plan::Raise { to, .. } = plan(&policy, &demand, capacity, PlanHistory::default()) else { return None };
        if !self.remember {
            return Some(to);
        }
        recent.learn(self.now, second);
        recent.learn_changes(&shown);
        let lately = recent.highest(&shown, self.now);
        let capacity = Capacity { desired: second, lately, ..capacity };
        match plan(&policy, &demand, capacity, PlanHistory::default()) {
            Plan::Hold(_) => None,
            Plan::Raise { to, .. } => Some(to),
        }
    }
}

fn tick(who: std::ops::Range<usize>, hidden: std::ops::Range<usize>) -> impl Strategy<Value = Event> {
    (who, 0..60_u32, (0..=30_u64, 0..=30_u64), hidden).prop_map(|(who, need, lags, hidden)| Event::Tick {
        who,
        need,
        lags,
        hidden,
    })
}

fn rest(operator: std::ops::Range<u32>) -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Leave),
        1 => operator.prop_map(|to| Event::Operator { to }),
        2 => prop_oneof![0..3_u64, 0..40_u64].prop_map(|seconds| Event::Wait { seconds }),
    ]
}

/// One scaler, whose history may show as little as it likes; agents leave. Nobody else raises.
fn alone() -> impl Strategy<Value = (u32, Vec<Event>)> {
    let event = prop_oneof![3 => tick(0..1, 0..100), 2 => rest(0..1)];
    (0..60_u32, prop::collection::vec(event, 1..60))
}

/// Two scalers and an operator who sets what he likes; descriptions lag, the history does not.
fn together() -> impl Strategy<Value = (u32, Vec<Event>)> {
    let event = prop_oneof![3 => tick(0..2, 0..1), 2 => rest(0..60)];
    (0..60_u32, prop::collection::vec(event, 1..60))
}

fn lowered((start, events): &(u32, Vec<Event>), remember: bool) -> Vec<(u32, u32)> {
    World::after(*start, events, remember).lowered
}

proptest! {
    /// However far descriptions and history lag behind: what this scaler wrote or read is never lowered by it.
    #[test]
    fn no_history_of_one_scaler_lowers(history in alone()) {
        prop_assert_eq!(lowered(&history, true), []);
    }

    /// Where the history shows what others did, nobody lowers anybody's number.
    #[test]
    fn no_history_of_two_scalers_lowers(history in together()) {
        prop_assert_eq!(lowered(&history, true), []);
    }

    /// Memory ends: once a description cannot hide it any more, an operator's lower number is taken as it is, whatever
    /// the history tells or does not.
    #[test]
    fn an_operators_lower_number_is_not_held_against_for_ever(history in together(), to in 0..20_u32, more in 1..20_u32) {
        let (start, events) = history;
        let mut world = World::after(start, &events, true);
        world.step(&Event::Operator { to });
        world.step(&Event::Wait { seconds: STALENESS.as_secs() + 1 });
        let hidden = world.changes.len();
        for who in 0..2 {
            prop_assert_eq!(world.tick(who, to + more, (0, 0), hidden), Some(to + more));
            prop_assert_eq!(world.tick(who, to, (0, 0), hidden), None);
        }
    }
}

#[test]
fn the_same_histories_find_a_scaler_that_remembers_nothing() {
    for (name, found) in [
        ("alone", TestRunner::deterministic().run(&alone(), |history| finds(&history)).is_err()),
        ("together", TestRunner::deterministic().run(&together(), |history| finds(&history)).is_err()),
    ] {
        assert!(found, "{name}: a plan on the description alone was not seen to lower");
    }
}

fn finds(history: &(u32, Vec<Event>)) -> Result<(), TestCaseError> {
    prop_assert_eq!(lowered(history, false), []);
    Ok(())
}
