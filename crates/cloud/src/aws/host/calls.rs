//! The calls that an instance makes about itself.

use std::time::Duration;

use aws_sdk_autoscaling as autoscaling;
use aws_sdk_ec2 as ec2;
use jiff::Timestamp;
use lightsout_core::cloud::GroupSize;

use crate::{
    aws::{Aws, AwsError, AwsErrorKind, groups, once},
    host::advised,
};

/// This instance as its group sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SelfView {
    /// The group's name.
    pub(super) group: Option<String>,
    /// The state in the group, in the words of the EC2 Auto Scaling API reference (`LifecycleState`).
    pub(super) state: Option<String>,
    /// Whether it is protected from scale-in.
    pub(super) protected: bool,
}

/// What a hook holds off, in the words of the EC2 Auto Scaling API reference (`LifecycleTransition`).
pub(super) const LAUNCH: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";
pub(super) const ENDING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// A hook of the group that holds the endings, or the launches, of its instances off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// The hook's name.
    pub(super) name: String,
    /// How long the group waits after the last heartbeat.
    pub(super) timeout: Duration,
    /// Whether its running out ends the wait of all hooks.
    pub(super) abandons: bool,
}

/// Whether an instance counts towards the desired capacity (EC2 Auto Scaling User Guide, "instance lifecycle").
fn counts(instance: &autoscaling::types::Instance) -> bool {
    let state = instance.lifecycle_state.as_ref().map(autoscaling::types::LifecycleState::as_str);
    state.is_some_and(|state| state == "InService" || state.starts_with("Pending"))
}

/// The calls of one instance.
#[derive(Debug)]
pub(super) struct Calls {
    id: String,
    aws: Aws,
}

impl Calls {
    /// Of the instance with this id.
    pub(super) fn new(id: &str, aws: Aws) -> Self {
        Self { id: id.to_owned(), aws }
    }

    /// Of somebody who is no instance, and asks about groups.
    pub(super) fn of_nobody(aws: Aws) -> Self {
        Self { id: String::new(), aws }
    }

    /// Whether these are of no instance.
    pub(super) fn is_nobody(&self) -> bool {
        self.id.is_empty()
    }

    /// The SDK that makes them.
    pub(super) fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The instance's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) async fn autoscaling(&self) -> autoscaling::Client {
        autoscaling::Client::new(&self.aws.config().await)
    }

    pub(super) async fn ec2(&self) -> ec2::Client {
        ec2::Client::new(&self.aws.config().await)
    }

    /// How the group sees this instance; `None` when it is in no group.
    pub(super) async fn describe(&self) -> Result<Option<SelfView>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingInstances";
        let client = self.autoscaling().await;
        let mut pages = client.describe_auto_scaling_instances().instance_ids(&self.id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
            for details in page.auto_scaling_instances.unwrap_or_default() {
                if details.instance_id.as_deref() == Some(self.id.as_str()) {
                    return Ok(Some(SelfView {
                        group: details.auto_scaling_group_name,
                        state: details.lifecycle_state,
                        protected: details.protected_from_scale_in.unwrap_or(false),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Whether the group can shrink.
    pub(super) async fn group_size(&self, group: &str) -> Result<GroupSize, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
        let client = self.autoscaling().await;
        let mut pages = client
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(group)
            .include_instances(true)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
            for mut found in page.auto_scaling_groups.unwrap_or_default() {
                let instances = found.instances.take().unwrap_or_default();
                let view = groups::view(found);
                if view.name == group {
                    let counted = || instances.iter().filter(|instance| counts(instance));
                    let before = counted().filter(|other| other.instance_id.as_deref() < Some(self.id.as_str()));
                    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
                    return Ok(GroupSize {
                        desired: view.desired,
                        min: view.min,
                        floor: advised(view.floor, Timestamp::now()),
                        members: number(counted().count()),
                        rank: number(before.count()),
                    });
                }
            }
        }
        Err(AwsError::without_code(
            AwsErrorKind::NotFound,
            ACTION,
            format!("there is no group {group} in this account and region"),
        ))
    }

    /// Takes or gives up protection from scale-in.
    pub(super) async fn protect(&self, group: &str, protected: bool) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:SetInstanceProtection";
        self.autoscaling()
            .await
            .set_instance_protection()
            .auto_scaling_group_name(group)
            .instance_ids(&self.id)
            .protected_from_scale_in(protected)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    /// The group's hooks for this transition.
    pub(super) async fn hooks(&self, group: &str, transition: &str) -> Result<Vec<Hook>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeLifecycleHooks";
        let hooks = self
            .autoscaling()
            .await
            .describe_lifecycle_hooks()
            .auto_scaling_group_name(group)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let hooks = hooks.lifecycle_hooks.unwrap_or_default().into_iter();
        Ok(hooks
            .filter(|hook| hook.lifecycle_transition.as_deref() == Some(transition))
            .filter_map(|hook| {
                let seconds = hook.heartbeat_timeout.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(3600);
                // The default of AWS itself (EC2 Auto Scaling API reference, `LifecycleHook`).
                let abandons = hook.default_result.as_deref().is_none_or(|result| result == "ABANDON");
                let timeout = Duration::from_secs(seconds);
                Some(Hook { name: hook.lifecycle_hook_name?, timeout, abandons })
            })
            .collect())
    }

    /// Asks the hook to wait on.
    pub(super) async fn heartbeat(&self, group: &str, hook: &str) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:RecordLifecycleActionHeartbeat";
        self.autoscaling()
            .await
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(hook)
            .instance_id(&self.id)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    /// Tells the hook that it need not wait any more: what it held off goes on, or is given up.
    pub(super) async fn complete(&self, group: &str, hook: &str, goes_on: bool) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:CompleteLifecycleAction";
        self.autoscaling()
            .await
            .complete_lifecycle_action()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(hook)
            .lifecycle_action_result(if goes_on { "CONTINUE" } else { "ABANDON" })
            .instance_id(&self.id)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    /// Ends this instance through its group, which shrinks by one when `decrement`, and else replaces it. Sent once.
    pub(super) async fn terminate(&self, decrement: bool) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";
        self.autoscaling()
            .await
            .terminate_instance_in_auto_scaling_group()
            .instance_id(&self.id)
            .should_decrement_desired_capacity(decrement)
            .customize()
            .config_override(autoscaling::config::Builder::new().retry_config(once()))
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    /// Has the group take this instance for unhealthy, without a grace period.
    pub(super) async fn unhealthy(&self) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:SetInstanceHealth";
        self.autoscaling()
            .await
            .set_instance_health()
            .instance_id(&self.id)
            .health_status("Unhealthy")
            .should_respect_grace_period(false)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    /// Ends this instance past its group. Repeating it is harmless (EC2 API reference, `TerminateInstances`).
    pub(super) async fn ec2_terminate(&self) -> Result<(), AwsError> {
        const ACTION: &str = "ec2:TerminateInstances";
        self.ec2()
            .await
            .terminate_instances()
            .instance_ids(&self.id)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    /// Writes a tag on this instance.
    pub(super) async fn tag(&self, key: &str, value: &str) -> Result<(), AwsError> {
        const ACTION: &str = "ec2:CreateTags";
        self.ec2()
            .await
            .create_tags()
            .resources(&self.id)
            .tags(ec2::types::Tag::builder().key(key).value(value).build())
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
