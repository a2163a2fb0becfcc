//! The single attributes of an instance, and those that can be changed while it lives.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::instances::check;
use crate::{
    aws::model::{Cloud, Instance, MetadataOptions, ShutdownBehavior},
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        xml::Xml,
    },
    time::Timestamp,
};

/// `DescribeInstanceAttribute`.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let instance = instance(cloud, form)?;
    let attribute = form.need("Attribute")?;
    let value = match attribute {
        "instanceInitiatedShutdownBehavior" => instance.shutdown.as_str().to_owned(),
        "instanceType" => instance.instance_type.clone(),
        "userData" => STANDARD.encode(&instance.user_data),
        "disableApiTermination" | "disableApiStop" | "ebsOptimized" => "false".to_owned(),
        "rootDeviceName" => "/dev/xvda".to_owned(),
        other => return Err(unavailable(other)),
    };
    let mut xml = Xml::default();
    xml.text("instanceId", &instance.id);
    xml.node(attribute, |xml| xml.text("value", value));
    Ok(Some(xml))
}

/// `ModifyInstanceAttribute`: what the machine does when its operating system powers off.
pub(crate) fn modify(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let id = instance(cloud, form)?.id.clone();
    let direct = form.part("InstanceInitiatedShutdownBehavior").text("Value");
    let named = form.text("Attribute").filter(|name| *name == "instanceInitiatedShutdownBehavior");
    let Some(wanted) = direct.or(named.and(form.text("Value"))) else {
        return Err(unavailable(form.text("Attribute").unwrap_or("of this call")));
    };
    let shutdown = match wanted {
        "stop" => ShutdownBehavior::Stop,
        "terminate" => ShutdownBehavior::Terminate,
        other => {
            let message = format!("Value ({other}) for parameter instanceInitiatedShutdownBehavior is invalid.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    };
    if let Some(instance) = cloud.inventory.instances.get_mut(&id) {
        instance.shutdown = shutdown;
    }
    Ok(Some(Xml::done()))
}

/// `ModifyInstanceMetadataOptions`: what is left out stays as it is.
pub(crate) fn modify_metadata(cloud: &mut Cloud, form: &Form<'_>) -> CallResult {
    let (id, old) = {
        let instance = instance(cloud, form)?;
        (instance.id.clone(), instance.metadata)
    };
    let choice = |name: &str, yes: &str, no: &str, old: bool| match form.text(name) {
        None => Ok(old),
        Some(value) if value == yes => Ok(true),
        Some(value) if value == no => Ok(false),
        Some(other) => {
            let message = format!("Value ({other}) for parameter {name} is invalid.");
            Err(AwsError::new("InvalidParameterValue", message))
        }
    };
    let hop_limit = form.number("HttpPutResponseHopLimit", 1..=64)?.and_then(|limit| u8::try_from(limit).ok());
    let metadata = MetadataOptions {
        enabled: choice("HttpEndpoint", "enabled", "disabled", old.enabled)?,
        tokens_required: choice("HttpTokens", "required", "optional", old.tokens_required)?,
        hop_limit: hop_limit.unwrap_or(old.hop_limit),
        tags: choice("InstanceMetadataTags", "enabled", "disabled", old.tags)?,
    };
    if let Some(instance) = cloud.inventory.instances.get_mut(&id) {
        instance.metadata = metadata;
    }
    cloud.set_hop_limit(&id, metadata.hop_limit);
    let mut xml = Xml::default();
    xml.text("instanceId", id);
    xml.node("instanceMetadataOptions", |xml| super::instances::write_metadata(xml, metadata));
    Ok(Some(xml))
}

/// `GetConsoleOutput`: machines here have no console, so that nothing was written there.
pub(crate) fn console(cloud: &Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let mut xml = Xml::default();
    xml.text("instanceId", &instance(cloud, form)?.id);
    xml.text("timestamp", now);
    xml.text("output", "");
    Ok(Some(xml))
}

fn instance<'c>(cloud: &'c Cloud, form: &Form<'_>) -> Result<&'c Instance, AwsError> {
    let id = form.need("InstanceId")?;
    check(&[id], |id| cloud.instance(id).is_some())?;
    cloud.instance(id).ok_or_else(|| AwsError::new("InvalidInstanceID.NotFound", "it is gone"))
}

fn unavailable(attribute: &str) -> AwsError {
    AwsError::new("UnsupportedOperation", format!("The attribute {attribute} is not available here."))
}
