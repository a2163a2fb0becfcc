//! Scheduled actions on the wire.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::{LARGEST_PAGE, PAGE, group},
    page::page,
    xml::Xml,
};
use crate::aws::model::{Cloud, Group, Recurrence, ScheduledAction};
use crate::time::Timestamp;

/// `PutScheduledUpdateGroupAction`; one with the same name is replaced.
pub(crate) fn put(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let group = group(cloud, form)?;
    let (group, name) = (group.name.clone(), form.need("ScheduledActionName")?.to_owned());
    let size = |field| form.number(field, 0..=u32::MAX);
    let (min, max, desired) = (size("MinSize")?, size("MaxSize")?, size("DesiredCapacity")?);
    if min.or(max).or(desired).is_none() {
        return Err(AwsError::validation(
            "At least one of the min-size, max-size and desired-capacity parameters must be specified",
        ));
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(AwsError::validation("Max bound must be greater than or equal to min bound"));
    }
    if let Some(zone) = form.text("TimeZone").filter(|zone| !matches!(*zone, "Etc/UTC" | "UTC")) {
        return Err(AwsError::validation(format!("The time zone {zone} is not supported; use Etc/UTC.")));
    }
    let recurrence = form.text("Recurrence").map(|text| {
        Recurrence::parse(text)
            .ok_or_else(|| AwsError::validation(format!("Given recurrence string:{text} is invalid")))
    });
    let recurrence = recurrence.transpose()?;
    let start = time(form, "StartTime")?.or(time(form, "Time")?);
    let end = time(form, "EndTime")?;
    if start.is_some_and(|start| start <= now) {
        return Err(AwsError::validation("Given start time is in the past"));
    }
    if end.is_some_and(|end| end <= start.unwrap_or(now)) {
        return Err(AwsError::validation("The end time must be after the start time, and in the future"));
    }
    let next = start.or_else(|| recurrence.as_ref().and_then(|recurrence| recurrence.next_after(now)));
    let next =
        next.ok_or_else(|| AwsError::validation("Either a start time or a recurrence that comes must be given"))?;
    let uuid = cloud.ids.uuid();
    let action = ScheduledAction { name: name.clone(), uuid, next, recurrence, end, min, max, desired };
    if let Some(group) = cloud.inventory.groups.get_mut(&group) {
        group.scheduled.insert(name.clone(), action);
    }
    cloud.group_happened(&group, format!("scheduled action {name} for {}", next.to_seconds()), now);
    Ok(None)
}

/// `DeleteScheduledAction`.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (group, name) = (group(cloud, form)?.name.clone(), form.need("ScheduledActionName")?);
    let known = cloud.inventory.groups.get_mut(&group).and_then(|group| group.scheduled.remove(name));
    if known.is_none() {
        return Err(AwsError::validation("Scheduled action name not found"));
    }
    cloud.group_happened(&group, format!("scheduled action {name} deleted"), now);
    Ok(None)
}

/// `DescribeScheduledActions`: of one group or of all; with times, those that are due between them.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let names = form.list("ScheduledActionNames");
    let (from, to) = (time(form, "StartTime")?, time(form, "EndTime")?);
    let size = form.number("MaxRecords", 1..=LARGEST_PAGE)?.unwrap_or(PAGE);
    let of = form.text("AutoScalingGroupName");
    let groups = cloud.view().groups.values().filter(|group| of.is_none_or(|of| group.name == of));
    let all = groups.flat_map(|group| group.scheduled.values().map(move |action| (group, action)));
    let wanted = all.filter(|(_, action)| {
        let chosen = names.is_empty() || names.contains(&action.name.as_str());
        chosen && from.is_none_or(|from| action.next >= from) && to.is_none_or(|to| action.next <= to)
    });
    let (shown, next) = page(wanted.collect(), size, form.text("NextToken"), |(_, action)| &action.uuid)?;
    let mut xml = Xml::default();
    xml.list("ScheduledUpdateGroupActions", "member", shown, |xml, (group, action)| write(xml, cloud, group, action));
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

fn write(xml: &mut Xml, cloud: &Cloud, group: &Group, action: &ScheduledAction) {
    let (options, ScheduledAction { name, uuid, .. }) = (cloud.options(), action);
    xml.text("AutoScalingGroupName", &group.name);
    xml.text("ScheduledActionName", name);
    xml.text(
        "ScheduledActionARN",
        format!(
            "arn:aws:autoscaling:{}:{}:scheduledUpdateGroupAction:{uuid}:autoScalingGroupName/{}:scheduledActionName/{name}",
            options.region, options.account, group.name
        ),
    );
    xml.text("Time", action.next);
    xml.text("StartTime", action.next);
    xml.optional("EndTime", action.end);
    xml.optional("Recurrence", action.recurrence.as_ref().map(Recurrence::as_str));
    xml.optional("MinSize", action.min);
    xml.optional("MaxSize", action.max);
    xml.optional("DesiredCapacity", action.desired);
}

fn time(form: &Form<'_>, name: &str) -> Result<Option<Timestamp>, AwsError> {
    let Some(text) = form.text(name) else { return Ok(None) };
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| AwsError::new("MalformedInput", format!("timestamp must follow ISO8601: {name} is {text}")))?;
    Ok(Some(Timestamp(time.as_millisecond())))
}
