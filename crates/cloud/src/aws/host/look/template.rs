//! What new instances of the group start from.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, Filter, ImageState, LaunchTemplateBlockDeviceMapping, LaunchTemplateHttpTokensState,
    LaunchTemplateInstanceMarketOptions, LaunchTemplateInstanceMetadataOptions,
    LaunchTemplateInstanceMetadataTagsState, LaunchTemplateVersion, LocationType, MarketType,
    ResponseLaunchTemplateData, ShutdownBehavior,
};
use jiff::Timestamp;
use lightsout_core::doctor::facts::{CloudFacts, NextImage, NotOffered, TemplateFacts, secrets_in};

use super::{super::Calls, key, quota::Markets, said};
use crate::aws::{AwsError, AwsErrorKind, survey};

/// The service-linked role with which EC2 starts Spot instances (EC2 User Guide, "Service-linked role for Spot Instance requests").
const SPOT_ROLE: &str = "AWSServiceRoleForEC2Spot";

/// What new instances start from: a launch template or a launch configuration.
pub(super) struct Start {
    pub(super) facts: TemplateFacts,
    pub(super) image: Option<String>,
    /// The type of instances.
    pub(super) kind: Option<String>,
    pub(super) spot: bool,
    pub(super) devices: Vec<LaunchTemplateBlockDeviceMapping>,
}

impl Calls {
    /// What each of them says, their images, and the types that a zone does not have.
    pub(super) async fn look_at_templates(&self, group: &scaling::AutoScalingGroup, facts: &mut CloudFacts) {
        let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
        let own = mixed.and_then(|of| of.launch_template_specification()).or(group.launch_template());
        let overrides = mixed.map_or(&[][..], scaling::LaunchTemplate::overrides);
        let mut starts = Vec::new();
        for (named, gives_type) in sources(own, overrides) {
            starts.push((self.template(named).await, gives_type));
        }
        if let Some(name) = group.launch_configuration_name() {
            facts.starts_otherwise = Some(format!("the launch configuration {name}"));
            // An instance is told no more of it than that: its role has no right to look.
            if self.is_nobody() {
                starts.push((self.configuration(name).await, true));
            }
        }
        let mut types: BTreeSet<String> = overrides.iter().filter_map(|it| it.instance_type.clone()).collect();
        let mut spot = false;
        let mut devices: BTreeMap<String, Vec<BlockDeviceMapping>> = BTreeMap::new();
        let mut volumes = Vec::new();
        for (start, gives_type) in starts {
            let start = match said(start) {
                Ok(found) => found,
                // Once is enough, though nothing else of it can be told either.
                Err(why) => {
                    facts.next_images.push(Err(why));
                    continue;
                }
            };
            spot |= start.spot;
            if gives_type {
                types.extend(start.kind);
            }
            let name = start.facts.name.clone();
            if facts.templates.iter().any(|template| template.name == name) {
                continue;
            }
            // What is no id is an alias of a parameter that is looked up at each launch.
            let image = start.image.filter(|id| id.starts_with("ami-")).unwrap_or_default();
            if !image.is_empty() && !devices.contains_key(&image) {
                let (seen, of_image) =
                    self.image(&image).await.map_or_else(|error| (Err(error), Vec::new()), |(seen, of)| (Ok(seen), of));
                facts.next_images.push(said(seen));
                devices.insert(image.clone(), of_image);
            }
            let of_image = devices.get(&image).map_or(&[][..], Vec::as_slice);
            for volume in key::volumes(of_image, &start.devices) {
                volumes.push((name.clone(), image.clone(), volume));
            }
            facts.templates.push(start.facts);
        }
        let types: BTreeSet<&str> = types.iter().map(String::as_str).collect();
        let zones: BTreeSet<&str> = group.availability_zones().iter().map(String::as_str).collect();
        facts.not_offered = match (types.is_empty(), zones.is_empty()) {
            (false, false) => Some(said(self.not_offered(&types, &zones).await)),
            // Chosen by their properties at each launch.
            (true, _) | (_, true) => None,
        };
        // An instance has its address and its volumes, and runs.
        if self.is_nobody() {
            let markets = Markets::of(group, spot);
            if markets.has_spot() {
                facts.spot_role = Some(said(survey::has_role(self.aws(), SPOT_ROLE).await));
            }
            if !types.is_empty() {
                facts.quotas = Some(said(self.quotas(&types, markets).await));
            }
            let role = group.service_linked_role_arn().unwrap_or_default();
            facts.keys = key::told(self.keys(&volumes, role).await);
        }
    }

    /// What this version of it says.
    async fn template(&self, named: &scaling::LaunchTemplateSpecification) -> Result<Start, AwsError> {
        const ACTION: &str = "ec2:DescribeLaunchTemplateVersions";
        let call = self.ec2().await.describe_launch_template_versions();
        let call = match named.launch_template_id() {
            Some(id) => call.launch_template_id(id),
            None => call.set_launch_template_name(named.launch_template_name.clone()),
        };
        let found = call.versions(named.version().unwrap_or("$Default")).send().await;
        let found = found.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let version = found.launch_template_versions.unwrap_or_default().into_iter().next();
        let named = |version: &LaunchTemplateVersion| {
            let number = version.version_number().unwrap_or_default();
            format!("{}, version {number}", version.launch_template_name().unwrap_or_default())
        };
        version.and_then(|version| Some(read(named(&version), version.launch_template_data?))).ok_or_else(|| {
            AwsError::without_code(
                AwsErrorKind::NotFound,
                ACTION,
                "the group's launch template has no such version".into(),
            )
        })
    }

    /// It and its volumes. One that is gone or that is somebody else's is told alike (EC2 API reference, "Error codes").
    async fn image(&self, id: &str) -> Result<(NextImage, Vec<BlockDeviceMapping>), AwsError> {
        const ACTION: &str = "ec2:DescribeImages";
        let now = Timestamp::now();
        let found = self.ec2().await.describe_images().image_ids(id).include_deprecated(true).send().await;
        let image = match found.map_err(|error| AwsError::from_sdk(ACTION, &error)) {
            Ok(found) => found.images.unwrap_or_default().into_iter().next(),
            Err(error) if error.code.as_deref().is_some_and(|code| code.starts_with("InvalidAMIID")) => None,
            Err(error) => return Err(error),
        };
        let usable =
            image.as_ref().and_then(|image| image.state()).is_some_and(|state| *state == ImageState::Available);
        let time = |text: Option<&str>| text.and_then(|at| at.parse().ok());
        let created = time(image.as_ref().and_then(|image| image.creation_date()));
        let deprecated = time(image.as_ref().and_then(|image| image.deprecation_time()));
        let volumes = image.and_then(|image| image.block_device_mappings).unwrap_or_default();
        Ok((NextImage { id: id.to_owned(), usable, created, deprecated, passed_over: Vec::new(), now }, volumes))
    }

    async fn not_offered(&self, types: &BTreeSet<&str>, zones: &BTreeSet<&str>) -> Result<NotOffered, AwsError> {
        const ACTION: &str = "ec2:DescribeInstanceTypeOfferings";
        let filter = |name: &str, values: &BTreeSet<&str>| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            Filter::builder().name(name).set_values(Some(values)).build()
        };
        let call = self.ec2().await.describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
        let call = call.filters(filter("instance-type", types)).filters(filter("location", zones));
        let mut pages = call.into_paginator().send();
        let mut offered = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
            for offering in page.instance_type_offerings.unwrap_or_default() {
                let kind = offering.instance_type.map(|kind| kind.as_str().to_owned());
                offered.extend(kind.zip(offering.location));
            }
        }
        let pairs = types.iter().flat_map(|kind| zones.iter().map(move |zone| (*kind, *zone)));
        let missing = pairs.filter(|(kind, zone)| !offered.contains(&((*kind).to_owned(), (*zone).to_owned())));
        let missing: Vec<String> = missing.map(|(kind, zone)| format!("{kind} in {zone}")).collect();
        Ok(NotOffered { all: missing.len() == types.len() * zones.len(), missing })
    }
}

/// Each launch template that an instance of the group may start from, the group's own first, and whether one takes its type from there: an override's
/// own template stands in the place of the group's (EC2 Auto Scaling API reference, `LaunchTemplateOverrides`).
fn sources<'a>(
    own: Option<&'a scaling::LaunchTemplateSpecification>,
    overrides: &'a [scaling::LaunchTemplateOverrides],
) -> Vec<(&'a scaling::LaunchTemplateSpecification, bool)> {
    let mut found: Vec<_> = own.map(|own| (own, overrides.is_empty())).into_iter().collect();
    for it in overrides {
        let Some(named) = it.launch_template_specification().or(own) else { continue };
        let gives_type = it.instance_type.is_none() && it.instance_requirements.is_none();
        match found.iter_mut().find(|(known, _)| *known == named) {
            Some((_, gives)) => *gives |= gives_type,
            None => found.push((named, gives_type)),
        }
    }
    found
}

/// What is not said is EC2's default: `stop`, and what image or account say of metadata (EC2 API reference, `RequestLaunchTemplateData`).
fn read(name: String, data: ResponseLaunchTemplateData) -> Start {
    let metadata = data.metadata_options();
    let market = data.instance_market_options().and_then(LaunchTemplateInstanceMarketOptions::market_type);
    let role = data.iam_instance_profile().and_then(|profile| profile.name().or_else(|| profile.arn()));
    let facts = TemplateFacts {
        name,
        power_off_ends: Some(data.instance_initiated_shutdown_behavior() == Some(&ShutdownBehavior::Terminate)),
        tokens_required: metadata.and_then(|it| it.http_tokens()) == Some(&LaunchTemplateHttpTokensState::Required),
        hop_limit: metadata
            .and_then(LaunchTemplateInstanceMetadataOptions::http_put_response_hop_limit)
            .and_then(|limit| u32::try_from(limit).ok()),
        tags_told: Some(
            metadata.and_then(|it| it.instance_metadata_tags())
                == Some(&LaunchTemplateInstanceMetadataTagsState::Enabled),
        ),
        secrets: Some(secrets(data.user_data())),
        profile: role.map(profile),
    };
    Start {
        facts,
        spot: market == Some(&MarketType::Spot),
        kind: data.instance_type().map(|kind| kind.as_str().to_owned()),
        image: data.image_id,
        devices: data.block_device_mappings.unwrap_or_default(),
    }
}

/// The name of an instance profile that is named by it or by its ARN.
pub(super) fn profile(named: &str) -> String {
    named.rsplit('/').next().unwrap_or_default().to_owned()
}

/// What in user data looks like a secret.
pub(super) fn secrets(user_data: Option<&str>) -> Result<Vec<String>, String> {
    let Some(text) = user_data else { return Ok(Vec::new()) };
    let bytes = aws_smithy_types::base64::decode(text.trim()).map_err(|error| format!("the user data: {error}"))?;
    secrets_in(&bytes)
}
