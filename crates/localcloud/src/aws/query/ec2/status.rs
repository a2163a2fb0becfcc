//! The status checks of instances, with the events that are scheduled for them.

use super::{
    filter::filters,
    instances::{accepted, check, visible, write_state},
};
use crate::{
    aws::model::{Cloud, Ec2State, Instance, MaintenanceEvent},
    aws::query::{error::CallResult, form::Form, page::page, xml::Xml},
    time::Timestamp,
};

const LARGEST_PAGE: u32 = 1000;

/// `DescribeInstanceStatus`: instances that run, unless all are asked for.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let ids = form.list("InstanceId");
    let filters = filters(form)?;
    let all = form.flag("IncludeAllInstances")?.unwrap_or(false);
    let size = form.number("MaxResults", 5..=LARGEST_PAGE)?.unwrap_or(LARGEST_PAGE);
    let view = &cloud.view().instances;
    check(&ids, |id| view.get(id).is_some_and(|instance| visible(instance, now)))?;
    let mut shown = Vec::new();
    for instance in view.values().filter(|instance| visible(instance, now)) {
        let wanted = ids.is_empty() || ids.contains(&instance.id.as_str());
        if wanted && (all || instance.ec2_state == Ec2State::Running) && accepted(&filters, instance)? {
            shown.push(instance);
        }
    }
    let (shown, next) = page(shown, size, form.text("NextToken"), |instance| &instance.id)?;
    let mut xml = Xml::default();
    xml.list("instanceStatusSet", "item", shown, write);
    xml.optional("nextToken", next);
    Ok(Some(xml))
}

fn write(xml: &mut Xml, instance: &Instance) {
    xml.text("instanceId", &instance.id);
    xml.text("availabilityZone", &instance.availability_zone);
    let events: Vec<&MaintenanceEvent> = instance.maintenance.iter().filter(|event| event.state == "active").collect();
    if !events.is_empty() {
        xml.list("eventsSet", "item", events, |xml, event| {
            xml.text("instanceEventId", &event.event_id);
            xml.text("code", event.code);
            xml.text("description", event.description);
            xml.text("notBefore", event.not_before);
            xml.text("notAfter", event.not_after());
            xml.text("notBeforeDeadline", event.deadline());
        });
    }
    xml.node("instanceState", |xml| write_state(xml, instance.ec2_state));
    let (status, detail) = match instance.ec2_state {
        Ec2State::Running => ("ok", "passed"),
        Ec2State::Pending => ("initializing", "initializing"),
        Ec2State::ShuttingDown | Ec2State::Terminated | Ec2State::Stopping | Ec2State::Stopped => {
            ("not-applicable", "insufficient-data")
        }
    };
    for name in ["systemStatus", "instanceStatus"] {
        xml.node(name, |xml| {
            xml.text("status", status);
            xml.list("details", "item", [detail], |xml, detail| {
                xml.text("name", "reachability");
                xml.text("status", detail);
            });
        });
    }
}
