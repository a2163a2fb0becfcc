//! Instances, whichever cloud's they are.

use super::FleetState;
use crate::time::Timestamp;

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
