//! The peers' side: their rules at each tick, and instances without an agent of ours.

use std::time::Duration;

use lightsout_core::time::Tick;

use super::{Driver, Happening, Id, JobIndex, Loss, World, accounts::Place};
use crate::peers::{
    Act, BUILDKITE_IDLE, BUILDKITE_MARGIN, GITHUB_DELAY, GITHUB_LAUNCH, GITHUB_YOUNGEST, Memory, Peer, PoolView,
};

/// A peer, and what it remembers.
pub(super) struct Rules {
    peer: Peer,
    memory: Memory,
    /// Until when the one that launches is at work.
    launching: Tick,
}

impl Rules {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, memory: Memory::default(), launching: Tick::ZERO }
    }

    pub(super) fn interval(&self) -> Duration {
        self.peer.interval()
    }

    /// Whether instances leave by themselves, and heed a spot notice.
    fn leaves_by_itself(&self) -> bool {
        matches!(self.peer, Peer::Buildkite | Peer::BuildkiteEager)
    }
}

impl World<'_> {
    /// A look of the peer's scaler.
    pub(super) fn rule(&mut self) {
        let seen = self.seen();
        let now = self.now;
        let Driver::Peer(rules) = &mut self.driver else { return };
        for act in rules.peer.act(&seen, &mut rules.memory, now) {
            match act {
                Act::Desire(to) if to > self.group.desired => self.raise(to),
                Act::Desire(to) => self.lower(to),
                Act::End(id) => self.end_smaller(id),
                Act::Drain(id) => self.drain(id),
                Act::Undrain => {
                    if let Some(id) = seen.drained.first() {
                        self.accept(*id, true);
                    }
                }
            }
        }
    }

    fn seen(&self) -> PoolView {
        let mut seen = PoolView {
            queued: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            running: self.running,
            min: self.group.min,
            max: self.group.max,
            desired: self.group.desired,
            ..PoolView::default()
        };
        for id in &self.group.members {
            let instance = &self.instances[*id as usize];
            seen.in_service += u32::from(instance.in_service);
            match (instance.ready, instance.accepts, instance.jobs.is_empty()) {
                (false, ..) => continue,
                (true, false, true) => {
                    seen.drained.push(*id);
                    continue;
                }
                (true, true, true) => {
                    seen.idle.push(*id);
                    if self.now.since(instance.started) > GITHUB_YOUNGEST {
                        seen.old_idle.push(*id);
                    }
                }
                (true, _, false) => seen.busy = seen.busy.or(Some(*id)),
            }
            seen.registered += 1;
        }
        seen
    }

    pub(super) fn register(&mut self, id: Id) {
        self.instances[id as usize].ready = true;
        let noticed = self.instances[id as usize].spot.is_some();
        let Driver::Peer(rules) = &self.driver else { return };
        let takes = !(noticed && rules.leaves_by_itself());
        self.accept(id, takes);
    }

    /// The group ends as many as are too many, whichever of those that are not protected.
    fn lower(&mut self, to: u32) {
        self.group.desired = to;
        while self.group.count() > to {
            let open: Vec<Id> =
                self.group.members.iter().copied().filter(|id| !self.instances[*id as usize].protected).collect();
            if open.is_empty() {
                return;
            }
            let id = open[self.chance.index(open.len())];
            self.end(id);
        }
    }

    /// It goes, and the group gets smaller, unless it may not.
    fn end_smaller(&mut self, id: Id) {
        if self.instances[id as usize].place != Place::Member {
            return;
        }
        if self.group.desired > self.group.min {
            self.group.desired -= 1;
        }
        self.end(id);
    }

    fn drain(&mut self, id: Id) {
        for member in &self.group.members {
            let instance = &mut self.instances[*member as usize];
            instance.protected = instance.ready && *member != id;
        }
        self.accept(id, false);
    }

    /// A job came. GitHub's module looks at it alone.
    pub(super) fn peer_arrival(&mut self, job: JobIndex) {
        let now = self.now;
        let Driver::Peer(rules) = &mut self.driver else { return };
        if rules.peer == Peer::GitHub {
            let at = rules.launching.max(now + GITHUB_DELAY);
            self.at(at, Happening::LaunchDue(job));
            // A job that has begun meanwhile costs it a question, and no launch.
            let Driver::Peer(rules) = &mut self.driver else { return };
            rules.launching = at + GITHUB_LAUNCH;
        }
    }

    pub(super) fn launch_due(&mut self, job: JobIndex) {
        let waits = self.waiting.front().is_some_and(|first| *first <= job);
        if waits && self.group.desired < self.group.max {
            self.raise(self.group.desired + 1);
        }
    }

    /// Whether it has a job has changed.
    pub(super) fn watch_idle(&mut self, id: Id) {
        let now = self.now;
        let Driver::Peer(rules) = &self.driver else { return };
        let leaves = rules.leaves_by_itself();
        let instance = &mut self.instances[id as usize];
        let idle = instance.ready && instance.jobs.is_empty() && instance.place == Place::Member;
        let since = idle.then(|| instance.idle_since.unwrap_or(now));
        if leaves && since.is_some() && (instance.idle_since != since || instance.spot.is_some()) {
            let wait = if instance.spot.is_some() { Duration::ZERO } else { BUILDKITE_IDLE };
            self.after(wait, Happening::IdleOut(id, since.unwrap_or(now)));
        }
        self.instances[id as usize].idle_since = since;
    }

    pub(super) fn idle_out(&mut self, id: Id, since: Tick) {
        if self.instances[id as usize].idle_since == Some(since) {
            self.end_smaller(id);
        }
    }

    pub(super) fn peer_notice(&mut self, id: Id) {
        let at = self.announce(id);
        let Driver::Peer(rules) = &self.driver else { return };
        if rules.leaves_by_itself() {
            self.at(at - BUILDKITE_MARGIN, Happening::CutDue(id));
            self.accept(id, false);
        }
    }

    /// What the cloud takes of a fleet without a group nobody replaces.
    pub(super) fn taken(&mut self, id: Id) {
        self.lose_jobs(id, Loss::Spot);
        if matches!(&self.driver, Driver::Peer(rules) if rules.peer == Peer::GitHub) {
            self.group.desired = self.group.desired.saturating_sub(1);
        }
        self.end(id);
    }
}
