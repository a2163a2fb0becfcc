//! Launch templates on the wire.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::filter::filters;
use crate::{
    aws::model::{
        Cloud, LaunchTemplate, MetadataOptions, ShutdownBehavior, TemplateData, TemplateVersion, TemplateVolume,
    },
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        page::page,
        xml::Xml,
    },
    time::Timestamp,
};

/// User data may have so many bytes before base64 (EC2 User Guide).
const MOST_USER_DATA: usize = 16 * 1024;
const LARGEST_PAGE: u32 = 200;

/// `CreateLaunchTemplate`.
pub(crate) fn create(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let name = form.need("LaunchTemplateName")?;
    if cloud.inventory.templates.values().any(|template| template.name == name) {
        return Err(AwsError::new(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    let version = read_version(form, 1, now)?;
    let tags = specified_tags(form).into_iter().filter(|(kind, _)| kind == "launch-template");
    let template = LaunchTemplate {
        id: cloud.ids.resource("lt"),
        name: name.to_owned(),
        created: now,
        default_version: 1,
        versions: vec![version],
        tags: tags.flat_map(|(_, tags)| tags).collect(),
    };
    let mut xml = Xml::default();
    xml.node("launchTemplate", |xml| write(xml, cloud, &template));
    cloud.inventory.templates.insert(template.id.clone(), template);
    Ok(Some(xml))
}

/// `CreateLaunchTemplateVersion`; what the new version does not say comes from `SourceVersion`, if one is named.
pub(crate) fn create_version(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let template = named(cloud, form)?;
    let (id, number) = (template.id.clone(), template.latest() + 1);
    let mut version = read_version(form, number, now)?;
    if let Some(source) = form.text("SourceVersion") {
        let source = template.version(source).ok_or_else(|| no_version(template, source))?;
        version.data = version.data.or(source.data.clone());
    }
    let mut xml = Xml::default();
    xml.node("launchTemplateVersion", |xml| write_version(xml, cloud, template, &version));
    if let Some(template) = cloud.inventory.templates.get_mut(&id) {
        template.versions.push(version);
    }
    Ok(Some(xml))
}

/// `ModifyLaunchTemplate`: sets the default version.
pub(crate) fn modify(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let template = named(cloud, form)?;
    let wanted = form.need("SetDefaultVersion")?;
    let number = template.version(wanted).ok_or_else(|| no_version(template, wanted))?.number;
    let changed = LaunchTemplate { default_version: number, ..template.clone() };
    let mut xml = Xml::default();
    xml.node("launchTemplate", |xml| write(xml, cloud, &changed));
    cloud.inventory.templates.insert(changed.id.clone(), changed);
    Ok(Some(xml))
}

/// `DeleteLaunchTemplate`.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let id = named(cloud, form)?.id.clone();
    let mut xml = Xml::default();
    if let Some(template) = cloud.inventory.templates.remove(&id) {
        xml.node("launchTemplate", |xml| write(xml, cloud, &template));
    }
    Ok(Some(xml))
}

/// `DescribeLaunchTemplates`.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let (ids, names) = (form.list("LaunchTemplateId"), form.list("LaunchTemplateName"));
    let inventory = cloud.view();
    for wanted in ids.iter().chain(&names) {
        inventory.template(wanted).ok_or_else(|| not_found(wanted))?;
    }
    let filters = filters(form)?;
    let size = form.number("MaxResults", 1..=LARGEST_PAGE)?.unwrap_or(LARGEST_PAGE);
    let mut shown = Vec::new();
    for template in inventory.templates.values() {
        let mut wanted = ids.is_empty() && names.is_empty()
            || ids.contains(&template.id.as_str())
            || names.contains(&template.name.as_str());
        for filter in &filters {
            wanted &= match filter.name {
                "launch-template-name" => filter.accepts(&template.name),
                "tag-key" => template.tags.keys().any(|key| filter.accepts(key)),
                name => match name.strip_prefix("tag:") {
                    Some(key) => template.tags.get(key).is_some_and(|value| filter.accepts(value)),
                    None => return Err(filter.unknown()),
                },
            };
        }
        if wanted {
            shown.push(template);
        }
    }
    let (shown, next) = page(shown, size, form.text("NextToken"), |template| &template.id)?;
    let mut xml = Xml::default();
    xml.list("launchTemplates", "item", shown, |xml, template| write(xml, cloud, template));
    xml.optional("nextToken", next);
    Ok(Some(xml))
}

/// `DescribeLaunchTemplateVersions` of one template.
pub(crate) fn describe_versions(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let template = named(cloud, form)?;
    let wanted = form.list("LaunchTemplateVersion");
    let shown: Vec<&TemplateVersion> = if wanted.is_empty() {
        template.versions.iter().rev().collect()
    } else {
        wanted
            .iter()
            .map(|wanted| template.version(wanted).ok_or_else(|| no_version(template, wanted)))
            .collect::<Result<_, _>>()?
    };
    let mut xml = Xml::default();
    xml.list("launchTemplateVersionSet", "item", shown, |xml, version| write_version(xml, cloud, template, version));
    Ok(Some(xml))
}

fn named<'c>(cloud: &'c Cloud, form: &Form<'_>) -> Result<&'c LaunchTemplate, AwsError> {
    let wanted = form.text("LaunchTemplateId").or_else(|| form.text("LaunchTemplateName"));
    let wanted = wanted.ok_or_else(|| form.missing("LaunchTemplateId"))?;
    cloud.inventory.template(wanted).ok_or_else(|| not_found(wanted))
}

fn not_found(wanted: &str) -> AwsError {
    if wanted.starts_with("lt-") {
        let message = format!("The specified launch template, with template ID {wanted}, does not exist.");
        AwsError::new("InvalidLaunchTemplateId.NotFound", message)
    } else {
        let message = format!("The specified launch template, with template name {wanted}, does not exist.");
        AwsError::new("InvalidLaunchTemplateName.NotFoundException", message)
    }
}

fn no_version(template: &LaunchTemplate, wanted: &str) -> AwsError {
    AwsError::new(
        "InvalidLaunchTemplateId.VersionNotFound",
        format!("Could not find the specified version {wanted} for the launch template with ID {}.", template.id),
    )
}

fn read_version(form: &Form<'_>, number: u64, now: Timestamp) -> Result<TemplateVersion, AwsError> {
    let data = form.part("LaunchTemplateData");
    if data.is_empty() {
        return Err(form.missing("LaunchTemplateData"));
    }
    let data = read(&data)?;
    Ok(TemplateVersion { number, description: form.owned("VersionDescription"), created: now, data })
}

fn read(form: &Form<'_>) -> Result<TemplateData, AwsError> {
    let invalid = |what: &str, value: &str| {
        AwsError::new("InvalidParameterValue", format!("Value ({value}) for parameter {what} is invalid."))
    };
    let shutdown = match form.text("InstanceInitiatedShutdownBehavior") {
        None => None,
        Some("stop") => Some(ShutdownBehavior::Stop),
        Some("terminate") => Some(ShutdownBehavior::Terminate),
        Some(other) => return Err(invalid("InstanceInitiatedShutdownBehavior", other)),
    };
    if let Some(user_data) = form.text("UserData") {
        match STANDARD.decode(user_data.trim()) {
            Err(_) => return Err(AwsError::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")),
            Ok(bytes) if bytes.len() > MOST_USER_DATA => {
                return Err(AwsError::new("InvalidParameterValue", "User data is limited to 16384 bytes"));
            }
            Ok(_) => {}
        }
    }
    let metadata = form.part("MetadataOptions");
    let choice = |name: &str, yes: &str, no: &str, default: bool| match metadata.text(name) {
        None => Ok(default),
        Some(value) if value == yes => Ok(true),
        Some(value) if value == no => Ok(false),
        Some(other) => Err(invalid(name, other)),
    };
    let hop_limit = metadata.number("HttpPutResponseHopLimit", 1..=64)?.and_then(|limit| u8::try_from(limit).ok());
    let options = MetadataOptions {
        enabled: choice("HttpEndpoint", "enabled", "disabled", true)?,
        tokens_required: choice("HttpTokens", "required", "optional", false)?,
        hop_limit: hop_limit.unwrap_or(1),
        tags: choice("InstanceMetadataTags", "enabled", "disabled", false)?,
    };
    let volume = |device: &Form<'_>| {
        let ebs = device.part("Ebs");
        let name = device.owned("DeviceName").unwrap_or_default();
        Ok(TemplateVolume { device: name, encrypted: ebs.flag("Encrypted")?, key: ebs.owned("KmsKeyId") })
    };
    let devices = form.structures("BlockDeviceMapping");
    Ok(TemplateData {
        volumes: devices.iter().map(volume).collect::<Result<_, AwsError>>()?,
        image: form.owned("ImageId"),
        instance_type: form.owned("InstanceType"),
        user_data: form.owned("UserData"),
        shutdown,
        metadata: (!metadata.is_empty()).then_some(options),
        profile_name: form.part("IamInstanceProfile").owned("Name"),
        profile_arn: form.part("IamInstanceProfile").owned("Arn"),
        key_name: form.owned("KeyName"),
        security_groups: form.list("SecurityGroupId").into_iter().map(str::to_owned).collect(),
        spot: form.part("InstanceMarketOptions").text("MarketType") == Some("spot"),
        tags: specified_tags(form),
    })
}

/// `TagSpecification.N`: a resource type and its tags.
fn specified_tags(form: &Form<'_>) -> Vec<(String, BTreeMap<String, String>)> {
    let one = |specification: Form<'_>| {
        let kind = specification.owned("ResourceType").unwrap_or_default();
        let pairs = specification.structures("Tag");
        let tags =
            pairs.iter().map(|tag| (tag.owned("Key").unwrap_or_default(), tag.owned("Value").unwrap_or_default()));
        (kind, tags.collect())
    };
    form.structures("TagSpecification").into_iter().map(one).collect()
}

fn write(xml: &mut Xml, cloud: &Cloud, template: &LaunchTemplate) {
    xml.text("launchTemplateId", &template.id);
    xml.text("launchTemplateName", &template.name);
    xml.text("createTime", template.created);
    xml.text("createdBy", format!("arn:aws:iam::{}:user/localcloud", cloud.options().account));
    xml.text("defaultVersionNumber", template.default_version);
    xml.text("latestVersionNumber", template.latest());
    xml.list("tagSet", "item", &template.tags, write_tag);
}

fn write_version(xml: &mut Xml, cloud: &Cloud, template: &LaunchTemplate, version: &TemplateVersion) {
    xml.text("launchTemplateId", &template.id);
    xml.text("launchTemplateName", &template.name);
    xml.text("versionNumber", version.number);
    xml.optional("versionDescription", version.description.as_deref());
    xml.text("createTime", version.created);
    xml.text("createdBy", format!("arn:aws:iam::{}:user/localcloud", cloud.options().account));
    xml.text("defaultVersion", version.number == template.default_version);
    xml.node("launchTemplateData", |xml| write_data(xml, &version.data));
}

fn write_data(xml: &mut Xml, data: &TemplateData) {
    if data.profile_name.is_some() || data.profile_arn.is_some() {
        xml.node("iamInstanceProfile", |xml| {
            xml.optional("arn", data.profile_arn.as_deref());
            xml.optional("name", data.profile_name.as_deref());
        });
    }
    xml.optional("imageId", data.image.as_deref());
    xml.optional("instanceType", data.instance_type.as_deref());
    xml.optional("keyName", data.key_name.as_deref());
    xml.optional("instanceInitiatedShutdownBehavior", data.shutdown.map(ShutdownBehavior::as_str));
    xml.optional("userData", data.user_data.as_deref());
    if !data.security_groups.is_empty() {
        xml.texts("securityGroupIdSet", "item", &data.security_groups);
    }
    if !data.volumes.is_empty() {
        xml.list("blockDeviceMappingSet", "item", &data.volumes, |xml, volume| {
            xml.text("deviceName", &volume.device);
            xml.node("ebs", |xml| {
                xml.optional("encrypted", volume.encrypted);
                xml.optional("kmsKeyId", volume.key.as_deref());
            });
        });
    }
    if data.spot {
        xml.node("instanceMarketOptions", |xml| xml.text("marketType", "spot"));
    }
    if let Some(metadata) = data.metadata {
        xml.node("metadataOptions", |xml| {
            xml.text("httpTokens", if metadata.tokens_required { "required" } else { "optional" });
            xml.text("httpPutResponseHopLimit", metadata.hop_limit);
            xml.text("httpEndpoint", if metadata.enabled { "enabled" } else { "disabled" });
            xml.text("instanceMetadataTags", if metadata.tags { "enabled" } else { "disabled" });
        });
    }
    if !data.tags.is_empty() {
        xml.list("tagSpecificationSet", "item", &data.tags, |xml, (kind, tags)| {
            xml.text("resourceType", kind);
            xml.list("tagSet", "item", tags, write_tag);
        });
    }
}

fn write_tag(xml: &mut Xml, (key, value): (&String, &String)) {
    xml.text("key", key);
    xml.text("value", value);
}
