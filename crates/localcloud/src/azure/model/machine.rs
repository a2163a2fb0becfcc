//! One virtual machine: its place in its set, its power and its provisioning.

use std::collections::BTreeMap;

use super::ScaleSet;
use crate::time::Timestamp;

/// A virtual machine. It stays listed after its end, so that a run can be looked back at.
#[derive(Clone, Debug)]
pub(crate) struct VirtualMachine {
    /// `{set}_{number}` or `{set}_{8 characters}`. A Uniform set uses a number again.
    pub(crate) name: String,
    /// The number, or the name.
    pub(crate) instance_id: String,
    /// Its set's key.
    pub(crate) set: String,
    /// A UUID.
    pub(crate) vm_id: String,
    /// What its operating system goes by, which is not its name.
    pub(crate) computer_name: String,
    pub(crate) zone: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) user_data: String,
    pub(crate) provisioning: Provisioning,
    pub(crate) power: Power,
    pub(crate) protection: Protection,
    /// The generation of the set's model that it was made from; none once it was given a model of its own.
    pub(crate) model: Option<u64>,
    pub(crate) generation: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) running_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// When it is or was evicted, as a notice said.
    pub(crate) evicted_at: Option<Timestamp>,
    /// Why it left; the first reason stays.
    pub(crate) cause: Option<String>,
    /// Order of creation in this run.
    pub(crate) serial: u64,
    /// Whether a machine is powered on behind it, as far as the model knows.
    pub(crate) on: bool,
    /// What becomes of it when its machine is off; when nobody asked for that, its operating system did it.
    pub(crate) once_off: Option<OnceOff>,
    /// When it takes the next step by itself.
    pub(crate) step_due: Option<Timestamp>,
    /// One more than was asked for.
    pub(crate) surplus: bool,
    /// Since when it asks for scheduled events, and when it last did.
    pub(crate) events: Option<EventsAsked>,
}

/// `provisioningState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provisioning {
    Creating,
    Updating,
    Succeeded,
    Failed,
    Deleting,
}

/// `PowerState/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    Starting,
    Running,
    Stopping,
    /// Off, and still allocated: the bill goes on.
    Stopped,
    Deallocating,
    Deallocated,
}

/// `protectionPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) from_scale_in: bool,
    pub(crate) from_scale_set_actions: bool,
}

/// What becomes of a machine once it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnceOff {
    /// Stays allocated.
    Stop,
    Deallocate,
    Delete,
    /// Is powered on again.
    Restart,
    /// Is powered on again with a new disk.
    Reimage,
}

/// A machine's use of scheduled events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventsAsked {
    pub(crate) ready_at: Timestamp,
    pub(crate) last: Timestamp,
}

impl VirtualMachine {
    /// Whether it counts toward the capacity of its set.
    pub(crate) fn is_counted(&self) -> bool {
        self.ended_at.is_none() && self.provisioning != Provisioning::Deleting && !self.surplus
    }

    /// Whether its set must not choose it for a scale-in. Protection from the set's actions includes it.
    pub(crate) fn is_protected(&self) -> bool {
        self.protection.from_scale_in || self.protection.from_scale_set_actions
    }

    /// The path of its resource.
    pub(crate) fn id(&self, set: &ScaleSet, subscription: &str) -> String {
        match set.orchestration() {
            super::Orchestration::Uniform => format!("{}/virtualMachines/{}", set.id(subscription), self.instance_id),
            super::Orchestration::Flexible => format!(
                "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.Compute/virtualMachines/{}",
                set.resource_group, self.name
            ),
        }
    }
}

impl Provisioning {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

impl Power {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Deallocating => "deallocating",
            Self::Deallocated => "deallocated",
        }
    }

    /// For people.
    pub(crate) fn display(self) -> &'static str {
        match self {
            Self::Starting => "VM starting",
            Self::Running => "VM running",
            Self::Stopping => "VM stopping",
            Self::Stopped => "VM stopped",
            Self::Deallocating => "VM deallocating",
            Self::Deallocated => "VM deallocated",
        }
    }
}
