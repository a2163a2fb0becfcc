//! The activity history on the wire.

use super::{error::CallResult, form::Form, lookup::LARGEST_PAGE, page::page, xml::Xml};
use crate::aws::model::{Activity, ActivityId, Cloud};

/// `DescribeScalingActivities`: what is under way first, then the newest.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let ids = form.list("ActivityIds");
    let group = form.text("AutoScalingGroupName");
    let size = form.number("MaxRecords", 1..=LARGEST_PAGE)?.unwrap_or(LARGEST_PAGE);
    let inventory = cloud.view();
    let mut shown: Vec<&Activity> = inventory
        .activities
        .iter()
        .rev()
        .filter(|activity| group.is_none_or(|group| activity.group == group))
        .filter(|activity| ids.is_empty() || ids.contains(&activity.id.as_str()))
        // History of a group that is gone is shown only with `IncludeDeletedGroups`.
        .filter(|activity| {
            form.text("IncludeDeletedGroups") == Some("true") || inventory.groups.contains_key(&activity.group)
        })
        .collect();
    shown.sort_by_key(|activity| activity.end.is_some());
    let (shown, next) = page(shown, size, form.text("NextToken"), |activity| &activity.id)?;
    let mut xml = Xml::default();
    xml.list("Activities", "member", shown, write);
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

/// `<name><member>…</member></name>` for activities that a call has just begun.
pub(crate) fn list(cloud: &Cloud, ids: &[ActivityId]) -> Xml {
    let mut xml = Xml::default();
    xml.list("Activities", "member", ids.iter().filter_map(|id| cloud.inventory.activity(*id)), write);
    xml
}

/// The fields of one activity.
pub(crate) fn write(xml: &mut Xml, activity: &Activity) {
    xml.text("ActivityId", &activity.id);
    xml.text("AutoScalingGroupName", &activity.group);
    xml.text("Description", &activity.description);
    xml.text("Cause", &activity.cause);
    xml.text("StartTime", activity.start);
    xml.optional("EndTime", activity.end);
    xml.text("StatusCode", activity.status.as_str());
    xml.optional("StatusMessage", activity.message.as_deref());
    xml.text("Progress", activity.status.progress());
    xml.text("Details", "{}");
}
