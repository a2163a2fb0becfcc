//! Machine images, as far as templates and instances name them.

use std::collections::BTreeSet;

use super::{filter::filters, surroundings::all};
use crate::{
    aws::model::Cloud,
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        xml::Xml,
    },
    time::Timestamp,
};

/// `DescribeImages`: those that templates and instances name, but for those that were deregistered.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let (named, filters) = (form.list("ImageId"), filters(form)?);
    let known = known(cloud);
    if let Some(missing) = named.iter().find(|id| !known.contains(**id)) {
        return Err(not_found(missing));
    }
    let mut shown = Vec::new();
    for image in known {
        let matches = all(&filters, |filter| match filter.name {
            "image-id" => Some(filter.accepts(image)),
            "state" => Some(filter.accepts("available")),
            "architecture" => Some(filter.accepts("x86_64")),
            _ => None,
        })?;
        if matches && (named.is_empty() || named.contains(&image)) {
            shown.push(image);
        }
    }
    let mut xml = Xml::default();
    xml.list("imagesSet", "item", shown, |xml, image| {
        xml.text("imageId", image);
        xml.text("imageState", "available");
        xml.text("imageOwnerId", &cloud.options().account);
        xml.text("isPublic", false);
        xml.text("architecture", "x86_64");
        xml.text("imageType", "machine");
        xml.text("name", image);
        xml.optional("creationDate", created(cloud, image));
        xml.text("rootDeviceType", "ebs");
        xml.text("rootDeviceName", "/dev/xvda");
        xml.text("virtualizationType", "hvm");
        xml.optional("deprecationTime", cloud.view().deprecated_images.get(image).map(String::as_str));
    });
    Ok(Some(xml))
}

/// `DeregisterImage`: launches from it fail from now on. Instances that were launched from it go on.
pub(crate) fn deregister(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let image = image(cloud, form)?;
    cloud.inventory.gone_images.insert(image);
    Ok(Some(Xml::done()))
}

/// `EnableImageDeprecation`. Launches go on to work.
pub(crate) fn deprecate(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let (image, at) = (image(cloud, form)?, form.need("DeprecateAt")?.to_owned());
    cloud.inventory.deprecated_images.insert(image, at);
    Ok(Some(Xml::done()))
}

/// `DisableImageDeprecation`.
pub(crate) fn undeprecate(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let image = image(cloud, form)?;
    cloud.inventory.deprecated_images.remove(&image);
    Ok(Some(Xml::done()))
}

/// Nobody made it here: it is as old as the first that names it.
fn created(cloud: &Cloud, image: &str) -> Option<Timestamp> {
    let view = cloud.view();
    let versions = view.templates.values().flat_map(|template| &template.versions);
    let named = versions.filter(|version| version.data.image.as_deref() == Some(image)).map(|version| version.created);
    let launched =
        view.instances.values().filter(|instance| instance.image == image).map(|instance| instance.launched_at);
    named.chain(launched).min()
}

fn known(cloud: &Cloud) -> BTreeSet<&str> {
    let view = cloud.view();
    let of_templates = view.templates.values().flat_map(|template| &template.versions);
    of_templates
        .filter_map(|version| version.data.image.as_deref())
        .chain(view.instances.values().map(|instance| instance.image.as_str()))
        .filter(|image| !view.gone_images.contains(*image))
        .collect()
}

fn image(cloud: &Cloud, form: &Form<'_>) -> Result<String, AwsError> {
    let image = form.need("ImageId")?;
    if known(cloud).contains(image) { Ok(image.to_owned()) } else { Err(not_found(image)) }
}

fn not_found(image: &str) -> AwsError {
    AwsError::new("InvalidAMIID.NotFound", format!("The image id '[{image}]' does not exist"))
}
