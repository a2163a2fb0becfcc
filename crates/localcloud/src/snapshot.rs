//! Puts the [`Snapshot`] together.

pub(crate) mod azure;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    aws::model::{Instance, LifecycleState},
    fleet::{GroupView, InstanceView, JobState, NoticeView, QueueView, Snapshot},
    machine::Machine,
    state::{FleetState, Shared},
};

/// Everything about the fleet, now.
pub(crate) fn take(shared: &Shared) -> Snapshot {
    let (mut snapshot, machines) = shared.read(|state, now| {
        let jobs: Vec<_> = state
            .ci
            .jobs()
            .map(|job| {
                let instance = job.machine.as_deref().and_then(|id| state.instance_of(id));
                job.view(instance.map(str::to_owned), now)
            })
            .collect();
        let mut running: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut queue = QueueView::default();
        for job in &jobs {
            *count(&mut queue, job.state) += 1;
            if let (JobState::Running, Some(instance)) = (job.state, &job.instance) {
                running.entry(instance).or_default().push(job.id);
            }
        }
        let mut instances: Vec<_> = state
            .instances()
            .map(|view| {
                let agent = state.hosts.get(&view.id).and_then(|host| host.last_report.clone());
                InstanceView { agent, jobs: running.remove(view.id.as_str()).unwrap_or_default(), ..view }
            })
            .collect();
        instances.sort_by(|a, b| (a.launched_ms, &a.id).cmp(&(b.launched_ms, &b.id)));
        let snapshot = Snapshot {
            at_ms: now.0,
            seq: state.timeline.last(),
            groups: groups(state),
            instances,
            forgotten: state.forgotten,
            jobs,
            queue,
            counters: state.counters.clone(),
        };
        let machines = state.hosts.iter().filter_map(|(id, host)| Some((id.clone(), host.machine.clone()?)));
        (snapshot, machines.collect::<BTreeMap<String, Arc<dyn Machine>>>())
    });
    // A report may read a file, which the lock does not have to wait for.
    for instance in &mut snapshot.instances {
        if let Some(machine) = machines.get(&instance.id) {
            instance.agent = machine.report();
        }
    }
    snapshot
}

fn groups(state: &FleetState) -> Vec<GroupView> {
    let groups = state.cloud.groups().map(|group| {
        let members = state.cloud.instances().filter(|instance| instance.group.as_deref() == Some(&group.name));
        let in_service = members.filter(|instance| instance.state == LifecycleState::InService).count();
        GroupView {
            name: group.name.clone(),
            min: group.bounds.min,
            max: group.bounds.max,
            desired: group.bounds.desired,
            in_service: u32::try_from(in_service).unwrap_or(u32::MAX),
        }
    });
    groups.chain(azure::groups(&state.azure)).collect()
}

/// An instance of AWS, but for what is not the cloud's to know.
pub(crate) fn view(instance: &Instance) -> InstanceView {
    InstanceView {
        id: instance.id.clone(),
        group: instance.group.clone(),
        state: instance.state.as_str().to_owned(),
        target_state: instance.target_state.map(str::to_owned),
        protected: instance.protected,
        healthy: instance.healthy,
        launched_ms: instance.launched_at.0,
        in_service_ms: instance.in_service_at.map(|at| at.0),
        ended_ms: instance.ended_at.map(|at| at.0),
        cause: instance.cause.clone(),
        spot_notice: instance
            .spot_notice
            .map(|notice| NoticeView { action: notice.action.to_owned(), time_ms: notice.time.0 }),
        rebalance_ms: instance.rebalance.map(|at| at.0),
        jobs: Vec::new(),
        agent: None,
    }
}

fn count(queue: &mut QueueView, state: JobState) -> &mut u32 {
    match state {
        JobState::Waiting => &mut queue.waiting,
        JobState::Running => &mut queue.running,
        JobState::Done => &mut queue.done,
        JobState::Failed => &mut queue.failed,
        JobState::Interrupted => &mut queue.interrupted,
        JobState::Lost => &mut queue.lost,
    }
}
