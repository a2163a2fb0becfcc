//! The group: as many instances as are desired, launched at once and ended when somebody says so.

use std::collections::BTreeSet;

use lightsout_core::{
    agent::phase::LeaveReason,
    cloud::{GroupSize, Membership},
    time::Tick,
};

use super::{
    BOOTS, HOUR_MS, Happening, Id, LOSSES, Loss, NOTICE, World,
    accounts::{Instance, Place},
};
use crate::{outcome::Turn, random::Random, setup::Setup};

pub(super) struct Group {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) desired: u32,
    /// What the scaler advises idle agents to keep.
    pub(super) floor: u32,
    /// Those that count towards the desired capacity, in the order that all of them see.
    pub(super) members: BTreeSet<Id>,
}

impl Group {
    pub(super) fn new(setup: &Setup) -> Self {
        let min = setup.min.min(setup.max);
        Self { min, max: setup.max, desired: min, floor: 0, members: BTreeSet::new() }
    }

    /// How many count.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// What an instance is told when it asks for the group's size.
    pub(super) fn group_size(&self, id: Id) -> GroupSize {
        let rank = u32::try_from(self.members.range(..id).count()).unwrap_or(u32::MAX);
        GroupSize { desired: self.desired, min: self.min, floor: self.floor, members: self.count(), rank }
    }
}

impl World<'_> {
    pub(super) fn raise(&mut self, to: u32) {
        self.group.desired = to.min(self.group.max);
        self.turned(Turn::Raised { to: self.group.desired });
        self.reconcile();
    }

    /// Launches what is missing.
    pub(super) fn reconcile(&mut self) {
        while self.group.count() < self.group.desired {
            self.launch();
        }
    }

    fn launch(&mut self) {
        let Ok(id) = Id::try_from(self.instances.len()) else { return };
        let setup = self.setup;
        let instance = Instance::new(self.now, setup.launch);
        let started = instance.started;
        self.instances.push(instance);
        self.group.members.insert(id);
        self.alive.insert(id);
        self.accounts.peak = self.accounts.peak.max(self.alive.len());
        let boots = setup.boots.samples();
        let boot = boots[Random::new(setup.seed, BOOTS << 40 | u64::from(id)).index(boots.len())];
        self.at(started + setup.in_service.min(boot), Happening::InService(id));
        self.at(started + boot, Happening::Booted(id));
        if setup.losses > 0.0 {
            let mut random = Random::new(setup.seed, LOSSES << 40 | u64::from(id));
            let life = random.exponential(HOUR_MS * 100.0 / setup.losses);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and cut off at a century"
            )]
            let taken = started + std::time::Duration::from_millis(life.min(3e12) as u64) + NOTICE;
            self.at(taken - NOTICE, Happening::Notice(id));
            self.at(taken, Happening::Taken(id));
        }
    }

    /// It counts no longer.
    pub(super) fn leave_group(&mut self, id: Id) {
        self.group.members.remove(&id);
        self.instances[id as usize].place = Place::Terminating;
        self.reconcile();
    }

    /// Its machine is gone, and whatever runs on it.
    pub(super) fn end(&mut self, id: Id) {
        let spot = self.instances[id as usize].spot.is_some_and(|at| at <= self.now);
        self.lose_jobs(id, if spot { Loss::Spot } else { Loss::Cut });
        let instance = &mut self.instances[id as usize];
        instance.accepts = false;
        let why = instance.agent.as_ref().and_then(|agent| agent.phase().why());
        instance.agent = None;
        self.changed(id);
        self.instances[id as usize].place = Place::Gone;
        self.accounts.close(&mut self.instances[id as usize], self.now);
        self.alive.remove(&id);
        let why = why.or(spot.then_some(LeaveReason::Spot));
        self.turned(Turn::Left { why });
        self.group.members.remove(&id);
        self.reconcile();
    }

    pub(super) fn membership(&self, id: Id) -> Membership {
        let instance = &self.instances[id as usize];
        match instance.place {
            Place::Member if instance.in_service => Membership::InService { protected: true },
            Place::Member => Membership::Pending { waiting: false },
            Place::Terminating => Membership::Terminating { waiting: true },
            Place::Gone => Membership::Outside,
        }
    }

    /// When the cloud takes it, announced now.
    pub(super) fn announce(&mut self, id: Id) -> Tick {
        let at = self.now + NOTICE;
        self.instances[id as usize].spot = Some(at);
        at
    }
}
