//! What the calls that make and change a group say about it.

use std::time::Duration;

use super::{error::AwsError, form::Form};
use crate::aws::model::{Bounds, Cloud, Group, MixedInstances, Override};

/// Sets every field of a group that the form has, and leaves the others as they are. Sizes are not among them.
pub(crate) fn apply(group: &mut Group, cloud: &Cloud, form: &Form<'_>) -> Result<(), AwsError> {
    let seconds = |name: &str| -> Result<Option<Duration>, AwsError> {
        Ok(form.number(name, 0..=u32::MAX)?.map(|seconds| Duration::from_secs(seconds.into())))
    };
    if let Some((template, mixed)) = source(cloud, form)? {
        group.template = template;
        group.mixed = mixed;
    }
    if let Some((zones, subnets)) = places(cloud, form) {
        group.zones = zones;
        group.subnets = subnets;
    }
    let retention = form.part("InstanceLifecyclePolicy").part("RetentionTriggers").text("TerminateHookAbandon");
    if retention == Some("retain") {
        let message = "Retaining instances (InstanceLifecyclePolicy) is not available here; leave it at terminate.";
        return Err(AwsError::validation(message));
    }
    set(&mut group.protect_new, form.flag("NewInstancesProtectedFromScaleIn")?);
    set(&mut group.capacity_rebalance, form.flag("CapacityRebalance")?);
    set(&mut group.default_cooldown, seconds("DefaultCooldown")?);
    set(&mut group.grace, seconds("HealthCheckGracePeriod")?);
    set(&mut group.health_check, form.owned("HealthCheckType"));
    if let Some(warmup) = form.text("DefaultInstanceWarmup") {
        // -1 takes the value away again.
        group.warmup = if warmup == "-1" { None } else { seconds("DefaultInstanceWarmup")? };
    }
    if let Some(lifetime) = seconds("MaxInstanceLifetime")? {
        let day = Duration::from_secs(24 * 3600);
        if !lifetime.is_zero() && lifetime < day {
            return Err(AwsError::validation("Max instance lifetime must be 0 or at least 86400 seconds."));
        }
        group.max_lifetime = Some(lifetime).filter(|lifetime| !lifetime.is_zero());
    }
    let policies = form.list("TerminationPolicies");
    if !policies.is_empty() {
        group.termination_policies = policies.into_iter().map(str::to_owned).collect();
    }
    if let Some(protection) = form.owned("DeletionProtection") {
        group.deletion_protection = Some(protection);
    }
    Ok(())
}

/// `MinSize`, `MaxSize` and `DesiredCapacity` of a new group.
pub(crate) fn bounds_of_new_group(form: &Form<'_>) -> Result<Bounds, AwsError> {
    let min = form.need_number("MinSize", 0..=u32::MAX)?;
    let max = form.need_number("MaxSize", 0..=u32::MAX)?;
    let desired = form.number("DesiredCapacity", 0..=u32::MAX)?.unwrap_or(min);
    check(Bounds { min, max, desired })
}

/// The sizes of a group after a change. A desired capacity that nobody spoke of moves to the bound that it would break.
pub(crate) fn changed_bounds(old: Bounds, form: &Form<'_>) -> Result<Bounds, AwsError> {
    let min = form.number("MinSize", 0..=u32::MAX)?.unwrap_or(old.min);
    let max = form.number("MaxSize", 0..=u32::MAX)?.unwrap_or(old.max);
    if min > max {
        return Err(crossed(min, max));
    }
    let desired = form.number("DesiredCapacity", 0..=u32::MAX)?.unwrap_or_else(|| old.desired.clamp(min, max));
    check(Bounds { min, max, desired })
}

/// Id and version of the launch template that a `LaunchTemplateSpecification` means.
pub(crate) fn template(cloud: &Cloud, form: &Form<'_>) -> Result<(String, String), AwsError> {
    let (id, name) = (form.text("LaunchTemplateId"), form.text("LaunchTemplateName"));
    let ((Some(wanted), None) | (None, Some(wanted))) = (id, name) else {
        return Err(AwsError::validation("Valid requests must contain either launchTemplateId or LaunchTemplateName"));
    };
    let template = cloud.inventory.template(wanted).ok_or_else(|| {
        let what = if id.is_some() { "launch template ID" } else { "launch template name" };
        AwsError::validation(format!(
            "You must use a valid fully-formed launch template. The specified {what}, {wanted}, does not exist."
        ))
    })?;
    let version = form.text("Version").unwrap_or("$Default");
    if template.version(version).is_none() {
        return Err(AwsError::validation(format!(
            "You must use a valid fully-formed launch template. Could not find the specified version {version} for the \
             launch template with ID {}.",
            template.id
        )));
    }
    Ok((template.id.clone(), version.to_owned()))
}

type Source = ((String, String), Option<MixedInstances>);

/// Where instances come from, if the form says anything about it.
fn source(cloud: &Cloud, form: &Form<'_>) -> Result<Option<Source>, AwsError> {
    let (plain, policy) = (form.part("LaunchTemplate"), form.part("MixedInstancesPolicy"));
    if form.text("LaunchConfigurationName").is_some() || form.text("InstanceId").is_some() {
        return Err(AwsError::validation("Launch configurations are not available; use a launch template."));
    }
    if !plain.is_empty() {
        return Ok(Some((template(cloud, &plain)?, None)));
    }
    if policy.is_empty() {
        return Ok(None);
    }
    let base = policy.part("LaunchTemplate");
    let distribution = policy.part("InstancesDistribution");
    let overridden = |form: &Form<'_>| -> Result<Override, AwsError> {
        let own = form.part("LaunchTemplateSpecification");
        Ok(Override {
            instance_type: form.owned("InstanceType"),
            weight: form.owned("WeightedCapacity"),
            template: (!own.is_empty()).then(|| template(cloud, &own)).transpose()?,
        })
    };
    let mixed = MixedInstances {
        overrides: base.structures("Overrides").iter().map(overridden).collect::<Result<_, _>>()?,
        on_demand_base: distribution.number("OnDemandBaseCapacity", 0..=u32::MAX)?.unwrap_or(0),
        on_demand_percent: distribution.number("OnDemandPercentageAboveBaseCapacity", 0..=100)?.unwrap_or(100),
        spot_strategy: distribution.owned("SpotAllocationStrategy"),
        on_demand_strategy: distribution.owned("OnDemandAllocationStrategy"),
    };
    Ok(Some((template(cloud, &base.part("LaunchTemplateSpecification"))?, Some(mixed))))
}

/// Zones and subnets, if the form names any. Subnets lie in the zones of the region in turn.
fn places(cloud: &Cloud, form: &Form<'_>) -> Option<(Vec<String>, Vec<String>)> {
    let subnets = form.text("VPCZoneIdentifier").unwrap_or_default().split(',').map(str::trim);
    let subnets: Vec<_> = subnets.filter(|subnet| !subnet.is_empty()).map(str::to_owned).collect();
    let named: Vec<_> = form.list("AvailabilityZones").into_iter().map(str::to_owned).collect();
    if named.is_empty() && subnets.is_empty() {
        return None;
    }
    if subnets.is_empty() {
        return Some((named, subnets));
    }
    let region = &cloud.options().region;
    let zone = |at: usize| named.get(at).cloned().unwrap_or_else(|| format!("{region}{}", ["a", "b", "c"][at % 3]));
    Some(((0..subnets.len()).map(zone).collect(), subnets))
}

fn check(bounds: Bounds) -> Result<Bounds, AwsError> {
    let Bounds { min, max, desired } = bounds;
    if min > max {
        return Err(crossed(min, max));
    }
    if !(min..=max).contains(&desired) {
        return Err(AwsError::validation(format!(
            "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
        )));
    }
    Ok(bounds)
}

fn crossed(min: u32, max: u32) -> AwsError {
    AwsError::validation(format!("Max bound, {max}, must be greater than or equal to min bound, {min}"))
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
