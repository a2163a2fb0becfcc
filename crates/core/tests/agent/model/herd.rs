//! Several instances of one group that are idle together, explored. Answers come before time passes, in any order: so many leave as there is
//! room for, and no more.

use lightsout_core::{
    agent::{jitter::Jitter, policy::Protection},
    cloud::Capabilities,
};

use super::{Explorable, explore};
use crate::{
    rig::{BARE_CLOUD, CLOUD},
    world::{Budget, Group, Kind, Move, Place, World},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Herd {
    group: Group,
    instances: Vec<World>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Of(usize, Move),
    Time,
}

impl Herd {
    /// So many instances that are idle.
    fn new(kind: Kind, cloud: Capabilities, group: Group) -> Self {
        let instance = |n| {
            let jitter = Jitter::of(&format!("i-{n}"));
            let mut instance = World::idle(kind, cloud, Protection::Always, group, jitter);
            instance.left = Budget::NONE;
            instance
        };
        let mut herd = Self { group, instances: (0..=group.others).map(instance).collect() };
        herd.share();
        herd
    }

    /// Lets each instance know what the group and the clock are.
    fn share(&mut self) {
        let now = self.instances.iter().map(|instance| instance.now).max();
        let counted: Vec<_> = self.instances.iter().map(|instance| instance.place == Place::InService).collect();
        let count = |counted: &[bool]| u8::try_from(counted.iter().filter(|counts| **counts).count()).unwrap();
        for (index, instance) in self.instances.iter_mut().enumerate() {
            instance.now = now.unwrap_or(instance.now);
            let others = count(&counted) - u8::from(counted[index]);
            instance.group = Group { others, before: count(&counted[..index]), ..self.group };
        }
    }

    /// What is over in no time.
    fn prompt(&self) -> Vec<Step> {
        let of = |(index, instance): (usize, &World)| {
            let is_prompt = |step: &Move| !matches!(step, Move::Time | Move::Sample);
            instance.moves().into_iter().filter(is_prompt).map(move |step| Step::Of(index, step)).collect::<Vec<_>>()
        };
        self.instances.iter().enumerate().flat_map(of).collect()
    }

    fn kept(&self) -> u8 {
        self.group.min.max(self.group.floor)
    }

    /// Those that serve or are about to.
    fn members(&self) -> usize {
        self.instances.iter().filter(|instance| instance.place == Place::InService).count()
    }
}

impl Explorable for Herd {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let prompt = self.prompt();
        if prompt.is_empty() { vec![Step::Time] } else { prompt }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Of(index, step) => {
                self.instances[index].step(step);
                self.group.desired = self.instances[index].group.desired;
            }
            Step::Time => {
                let present = |instance: &&World| instance.place != Place::Gone;
                let due =
                    self.instances.iter().filter(present).filter_map(|instance| instance.agent.poll_timeout()).min();
                let Some(due) = due else { return };
                for instance in &mut self.instances {
                    instance.wake(due);
                }
            }
        }
        self.share();
    }

    fn wrong(&self) -> Option<String> {
        if self.group.desired < self.kept() || self.members() < usize::from(self.kept()) {
            return Some("too many have left".to_owned());
        }
        self.instances.iter().find_map(World::wrong)
    }

    fn settled(mut self) -> Self {
        for _ in 0..400 {
            let step = self.steps()[0];
            self.take(step);
            if self.wrong().is_some() {
                return self;
            }
        }
        assert_eq!((self.group.desired, self.members()), (self.kept(), usize::from(self.kept())), "{self:?}");
        self
    }
}

#[test]
fn no_herd_leaves_more_or_fewer_than_are_kept() {
    for kind in [Kind::SameSignal, Kind::Call] {
        for (cloud, group) in [
            (CLOUD, Group { min: 0, floor: 1, ..Group::of(2) }),
            (CLOUD, Group { min: 0, floor: 2, ..Group::of(3) }),
            (CLOUD, Group { min: 1, floor: 1, ..Group::of(3) }),
            // More than are wanted.
            (CLOUD, Group { desired: 1, min: 0, floor: 1, ..Group::of(3) }),
            (BARE_CLOUD, Group { min: 0, floor: 1, ..Group::of(2) }),
        ] {
            let states = explore(Herd::new(kind, cloud, group), 4_000);
            assert!(states >= 50, "the herd has become too small to prove anything: {states}");
        }
    }
}
