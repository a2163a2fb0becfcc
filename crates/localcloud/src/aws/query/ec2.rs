//! The part of EC2 that lives around an Auto Scaling group.

mod attributes;
mod encryption;
mod filter;
mod images;
mod instances;
mod offerings;
mod status;
mod surroundings;
mod tags;
mod templates;

use super::{
    error::{AwsError, CallResult},
    form::{Form, Service},
};
use crate::aws::model::Cloud;
use crate::time::Timestamp;

pub(crate) fn call(cloud: &mut Cloud, action: &str, form: &Form<'_>, now: Timestamp) -> CallResult {
    // A dry run asks only whether the call would be allowed, and here everything is.
    if form.flag("DryRun")?.unwrap_or(false) {
        return Err(AwsError {
            status: 412,
            code: "DryRunOperation",
            message: "Request would have succeeded, but DryRun flag is set.".to_owned(),
        });
    }
    match action {
        "CreateLaunchTemplate" => templates::create(cloud, form, now),
        "CreateLaunchTemplateVersion" => templates::create_version(cloud, form, now),
        "ModifyLaunchTemplate" => templates::modify(cloud, form),
        "DeleteLaunchTemplate" => templates::delete(cloud, form),
        "DescribeLaunchTemplates" => templates::describe(cloud, form),
        "DescribeLaunchTemplateVersions" => templates::describe_versions(cloud, form),
        "DescribeInstances" => instances::describe(cloud, form, now),
        "DescribeInstanceStatus" => status::describe(cloud, form, now),
        "DescribeInstanceAttribute" => attributes::describe(cloud, form),
        "ModifyInstanceAttribute" => attributes::modify(cloud, form),
        "ModifyInstanceMetadataOptions" => attributes::modify_metadata(cloud, form),
        "GetConsoleOutput" => attributes::console(cloud, form, now),
        "DescribeAvailabilityZones" => surroundings::zones(cloud, form),
        "DescribeSubnets" => surroundings::subnets(cloud, form),
        "DescribeImages" => images::describe(cloud, form),
        "DeregisterImage" => images::deregister(cloud, form),
        "EnableImageDeprecation" => images::deprecate(cloud, form),
        "DisableImageDeprecation" => images::undeprecate(cloud, form),
        "DescribeInstanceTypes" => offerings::types(form),
        "DescribeInstanceTypeOfferings" => offerings::describe(cloud, form),
        "DescribeSecurityGroups" => surroundings::none("securityGroupInfo", form, "GroupId", "InvalidGroup.NotFound"),
        "DescribeSnapshots" => surroundings::none("snapshotSet", form, "SnapshotId", "InvalidSnapshot.NotFound"),
        "EnableEbsEncryptionByDefault" => Ok(Some(encryption::switch(cloud, true))),
        "DisableEbsEncryptionByDefault" => Ok(Some(encryption::switch(cloud, false))),
        "GetEbsEncryptionByDefault" => Ok(Some(encryption::by_default(cloud))),
        "ModifyEbsDefaultKmsKeyId" => encryption::set_key(cloud, form),
        "ResetEbsDefaultKmsKeyId" => Ok(Some(encryption::reset_key(cloud))),
        "GetEbsDefaultKmsKeyId" => Ok(Some(encryption::key(cloud))),
        "DescribeVolumes" => surroundings::none("volumeSet", form, "VolumeId", "InvalidVolume.NotFound"),
        "DescribeSpotPriceHistory" => surroundings::none("spotPriceHistorySet", form, "-", "InvalidParameterValue"),
        "TerminateInstances" => instances::terminate(cloud, form, now),
        "StopInstances" => instances::stop(cloud, form, now),
        "RebootInstances" => instances::reboot(cloud, form, now),
        "CreateTags" => tags::create(cloud, form),
        "DeleteTags" => tags::delete(cloud, form),
        "DescribeTags" => tags::describe(cloud, form),
        _ => Err(AwsError::unknown_action(action, Service::Ec2.version())),
    }
}
