//! What the metadata service shows, as a tree of directories and items.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Credentials, Location};
use crate::aws::model::Instance;
use crate::time::Timestamp;

/// The versions that can stand before a path, as the service lists them.
pub(super) const VERSIONS: [&str; 23] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2020-10-27",
    "2021-07-15",
    "latest",
];

/// What stands at a path.
pub(super) enum Node {
    Item(String),
    Bytes(Vec<u8>),
    Directory(Vec<String>),
}

/// What stands at this path below a version.
pub(super) fn find(
    instance: &Instance,
    location: &Location<'_>,
    credentials: &Credentials,
    path: &[String],
) -> Option<Node> {
    if path == ["user-data"] {
        let data = instance.user_data.clone().into_bytes();
        return (!data.is_empty()).then_some(Node::Bytes(data));
    }
    let mut items = items(instance, location, credentials);
    let path = path.join("/");
    if let Some(item) = items.remove(&path) {
        return Some(Node::Item(item));
    }
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let below = items.keys().filter_map(|item| item.strip_prefix(&prefix));
    let mut entries: BTreeSet<String> = below
        .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(first, _)| format!("{first}/")))
        .collect();
    if path.is_empty() {
        // The top level alone is listed without slashes.
        entries = entries.iter().map(|entry| entry.trim_end_matches('/').to_owned()).collect();
        if !instance.user_data.is_empty() {
            entries.insert("user-data".to_owned());
        }
    }
    (!entries.is_empty()).then(|| Node::Directory(entries.into_iter().collect()))
}

/// Every item by its path. What does not apply now is left out: a 404.
fn items(instance: &Instance, location: &Location<'_>, credentials: &Credentials) -> BTreeMap<String, String> {
    let mut items = BTreeMap::new();
    let mut add = |path: &str, value: String| {
        items.insert(format!("meta-data/{path}"), value);
    };
    let host = format!("ip-{}", instance.private_ip.replace('.', "-"));
    let domain = format!("{host}.{}.compute.internal", location.region);
    add("ami-id", instance.image.clone());
    add("instance-id", instance.id.clone());
    add("instance-type", instance.instance_type.clone());
    add("instance-life-cycle", if instance.spot { "spot" } else { "on-demand" }.into());
    add("instance-action", "none".into());
    add("hostname", domain.clone());
    add("local-hostname", domain);
    add("local-ipv4", instance.private_ip.clone());
    add("mac", mac(&instance.private_ip));
    add("placement/region", location.region.into());
    add("placement/availability-zone", instance.availability_zone.clone());
    add("placement/availability-zone-id", zone_id(location.region, &instance.availability_zone));
    add("services/domain", "amazonaws.com".into());
    add("services/partition", "aws".into());
    if let Some(notice) = instance.spot_notice {
        let action = json!({"action": notice.action, "time": notice.time.to_seconds()});
        add("spot/instance-action", action.to_string());
        if notice.action == "terminate" {
            add("spot/termination-time", notice.time.to_seconds());
        }
    }
    if let Some(at) = instance.rebalance {
        add("events/recommendations/rebalance", json!({"noticeTime": at.to_seconds()}).to_string());
    }
    add("events/maintenance/history", "[]".into());
    add("events/maintenance/scheduled", maintenance(instance));
    if let Some(target) = instance.target_state {
        add("autoscaling/target-lifecycle-state", target.into());
    }
    if instance.metadata.tags {
        for (key, value) in &instance.tags {
            add(&format!("tags/instance/{key}"), value.clone());
        }
    }
    if let Some(profile) = &instance.profile {
        let info = json!({
            "Code": "Success",
            "LastUpdated": credentials.from.to_seconds(),
            "InstanceProfileArn": format!("arn:aws:iam::{}:instance-profile/{profile}", location.account),
            "InstanceProfileId": "AIPALIGHTSOUTLOCAL001",
        });
        add("iam/info", pretty(&info));
        let role = json!({
            "Code": "Success",
            "LastUpdated": credentials.from.to_seconds(),
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.key,
            "SecretAccessKey": credentials.secret,
            "Token": credentials.token,
            "Expiration": credentials.until.to_seconds(),
        });
        add(&format!("iam/security-credentials/{profile}"), pretty(&role));
    }
    items.insert("dynamic/instance-identity/document".into(), identity(instance, location));
    items
}

fn maintenance(instance: &Instance) -> String {
    let events = instance.maintenance.iter().map(|event| {
        json!({
            "NotBefore": maintenance_time(event.not_before),
            "Code": event.code,
            "Description": event.description,
            "EventId": event.event_id,
            "NotAfter": maintenance_time(event.not_after()),
            "NotBeforeDeadline": maintenance_time(event.deadline()),
            "State": event.state,
        })
    });
    serde_json::Value::Array(events.collect()).to_string()
}

/// Maintenance events alone have times like `21 Jan 2019 09:00:43 GMT`.
fn maintenance_time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    at.strftime("%-d %b %Y %H:%M:%S GMT").to_string()
}

fn identity(instance: &Instance, location: &Location<'_>) -> String {
    pretty(&json!({
        "accountId": location.account,
        "architecture": "x86_64",
        "availabilityZone": instance.availability_zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": instance.image,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": null,
        "pendingTime": instance.launched_at.to_seconds(),
        "privateIp": instance.private_ip,
        "ramdiskId": null,
        "region": location.region,
        "version": "2017-09-30",
    }))
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}

/// A hardware address that goes with the private address.
fn mac(ip: &str) -> String {
    let octets: Vec<String> = ip.split('.').map(|octet| format!("{:02x}", octet.parse().unwrap_or(0u8))).collect();
    format!("0a:ff:{}", octets.join(":"))
}

/// Such as `euc1-az1` for `eu-central-1a`.
fn zone_id(region: &str, zone: &str) -> String {
    let short: String = region.split('-').enumerate().map(|(n, part)| if n == 0 { part } else { &part[..1] }).collect();
    let number = zone.bytes().last().map_or(1, |letter| letter.saturating_sub(b'a') + 1);
    format!("{short}-az{number}")
}
