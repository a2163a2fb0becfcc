//! Suspended processes on the wire.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::group,
};
use crate::aws::model::{Cloud, Process};
use crate::time::Timestamp;

/// `SuspendProcesses`; no names means all of them.
pub(crate) fn suspend(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (name, processes) = read(cloud, form)?;
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        group.suspended.extend(&processes);
    }
    cloud.group_happened(&name, format!("suspended: {}", names(&processes)), now);
    Ok(None)
}

/// `ResumeProcesses`; no names means all of them.
pub(crate) fn resume(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (name, processes) = read(cloud, form)?;
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        group.suspended.retain(|process| !processes.contains(process));
    }
    cloud.group_happened(&name, format!("resumed: {}", names(&processes)), now);
    cloud.resume(&name, &processes, now);
    Ok(None)
}

fn read(cloud: &Cloud, form: &Form<'_>) -> Result<(String, Vec<Process>), AwsError> {
    let group = group(cloud, form)?;
    let named = form.list("ScalingProcesses").into_iter().map(|name| {
        Process::named(name)
            .ok_or_else(|| AwsError::validation(format!("The scaling process named {name} is not valid.")))
    });
    let named: Vec<Process> = named.collect::<Result<_, _>>()?;
    Ok((group.name.clone(), if named.is_empty() { Process::ALL.to_vec() } else { named }))
}

fn names(processes: &[Process]) -> String {
    processes.iter().map(|process| process.as_str()).collect::<Vec<_>>().join(", ")
}
