//! Lifecycle hooks and lifecycle actions on the wire.

use std::time::Duration;

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::group,
    xml::Xml,
};
use crate::aws::model::{Cloud, Group, LifecycleActionKey, LifecycleActionResult, LifecycleHook, LifecycleTransition};
use crate::time::Timestamp;

/// Hooks that a group can have at most (EC2 Auto Scaling quotas).
const MOST_HOOKS: usize = 50;

/// `PutLifecycleHook`: makes a hook, or changes the fields that are given.
pub(crate) fn put(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let name = group.name.clone();
    let hook = read(form, group.lifecycle_hooks.get(form.need("LifecycleHookName")?))?;
    if group.lifecycle_hooks.len() >= MOST_HOOKS && !group.lifecycle_hooks.contains_key(&hook.name) {
        return Err(AwsError::new(
            "LimitExceeded",
            format!("The group {name} already has {MOST_HOOKS} lifecycle hooks."),
        ));
    }
    let text = format!("lifecycle hook {} set for {}", hook.name, hook.transition.as_str());
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        group.lifecycle_hooks.insert(hook.name.clone(), hook);
    }
    cloud.group_happened(&name, text, now);
    Ok(Some(Xml::default()))
}

/// Reads a hook; fields that are absent come from `old`, or from the defaults of the API.
pub(crate) fn read(form: &Form<'_>, old: Option<&LifecycleHook>) -> Result<LifecycleHook, AwsError> {
    let transition = match form.text("LifecycleTransition") {
        Some("autoscaling:EC2_INSTANCE_LAUNCHING") => LifecycleTransition::Launching,
        Some("autoscaling:EC2_INSTANCE_TERMINATING") => LifecycleTransition::Terminating,
        Some(other) => return Err(AwsError::validation(format!("Invalid lifecycle transition: {other}"))),
        None => old.map(|hook| hook.transition).ok_or_else(|| form.missing("LifecycleTransition"))?,
    };
    let default = match form.text("DefaultResult") {
        Some(result) => outcome(result)?,
        None => old.map_or(LifecycleActionResult::Abandon, |hook| hook.default),
    };
    let heartbeat = form.number("HeartbeatTimeout", 30..=7200)?.map(|seconds| Duration::from_secs(seconds.into()));
    let kept = |name: &str, old: Option<&String>| form.owned(name).or_else(|| old.cloned());
    Ok(LifecycleHook {
        name: form.need("LifecycleHookName")?.to_owned(),
        transition,
        heartbeat: heartbeat.or(old.map(|hook| hook.heartbeat)).unwrap_or(Duration::from_secs(3600)),
        default,
        metadata: kept("NotificationMetadata", old.and_then(|hook| hook.metadata.as_ref())),
        target_arn: kept("NotificationTargetARN", old.and_then(|hook| hook.target_arn.as_ref())),
        role_arn: kept("RoleARN", old.and_then(|hook| hook.role_arn.as_ref())),
    })
}

/// `DescribeLifecycleHooks`.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let name = form.need("AutoScalingGroupName")?;
    let wanted = form.list("LifecycleHookNames");
    let group: &Group = cloud.view().groups.get(name).ok_or_else(|| AwsError::no_group(name))?;
    let hooks = group.lifecycle_hooks.values().filter(|hook| wanted.is_empty() || wanted.contains(&hook.name.as_str()));
    let mut xml = Xml::default();
    xml.list("LifecycleHooks", "member", hooks, |xml, hook| {
        xml.text("LifecycleHookName", &hook.name);
        xml.text("AutoScalingGroupName", &group.name);
        xml.text("LifecycleTransition", hook.transition.as_str());
        xml.optional("NotificationTargetARN", hook.target_arn.as_deref());
        xml.optional("RoleARN", hook.role_arn.as_deref());
        xml.optional("NotificationMetadata", hook.metadata.as_deref());
        xml.text("HeartbeatTimeout", hook.heartbeat.as_secs());
        xml.text("GlobalTimeout", hook.global_timeout().as_secs());
        xml.text("DefaultResult", hook.default.as_str());
    });
    Ok(Some(xml))
}

/// `DescribeLifecycleHookTypes`.
pub(crate) fn types() -> Xml {
    let mut xml = Xml::default();
    let types = [LifecycleTransition::Launching, LifecycleTransition::Terminating];
    xml.texts("LifecycleHookTypes", "member", types.map(LifecycleTransition::as_str));
    xml
}

/// `DeleteLifecycleHook`.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let name = group(cloud, form)?.name.clone();
    let hook = form.need("LifecycleHookName")?;
    let removed = cloud.inventory.groups.get_mut(&name).and_then(|group| group.lifecycle_hooks.remove(hook));
    let removed = removed
        .ok_or_else(|| AwsError::validation(format!("No Lifecycle Hook found with name: {hook} for group: {name}")))?;
    cloud.group_happened(&name, format!("lifecycle hook {hook} deleted"), now);
    cloud.release_hook(&name, &removed, now);
    Ok(Some(Xml::default()))
}

/// `CompleteLifecycleAction`.
pub(crate) fn complete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let outcome = outcome(form.need("LifecycleActionResult")?)?;
    let (id, hook) = waiting(cloud, form)?;
    let how = format!("Lifecycle Action Completed with {} Result", outcome.as_str());
    cloud.complete(&id, &hook, outcome, &how, now);
    Ok(Some(Xml::default()))
}

/// `RecordLifecycleActionHeartbeat`.
pub(crate) fn heartbeat(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (id, hook) = waiting(cloud, form)?;
    cloud.heartbeat(&id, &hook, now);
    Ok(Some(Xml::default()))
}

/// The instance and the hook that a call is about, if such an action is really waited for.
fn waiting(cloud: &Cloud, form: &Form<'_>) -> Result<(String, String), AwsError> {
    let group = group(cloud, form)?;
    let hook = form.need("LifecycleHookName")?;
    let handle = match (form.text("LifecycleActionToken"), form.text("InstanceId")) {
        (Some(token), _) => LifecycleActionKey::Token(token),
        (None, Some(id)) => LifecycleActionKey::Instance(id),
        (None, None) => {
            return Err(AwsError::validation("Either InstanceId or LifecycleActionToken must be specified"));
        }
    };
    if let Some(id) = cloud.waiting(&group.name, hook, handle) {
        return Ok((id, hook.to_owned()));
    }
    Err(AwsError::validation(match handle {
        LifecycleActionKey::Token(token) => format!("No active Lifecycle Action found with token {token}"),
        LifecycleActionKey::Instance(id) => {
            format!("No active Lifecycle Action found with instance ID {id}")
        }
    }))
}

fn outcome(result: &str) -> Result<LifecycleActionResult, AwsError> {
    match result {
        "CONTINUE" => Ok(LifecycleActionResult::Continue),
        "ABANDON" => Ok(LifecycleActionResult::Abandon),
        other => Err(AwsError::validation(format!(
            "Invalid lifecycle action result: {other}. It must be CONTINUE or ABANDON."
        ))),
    }
}
