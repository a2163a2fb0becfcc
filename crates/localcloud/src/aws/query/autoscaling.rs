//! EC2 Auto Scaling: which action is answered where.

use super::{
    error::{AwsError, CallResult},
    form::{Form, Service},
    groups, history, lifecycle_hooks, members, metrics, notifications, policies, processes, refreshes, scheduled, tags,
    warm_pools,
    xml::Xml,
};
use crate::{aws::model::Cloud, time::Timestamp};

pub(crate) fn call(cloud: &mut Cloud, action: &str, form: &Form<'_>, now: Timestamp) -> CallResult {
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
        "RollbackInstanceRefresh" => refreshes::roll_back(cloud, form, now),
        "PutWarmPool" => warm_pools::put(cloud, form, now),
        "DescribeWarmPool" => warm_pools::describe(cloud, form),
        "DeleteWarmPool" => warm_pools::delete(cloud, form, now),
        "SuspendProcesses" => processes::suspend(cloud, form, now),
        "ResumeProcesses" => processes::resume(cloud, form, now),
        "PutScheduledUpdateGroupAction" => scheduled::put(cloud, form, now),
        "DescribeScheduledActions" => scheduled::describe(cloud, form),
        "DeleteScheduledAction" => scheduled::delete(cloud, form, now),
        "EnableMetricsCollection" => metrics::enable(cloud, form, now),
        "DisableMetricsCollection" => metrics::disable(cloud, form, now),
        "DescribeMetricCollectionTypes" => Ok(Some(metrics::types())),
        "CreateOrUpdateTags" => tags::create(cloud, form, now),
        "DescribeTags" => tags::describe(cloud, form),
        "DeleteTags" => tags::delete(cloud, form, now),
        "PutNotificationConfiguration" => notifications::put(cloud, form, now),
        "DescribeNotificationConfigurations" => notifications::describe(cloud, form),
        "DeleteNotificationConfiguration" => notifications::delete(cloud, form, now),
        "DescribeAutoScalingNotificationTypes" => Ok(Some(notifications::types())),
        "DescribeAccountLimits" => Ok(Some(limits(cloud))),
        "PutScalingPolicy" => policies::put(cloud, form),
        "DeletePolicy" => policies::delete(cloud, form),
        "DescribePolicies" => Ok(Some(policies::describe(cloud, form))),
        _ => Err(AwsError::unknown_action(action, Service::AutoScaling.version())),
    }
}

/// How many groups there may be (EC2 Auto Scaling User Guide, quotas), and how many there are.
fn limits(cloud: &Cloud) -> Xml {
    let mut xml = Xml::default();
    xml.text("MaxNumberOfAutoScalingGroups", 500);
    xml.text("MaxNumberOfLaunchConfigurations", 200);
    xml.text("NumberOfAutoScalingGroups", cloud.groups().count());
    xml.text("NumberOfLaunchConfigurations", 0);
    xml
}
