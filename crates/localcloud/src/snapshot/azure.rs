//! Scale sets and virtual machines, as people see groups and instances.

use crate::{
    azure::model::{Azure, Power, Provisioning, VirtualMachine},
    fleet::{GroupView, InstanceView, NoticeView},
};

/// What a scale set may grow to: it has no bounds of its own.
const MOST: u32 = 1000;

pub(super) fn groups(azure: &Azure) -> impl Iterator<Item = GroupView> {
    azure.scale_sets.values().map(|set| {
        let running = azure.members(&set.name).into_iter().filter(|machine| state(machine) == "Running").count();
        GroupView {
            name: set.name.clone(),
            min: 0,
            max: MOST,
            desired: set.capacity,
            in_service: u32::try_from(running).unwrap_or(u32::MAX),
        }
    })
}

/// A machine, but for what is not the cloud's to know.
pub(crate) fn view(azure: &Azure, machine: &VirtualMachine) -> InstanceView {
    let notice = machine.evicted_at.map(|at| NoticeView { action: "evict".to_owned(), time_ms: at.0 });
    InstanceView {
        id: machine.name.clone(),
        group: azure.scale_set(&machine.set).map(|set| set.name.clone()),
        state: state(machine).to_owned(),
        target_state: None,
        protected: machine.is_protected(),
        healthy: machine.provisioning != Provisioning::Failed && machine.power != Power::Stopped,
        launched_ms: machine.created_at.0,
        in_service_ms: machine.running_at.map(|at| at.0),
        ended_ms: machine.ended_at.map(|at| at.0),
        cause: machine.cause.clone(),
        spot_notice: notice,
        ..InstanceView::default()
    }
}

/// Provisioning and power in one word.
fn state(machine: &VirtualMachine) -> &'static str {
    match (machine.ended_at, machine.provisioning, machine.power) {
        (Some(_), _, _) => "Deleted",
        (None, Provisioning::Deleting, _) => "Deleting",
        (None, Provisioning::Creating, _) => "Creating",
        (None, Provisioning::Failed, _) => "Failed",
        (None, _, Power::Starting) => "Starting",
        (None, _, Power::Running) => "Running",
        (None, _, Power::Stopping) => "Stopping",
        (None, _, Power::Stopped) => "Stopped",
        (None, _, Power::Deallocating) => "Deallocating",
        (None, _, Power::Deallocated) => "Deallocated",
    }
}
