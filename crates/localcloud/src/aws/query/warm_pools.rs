//! Warm pools on the wire.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::{PAGE, group},
    members,
    page::page,
    xml::Xml,
};
use crate::{
    aws::model::{Cloud, WarmPool},
    time::Timestamp,
};

/// `PutWarmPool`: what is left out gets its default.
pub(crate) fn put(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let name = group.name.clone();
    if group.mixed.is_some() {
        return Err(AwsError::validation("You cannot add a warm pool to a group with a mixed instances policy here."));
    }
    if group.warm_pool.is_some_and(|pool| pool.deleting) {
        return Err(AwsError::validation(format!("The warm pool of AutoScalingGroup {name} is pending delete")));
    }
    let running = match form.text("PoolState").unwrap_or("Stopped") {
        "Stopped" => false,
        "Running" => true,
        "Hibernated" => {
            return Err(AwsError::validation("PoolState Hibernated is not available here; use Stopped or Running."));
        }
        other => {
            return Err(AwsError::validation(format!(
                "1 validation error detected: Value '{other}' at 'poolState' failed to satisfy constraint: Member must \
                 satisfy enum value set: [Hibernated, Running, Stopped]"
            )));
        }
    };
    if form.part("InstanceReusePolicy").flag("ReuseOnScaleIn")?.unwrap_or(false) {
        return Err(AwsError::validation("ReuseOnScaleIn is not available here; leave it at false."));
    }
    let min = form.number("MinSize", 0..=u32::MAX)?.unwrap_or(0);
    // -1 takes the value away again.
    let most_prepared = match form.text("MaxGroupPreparedCapacity") {
        None | Some("-1") => None,
        Some(_) => form.number("MaxGroupPreparedCapacity", 0..=u32::MAX)?,
    };
    cloud.put_warm_pool(&name, WarmPool { min, most_prepared, running, deleting: false }, now);
    Ok(Some(Xml::default()))
}

/// `DescribeWarmPool`: without a pool there is no configuration and no instance.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let name = form.need("AutoScalingGroupName")?;
    let group = cloud.view().groups.get(name).ok_or_else(|| AwsError::no_group(name))?;
    let size = form.number("MaxRecords", 1..=PAGE)?.unwrap_or(PAGE);
    let shown: Vec<_> = cloud.view().warm(name).collect();
    let (shown, next) = page(shown, size, form.text("NextToken"), |instance| &instance.id)?;
    let mut xml = Xml::default();
    if let Some(pool) = &group.warm_pool {
        xml.node("WarmPoolConfiguration", |xml| write(xml, pool));
    }
    xml.list("Instances", "member", shown, |xml, instance| {
        members::write(xml, instance);
        xml.text("HealthStatus", if instance.healthy { "Healthy" } else { "Unhealthy" });
    });
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

/// `DeleteWarmPool`.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let name = group.name.clone();
    if group.warm_pool.is_none() {
        return Err(AwsError::validation(format!("No warm pool found for AutoScalingGroup {name}")));
    }
    cloud.delete_warm_pool(&name, form.flag("ForceDelete")?.unwrap_or(false), now);
    Ok(Some(Xml::default()))
}

/// The configuration, as both describes show it.
pub(crate) fn write(xml: &mut Xml, pool: &WarmPool) {
    xml.optional("MaxGroupPreparedCapacity", pool.most_prepared);
    xml.text("MinSize", pool.min);
    xml.text("PoolState", if pool.running { "Running" } else { "Stopped" });
    if pool.deleting {
        xml.text("Status", "PendingDelete");
    }
    xml.node("InstanceReusePolicy", |xml| xml.text("ReuseOnScaleIn", false));
}
