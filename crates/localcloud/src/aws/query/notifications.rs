//! Whom a group tells of its instances, on the wire. Kept and given back: there is no SNS to send to.

use super::{
    error::{AwsError, CallResult},
    form::Form,
    lookup::{LARGEST_PAGE, PAGE, group},
    page::page,
    xml::Xml,
};
use crate::{aws::model::Cloud, time::Timestamp};

/// All of them (EC2 Auto Scaling API reference, `DescribeAutoScalingNotificationTypes`).
const TYPES: [&str; 5] = [
    "autoscaling:EC2_INSTANCE_LAUNCH",
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
    "autoscaling:EC2_INSTANCE_TERMINATE",
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
    "autoscaling:TEST_NOTIFICATION",
];

/// `PutNotificationConfiguration`: what a topic was told before is replaced.
pub(crate) fn put(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let name = group(cloud, form)?.name.clone();
    let topic = form.need("TopicARN")?;
    if !topic.starts_with("arn:aws:sns:") {
        return Err(AwsError::validation(format!("Invalid topic ARN: {topic}")));
    }
    let wanted = form.need_list("NotificationTypes")?;
    let known = |wanted: &&str| TYPES.iter().copied().find(|known| known == wanted);
    let types = wanted.iter().map(|wanted| {
        known(wanted).ok_or_else(|| AwsError::validation(format!("\"{wanted}\" is not a valid Notification Type")))
    });
    let types = types.collect::<Result<_, _>>()?;
    if let Some(group) = cloud.inventory.groups.get_mut(&name) {
        group.notifications.insert(topic.to_owned(), types);
    }
    cloud.group_happened(&name, format!("tells {topic} of its instances"), now);
    Ok(None)
}

/// `DeleteNotificationConfiguration`; of a topic that is told nothing as well.
pub(crate) fn delete(cloud: &mut Cloud, form: &Form<'_>, now: Timestamp) -> CallResult {
    let (name, topic) = (group(cloud, form)?.name.clone(), form.need("TopicARN")?);
    if let Some(group) = cloud.inventory.groups.get_mut(&name)
        && group.notifications.remove(topic).is_some()
    {
        cloud.group_happened(&name, format!("tells {topic} nothing any more"), now);
    }
    Ok(None)
}

/// `DescribeNotificationConfigurations`: one entry for each group, topic and type, of all groups or of those that are named.
pub(crate) fn describe(cloud: &Cloud, form: &Form<'_>) -> CallResult {
    let names = form.list("AutoScalingGroupNames");
    let size = form.number("MaxRecords", 1..=LARGEST_PAGE)?.unwrap_or(PAGE);
    let groups = cloud.view().groups.values().filter(|group| names.is_empty() || names.contains(&group.name.as_str()));
    let all = groups.flat_map(|group| {
        let topics = group.notifications.iter();
        topics.flat_map(move |(topic, types)| types.iter().map(move |told| (group, topic, *told)))
    });
    let all: Vec<(String, _)> = all.map(|it| (format!("{}/{}/{}", it.0.name, it.1, it.2), it)).collect();
    let (shown, next) = page(all, size, form.text("NextToken"), |(key, _)| key)?;
    let mut xml = Xml::default();
    xml.list("NotificationConfigurations", "member", shown, |xml, (_, (group, topic, told))| {
        xml.text("AutoScalingGroupName", &group.name);
        xml.text("TopicARN", topic);
        xml.text("NotificationType", told);
    });
    xml.optional("NextToken", next);
    Ok(Some(xml))
}

/// `DescribeAutoScalingNotificationTypes`.
pub(crate) fn types() -> Xml {
    let mut xml = Xml::default();
    xml.texts("AutoScalingNotificationTypes", "member", TYPES);
    xml
}
