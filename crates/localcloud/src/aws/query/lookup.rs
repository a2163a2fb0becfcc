//! The group or the instance that a call of Auto Scaling means, and how long a page is.

use super::{error::AwsError, form::Form};
use crate::aws::model::{Cloud, Group, Instance};

/// The default and the largest `MaxRecords` of most describes (EC2 Auto Scaling API reference).
pub(crate) const PAGE: u32 = 50;
pub(crate) const LARGEST_PAGE: u32 = 100;

/// The group that a call names. A group that is being deleted takes no more calls.
pub(crate) fn group<'c>(cloud: &'c Cloud, form: &Form<'_>) -> Result<&'c Group, AwsError> {
    let name = form.need("AutoScalingGroupName")?;
    let group = cloud.inventory.groups.get(name).ok_or_else(|| AwsError::no_group(name))?;
    if group.deleting {
        return Err(AwsError::validation(format!("AutoScalingGroup {name} is pending delete")));
    }
    Ok(group)
}

/// The member that an id means, in any group.
pub(crate) fn member<'c>(cloud: &'c Cloud, id: &str) -> Result<&'c Instance, AwsError> {
    let listed = |instance: &&Instance| instance.state.is_member() && instance.group.is_some();
    cloud.inventory.instances.get(id).filter(listed).ok_or_else(|| {
        AwsError::validation(format!("Instance Id not found - No managed instance found for instance ID {id}"))
    })
}
