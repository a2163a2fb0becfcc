//! Auto Scaling groups.

mod history;
mod launches;
mod listing;
mod members;
pub(crate) mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::Duration,
};

use aws_sdk_autoscaling::{Client, config, types};
use lightsout_core::cloud::{Capabilities, Floor, Listed, Member, Membership};
use tokio::time::timeout;

#[cfg(feature = "host")]
pub(super) use history::last_launch_failure;

use super::{Aws, AwsError, AwsErrorKind, CAPABILITIES, FLOOR_TAG, count, once};
use crate::{CloudFuture, Doubt, DoubtKind, GroupDescription, GroupView, Groups, History, Listing};

/// How many groups one describe may name (EC2 Auto Scaling API reference, `MaxRecords`).
const GROUPS_PER_CALL: usize = 100;

/// How many activities one answer holds at most (EC2 Auto Scaling API reference, `MaxRecords`).
const ACTIVITIES_PER_CALL: i32 = 100;

/// How long whoever looks at instances waits for what stands on those that leave.
const SIGNS: Duration = Duration::from_secs(3);

/// The groups of one region.
#[derive(Debug, Default)]
pub(super) struct AwsGroups {
    aws: Aws,
}

impl AwsGroups {
    /// The groups of this region; `None` leaves the choice to the environment.
    pub(super) fn new(region: Option<String>) -> Self {
        Self { aws: Aws::new(region) }
    }

    #[cfg(test)]
    pub(super) fn with(aws: Aws) -> Self {
        Self { aws }
    }

    async fn client(&self) -> Client {
        Client::new(&self.aws.config().await)
    }
}

impl Groups for AwsGroups {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn location(&self) -> String {
        let of_environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| env::var(name).ok());
        self.aws.region.clone().or_else(of_environment).unwrap_or_else(|| "the environment's region".into())
    }

    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, GroupDescription>> {
        self.aws.call(async { Ok(self.read(names).await?.into_iter().map(|(name, view)| (name, Ok(view))).collect()) })
    }

    fn history<'a>(&'a self, name: &'a str) -> CloudFuture<'a, History> {
        self.aws.call(self.read_history(name))
    }

    fn members<'a>(&'a self, name: &'a str) -> CloudFuture<'a, Option<Vec<Member>>> {
        self.aws.call(async move { members::read(&self.aws, name).await.map(Some) })
    }

    fn listing<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, Listing> {
        self.aws.call(async {
            let mut listed = listing::read(&self.client().await, names).await?;
            let leaves = |it: &&mut Listed| matches!(it.membership, Membership::Terminating { .. });
            let leaving: Vec<_> = listed.values_mut().flatten().filter(leaves).collect();
            // Whoever may not ask, or has no answer in time, is told of the rest all the same.
            let _ = timeout(SIGNS, members::add_signs(&self.aws, leaving)).await;
            Ok(listed.into_iter().map(|(name, listed)| (name, Ok(listed))).collect())
        })
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        self.aws.call(self.write_capacity(&seen.name, to))
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        self.aws.call(async move { self.write_tag(name, FLOOR_TAG, &floor.to_string()).await })
    }
}

impl AwsGroups {
    pub(super) async fn read(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, GroupView>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
        let client = self.client().await;
        let names: Vec<String> = names.iter().cloned().collect();
        let mut groups = BTreeMap::new();
        for names in names.chunks(GROUPS_PER_CALL) {
            let mut pages = client
                .describe_auto_scaling_groups()
                .set_auto_scaling_group_names(Some(names.to_vec()))
                .max_records(100)
                .include_instances(false)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
                for group in page.auto_scaling_groups.unwrap_or_default() {
                    let view = view(group);
                    groups.insert(view.name.clone(), view);
                }
            }
        }
        Ok(groups)
    }

    /// The newest page is enough: what counts is half a minute old at most.
    async fn read_history(&self, name: &str) -> Result<History, AwsError> {
        const ACTION: &str = "autoscaling:DescribeScalingActivities";
        let sent = history::Sent::default();
        let answer = self
            .client()
            .await
            .describe_scaling_activities()
            .auto_scaling_group_name(name)
            .max_records(ACTIVITIES_PER_CALL)
            .customize()
            .interceptor(sent.clone())
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(history::told(answer.activities(), &sent))
    }

    async fn write_capacity(&self, name: &str, to: u32) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:SetDesiredCapacity";
        let to = i32::try_from(to)
            .map_err(|_| AwsError::without_code(AwsErrorKind::Other, ACTION, format!("{to} instances are too many")))?;
        self.client()
            .await
            .set_desired_capacity()
            .auto_scaling_group_name(name)
            .desired_capacity(to)
            .honor_cooldown(false)
            .customize()
            .config_override(config::Builder::new().retry_config(once()))
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }

    async fn write_tag(&self, group: &str, key: &str, value: &str) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:CreateOrUpdateTags";
        let tag = types::Tag::builder()
            .resource_type("auto-scaling-group")
            .resource_id(group)
            .key(key)
            .value(value)
            .propagate_at_launch(false)
            .build();
        self.client()
            .await
            .create_or_update_tags()
            .tags(tag)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        Ok(())
    }
}

/// One group of a describe, without its instances.
pub(super) fn view(group: types::AutoScalingGroup) -> GroupView {
    let doubts = doubts(&group);
    let unscalable = unscalable(&group);
    let tags = group.tags.unwrap_or_default();
    let floor = tags.into_iter().find(|tag| tag.key.as_deref() == Some(FLOOR_TAG)).and_then(|tag| tag.value);
    GroupView {
        name: group.auto_scaling_group_name.unwrap_or_default(),
        min: count(group.min_size),
        max: count(group.max_size),
        desired: count(group.desired_capacity),
        floor: floor.and_then(|floor| floor.parse().ok()).unwrap_or_default(),
        version: None,
        unscalable,
        doubts,
    }
}

/// Why the desired capacity is not a number of instances (EC2 Auto Scaling API reference, `DesiredCapacityType`, and
/// `LaunchTemplateOverrides`: `WeightedCapacity`).
fn unscalable(group: &types::AutoScalingGroup) -> Option<String> {
    let remedy = "give lightsout a group that counts instances, with its own jobs to an instance as `slots`";
    if let Some(unit) = group.desired_capacity_type.as_deref().filter(|unit| *unit != "units") {
        return Some(format!("its desired capacity counts {unit} (DesiredCapacityType), not instances; {remedy}"));
    }
    let template = group.mixed_instances_policy.as_ref()?.launch_template.as_ref()?;
    let weight = |of: &types::LaunchTemplateOverrides| of.weighted_capacity.clone().filter(|weight| weight != "1");
    let (kind, weight) = template.overrides().iter().find_map(|of| Some((of.instance_type(), weight(of)?)))?;
    let kind = kind.unwrap_or("an instance type");
    Some(format!(
        "{kind} has the weight {weight} (WeightedCapacity), so that its desired capacity counts units, not instances; {remedy}"
    ))
}

fn doubts(group: &types::AutoScalingGroup) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if !group.new_instances_protected_from_scale_in.unwrap_or(false) {
        let text = "new instances are not protected from scale-in: whoever lowers the desired capacity may end an instance while a job \
                    runs on it; set NewInstancesProtectedFromScaleIn on the group";
        doubts.push(Doubt { kind: DoubtKind::Unprotected, text: text.into() });
    }
    if group.suspended_processes().iter().any(|process| process.process_name() == Some("Launch")) {
        let text = "the group's process Launch is suspended: a raise starts nothing; resume it";
        doubts.push(Doubt { kind: DoubtKind::LaunchesSuspended, text: text.into() });
    }
    doubts
}

#[cfg(test)]
mod tests;
