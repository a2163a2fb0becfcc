//! Which metrics of a group are collected, on the wire. Kept and given back: there is no CloudWatch to send them to.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::group,
    xml::Xml,
};
use crate::aws::model::Cloud;
use crate::time::Timestamp;

/// All of them (EC2 Auto Scaling API reference, `EnableMetricsCollection`).
const METRICS: [&str; 20] = [
    "GroupDesiredCapacity",
    "GroupInServiceCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingCapacity",
    "GroupPendingInstances",
    "GroupStandbyCapacity",
    "GroupStandbyInstances",
    "GroupTerminatingCapacity",
    "GroupTerminatingInstances",
    "GroupTotalCapacity",
    "GroupTotalInstances",
    "WarmPoolDesiredCapacity",
    "WarmPoolPendingCapacity",
    "WarmPoolTerminatingCapacity",
    "WarmPoolTotalCapacity",
    "WarmPoolWarmedCapacity",
    "GroupAndWarmPoolDesiredCapacity",
    "GroupAndWarmPoolTotalCapacity",
];

const GRANULARITY: &str = "1Minute";

/// `EnableMetricsCollection`; no names means all of them.
pub(crate) fn enable(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let granularity = form.need("Granularity")?;
    if granularity != GRANULARITY {
        return Err(AwsError::validation(format!("{granularity} is not a valid granularity; use {GRANULARITY}")));
    }
    let (name, metrics) = read(cloud, form)?;
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        group.metrics.extend(&metrics);
    }
    cloud.group_happened(&name, format!("{} metrics are collected", metrics.len()), now);
    Ok(None)
}

/// `DisableMetricsCollection`; no names means all of them.
pub(crate) fn disable(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (name, metrics) = read(cloud, form)?;
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        group.metrics.retain(|metric| !metrics.contains(metric));
    }
    cloud.group_happened(&name, format!("{} metrics are not collected", metrics.len()), now);
    Ok(None)
}

/// `DescribeMetricCollectionTypes`.
pub(crate) fn types() -> Xml {
    let mut xml = Xml::default();
    xml.list("Metrics", "member", METRICS, |xml, metric| xml.text("Metric", metric));
    xml.list("Granularities", "member", [GRANULARITY], |xml, granularity| xml.text("Granularity", granularity));
    xml
}

/// A group's `EnabledMetrics`.
pub(crate) fn write<'a>(xml: &mut Xml, metrics: impl IntoIterator<Item = &'a &'static str>) {
    xml.list("EnabledMetrics", "member", metrics, |xml, metric| {
        xml.text("Metric", metric);
        xml.text("Granularity", GRANULARITY);
    });
}

fn read(cloud: &Cloud, form: &Form<'_>) -> Result<(String, Vec<&'static str>), AwsError> {
    let group = group(cloud, form)?;
    let named = form.list("Metrics").into_iter().map(|name| {
        let known = METRICS.into_iter().find(|metric| *metric == name);
        known.ok_or_else(|| AwsError::validation(format!("{name} is not a valid metric")))
    });
    let named: Vec<_> = named.collect::<Result<_, _>>()?;
    Ok((group.name.clone(), if named.is_empty() { METRICS.to_vec() } else { named }))
}
