//! Instances, whichever cloud's they are.

use super::FleetState;
use crate::{fleet::InstanceView, snapshot, time::Timestamp};

/// Under this name the metadata service counts for all instances that are forgotten.
const FORGOTTEN: &str = "forgotten";

impl FleetState {
    /// The group of an instance, whichever cloud's it is.
    pub(crate) fn group_of(&self, id: &str) -> Option<String> {
        match self.azure.machine(id) {
            Some(machine) => self.azure.scale_set(&machine.set).map(|set| set.name.clone()),
            None => self.cloud.instance(id).and_then(|instance| instance.group.clone()),
        }
    }

    /// Whether an instance has ended, if there ever was one with this id.
    pub(crate) fn has_ended(&self, id: &str) -> Option<bool> {
        match self.azure.machine(id) {
            Some(machine) => Some(machine.ended_at.is_some()),
            None => self.cloud.instance(id).map(|instance| instance.ended_at.is_some()),
        }
    }

    /// Every instance that is remembered, whichever cloud's it is.
    pub(crate) fn instances(&self) -> impl Iterator<Item = InstanceView> {
        let machines = self.azure.machines.values().map(|machine| snapshot::azure::view(&self.azure, machine));
        self.cloud.instances().map(snapshot::view).chain(machines)
    }

    /// Forgets those that ended first, where more are remembered than are kept. One that its group still counts stays, and one whose machine is
    /// still being let go of.
    pub(crate) fn forget_ended(&mut self) {
        // It is asked after each change, and mostly this tells.
        if self.hosts.len() <= self.ended_kept {
            return;
        }
        let instances = self.cloud.instances().filter(|it| !it.state.is_member());
        let instances = instances.filter_map(|it| Some((it.ended_at?, &it.id)));
        let machines = self.azure.machines.values().filter_map(|it| Some((it.ended_at?, &it.name)));
        let is_over = |id: &str| self.hosts.get(id).is_none_or(|host| host.machine.is_none());
        let mut over: Vec<_> = instances.chain(machines).filter(|(_, id)| is_over(id)).collect();
        let surplus = over.len().saturating_sub(self.ended_kept);
        over.sort();
        let oldest: Vec<String> = over[..surplus].iter().map(|(_, id)| (*id).clone()).collect();
        for id in &oldest {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: &str) {
        let machine = || self.azure.machine(id).map(|machine| snapshot::azure::view(&self.azure, machine));
        let Some(it) = self.cloud.instance(id).map(snapshot::view).or_else(machine) else { return };
        self.hosts.remove(id);
        self.forgotten.instances += 1;
        let billed_ms = it.ended_ms.unwrap_or(it.launched_ms).saturating_sub(it.launched_ms);
        self.forgotten.billed_ms += u64::try_from(billed_ms).unwrap_or(0);
        if let Some(asked) = self.counters.imds.remove(&it.id) {
            *self.counters.imds.entry(FORGOTTEN.to_owned()).or_default() += asked;
        }
        self.reported.retain(|id| *id != it.id);
        self.cloud.forget(&it.id);
        self.azure.machines.remove(&it.id);
        self.tokens.forget(&it.id);
    }

    /// The machine of an instance is off.
    pub(crate) fn powered_off(&mut self, id: &str, now: Timestamp) {
        if self.azure.machine(id).is_some() {
            self.azure.powered_off(id, now);
        } else {
            self.cloud.powered_off(id, now);
        }
    }

    /// The machine of an instance cannot be powered on.
    pub(crate) fn boot_failed(&mut self, id: &str, why: &str, now: Timestamp) {
        if self.azure.machine(id).is_some() {
            self.azure.boot_failed(id, why, now);
        } else {
            self.cloud.boot_failed(id, why, now);
        }
    }
}
