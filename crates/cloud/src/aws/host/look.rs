//! A look at what this instance depends on, for a diagnosis.

mod configuration;
mod key;
mod quota;
mod template;

use std::time::Duration;

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types::{self as ec2, InstanceAttributeName, ShutdownBehavior};
use lightsout_core::{
    doctor::facts::{CloudFacts, Fact, GroupFacts, HookFacts, RefreshFacts, Subnet},
    record::FailedLaunch,
};

use super::{
    AwsHost,
    calls::{Calls, ENDING, Hook, LAUNCH},
};
use crate::{
    REASON_TAG,
    aws::{Aws, AwsError, AwsErrorKind, CAPABILITIES, count, groups},
};

/// What of a group must run for scaler and agents (EC2 Auto Scaling User Guide, "Suspend and resume processes").
const NEEDED: [(&str, &str); 4] = [
    ("Launch", "nothing can start"),
    ("Terminate", "instances cannot leave through the group"),
    ("HealthCheck", "an instance that fails is kept"),
    ("ReplaceUnhealthy", "an instance that reports itself unhealthy is kept"),
];

impl AwsHost {
    /// Looks at all of it.
    pub(in crate::aws) async fn look(&self) -> CloudFacts {
        let membership = said(self.describe_self().await);
        let mut facts = CloudFacts { membership: Some(membership), ..CloudFacts::default() };
        let (metadata, shutdown, terminate, tag) = tokio::join!(
            self.calls.metadata_options(),
            self.calls.shutdown_behavior(),
            self.calls.may_terminate(),
            self.calls.may_tag()
        );
        facts.hop_limit = Some(said(metadata).and_then(|options| {
            let limit = options.http_put_response_hop_limit.and_then(|limit| u32::try_from(limit).ok());
            limit.ok_or_else(|| "ec2:DescribeInstances does not tell the metadata options of this instance".into())
        }));
        facts.power_off_ends = Some(said(shutdown).map(|behavior| behavior == ShutdownBehavior::Terminate));
        facts.rights = vec![("ec2:TerminateInstances", terminate), ("ec2:CreateTags", tag)];
        if let Some(group) = self.known_group() {
            if let Some(hook) = Box::pin(self.calls.look_at_group(&group, &mut facts)).await {
                facts.rights.push(("autoscaling:RecordLifecycleActionHeartbeat", self.may_extend(&group, &hook).await));
            }
            facts.group_name = Some(group);
        }
        facts
    }

    /// Where no ending waits, there is nothing to extend, and AWS says so to whoever has the right; where one does, it is extended as the agent
    /// does anyway.
    async fn may_extend(&self, group: &str, hook: &Hook) -> Fact<bool> {
        match self.calls.heartbeat(group, &hook.name).await {
            Err(error) if error.kind == AwsErrorKind::NoActiveHook => Ok(true),
            result => allowed(result),
        }
    }
}

/// Looks at a group from outside, as whoever has these credentials.
pub(in crate::aws) async fn look_at_group(aws: Aws, name: &str) -> CloudFacts {
    let mut facts = CloudFacts { group_name: Some(name.to_owned()), ..CloudFacts::default() };
    Box::pin(Calls::of_nobody(aws).look_at_group(name, &mut facts)).await;
    facts
}

impl Calls {
    /// Everything that all instances of the group have in common; and a hook that holds its endings off.
    async fn look_at_group(&self, name: &str, facts: &mut CloudFacts) -> Option<Hook> {
        let (group, hooks, launch_hooks, others, launch, refresh) = tokio::join!(
            self.group(name),
            self.hooks(name, ENDING),
            self.hooks(name, LAUNCH),
            self.other_scalers(name),
            self.failed_launch(name),
            self.refresh(name)
        );
        if let Ok(group) = &group {
            self.look_at_templates(group, facts).await;
            // An instance has its address.
            if self.is_nobody() {
                facts.subnets = Some(said(self.subnets(group).await));
            }
        }
        if self.is_nobody() && group.as_ref().is_err_and(|error| error.kind == AwsErrorKind::NotFound) {
            return None;
        }
        let first = hooks.as_ref().ok().and_then(|hooks| hooks.first().cloned());
        facts.group = Some(said(group).map(|group| view(&group)));
        let facts_of =
            |hooks: Result<Vec<Hook>, AwsError>| said(hooks).map(|hooks| hooks.into_iter().map(hook_facts).collect());
        facts.termination_hooks = Some(facts_of(hooks));
        facts.launch_hooks = Some(facts_of(launch_hooks));
        facts.other_scalers = Some(said(others));
        facts.failed_launch = Some(said(launch));
        facts.refresh = Some(said(refresh).map(|refresh| refresh.and_then(|refresh| refreshing(&refresh))));
        first
    }
}

/// What a call that was tried says of the right to it.
pub(super) fn allowed(result: Result<(), AwsError>) -> Fact<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind == AwsErrorKind::Denied => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

fn said<T>(result: Result<T, AwsError>) -> Fact<T> {
    result.map_err(|error| error.to_string())
}

fn view(group: &scaling::AutoScalingGroup) -> GroupFacts {
    let read = groups::view(group.clone());
    let suspended = |name: &str| group.suspended_processes().iter().any(|process| process.process_name() == Some(name));
    let reuses = |pool: &scaling::WarmPoolConfiguration| {
        pool.instance_reuse_policy().and_then(scaling::InstanceReusePolicy::reuse_on_scale_in).unwrap_or(false)
    };
    let warm_pool = group.warm_pool_configuration().map(|pool| {
        let doubt =
            "ReuseOnScaleIn is on: an instance that leaves goes back into the pool, with all that its jobs left on it";
        reuses(pool).then(|| doubt.to_owned()).into_iter().collect()
    });
    let life = group.max_instance_lifetime().and_then(|seconds| u64::try_from(seconds).ok()).filter(|life| *life > 0);
    GroupFacts {
        address: group.auto_scaling_group_arn().unwrap_or_default().to_owned(),
        members: u32::try_from(group.instances().len()).unwrap_or(u32::MAX),
        min: read.min,
        max: read.max,
        protects_new: group.new_instances_protected_from_scale_in().unwrap_or(false),
        unscalable: read.unscalable,
        balances_zones: !suspended("AZRebalance"),
        suspended: NEEDED
            .iter()
            .filter(|(name, _)| suspended(name))
            .map(|(name, what)| ((*name).into(), *what))
            .collect(),
        replaces_at_risk: group.capacity_rebalance().unwrap_or(false),
        longest_life: life.map(Duration::from_secs),
        health_by: group.health_check_type().filter(|kind| *kind != "EC2").map(str::to_owned),
        warm_pool,
    }
}

fn hook_facts(hook: Hook) -> HookFacts {
    HookFacts {
        longest: CAPABILITIES.termination_hook.map_or(hook.timeout, |rules| rules.bound(hook.timeout)),
        name: hook.name,
        timeout: hook.timeout,
        abandons: hook.abandons,
    }
}

/// A refresh that has not ended; without preferences it waits (EC2 Auto Scaling API reference, `RefreshPreferences`).
fn refreshing(refresh: &scaling::InstanceRefresh) -> Option<RefreshFacts> {
    let active = ["Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"];
    let status = refresh.status()?.as_str();
    if !active.contains(&status) {
        return None;
    }
    let protected = refresh.preferences().and_then(scaling::RefreshPreferences::scale_in_protected_instances);
    Some(match protected.map(scaling::ScaleInProtectedInstances::as_str) {
        Some("Refresh") => RefreshFacts::Ends,
        Some("Ignore") => RefreshFacts::Skips,
        Some(_) | None => RefreshFacts::Waits,
    })
}

/// The calls that nothing else makes.
impl Calls {
    async fn group(&self, name: &str) -> Result<scaling::AutoScalingGroup, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
        let call = self.autoscaling().await.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let found = call
            .include_instances(self.is_nobody())
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let group = found.auto_scaling_groups.unwrap_or_default().into_iter().next();
        group.ok_or_else(|| {
            let message = format!("there is no group {name} in this account and region");
            AwsError::without_code(AwsErrorKind::NotFound, ACTION, message)
        })
    }

    /// Where new instances start: in the group's subnets, or in the default ones of its zones (EC2 Auto Scaling API reference,
    /// `CreateAutoScalingGroup`). By a filter, since a name that is gone would fail the whole call.
    async fn subnets(&self, group: &scaling::AutoScalingGroup) -> Result<Vec<Subnet>, AwsError> {
        const ACTION: &str = "ec2:DescribeSubnets";
        let filter =
            |name: &str, values: Vec<String>| ec2::Filter::builder().name(name).set_values(Some(values)).build();
        let named = group.vpc_zone_identifier().unwrap_or_default().split(',').map(str::trim);
        let named: Vec<String> = named.filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let call = self.ec2().await.describe_subnets();
        let call = if named.is_empty() {
            let zones = group.availability_zones().to_vec();
            call.filters(filter("availability-zone", zones)).filters(filter("default-for-az", vec!["true".into()]))
        } else {
            call.filters(filter("subnet-id", named.clone()))
        };
        let found = call.send().await.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let mut subnets: Vec<Subnet> = found
            .subnets()
            .iter()
            .map(|subnet| Subnet {
                id: subnet.subnet_id().unwrap_or_default().to_owned(),
                zone: subnet.availability_zone().unwrap_or_default().to_owned(),
                free: Some(count(subnet.available_ip_address_count())),
            })
            .collect();
        let gone = named.into_iter().filter(|id| found.subnets().iter().all(|subnet| subnet.subnet_id() != Some(id)));
        subnets.extend(gone.map(|id| Subnet { id, zone: String::new(), free: None }));
        Ok(subnets)
    }

    /// The first page is enough: one is too many.
    async fn other_scalers(&self, name: &str) -> Result<Vec<String>, AwsError> {
        const POLICIES: &str = "autoscaling:DescribePolicies";
        const ACTIONS: &str = "autoscaling:DescribeScheduledActions";
        let client = self.autoscaling().await;
        let policies = client.describe_policies().auto_scaling_group_name(name).send();
        let policies = policies.await.map_err(|error| AwsError::from_sdk(POLICIES, &error))?;
        let actions = client.describe_scheduled_actions().auto_scaling_group_name(name).send();
        let actions = actions.await.map_err(|error| AwsError::from_sdk(ACTIONS, &error))?;
        let policies = policies.scaling_policies().iter().filter(|policy| policy.enabled().unwrap_or(true));
        let policies = policies.map(|policy| format!("the policy {}", policy.policy_name().unwrap_or_default()));
        let actions = actions.scheduled_update_group_actions().iter();
        let actions = actions
            .map(|action| format!("the scheduled action {}", action.scheduled_action_name().unwrap_or_default()));
        Ok(policies.chain(actions).collect())
    }

    /// The newest comes first (EC2 Auto Scaling API reference, `DescribeScalingActivities`).
    async fn failed_launch(&self, name: &str) -> Result<Option<FailedLaunch>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeScalingActivities";
        let call = self.autoscaling().await.describe_scaling_activities().auto_scaling_group_name(name).max_records(50);
        let found = call.send().await.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(groups::last_launch_failure(found.activities()))
    }

    /// The newest comes first (EC2 Auto Scaling API reference, `DescribeInstanceRefreshes`).
    async fn refresh(&self, name: &str) -> Result<Option<scaling::InstanceRefresh>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeInstanceRefreshes";
        let call = self.autoscaling().await.describe_instance_refreshes().auto_scaling_group_name(name).max_records(1);
        let found = call.send().await.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(found.instance_refreshes.unwrap_or_default().into_iter().next())
    }

    async fn metadata_options(&self) -> Result<ec2::InstanceMetadataOptionsResponse, AwsError> {
        const ACTION: &str = "ec2:DescribeInstances";
        let found = self.ec2().await.describe_instances().instance_ids(self.id()).send().await;
        let found = found.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let mut instance =
            found.reservations.unwrap_or_default().into_iter().flat_map(|of| of.instances.unwrap_or_default());
        let options = instance.find_map(|instance| instance.metadata_options);
        options.ok_or_else(|| {
            let message = "the instance is not described".to_owned();
            AwsError::without_code(AwsErrorKind::NotFound, ACTION, message)
        })
    }

    /// Without a word it stops (EC2 API reference, `InstanceInitiatedShutdownBehavior`).
    async fn shutdown_behavior(&self) -> Result<ShutdownBehavior, AwsError> {
        const ACTION: &str = "ec2:DescribeInstanceAttribute";
        let call = self.ec2().await.describe_instance_attribute().instance_id(self.id());
        let found = call.attribute(InstanceAttributeName::InstanceInitiatedShutdownBehavior).send().await;
        let found = found.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let word = found.instance_initiated_shutdown_behavior.and_then(|value| value.value);
        Ok(word.as_deref().map_or(ShutdownBehavior::Stop, ShutdownBehavior::from))
    }

    async fn may_terminate(&self) -> Fact<bool> {
        const ACTION: &str = "ec2:TerminateInstances";
        let tried = self.ec2().await.terminate_instances().instance_ids(self.id()).dry_run(true).send().await;
        tried_dry(tried.map(|_| ()).map_err(|error| AwsError::from_sdk(ACTION, &error)))
    }

    async fn may_tag(&self) -> Fact<bool> {
        const ACTION: &str = "ec2:CreateTags";
        let tag = ec2::Tag::builder().key(REASON_TAG).value("doctor").build();
        let tried = self.ec2().await.create_tags().resources(self.id()).tags(tag).dry_run(true).send().await;
        tried_dry(tried.map(|_| ()).map_err(|error| AwsError::from_sdk(ACTION, &error)))
    }
}

/// A dry run that would have succeeded is an error with this code (EC2 API reference, `DryRun`).
fn tried_dry(result: Result<(), AwsError>) -> Fact<bool> {
    match result {
        Err(error) if error.code.as_deref() == Some("DryRunOperation") => Ok(true),
        result => allowed(result),
    }
}

#[cfg(test)]
mod tests;
