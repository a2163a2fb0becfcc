//! Tags of instances and launch templates.

use std::collections::BTreeMap;

use super::{filter::filters, instances::check};
use crate::{
    aws::model::Cloud,
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        page::page,
        xml::Xml,
    },
};

/// `CreateTags`: all resources or none.
pub(crate) fn create(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let ids = resources(cloud, form)?;
    let mut tags = Vec::new();
    for tag in form.structures("Tag") {
        tags.push((own_key(&tag)?, tag.text("Value").unwrap_or_default()));
    }
    for id in ids {
        for (key, value) in &tags {
            if let Some(tags) = tags_of(cloud, id) {
                tags.insert((*key).to_owned(), (*value).to_owned());
            }
        }
    }
    Ok(Some(Xml::done()))
}

/// `DeleteTags`; a value, when given, must be the present one.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let ids = resources(cloud, form)?;
    for tag in form.structures("Tag") {
        let key = own_key(&tag)?;
        for id in &ids {
            if let Some(tags) = tags_of(cloud, id)
                && tag.text("Value").is_none_or(|value| tags.get(key).is_some_and(|present| present == value))
            {
                tags.remove(key);
            }
        }
    }
    Ok(Some(Xml::done()))
}

/// `DescribeTags`.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let filters = filters(form)?;
    let size = form.number("MaxResults", 5..=1000)?.unwrap_or(1000);
    let inventory = cloud.view();
    let instances = inventory.instances.values().map(|instance| (&instance.id, "instance", &instance.tags));
    let templates = inventory.templates.values().map(|template| (&template.id, "launch-template", &template.tags));
    let mut shown = Vec::new();
    for (id, kind, tags) in instances.chain(templates) {
        for (key, value) in tags {
            let mut wanted = true;
            for filter in &filters {
                wanted &= match filter.name {
                    "resource-id" => filter.accepts(id),
                    "resource-type" => filter.accepts(kind),
                    "key" | "tag-key" => filter.accepts(key),
                    "value" | "tag-value" => filter.accepts(value),
                    name => match name.strip_prefix("tag:") {
                        Some(wanted) => wanted == key && filter.accepts(value),
                        None => return Err(filter.unknown()),
                    },
                };
            }
            if wanted {
                shown.push((format!("{id}\n{key}"), id, kind, key, value));
            }
        }
    }
    let (shown, next) = page(shown, size, form.text("NextToken"), |(place, ..)| place)?;
    let mut xml = Xml::default();
    xml.list("tagSet", "item", shown, |xml, (_, id, kind, key, value)| {
        xml.text("resourceId", id);
        xml.text("resourceType", kind);
        xml.text("key", key);
        xml.text("value", value);
    });
    xml.optional("nextToken", next);
    Ok(Some(xml))
}

/// The resources of a call; all of them exist.
fn resources<'a>(cloud: &Cloud, form: &Form<'a>) -> Result<Vec<&'a str>, AwsError> {
    let ids = form.need_list("ResourceId")?;
    for id in &ids {
        if !cloud.inventory.templates.contains_key(*id) {
            check(&[id], |id| cloud.instance(id).is_some())?;
        }
    }
    Ok(ids)
}

fn tags_of<'c>(cloud: &'c mut Cloud, id: &str) -> Option<&'c mut BTreeMap<String, String>> {
    let inventory = &mut cloud.inventory;
    match inventory.instances.get_mut(id) {
        Some(instance) => Some(&mut instance.tags),
        None => inventory.templates.get_mut(id).map(|template| &mut template.tags),
    }
}

fn own_key<'a>(tag: &Form<'a>) -> Result<&'a str, AwsError> {
    let key = tag.need("Key")?;
    if key.starts_with("aws:") {
        let message = "Tag keys starting with 'aws:' are reserved for internal use";
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    Ok(key)
}
