//! Auto Scaling groups on the wire: the calls that make, change, describe and delete them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    error::{AwsError, CallResult},
    form::Form,
    group_settings::{apply, bounds_of_new_group, changed_bounds},
    lifecycle_hooks,
    lookup::{LARGEST_PAGE, PAGE, group},
    members, metrics,
    page::page,
    tags, warm_pools,
    xml::Xml,
};
use crate::aws::model::{Bounds, Cloud, Group, MixedInstances};
use crate::time::Timestamp;

/// `CreateAutoScalingGroup`.
pub(crate) fn create(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let name = form.need("AutoScalingGroupName")?;
    if cloud.inventory.groups.contains_key(name) {
        return Err(AwsError::new(
            "AlreadyExists",
            format!("AutoScalingGroup by this name already exists - A group with the name {name} already exists"),
        ));
    }
    let bounds = bounds_of_new_group(form)?;
    let mut group = blank(name, Bounds { desired: 0, ..bounds }, now);
    apply(&mut group, cloud, form)?;
    if group.template.0.is_empty() {
        return Err(AwsError::validation(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or \
             MixedInstancesPolicy parameter.",
        ));
    }
    if group.zones.is_empty() {
        return Err(AwsError::validation("At least one Availability Zone or VPC Subnet is required."));
    }
    group.tags = tags::of_new_group(form)?;
    for hook in form.structures("LifecycleHookSpecificationList") {
        let hook = lifecycle_hooks::read(&hook, None)?;
        group.lifecycle_hooks.insert(hook.name.clone(), hook);
    }
    group.uuid = cloud.ids.uuid();
    let Bounds { min, max, desired } = bounds;
    cloud.inventory.groups.insert(name.to_owned(), group);
    cloud.group_happened(name, format!("group created: min {min}, max {max}, desired {desired}"), now);
    cloud.set_desired(name, desired, "a user request created an AutoScalingGroup", now);
    Ok(None)
}

/// `UpdateAutoScalingGroup`.
pub(crate) fn update(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let mut group = group(cloud, form)?.clone();
    let bounds = changed_bounds(group.bounds, form)?;
    apply(&mut group, cloud, form)?;
    let (name, old) = (group.name.clone(), group.bounds);
    group.bounds = Bounds { desired: old.desired, ..bounds };
    cloud.inventory.groups.insert(name.clone(), group);
    cloud.group_happened(&name, format!("group updated: min {}, max {}", bounds.min, bounds.max), now);
    let Bounds { min, max, desired } = bounds;
    let change =
        format!("a user request update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {desired}");
    cloud.set_desired(&name, desired, &change, now);
    cloud.schedule_reconcile(&name, now);
    Ok(None)
}

/// `DeleteAutoScalingGroup`: an empty group goes at once; by force, its instances go first, without their hooks.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let name = form.need("AutoScalingGroupName")?;
    let group = cloud.inventory.groups.get(name).ok_or_else(|| AwsError::no_group(name))?;
    let force = form.flag("ForceDelete")?.unwrap_or(false);
    let forbidden = match group.deletion_protection.as_deref() {
        Some("prevent-all-deletion") => true,
        Some("prevent-force-deletion") => force,
        Some(_) | None => false,
    };
    if forbidden {
        let message =
            format!("The AutoScalingGroup {name} is protected from deletion; change DeletionProtection first.");
        return Err(AwsError::validation(message));
    }
    let ids: Vec<_> = cloud.inventory.members(name).map(|member| member.id.clone()).collect();
    if !force && !ids.is_empty() {
        return Err(AwsError::new(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still \
             in the group.",
        ));
    }
    if ids.is_empty() {
        cloud.inventory.groups.remove(name);
        cloud.group_happened(name, "group deleted", now);
        return Ok(None);
    }
    if let Some(group) = cloud.inventory.groups.get_mut(name) {
        group.deleting = true;
        group.bounds = Bounds { min: 0, max: 0, desired: 0 };
    }
    cloud.group_happened(name, "group is being deleted by force", now);
    for id in ids {
        cloud.force_out(&id, now);
    }
    Ok(None)
}

/// `SetDesiredCapacity`.
pub(crate) fn set_desired_capacity(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let (name, Bounds { min, max, desired: before }) = (group.name.clone(), group.bounds);
    let desired = form.need_number("DesiredCapacity", 0..=u32::MAX)?;
    if desired > max {
        return Err(AwsError::validation(format!(
            "New SetDesiredCapacity value {desired} is above max value {max} for the AutoScalingGroup."
        )));
    }
    if desired < min {
        return Err(AwsError::validation(format!(
            "New SetDesiredCapacity value {desired} is below min value {min} for the AutoScalingGroup."
        )));
    }
    if desired == before {
        return Ok(None);
    }
    if form.flag("HonorCooldown")?.unwrap_or(false) {
        let running = cloud.activities(&name).filter(|activity| activity.end.is_none()).last();
        let cooling = group.cooling(now).then(|| cloud.activities(&name).last()).flatten();
        if let Some(activity) = running.or(cooling) {
            return Err(AwsError::new(
                "ScalingActivityInProgress",
                format!("Scaling activity {} is in progress and blocks this action", activity.id),
            ));
        }
    }
    cloud.set_desired(&name, desired, "a user request explicitly set group desired capacity", now);
    Ok(None)
}

/// `DescribeAutoScalingGroups`: unknown names are left out.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let names = form.list("AutoScalingGroupNames");
    let filters = form.structures("Filters");
    let with_instances = form.flag("IncludeInstances")?.unwrap_or(true);
    let size = form.number("MaxRecords", 1..=LARGEST_PAGE)?.unwrap_or(PAGE);
    let mut shown = Vec::new();
    for group in cloud.view().groups.values() {
        if (names.is_empty() || names.contains(&group.name.as_str())) && has_tags(group, &filters)? {
            shown.push(group);
        }
    }
    let (shown, next) = page(shown, size, form.text("NextToken"), |group| &group.name)?;
    let mut xml = Xml::default();
    xml.list("AutoScalingGroups", "member", shown, |xml, group| write(xml, cloud, group, with_instances));
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

fn has_tags(group: &Group, filters: &[Form<'_>]) -> Result<bool, AwsError> {
    for filter in filters {
        let (name, values) = (filter.need("Name")?, filter.list("Values"));
        let found = match name {
            "tag-key" => group.tags.keys().any(|key| values.contains(&key.as_str())),
            "tag-value" => group.tags.values().any(|tag| values.contains(&tag.value.as_str())),
            _ => match name.strip_prefix("tag:") {
                Some(key) => group.tags.get(key).is_some_and(|tag| values.contains(&tag.value.as_str())),
                None => return Err(AwsError::validation(format!("Invalid filter type: {name}"))),
            },
        };
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write(xml: &mut Xml, cloud: &Cloud, group: &Group, with_instances: bool) {
    let options = cloud.options();
    xml.text("AutoScalingGroupName", &group.name);
    xml.text("AutoScalingGroupARN", group.arn(&options.region, &options.account));
    match &group.mixed {
        None => xml.node("LaunchTemplate", |xml| write_template(xml, cloud, &group.template)),
        Some(mixed) => xml.node("MixedInstancesPolicy", |xml| write_mixed(xml, cloud, group, mixed)),
    }
    xml.text("MinSize", group.bounds.min);
    xml.text("MaxSize", group.bounds.max);
    xml.text("DesiredCapacity", group.bounds.desired);
    xml.text("DefaultCooldown", group.default_cooldown.as_secs());
    xml.texts("AvailabilityZones", "member", group.zones.iter().collect::<BTreeSet<_>>());
    xml.node("LoadBalancerNames", |_| {});
    xml.node("TargetGroupARNs", |_| {});
    xml.text("HealthCheckType", &group.health_check);
    xml.text("HealthCheckGracePeriod", group.grace.as_secs());
    if with_instances {
        let listed = cloud.view().members(&group.name).filter(|member| !member.state.is_in_warm_pool());
        xml.list("Instances", "member", listed, |xml, member| {
            members::write(xml, member);
            xml.text("HealthStatus", if member.healthy { "Healthy" } else { "Unhealthy" });
        });
    } else {
        xml.node("Instances", |_| {});
    }
    xml.text("CreatedTime", group.created);
    xml.list("SuspendedProcesses", "member", &group.suspended, |xml, process| {
        xml.text("ProcessName", process);
        xml.text("SuspensionReason", "User suspended");
    });
    xml.text("VPCZoneIdentifier", group.subnets.join(","));
    metrics::write(xml, &group.metrics);
    if group.deleting {
        xml.text("Status", "Delete in progress");
    }
    xml.list("Tags", "member", &group.tags, |xml, (key, tag)| tags::write(xml, group, key, tag));
    let default = ["Default".to_owned()];
    let policies = if group.termination_policies.is_empty() { &default[..] } else { &group.termination_policies };
    xml.texts("TerminationPolicies", "member", policies);
    xml.text("NewInstancesProtectedFromScaleIn", group.protect_new);
    xml.text(
        "ServiceLinkedRoleARN",
        format!(
            "arn:aws:iam::{}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
            options.account
        ),
    );
    xml.optional("MaxInstanceLifetime", group.max_lifetime.map(|span| span.as_secs()));
    xml.text("CapacityRebalance", group.capacity_rebalance);
    if let Some(pool) = &group.warm_pool {
        xml.node("WarmPoolConfiguration", |xml| warm_pools::write(xml, pool));
        xml.text("WarmPoolSize", cloud.view().warm(&group.name).count());
    }
    xml.optional("DefaultInstanceWarmup", group.warmup.map(|span| span.as_secs()));
    xml.optional("DeletionProtection", group.deletion_protection.as_deref());
}

fn write_template(xml: &mut Xml, cloud: &Cloud, (id, version): &(String, String)) {
    xml.text("LaunchTemplateId", id);
    xml.optional("LaunchTemplateName", cloud.inventory.templates.get(id).map(|template| template.name.as_str()));
    xml.text("Version", version);
}

fn write_mixed(xml: &mut Xml, cloud: &Cloud, group: &Group, mixed: &MixedInstances) {
    xml.node("LaunchTemplate", |xml| {
        xml.node("LaunchTemplateSpecification", |xml| write_template(xml, cloud, &group.template));
        xml.list("Overrides", "member", &mixed.overrides, |xml, it| {
            xml.optional("InstanceType", it.instance_type.as_deref());
            xml.optional("WeightedCapacity", it.weight.as_deref());
            if let Some(template) = &it.template {
                xml.node("LaunchTemplateSpecification", |xml| write_template(xml, cloud, template));
            }
        });
    });
    xml.node("InstancesDistribution", |xml| {
        xml.text("OnDemandAllocationStrategy", mixed.on_demand_strategy.as_deref().unwrap_or("prioritized"));
        xml.text("OnDemandBaseCapacity", mixed.on_demand_base);
        xml.text("OnDemandPercentageAboveBaseCapacity", mixed.on_demand_percent);
        xml.text("SpotAllocationStrategy", mixed.spot_strategy.as_deref().unwrap_or("lowest-price"));
    });
}

/// A group with the defaults of the API.
fn blank(name: &str, bounds: Bounds, now: Timestamp) -> Group {
    Group {
        name: name.to_owned(),
        uuid: String::new(),
        created: now,
        bounds,
        template: (String::new(), String::new()),
        mixed: None,
        zones: Vec::new(),
        subnets: Vec::new(),
        protect_new: false,
        capacity_rebalance: false,
        max_lifetime: None,
        default_cooldown: Duration::from_secs(300),
        warmup: None,
        grace: Duration::ZERO,
        health_check: "EC2".to_owned(),
        termination_policies: Vec::new(),
        deletion_protection: None,
        tags: BTreeMap::new(),
        lifecycle_hooks: BTreeMap::new(),
        scheduled: BTreeMap::new(),
        metrics: BTreeSet::new(),
        notifications: BTreeMap::new(),
        suspended: BTreeSet::new(),
        deleting: false,
        warm_pool: None,
        refreshes: Vec::new(),
        policies: BTreeSet::new(),
        act_due: None,
        backoff: None,
        last_change: None,
        surplus_reported: false,
        last_scaled: None,
    }
}
