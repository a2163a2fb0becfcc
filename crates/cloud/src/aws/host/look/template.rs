//! What new instances of the group start from.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types::{Filter, ImageState, InstanceType, LocationType, ResponseLaunchTemplateData};
use jiff::Timestamp;
use lightsout_core::doctor::facts::{Fact, NextImage};

use super::said;
use crate::aws::{AwsError, AwsErrorKind, host::AwsHost};

type Looked = (Option<Fact<NextImage>>, Option<Fact<Vec<String>>>);

impl AwsHost {
    /// The image, and the types that a zone does not have.
    pub(super) async fn look_at_template(&self, group: &scaling::AutoScalingGroup) -> Looked {
        let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
        let Some(template) = mixed.and_then(|of| of.launch_template_specification()).or(group.launch_template()) else {
            return (None, None);
        };
        let data = match said(self.calls.template(template).await) {
            Ok(data) => data,
            Err(why) => return (Some(Err(why.clone())), Some(Err(why))),
        };
        let image = match data.image_id() {
            // An alias of a parameter that is looked up at each launch.
            Some(id) if id.starts_with("ami-") => Some(said(self.calls.image(id).await)),
            Some(_) | None => None,
        };
        let named =
            mixed.map_or_else(Vec::new, |of| of.overrides().iter().filter_map(|of| of.instance_type()).collect());
        let types: BTreeSet<&str> = if named.is_empty() {
            data.instance_type().map(InstanceType::as_str).into_iter().collect()
        } else {
            named.into_iter().collect()
        };
        let zones: BTreeSet<&str> = group.availability_zones().iter().map(String::as_str).collect();
        let missing = match (types.is_empty(), zones.is_empty()) {
            (false, false) => Some(said(self.calls.not_offered(&types, &zones).await)),
            // Chosen by their properties at each launch.
            (true, _) | (_, true) => None,
        };
        (image, missing)
    }
}

impl super::super::Calls {
    async fn template(
        &self,
        named: &scaling::LaunchTemplateSpecification,
    ) -> Result<ResponseLaunchTemplateData, AwsError> {
        const ACTION: &str = "ec2:DescribeLaunchTemplateVersions";
        let call = self.ec2().await.describe_launch_template_versions();
        let call = match named.launch_template_id() {
            Some(id) => call.launch_template_id(id),
            None => call.set_launch_template_name(named.launch_template_name.clone()),
        };
        let found = call.versions(named.version().unwrap_or("$Default")).send().await;
        let found = found.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
        let version = found.launch_template_versions.unwrap_or_default().into_iter().next();
        version.and_then(|version| version.launch_template_data).ok_or_else(|| {
            AwsError::without_code(
                AwsErrorKind::NotFound,
                ACTION,
                "the group's launch template has no such version".into(),
            )
        })
    }

    /// One that is gone or that is somebody else's is told alike (EC2 API reference, "Error codes").
    async fn image(&self, id: &str) -> Result<NextImage, AwsError> {
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
        let deprecated = image.and_then(|image| image.deprecation_time).and_then(|at| at.parse().ok());
        Ok(NextImage { id: id.to_owned(), usable, deprecated, now })
    }

    async fn not_offered(&self, types: &BTreeSet<&str>, zones: &BTreeSet<&str>) -> Result<Vec<String>, AwsError> {
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
        Ok(missing.map(|(kind, zone)| format!("{kind} in {zone}")).collect())
    }
}
