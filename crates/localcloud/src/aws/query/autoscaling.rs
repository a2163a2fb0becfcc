//! EC2 Auto Scaling: which action is answered where.

use super::{
    AUTO_SCALING, CallResult, form::Form, groups, history, lifecycle_hooks, members, processes, refreshes, tags,
    unknown_action,
};
use super::{error::AwsError, xml::Xml};
use crate::aws::model::{Cloud, Group, Instance};
use crate::time::Timestamp;

/// The default and the largest `MaxRecords` of most describes (EC2 Auto Scaling API reference).
pub(crate) const PAGE: u32 = 50;
pub(crate) const LARGEST_PAGE: u32 = 100;

pub(crate) fn answer(cloud: &mut Cloud, action: &str, form: &Form<'_>, now: Timestamp) -> CallResult {
    match action {
        "CreateAutoScalingGroup" => groups::create(cloud, form, now),
        "UpdateAutoScalingGroup" => groups::update(cloud, form, now),
        "DeleteAutoScalingGroup" => groups::delete(cloud, form, now),
        "DescribeAutoScalingGroups" => groups::describe(cloud, form),
        "SetDesiredCapacity" => groups::set_desired_capacity(cloud, form, now),
        "DescribeAutoScalingInstances" => members::describe(cloud, form),
        "SetInstanceProtection" => members::set_protection(cloud, form, now),
        "SetInstanceHealth" => members::set_health(cloud, form, now),
        "TerminateInstanceInAutoScalingGroup" => members::terminate(cloud, form, now),
        "AttachInstances" => members::attach(cloud, form, now),
        "DetachInstances" => members::detach(cloud, form, now),
        "EnterStandby" => members::enter_standby(cloud, form, now),
        "ExitStandby" => members::exit_standby(cloud, form, now),
        "PutLifecycleHook" => lifecycle_hooks::put(cloud, form, now),
        "DescribeLifecycleHooks" => lifecycle_hooks::describe(cloud, form),
        "DescribeLifecycleHookTypes" => Ok(Some(lifecycle_hooks::types())),
        "DeleteLifecycleHook" => lifecycle_hooks::delete(cloud, form, now),
        "CompleteLifecycleAction" => lifecycle_hooks::complete(cloud, form, now),
        "RecordLifecycleActionHeartbeat" => lifecycle_hooks::heartbeat(cloud, form, now),
        "DescribeScalingActivities" => history::describe(cloud, form),
        "StartInstanceRefresh" => refreshes::start(cloud, form, now),
        "DescribeInstanceRefreshes" => refreshes::describe(cloud, form),
        "CancelInstanceRefresh" => refreshes::cancel(cloud, form, now),
        "SuspendProcesses" => processes::suspend(cloud, form, now),
        "ResumeProcesses" => processes::resume(cloud, form, now),
        "CreateOrUpdateTags" => tags::create(cloud, form, now),
        "DescribeTags" => tags::describe(cloud, form),
        "DeleteTags" => tags::delete(cloud, form, now),
        // Nothing can create these here, so that there are none.
        "DescribePolicies" => Ok(Some(empty("ScalingPolicies"))),
        "DescribeScheduledActions" => Ok(Some(empty("ScheduledUpdateGroupActions"))),
        _ => Err(unknown_action(action, AUTO_SCALING)),
    }
}

/// The group that a call names. A group that is being deleted takes no more calls.
pub(crate) fn group<'c>(cloud: &'c Cloud, form: &Form<'_>) -> Result<&'c Group, AwsError> {
    let name = form.need("AutoScalingGroupName")?;
    let group = cloud.inventory.groups.get(name).ok_or_else(|| AwsError::no_group(name))?;
    if group.deleting {
        return Err(AwsError::validation(format!("AutoScalingGroup {name} is pending delete")));
    }
    Ok(group)
}

/// The member that an id means, in any group.
pub(crate) fn member<'c>(cloud: &'c Cloud, id: &str) -> Result<&'c Instance, AwsError> {
    let listed = |instance: &&Instance| instance.state.is_member() && instance.group.is_some();
    cloud.inventory.instances.get(id).filter(listed).ok_or_else(|| {
        AwsError::validation(format!("Instance Id not found - No managed instance found for instance ID {id}"))
    })
}

fn empty(list: &str) -> Xml {
    let mut xml = Xml::default();
    xml.node(list, |_| {});
    xml
}
