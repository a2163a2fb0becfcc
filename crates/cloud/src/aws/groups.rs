//! What the scaler may do: read groups, and raise them. Nothing here can lower a capacity or end an instance.

use std::{collections::BTreeMap, future::Future};

use aws_sdk_autoscaling::{Client, config, types};

use crate::aws::{self, Aws, AwsError};

/// How many groups one describe may name (EC2 Auto Scaling API reference, `MaxRecords`).
const GROUPS_PER_CALL: usize = 100;

/// One Auto Scaling group as the scaler sees it, without its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// The group's name.
    pub name: String,
    /// The fewest instances that it keeps.
    pub min: u32,
    /// The most instances that it may have.
    pub max: u32,
    /// How many instances it should have now; instances that still boot count.
    pub desired: u32,
    /// Whether instances are born protected from scale-in.
    pub new_instances_protected: bool,
    /// Processes that an operator suspended, such as `Launch`.
    pub suspended: Vec<String>,
    /// The group's tags.
    pub tags: BTreeMap<String, String>,
}

impl GroupView {
    /// The floor that the scaler left for idle agents; 0 when there is none or it cannot be read.
    pub fn floor(&self) -> u32 {
        self.tags.get(aws::FLOOR_TAG).and_then(|floor| floor.trim().parse().ok()).unwrap_or(0)
    }
}

/// The scaler's rights over the groups of one region.
pub trait Group: Send + Sync {
    /// Reads these groups in as few calls as possible. A group that does not exist is missing from the map.
    fn describe(&self, names: &[String]) -> impl Future<Output = Result<BTreeMap<String, GroupView>, AwsError>> + Send;

    /// Sets the desired capacity, an absolute number. Sent once: after [`aws::AwsErrorKind::Timeout`] the next describe
    /// tells whether it was applied. The caller checks that `to` is above what was last read.
    fn raise(&self, name: &str, to: u32) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Writes a tag on the group, not on its instances.
    fn set_tag(&self, group: &str, key: &str, value: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// [`Group`] over EC2 Auto Scaling.
#[derive(Debug, Default)]
pub struct AwsGroup {
    aws: Aws,
}

impl AwsGroup {
    /// The groups of this region; `None` leaves the choice to the environment.
    pub fn new(region: Option<String>) -> Self {
        Self { aws: Aws::new(region) }
    }

    #[cfg(test)]
    pub(crate) fn with(aws: Aws) -> Self {
        Self { aws }
    }

    async fn client(&self) -> Client {
        Client::new(&self.aws.config().await)
    }
}

impl Group for AwsGroup {
    async fn describe(&self, names: &[String]) -> Result<BTreeMap<String, GroupView>, AwsError> {
        self.aws.minding(Box::pin(self.read(names))).await
    }

    async fn raise(&self, name: &str, to: u32) -> Result<(), AwsError> {
        self.aws.minding(Box::pin(self.write_capacity(name, to))).await
    }

    async fn set_tag(&self, group: &str, key: &str, value: &str) -> Result<(), AwsError> {
        self.aws.minding(Box::pin(self.write_tag(group, key, value))).await
    }
}

impl AwsGroup {
    async fn read(&self, names: &[String]) -> Result<BTreeMap<String, GroupView>, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
        let client = self.client().await;
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

    async fn write_capacity(&self, name: &str, to: u32) -> Result<(), AwsError> {
        const ACTION: &str = "autoscaling:SetDesiredCapacity";
        let to = i32::try_from(to).map_err(|_| AwsError::invalid(ACTION, format!("{to} instances are too many")))?;
        self.client()
            .await
            .set_desired_capacity()
            .auto_scaling_group_name(name)
            .desired_capacity(to)
            .honor_cooldown(false)
            .customize()
            .config_override(config::Builder::new().retry_config(aws::once()))
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
pub(crate) fn view(group: types::AutoScalingGroup) -> GroupView {
    let tags = group.tags.unwrap_or_default();
    let suspended = group.suspended_processes.unwrap_or_default();
    GroupView {
        name: group.auto_scaling_group_name.unwrap_or_default(),
        min: aws::count(group.min_size),
        max: aws::count(group.max_size),
        desired: aws::count(group.desired_capacity),
        new_instances_protected: group.new_instances_protected_from_scale_in.unwrap_or(false),
        suspended: suspended.into_iter().filter_map(|process| process.process_name).collect(),
        tags: tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(),
    }
}

#[cfg(test)]
mod tests;
