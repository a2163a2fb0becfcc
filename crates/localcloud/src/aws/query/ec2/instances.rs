//! Instances as EC2 shows and ends them.

use std::time::Duration;

use super::filter::{Filter, filters};
use crate::{
    aws::model::{Cloud, Ec2State, Instance, MetadataOptions, StateReason},
    aws::query::{
        error::{AwsError, CallResult},
        form::Form,
        page::page,
        xml::Xml,
    },
    time::Timestamp,
};

/// How long a terminated instance stays visible (EC2 User Guide: about an hour).
const AFTERGLOW: Duration = Duration::from_secs(3600);
const LARGEST_PAGE: u32 = 1000;

/// `DescribeInstances`.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let ids = form.list("InstanceId");
    let filters = filters(form)?;
    let size = form.number("MaxResults", 5..=LARGEST_PAGE)?.unwrap_or(LARGEST_PAGE);
    let view = &cloud.view().instances;
    check(&ids, |id| view.get(id).is_some_and(|instance| visible(instance, now)))?;
    let mut shown = Vec::new();
    for instance in view.values().filter(|instance| visible(instance, now)) {
        if (ids.is_empty() || ids.contains(&instance.id.as_str())) && accepted(&filters, instance)? {
            shown.push(instance);
        }
    }
    let (shown, next) = page(shown, size, form.text("NextToken"), |instance| &instance.id)?;
    let mut xml = Xml::default();
    xml.list("reservationSet", "item", shown, |xml, instance| {
        xml.text("reservationId", instance.id.replacen("i-", "r-", 1));
        xml.text("ownerId", &cloud.options().account);
        xml.node("groupSet", |_| {});
        xml.list("instancesSet", "item", [instance], write);
    });
    xml.optional("nextToken", next);
    Ok(Some(xml))
}

/// `TerminateInstances`: ending an ended instance succeeds.
pub(crate) fn terminate(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    change(cloud, form, |cloud, id| {
        if cloud.instance(id).is_some_and(|instance| !instance.ec2_state.is_ending()) {
            cloud.because(id, "terminated through EC2");
            cloud.terminate_machine(id, StateReason::User, now);
        }
    })
}

/// `StopInstances`: stopping a stopped instance succeeds.
pub(crate) fn stop(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let ids = form.list("InstanceId");
    for id in &ids {
        let Some(instance) = cloud.instance(id) else { continue };
        if instance.ec2_state.is_ending() {
            return Err(AwsError::new(
                "IncorrectInstanceState",
                format!("This instance '{id}' is not in a state from which it can be stopped."),
            ));
        }
        if instance.spot {
            return Err(AwsError::new(
                "UnsupportedOperation",
                format!(
                    "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance \
                     request. You can only stop Spot Instances associated with persistent Spot Instance requests."
                ),
            ));
        }
    }
    change(cloud, form, |cloud, id| {
        cloud.because(id, "stopped through EC2");
        cloud.stop_machine(id, StateReason::User, now);
    })
}

/// `RebootInstances`: the operating system is told to, and the instance is running all the while.
pub(crate) fn reboot(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let ids = form.need_list("InstanceId")?;
    check(&ids, |id| cloud.instance(id).is_some())?;
    let off = ids.iter().find(|id| cloud.instance(id).is_some_and(|instance| instance.ec2_state != Ec2State::Running));
    if let Some(id) = off {
        return Err(AwsError::new(
            "IncorrectInstanceState",
            format!("The instance '{id}' is not in a state from which it can be rebooted."),
        ));
    }
    for id in ids {
        cloud.reboot_machine(id, now);
    }
    Ok(Some(Xml::done()))
}

fn change(cloud: &mut Cloud, form: &Form<'_>, act: impl Fn(&mut Cloud, &str)) -> CallResult {
    let ids = form.need_list("InstanceId")?;
    check(&ids, |id| cloud.instance(id).is_some())?;
    let before: Vec<(&str, Ec2State)> =
        ids.into_iter().filter_map(|id| cloud.instance(id).map(|instance| (id, instance.ec2_state))).collect();
    for (id, _) in &before {
        act(cloud, id);
    }
    let mut xml = Xml::default();
    xml.list("instancesSet", "item", before, |xml, (id, before)| {
        xml.text("instanceId", id);
        let now = cloud.instance(id).map_or(before, |instance| instance.ec2_state);
        for (name, state) in [("currentState", now), ("previousState", before)] {
            xml.node(name, |xml| write_state(xml, state));
        }
    });
    Ok(Some(xml))
}

/// Refuses ids that cannot be ids, and then ids that nothing has.
pub(crate) fn check(ids: &[&str], exists: impl Fn(&str) -> bool) -> Result<(), AwsError> {
    let well_formed = |id: &str| {
        id.strip_prefix("i-").is_some_and(|digits| {
            matches!(digits.len(), 8 | 17) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        })
    };
    if let Some(id) = ids.iter().find(|id| !well_formed(id)) {
        return Err(AwsError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
    }
    let missing: Vec<_> = ids.iter().copied().filter(|id| !exists(id)).collect();
    match missing.as_slice() {
        [] => Ok(()),
        [id] => Err(AwsError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))),
        several => Err(AwsError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", several.join(", ")),
        )),
    }
}

/// Whether EC2 still shows it.
pub(super) fn visible(instance: &Instance, now: Timestamp) -> bool {
    instance.ended_at.is_none_or(|end| now.since(end) < AFTERGLOW)
}

pub(super) fn accepted(filters: &[Filter<'_>], instance: &Instance) -> Result<bool, AwsError> {
    for filter in filters {
        let matches = match filter.name {
            "instance-id" => filter.accepts(&instance.id),
            "instance-state-name" => filter.accepts(instance.ec2_state.as_str()),
            "instance-state-code" => filter.accepts(&instance.ec2_state.code().to_string()),
            "instance-type" => filter.accepts(&instance.instance_type),
            "instance-lifecycle" => instance.spot && filter.accepts("spot"),
            "availability-zone" => filter.accepts(&instance.availability_zone),
            "image-id" => filter.accepts(&instance.image),
            "subnet-id" => instance.subnet.as_ref().is_some_and(|subnet| filter.accepts(subnet)),
            "private-ip-address" => filter.accepts(&instance.private_ip),
            "tag-key" => instance.tags.keys().any(|key| filter.accepts(key)),
            name => match name.strip_prefix("tag:") {
                Some(key) => instance.tags.get(key).is_some_and(|value| filter.accepts(value)),
                None => return Err(filter.unknown()),
            },
        };
        if !matches {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn write_state(xml: &mut Xml, state: Ec2State) {
    xml.text("code", state.code());
    xml.text("name", state);
}

fn write(xml: &mut Xml, instance: &Instance) {
    xml.text("instanceId", &instance.id);
    xml.text("imageId", &instance.image);
    xml.node("instanceState", |xml| write_state(xml, instance.ec2_state));
    xml.text("privateDnsName", format!("ip-{}.ec2.internal", instance.private_ip.replace('.', "-")));
    xml.text("dnsName", "");
    let stopped = instance.state_reason.filter(|_| !instance.ec2_state.is_up());
    xml.text("reason", stopped.map_or("", StateReason::message));
    xml.text("amiLaunchIndex", 0);
    xml.node("productCodes", |_| {});
    xml.text("instanceType", &instance.instance_type);
    xml.text("launchTime", instance.launched_at);
    xml.node("placement", |xml| {
        xml.text("availabilityZone", &instance.availability_zone);
        xml.text("groupName", "");
        xml.text("tenancy", "default");
    });
    xml.node("monitoring", |xml| xml.text("state", "disabled"));
    xml.optional("subnetId", instance.subnet.as_deref());
    xml.text("privateIpAddress", &instance.private_ip);
    xml.node("groupSet", |_| {});
    if let Some(reason) = stopped {
        xml.node("stateReason", |xml| {
            xml.text("code", reason.code());
            xml.text("message", format!("{}: {}", reason.code(), reason.message()));
        });
    }
    xml.text("architecture", "x86_64");
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", "/dev/xvda");
    xml.node("blockDeviceMapping", |_| {});
    xml.text("virtualizationType", "hvm");
    xml.optional("instanceLifecycle", instance.spot.then_some("spot"));
    xml.text("clientToken", "");
    xml.list("tagSet", "item", &instance.tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
    xml.node("metadataOptions", |xml| write_metadata(xml, instance.metadata));
}

pub(super) fn write_metadata(xml: &mut Xml, metadata: MetadataOptions) {
    xml.text("state", "applied");
    xml.text("httpTokens", if metadata.tokens_required { "required" } else { "optional" });
    xml.text("httpPutResponseHopLimit", metadata.hop_limit);
    xml.text("httpEndpoint", if metadata.enabled { "enabled" } else { "disabled" });
    xml.text("httpProtocolIpv6", "disabled");
    xml.text("instanceMetadataTags", if metadata.tags { "enabled" } else { "disabled" });
}
