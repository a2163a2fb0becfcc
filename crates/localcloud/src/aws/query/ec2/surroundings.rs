//! What lies around instances: zones and subnets, as far as groups name them. There are no networks,
//! volumes and prices, so that what belongs to these is empty.

use std::collections::BTreeMap;

use super::filter::{Filter, filters};
use crate::{
    aws::model::Cloud,
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        xml::Xml,
    },
};

/// `DescribeAvailabilityZones`.
pub(crate) fn zones(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let region = &cloud.options().region;
    let (named, filters) = (form.list("ZoneName"), filters(form)?);
    let mut shown = Vec::new();
    for letter in ["a", "b", "c"] {
        let zone = format!("{region}{letter}");
        let matches = all(&filters, |filter| match filter.name {
            "zone-name" => Some(filter.accepts(&zone)),
            "region-name" => Some(filter.accepts(region)),
            "state" => Some(filter.accepts("available")),
            _ => None,
        })?;
        if matches && (named.is_empty() || named.contains(&zone.as_str())) {
            shown.push(zone);
        }
    }
    let mut xml = Xml::default();
    xml.list("availabilityZoneInfo", "item", shown, |xml, zone| {
        xml.text("zoneName", zone);
        xml.text("zoneState", "available");
        xml.text("regionName", region);
        xml.text("zoneType", "availability-zone");
        xml.text("optInStatus", "opt-in-not-required");
    });
    Ok(Some(xml))
}

/// How many addresses of a subnet nobody has: of 10.0.0.0/16 AWS keeps five.
const ADDRESSES: u32 = 65_531;

/// `DescribeSubnets`: those that groups name, and the default one of each zone.
pub(crate) fn subnets(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let (named, filters) = (form.list("SubnetId"), filters(form)?);
    let zones = ["a", "b", "c"].map(|letter| format!("{}{letter}", cloud.options().region));
    let defaults = zones.iter().zip(["subnet-0default0a", "subnet-0default0b", "subnet-0default0c"]);
    let defaults: BTreeMap<&str, &str> = defaults.map(|(zone, subnet)| (subnet, zone.as_str())).collect();
    let groups = cloud.view().groups.values();
    let mut known: BTreeMap<&str, &str> = groups
        .flat_map(|group| group.subnets.iter().zip(&group.zones))
        .map(|(subnet, zone)| (subnet.as_str(), zone.as_str()))
        .collect();
    known.extend(&defaults);
    if let Some(missing) = named.iter().find(|id| !known.contains_key(**id)) {
        return Err(AwsError::new("InvalidSubnetID.NotFound", format!("The subnet ID '{missing}' does not exist")));
    }
    let mut shown = Vec::new();
    for (subnet, zone) in known {
        let matches = all(&filters, |filter| match filter.name {
            "subnet-id" => Some(filter.accepts(subnet)),
            "availability-zone" => Some(filter.accepts(zone)),
            "state" => Some(filter.accepts("available")),
            "default-for-az" => Some(filter.accepts(if defaults.contains_key(subnet) { "true" } else { "false" })),
            _ => None,
        })?;
        if matches && (named.is_empty() || named.contains(&subnet)) {
            shown.push((subnet, zone));
        }
    }
    let mut xml = Xml::default();
    xml.list("subnetSet", "item", shown, |xml, (subnet, zone)| {
        xml.text("subnetId", subnet);
        xml.text("state", "available");
        xml.text("vpcId", "vpc-00000000000000000");
        xml.text("cidrBlock", "10.0.0.0/16");
        xml.text("availableIpAddressCount", ADDRESSES);
        xml.text("defaultForAz", defaults.contains_key(subnet));
        xml.text("availabilityZone", zone);
        xml.text("ownerId", &cloud.options().account);
    });
    Ok(Some(xml))
}

/// A describe of something that there is none of.
pub(crate) fn none(list: &str, form: &Form<'_>, ids: &str, error: &'static str) -> CallResult {
    if let Some(missing) = form.list(ids).first() {
        return Err(AwsError::new(error, format!("The ID '{missing}' does not exist")));
    }
    let mut xml = Xml::default();
    xml.node(list, |_| {});
    Ok(Some(xml))
}

/// Whether all filters match; `None` stands for one that is not known.
pub(super) fn all(filters: &[Filter<'_>], matches: impl Fn(&Filter<'_>) -> Option<bool>) -> Result<bool, AwsError> {
    for filter in filters {
        if !matches(filter).ok_or_else(|| filter.unknown())? {
            return Ok(false);
        }
    }
    Ok(true)
}
