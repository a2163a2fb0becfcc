//! Where a search of the model begins: worlds in which the instance has booted, serves, drains or asks for its end.

use std::collections::BTreeMap;

use lightsout_core::{
    agent::{
        Agent,
        host::{CloudCall, HostEffect, JournalEntry},
        jitter::Jitter,
        phase::Phase,
        policy::{AgentPolicy, Protection},
    },
    cloud::{Capabilities, ProtectionSupport, TargetState},
    invariants::Ledger,
    time::Tick,
};

use super::{Budget, Group, Kind, Move, Place, World};
use crate::rig::secs;

impl World {
    /// An instance that has just booted.
    pub(crate) fn new(
        kind: Kind,
        capabilities: Capabilities,
        protection: Protection,
        place: Place,
        group: Group,
        jitter: Jitter,
    ) -> Self {
        Self::with_policy(kind, capabilities, policy(protection), place, group, jitter)
    }

    /// The same, with a program of the operator's to run first.
    pub(crate) fn preparing(kind: Kind, capabilities: Capabilities, protection: Protection, place: Place) -> Self {
        let policy = AgentPolicy { before_register: Some(secs(300)), ..policy(protection) };
        Self::with_policy(kind, capabilities, policy, place, Group::of(2), Jitter::NONE)
    }

    /// The same with a launch hook that holds it off until it is ready.
    pub(crate) fn launching(kind: Kind, capabilities: Capabilities, protection: Protection, place: Place) -> Self {
        let policy = AgentPolicy { before_register: Some(secs(300)), launch_hook: true, ..policy(protection) };
        Self::with_policy(kind, capabilities, policy, place, Group::of(2), Jitter::NONE)
    }

    fn with_policy(
        kind: Kind,
        capabilities: Capabilities,
        policy: AgentPolicy,
        place: Place,
        group: Group,
        jitter: Jitter,
    ) -> Self {
        let now = Tick(1_000_000);
        let agent = Agent::new(policy.clone(), kind.rules(), capabilities, JournalEntry::FRESH, false, jitter, now);
        let mut world = Self {
            kind,
            capabilities,
            jitter,
            agent,
            policy,
            now,
            open: Vec::new(),
            coarse: true,
            runner: None,
            launch: false,
            prepared: None,
            boot_failed: false,
            queued: 0,
            journal: JournalEntry::FRESH,
            place,
            was: (place, Tick::ZERO),
            group,
            protected: capabilities.protection == ProtectionSupport::AtLaunch,
            called: false,
            excused: false,
            denied: false,
            refused: false,
            started: now,
            began: now,
            retiring_since: None,
            sampled: None,
            full: false,
            cleaning: false,
            exit_news: false,
            target_news: matches!(place, Place::Arriving | Place::Warming | Place::Warmed)
                .then_some(TargetState::Warmed),
            endings: BTreeMap::new(),
            written: false,
            standing_news: false,
            left: Budget { faults: 1, crashes: 1, notices: 1, moves: 1, orders: 2, jobs: 2 },
            ledger: Ledger::default(),
        };
        world.collect();
        world
    }

    /// The same with its runner registered, once the agent has seen that all is quiet.
    pub(crate) fn idle(
        kind: Kind,
        capabilities: Capabilities,
        protection: Protection,
        group: Group,
        jitter: Jitter,
    ) -> Self {
        let mut world = Self::new(kind, capabilities, protection, Place::InService, group, jitter);
        while world.runner.is_none() {
            let leaves = matches!(world.agent.phase(), Phase::Draining { .. } | Phase::Retiring { .. } | Phase::Gone);
            assert!(!leaves, "it never serves: {:?}", world.agent.status());
            world.step(if world.open.is_empty() { Move::Time } else { Move::Answer(0) });
        }
        while !world.open.is_empty() {
            world.step(Move::Answer(0));
        }
        world.step(Move::Sample);
        world.step(Move::Arrive);
        assert!(matches!(world.agent.phase(), Phase::Idle { .. }), "{:?}", world.agent);
        world
    }

    /// The same with a job that waits, while its runner is to read the configuration by which it asks for no more. Nothing else happens.
    pub(crate) fn quiescing(capabilities: Capabilities, protection: Protection) -> Self {
        let mut world = Self::idle(Kind::CancelsRequests, capabilities, protection, Group::of(2), Jitter::NONE);
        world.step(Move::Enqueue);
        world.step(Move::Drain);
        while world.runner.is_some_and(|runner| !runner.reload_due) {
            world.step(Move::Answer(0));
        }
        world.left = Budget::NONE;
        world
    }

    /// A young one that was called away and asks the cloud for its end, where two things go wrong.
    pub(crate) fn ending(capabilities: Capabilities, protection: Protection) -> Self {
        let mut world = Self::idle(Kind::Call, capabilities, protection, Group::of(2), Jitter::NONE);
        world.step(Move::Drain);
        while !world.open.iter().any(|(_, effect)| matches!(effect, HostEffect::Cloud(CloudCall::End(_)))) {
            world.step(Move::Answer(0));
        }
        world.left = Budget { faults: 2, ..Budget::NONE };
        world
    }
}

fn policy(protection: Protection) -> AgentPolicy {
    AgentPolicy {
        idle_timeout: Some(secs(60)),
        protection,
        boot_deadline: secs(3600),
        rebalance_after: secs(30),
        ..AgentPolicy::default()
    }
}
