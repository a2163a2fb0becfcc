//! Which instance types there are, and which of them a zone has.

use super::filter::filters;
use crate::{
    aws::model::{Cloud, offers},
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        xml::Xml,
    },
};

/// `DescribeInstanceTypeOfferings`, of zones, for types that are named: there are too many to list them all.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    if form.text("LocationType") != Some("availability-zone") {
        return Err(AwsError::new(
            "UnsupportedOperation",
            "Only the location type availability-zone is available here.",
        ));
    }
    let filters = filters(form)?;
    if let Some(other) = filters.iter().find(|filter| !["instance-type", "location"].contains(&filter.name)) {
        return Err(other.unknown());
    }
    let named = filters.iter().find(|filter| filter.name == "instance-type");
    let named = named.ok_or_else(|| {
        AwsError::new("UnsupportedOperation", "Name instance types here, with the filter instance-type.")
    })?;
    let mut xml = Xml::default();
    let zones = ["a", "b", "c"].map(|letter| format!("{}{letter}", cloud.options().region));
    let pairs = named.values.iter().flat_map(|kind| zones.iter().map(move |zone| (*kind, zone)));
    let wanted = |zone: &str| filters.iter().all(|filter| filter.name != "location" || filter.accepts(zone));
    let shown: Vec<_> = pairs.filter(|(kind, zone)| wanted(zone) && offers(zone, kind)).collect();
    xml.list("instanceTypeOfferingSet", "item", shown, |xml, (kind, zone)| {
        xml.text("instanceType", kind);
        xml.text("locationType", "availability-zone");
        xml.text("location", zone);
    });
    Ok(Some(xml))
}

/// `DescribeInstanceTypes`, for types that are named, with what their size says of their vCPUs.
pub(crate) fn types(form: &Form<'_>) -> CallResult {
    let named = form.list("InstanceType");
    if named.is_empty() {
        return Err(AwsError::new("UnsupportedOperation", "Name instance types here."));
    }
    if let Some(unknown) = named.iter().find(|kind| vcpus(kind).is_none()) {
        let message = format!("The following supplied instance types do not exist: [{unknown}]");
        return Err(AwsError::new("InvalidInstanceType", message));
    }
    let mut xml = Xml::default();
    xml.list("instanceTypeSet", "item", named, |xml, kind| {
        xml.text("instanceType", kind);
        xml.node("vCpuInfo", |xml| xml.text("defaultVCpus", vcpus(kind).unwrap_or_default()));
    });
    Ok(Some(xml))
}

/// As most families have them: `large` has two, `xlarge` four, and `2xlarge` twice as many.
fn vcpus(kind: &str) -> Option<u32> {
    let (_, size) = kind.split_once('.')?;
    match size {
        "nano" | "micro" | "small" | "medium" | "large" => Some(2),
        "xlarge" => Some(4),
        other => other.strip_suffix("xlarge")?.parse::<u32>().ok()?.checked_mul(4),
    }
}
