//! Tags of groups on the wire.

use std::collections::BTreeMap;

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::{LARGEST_PAGE, PAGE},
    page::page,
    xml::Xml,
};
use crate::aws::model::{Cloud, Group, GroupTag};
use crate::time::Timestamp;

/// `CreateOrUpdateTags`. Instances that run already do not get them.
pub(crate) fn create(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let tags = form.structures("Tags");
    for tag in &tags {
        known_group(cloud, tag)?;
        read(tag)?;
    }
    for tag in &tags {
        let name = tag.need("ResourceId")?;
        let (key, value) = read(tag)?;
        let text = format!("tag {key} = {}", value.value);
        if let Some(group) = cloud.inventory.groups.get_mut(name) {
            group.tags.insert(key, value);
        }
        cloud.group_happened(name, text, now);
    }
    Ok(None)
}

/// `DeleteTags`; a value, when given, must be the present one.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    for tag in form.structures("Tags") {
        known_group(cloud, &tag)?;
        let (name, key) = (tag.need("ResourceId")?, tag.need("Key")?);
        let Some(group) = cloud.inventory.groups.get_mut(name) else { continue };
        if tag.text("Value").is_none_or(|value| group.tags.get(key).is_some_and(|tag| tag.value == value)) {
            group.tags.remove(key);
            cloud.group_happened(name, format!("tag {key} deleted"), now);
        }
    }
    Ok(None)
}

/// `DescribeTags`.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let filters: Vec<_> =
        form.structures("Filters").into_iter().map(|filter| (filter.text("Name"), filter.list("Values"))).collect();
    let size = form.number("MaxRecords", 1..=LARGEST_PAGE)?.unwrap_or(PAGE);
    let mut shown = Vec::new();
    for group in cloud.view().groups.values() {
        for (key, tag) in &group.tags {
            if matches(&filters, group, key, tag)? {
                shown.push((format!("{}\n{key}", group.name), group, key, tag));
            }
        }
    }
    let (shown, next) = page(shown, size, form.text("NextToken"), |(place, ..)| place)?;
    let mut xml = Xml::default();
    xml.list("Tags", "member", shown, |xml, (_, group, key, tag)| write(xml, group, key, tag));
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

/// Reads the tags of a new group.
pub(crate) fn of_new_group(form: &Form<'_>) -> Result<BTreeMap<String, GroupTag>, AwsError> {
    form.structures("Tags").iter().map(read).collect()
}

/// The fields of one tag.
pub(crate) fn write(xml: &mut Xml, group: &Group, key: &str, tag: &GroupTag) {
    xml.text("ResourceId", &group.name);
    xml.text("ResourceType", "auto-scaling-group");
    xml.text("Key", key);
    xml.text("Value", &tag.value);
    xml.text("PropagateAtLaunch", tag.propagate);
}

fn read(tag: &Form<'_>) -> Result<(String, GroupTag), AwsError> {
    let key = tag.need("Key")?;
    if key.starts_with("aws:") {
        return Err(AwsError::validation(format!(
            "Tag key {key} is not valid: keys that start with aws: are reserved."
        )));
    }
    let value = tag.text("Value").unwrap_or_default().to_owned();
    Ok((key.to_owned(), GroupTag { value, propagate: tag.flag("PropagateAtLaunch")?.unwrap_or(false) }))
}

fn known_group(cloud: &Cloud, tag: &Form<'_>) -> Result<(), AwsError> {
    let name = tag.need("ResourceId")?;
    if cloud.inventory.groups.contains_key(name) {
        return Ok(());
    }
    Err(AwsError::validation(format!("AutoScalingGroup not found - AutoScaling Group {name} not found")))
}

type Filters<'a> = [(Option<&'a str>, Vec<&'a str>)];

fn matches(filters: &Filters<'_>, group: &Group, key: &str, tag: &GroupTag) -> Result<bool, AwsError> {
    for (name, values) in filters {
        let actual = match *name {
            Some("auto-scaling-group") => &group.name,
            Some("key") => key,
            Some("value") => &tag.value,
            Some("propagate-at-launch") => &tag.propagate.to_string(),
            other => {
                return Err(AwsError::validation(format!("Invalid filter type: {}", other.unwrap_or_default())));
            }
        };
        if !values.contains(&actual) {
            return Ok(false);
        }
    }
    Ok(true)
}
