//! The part of EC2 that lives around an Auto Scaling group.

mod filter;
mod instances;
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
        "TerminateInstances" => instances::terminate(cloud, form, now),
        "StopInstances" => instances::stop(cloud, form, now),
        "CreateTags" => tags::create(cloud, form),
        "DeleteTags" => tags::delete(cloud, form),
        "DescribeTags" => tags::describe(cloud, form),
        _ => Err(AwsError::unknown_action(action, Service::Ec2.version())),
    }
}
