//! Scaling policies on the wire: kept and given back, so that whoever looks for them finds them. None of them ever scales.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::group,
    xml::Xml,
};
use crate::aws::model::{Cloud, Group};

/// `PutScalingPolicy`.
pub(crate) fn put(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let policy = form.need("PolicyName")?.to_owned();
    let mut xml = Xml::default();
    xml.text("PolicyARN", arn(cloud, group(cloud, form)?, &policy));
    change(cloud, form, |group| {
        group.policies.insert(policy);
    })?;
    Ok(Some(xml))
}

/// `DeletePolicy`.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let policy = form.need("PolicyName")?;
    if !group(cloud, form)?.policies.contains(policy) {
        return Err(AwsError::validation("No scaling policy found with the given name."));
    }
    change(cloud, form, |group| {
        group.policies.remove(policy);
    })?;
    Ok(None)
}

/// `DescribePolicies`; an unknown group has none.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> Xml {
    let mut xml = Xml::default();
    let wanted = form.text("AutoScalingGroupName");
    let groups = cloud.view().groups.values().filter(|group| wanted.is_none_or(|wanted| wanted == group.name));
    let shown = groups.flat_map(|group| group.policies.iter().map(move |policy| (group, policy)));
    xml.list("ScalingPolicies", "member", shown.collect::<Vec<_>>(), |xml, (group, policy)| {
        xml.text("AutoScalingGroupName", &group.name);
        xml.text("PolicyName", policy);
        xml.text("PolicyARN", arn(cloud, group, policy));
        xml.text("PolicyType", "TargetTrackingScaling");
        xml.text("Enabled", true);
    });
    xml
}

fn change(cloud: &mut Cloud, form: &Form<'_>, change: impl FnOnce(&mut Group)) -> Result<(), AwsError> {
    let name = group(cloud, form)?.name.clone();
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        change(group);
    }
    Ok(())
}

fn arn(cloud: &Cloud, group: &Group, policy: &str) -> String {
    let options = cloud.options();
    let (region, account, uuid, name) = (&options.region, &options.account, &group.uuid, &group.name);
    format!(
        "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}:autoScalingGroupName/{name}:policyName/{policy}"
    )
}
