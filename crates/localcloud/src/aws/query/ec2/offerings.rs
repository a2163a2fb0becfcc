//! Which instance types a zone has.

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
