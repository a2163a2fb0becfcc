//! What an agent may do: read its own state, and act on its own instance.

use std::{fmt, future::Future, time::Duration};

use aws_sdk_autoscaling as autoscaling;
use aws_sdk_ec2 as ec2;
use lightsout_core::cloud::Room;

use crate::aws::{self, Aws, AwsError, groups};

/// The state of an instance in its group, in the words of the EC2 Auto Scaling API reference (`LifecycleState`).
/// A word that came later than this program is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LifecycleState(pub String);

impl LifecycleState {
    /// Whether it serves: `InService`.
    pub fn is_in_service(&self) -> bool {
        self.0 == "InService"
    }

    /// Whether it is on its way out of the group for good: `Terminating`, `Terminating:Wait`, `Terminated`, ...
    pub fn is_terminating(&self) -> bool {
        self.0.starts_with("Terminating") || self.0 == "Terminated"
    }

    /// Whether an operator took it aside: `EnteringStandby`, `Standby`.
    pub fn is_standby(&self) -> bool {
        matches!(self.0.as_str(), "EnteringStandby" | "Standby")
    }

    /// Whether it does not serve yet: `Pending`, `Pending:Wait`, `Pending:Proceed`.
    pub fn is_pending(&self) -> bool {
        self.0.starts_with("Pending")
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// This instance as its group sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelfView {
    /// The group's name.
    pub group: Option<String>,
    /// The state in the group.
    pub state: Option<LifecycleState>,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// Whether the group takes it for healthy.
    pub healthy: bool,
}

/// The group's hook that waits for an instance to finish before it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The hook's name.
    pub name: String,
    /// How long the group waits after the last heartbeat.
    pub heartbeat_timeout: Duration,
}

/// An agent's rights over its own instance.
pub trait Instance: Send + Sync {
    /// How the group sees this instance; `None` when it is in no group.
    fn describe(&self) -> impl Future<Output = Result<Option<SelfView>, AwsError>> + Send;

    /// Whether the group can shrink. A group that does not exist is [`aws::AwsErrorKind::NotFound`].
    fn room(&self, group: &str) -> impl Future<Output = Result<Room, AwsError>> + Send;

    /// Takes or gives up protection from scale-in.
    fn protect(&self, group: &str, protected: bool) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// The group's hook for instances that end; the one that waits longest when there are several.
    fn hook(&self, group: &str) -> impl Future<Output = Result<Option<Hook>, AwsError>> + Send;

    /// Asks the hook to wait on.
    fn heartbeat(&self, group: &str, hook: &str) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Tells the hook that it need not wait any more (`CONTINUE`).
    fn complete(&self, group: &str, hook: &str) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Ends this instance through its group, which shrinks by one when `decrement`, and else replaces it. Sent once:
    /// after [`aws::AwsErrorKind::Timeout`] a describe tells whether it was applied.
    fn terminate(&self, decrement: bool) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Has the group take this instance for unhealthy, at once, so that it is replaced.
    fn unhealthy(&self) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Ends this instance past its group. Repeating it is harmless (EC2 API reference, `TerminateInstances`).
    fn ec2_terminate(&self) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Writes a tag on this instance.
    fn tag(&self, key: &str, value: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// Whether an instance counts towards the desired capacity (EC2 Auto Scaling User Guide, "instance lifecycle").
fn counts(instance: &autoscaling::types::Instance) -> bool {
    instance.lifecycle_state.as_ref().is_some_and(|state| {
        let state = LifecycleState(state.as_str().to_owned());
        state.is_in_service() || state.is_pending()
    })
}

/// [`Instance`] over EC2 Auto Scaling and EC2.
#[derive(Debug)]
pub struct AwsInstance {
    id: String,
    aws: Aws,
}

impl AwsInstance {
    /// The instance with this id, in this region; `None` leaves the region to the environment.
    pub fn new(id: impl Into<String>, region: Option<String>) -> Self {
        Self { id: id.into(), aws: Aws::new(region) }
    }

    /// Drops connections, credentials and certificates until the next call.
    pub async fn forget(&self) {
        self.aws.forget().await;
    }

    #[cfg(test)]
    pub(crate) fn with(id: &str, aws: Aws) -> Self {
        Self { id: id.to_owned(), aws }
    }

    async fn autoscaling(&self) -> autoscaling::Client {
        autoscaling::Client::new(&self.aws.config().await)
    }

    async fn ec2(&self) -> ec2::Client {
        ec2::Client::new(&self.aws.config().await)
    }
}

impl Instance for AwsInstance {
    async fn describe(&self) -> Result<Option<SelfView>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingInstances";
        let client = self.autoscaling().await;
        let mut pages = client.describe_auto_scaling_instances().instance_ids(&self.id).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
            for details in page.auto_scaling_instances.unwrap_or_default() {
                if details.instance_id.as_deref() == Some(self.id.as_str()) {
                    return Ok(Some(SelfView {
                        group: details.auto_scaling_group_name,
                        state: details.lifecycle_state.map(LifecycleState),
                        protected: details.protected_from_scale_in.unwrap_or(false),
                        healthy: details.health_status.is_some_and(|health| health.eq_ignore_ascii_case("healthy")),
                    }));
                }
            }
        }
        Ok(None)
    }

    async fn room(&self, group: &str) -> Result<Room, AwsError> {
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
                    let members = instances.iter().filter(|instance| counts(instance)).count();
                    let members = u32::try_from(members).unwrap_or(u32::MAX);
                    return Ok(Room { desired: view.desired, min: view.min, floor: view.floor(), members });
                }
            }
        }
        Err(AwsError::not_found(ACTION, format!("there is no group {group} in this account and region")))
    }

    async fn protect(&self, group: &str, protected: bool) -> Result<(), AwsError> {
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

    async fn hook(&self, group: &str) -> Result<Option<Hook>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeLifecycleHooks";
        let hooks = self
            .autoscaling()
            .await
            .describe_lifecycle_hooks()
            .auto_scaling_group_name(group)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(hooks
            .lifecycle_hooks
            .unwrap_or_default()
            .into_iter()
            .filter(|hook| hook.lifecycle_transition.as_deref() == Some("autoscaling:EC2_INSTANCE_TERMINATING"))
            .filter_map(|hook| {
                let seconds = hook.heartbeat_timeout.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(3600);
                Some(Hook { name: hook.lifecycle_hook_name?, heartbeat_timeout: Duration::from_secs(seconds) })
            })
            .max_by_key(|hook| hook.heartbeat_timeout))
    }

    async fn heartbeat(&self, group: &str, hook: &str) -> Result<(), AwsError> {
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

    async fn complete(&self, group: &str, hook: &str) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:CompleteLifecycleAction";
        self.autoscaling()
            .await
            .complete_lifecycle_action()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(hook)
            .lifecycle_action_result("CONTINUE")
            .instance_id(&self.id)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    async fn terminate(&self, decrement: bool) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";
        self.autoscaling()
            .await
            .terminate_instance_in_auto_scaling_group()
            .instance_id(&self.id)
            .should_decrement_desired_capacity(decrement)
            .customize()
            .config_override(autoscaling::config::Builder::new().retry_config(aws::once()))
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    async fn unhealthy(&self) -> Result<(), AwsError> {
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

    async fn ec2_terminate(&self) -> Result<(), AwsError> {
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

    async fn tag(&self, key: &str, value: &str) -> Result<(), AwsError> {
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
