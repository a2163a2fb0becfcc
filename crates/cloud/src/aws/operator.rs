//! An operator's calls: EC2 Auto Scaling and EC2 to look, Systems Manager's Run Command to reach an agent, and a tag where that is not to be had.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling as autoscaling;
use aws_sdk_ec2 as ec2;
use aws_sdk_ssm as ssm;
use jiff::Timestamp;
use lightsout_core::cloud::StandingOrder;
use serde_json::json;

use super::{Aws, AwsError, AwsErrorKind, ORDER_TAG, archive::query, count};
use crate::{
    CloudFuture, Operator, REASON_TAG,
    operator::{Logged, Member, Members, Run},
};

/// The tag that an Auto Scaling group puts on its instances.
const GROUP_TAG: &str = "aws:autoscaling:groupName";
/// The document that runs a script in a shell, as root (Systems Manager User Guide, "Using `AWS-RunShellScript`").
const DOCUMENT: &str = "AWS-RunShellScript";
/// How long a command may wait for its instance, in seconds: the least that there is (Systems Manager API reference, `SendCommand`).
const DELIVERY_S: i32 = 30;
/// How long what a command runs may take, in seconds.
const EXECUTION_S: &str = "60";
/// How many instances one describe, or one change of tags, names here.
const INSTANCES_PER_CALL: usize = 200;
/// How many instances one filter may name (Systems Manager API reference, `InstanceInformationStringFilter`).
const FILTERED_PER_CALL: usize = 50;

/// The instances of one region.
#[derive(Debug)]
pub(super) struct AwsOperator {
    aws: Aws,
}

impl AwsOperator {
    /// Those of this region; `None` leaves the choice to the environment.
    pub(super) fn new(region: Option<String>) -> Self {
        Self::with(Aws::new(region))
    }

    pub(super) fn with(aws: Aws) -> Self {
        Self { aws }
    }
}

impl Operator for AwsOperator {
    fn group<'a>(&'a self, name: &'a str) -> CloudFuture<'a, Members> {
        self.aws.call(self.read_group(name))
    }

    fn instances<'a>(&'a self, ids: &'a [String]) -> CloudFuture<'a, Vec<Member>> {
        self.aws.call(self.read_instances(ids))
    }

    fn reachable<'a>(&'a self, ids: &'a [String]) -> CloudFuture<'a, BTreeSet<String>> {
        self.aws.call(self.read_reachable(ids))
    }

    fn run<'a>(&'a self, ids: &'a [String], script: &'a str) -> CloudFuture<'a, String> {
        self.aws.call(self.send(ids, script))
    }

    fn ran<'a>(&'a self, command: &'a str, id: &'a str) -> CloudFuture<'a, Run> {
        self.aws.call(self.invocation(command, id))
    }

    fn order<'a>(&'a self, ids: &'a [String], order: Option<StandingOrder>) -> CloudFuture<'a, ()> {
        self.aws.call(self.tag(ids, order))
    }

    fn logged<'a>(&'a self, group: &'a str, id: &'a str, span_ms: (i64, i64)) -> CloudFuture<'a, Vec<Logged>> {
        self.aws.call(async move {
            let events = query::events(&self.aws, group, &json!({ "logStreamNames": [id] }), span_ms).await?;
            let logged = |event: serde_json::Value| {
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                Logged {
                    id: text("eventId"),
                    at_ms: event["timestamp"].as_i64().unwrap_or_default(),
                    text: text("message"),
                }
            };
            Ok(events.into_iter().map(logged).collect())
        })
    }
}

impl AwsOperator {
    async fn ssm(&self) -> ssm::Client {
        ssm::Client::new(&self.aws.config().await)
    }

    async fn ec2(&self) -> ec2::Client {
        ec2::Client::new(&self.aws.config().await)
    }

    async fn read_group(&self, name: &str) -> Result<Members, AwsError> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
        let client = autoscaling::Client::new(&self.aws.config().await);
        let answer = client
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(name)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let group = answer.auto_scaling_groups.unwrap_or_default().into_iter().next().ok_or_else(|| {
            let text = format!("no Auto Scaling group has the name {name} in this region");
            AwsError::without_code(AwsErrorKind::NotFound, ACTION, text)
        })?;
        let places: BTreeMap<String, &autoscaling::types::Instance> =
            group.instances().iter().filter_map(|place| Some((place.instance_id.clone()?, place))).collect();
        let ids: Vec<String> = places.keys().cloned().collect();
        // One that has gone a moment ago is still named by its group, and not described any more.
        let mut members =
            self.describe(ec2::types::Filter::builder().name("instance-id").set_values(Some(ids))).await?;
        for member in &mut members {
            if let Some(place) = places.get(&member.id) {
                let state = place.lifecycle_state.as_ref().map(autoscaling::types::LifecycleState::as_str);
                state.unwrap_or_default().clone_into(&mut member.state);
                member.protected = place.protected_from_scale_in;
            }
        }
        members.sort_by(|one, other| (one.launched, &one.id).cmp(&(other.launched, &other.id)));
        Ok(Members {
            name: name.to_owned(),
            min: count(group.min_size),
            max: count(group.max_size),
            desired: count(group.desired_capacity),
            members,
        })
    }

    async fn read_instances(&self, ids: &[String]) -> Result<Vec<Member>, AwsError> {
        let members =
            self.describe(ec2::types::Filter::builder().name("instance-id").set_values(Some(ids.to_vec()))).await?;
        match ids.iter().find(|id| !members.iter().any(|member| member.id == **id)) {
            None => Ok(members),
            Some(id) => {
                let text = format!("no instance has the id {id} in this region, or it ended more than an hour ago");
                Err(AwsError::without_code(AwsErrorKind::NotFound, "ec2:DescribeInstances", text))
            }
        }
    }

    /// By a filter, which makes no error of one that is not there.
    async fn describe(&self, filter: ec2::types::builders::FilterBuilder) -> Result<Vec<Member>, AwsError> {
        const ACTION: &str = "ec2:DescribeInstances";
        let filter = filter.build();
        let client = self.ec2().await;
        let mut members = Vec::new();
        for ids in filter.values().chunks(INSTANCES_PER_CALL) {
            let filter = ec2::types::Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
            let mut pages = client.describe_instances().filters(filter).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
                let reservations = page.reservations.unwrap_or_default();
                members.extend(reservations.iter().flat_map(ec2::types::Reservation::instances).map(member));
            }
        }
        Ok(members)
    }

    async fn read_reachable(&self, ids: &[String]) -> Result<BTreeSet<String>, AwsError> {
        const ACTION: &str = "ssm:DescribeInstanceInformation";
        let client = self.ssm().await;
        let mut reachable = BTreeSet::new();
        for ids in ids.chunks(FILTERED_PER_CALL) {
            let filter = ssm::types::InstanceInformationStringFilter::builder()
                .key("InstanceIds")
                .set_values(Some(ids.to_vec()))
                .build()
                .map_err(|error| AwsError::without_code(AwsErrorKind::Other, ACTION, error.to_string()))?;
            let mut pages = client.describe_instance_information().filters(filter).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
                for known in page.instance_information_list.unwrap_or_default() {
                    if known.ping_status == Some(ssm::types::PingStatus::Online) {
                        reachable.extend(known.instance_id);
                    }
                }
            }
        }
        Ok(reachable)
    }

    async fn send(&self, ids: &[String], script: &str) -> Result<String, AwsError> {
        const ACTION: &str = "ssm:SendCommand";
        let answer = self
            .ssm()
            .await
            .send_command()
            .document_name(DOCUMENT)
            .set_instance_ids(Some(ids.to_vec()))
            .parameters("commands", vec![script.to_owned()])
            .parameters("executionTimeout", vec![EXECUTION_S.to_owned()])
            .timeout_seconds(DELIVERY_S)
            .comment("lightsout")
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let id = answer.command.and_then(|command| command.command_id);
        id.ok_or_else(|| AwsError::without_code(AwsErrorKind::Timeout, ACTION, "the answer names no command".into()))
    }

    async fn invocation(&self, command: &str, id: &str) -> Result<Run, AwsError> {
        use ssm::types::CommandInvocationStatus as Status;
        const ACTION: &str = "ssm:GetCommandInvocation";
        let asked = self.ssm().await.get_command_invocation().command_id(command).instance_id(id).send().await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => {
                let error = AwsError::from_sdk(ACTION, &error);
                // It is known there a moment after it was sent.
                let early = error.code.as_deref() == Some("InvocationDoesNotExist");
                return if early { Ok(Run::Pending) } else { Err(error) };
            }
        };
        Ok(match answer.status {
            Some(Status::Success | Status::Failed) if answer.response_code >= 0 => Run::Ended {
                code: answer.response_code,
                out: answer.standard_output_content.unwrap_or_default(),
                err: answer.standard_error_content.unwrap_or_default(),
            },
            Some(status @ (Status::Failed | Status::Cancelled | Status::TimedOut)) => {
                let details = answer.status_details.unwrap_or_else(|| status.as_str().to_owned());
                let why = answer.standard_error_content.unwrap_or_default();
                Run::Undelivered(format!("Run Command says {details} {}", why.trim()).trim_end().to_owned())
            }
            // Pending, under way, delayed, and words that are newer than this program.
            _ => Run::Pending,
        })
    }

    async fn tag(&self, ids: &[String], order: Option<StandingOrder>) -> Result<(), AwsError> {
        let client = self.ec2().await;
        let tag = ec2::types::Tag::builder().key(ORDER_TAG);
        let Some(order) = order else {
            for ids in ids.chunks(INSTANCES_PER_CALL) {
                let ids = Some(ids.to_vec());
                let done = client.delete_tags().set_resources(ids).tags(tag.clone().build()).send().await;
                done.map(drop).map_err(|error| AwsError::from_sdk("ec2:DeleteTags", &error))?;
            }
            return Ok(());
        };
        // Each names its instance: one that has no agent yet follows it, and a successor that inherited it does not.
        for id in ids {
            let tag = tag.clone().value(order.for_instance(id)).build();
            let done = client.create_tags().resources(id).tags(tag).send().await;
            done.map(drop).map_err(|error| AwsError::from_sdk("ec2:CreateTags", &error))?;
        }
        Ok(())
    }
}

fn member(instance: &ec2::types::Instance) -> Member {
    let tag = |key: &str| instance.tags().iter().find(|tag| tag.key() == Some(key))?.value().map(str::to_owned);
    let state = instance.state().and_then(ec2::types::InstanceState::name);
    let metadata = instance.metadata_options();
    let seen = metadata.and_then(|options| options.instance_metadata_tags.as_ref());
    Member {
        id: instance.instance_id().unwrap_or_default().to_owned(),
        group: tag(GROUP_TAG),
        state: state.map_or("", ec2::types::InstanceStateName::as_str).to_owned(),
        ended: matches!(state, Some(ec2::types::InstanceStateName::Terminated)),
        protected: None,
        launched: instance.launch_time().and_then(|at| Timestamp::from_second(at.secs()).ok()),
        kind: instance.instance_type().map_or("", ec2::types::InstanceType::as_str).to_owned(),
        spot: instance.instance_lifecycle() == Some(&ec2::types::InstanceLifecycleType::Spot),
        why: tag(REASON_TAG),
        order: tag(ORDER_TAG),
        sees_orders: seen == Some(&ec2::types::InstanceMetadataTagsState::Enabled),
    }
}
