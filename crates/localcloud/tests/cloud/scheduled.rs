//! Scheduled actions, the collection of metrics, notifications.

use crate::bench::{Bench, Fields, all, one};

fn put(bench: &mut Bench, name: &str, more: Fields<'_>) {
    bench.on_group("PutScheduledUpdateGroupAction", &[&[("ScheduledActionName", name)], more].concat());
}

fn bounds(bench: &Bench) -> (u32, u32, u32) {
    let bounds = bench.cloud.group("g").unwrap().bounds;
    (bounds.min, bounds.max, bounds.desired)
}

#[test]
fn an_action_changes_the_bounds_at_its_time_and_is_gone() {
    // It is Friday, 15 January 2027, 08:00.
    let mut bench = Bench::with_group(0, 4, &[]);
    put(&mut bench, "up", &[("StartTime", "2027-01-15T08:10:00Z"), ("MinSize", "2"), ("MaxSize", "6")]);
    let body = bench.on_group("DescribeScheduledActions", &[]);
    assert_eq!(one(&body, "StartTime"), "2027-01-15T08:10:00.000Z");
    let arn = one(&body, "ScheduledActionARN");
    assert!(arn.starts_with("arn:aws:autoscaling:eu-central-1:123456789012:scheduledUpdateGroupAction:"), "{arn}");
    assert!(arn.ends_with(":autoScalingGroupName/g:scheduledActionName/up"), "{arn}");
    bench.wait(599);
    assert_eq!(bounds(&bench), (0, 4, 0));
    bench.wait(40);
    assert_eq!((bounds(&bench), bench.serving().len()), ((2, 6, 2), 2));
    let cause = &bench.last_activity().cause;
    let told = "At 2027-01-15T08:10:00Z the scheduled action up executed, changing the desired capacity from 0 to 2.";
    assert!(cause.contains(told), "{cause}");
    let body = bench.on_group("DescribeScheduledActions", &[]);
    assert!(all(&body, "ScheduledActionName").is_empty(), "{body}");
}

#[test]
fn an_action_recurs_until_its_end_and_not_while_its_process_is_suspended() {
    let mut bench = Bench::with_group(0, 4, &[]);
    let every = [("Recurrence", "*/10 * * * *"), ("EndTime", "2027-01-15T08:45:00Z"), ("DesiredCapacity", "3")];
    put(&mut bench, "often", &every);
    bench.wait(601);
    assert_eq!(bounds(&bench), (0, 4, 3));
    bench.set_desired(0);
    bench.on_group("SuspendProcesses", &[("ScalingProcesses.member.1", "ScheduledActions")]);
    bench.wait(600);
    assert_eq!(bounds(&bench), (0, 4, 0), "suspended");
    bench.on_group("ResumeProcesses", &[]);
    assert_eq!(bounds(&bench), (0, 4, 0), "what was passed over is not made up for");
    let body = bench.on_group("DescribeScheduledActions", &[]);
    assert_eq!(
        (one(&body, "Time"), one(&body, "Recurrence")),
        ("2027-01-15T08:30:00.000Z".into(), "*/10 * * * *".into())
    );
    bench.wait(600);
    assert_eq!(bounds(&bench), (0, 4, 3));
    bench.wait(1200);
    let body = bench.on_group("DescribeScheduledActions", &[]);
    assert!(all(&body, "ScheduledActionName").is_empty(), "its end has come: {body}");
}

#[test]
fn an_action_keeps_the_capacity_within_its_bounds() {
    let mut bench = Bench::in_service(4, 4, &[]);
    put(&mut bench, "night", &[("StartTime", "2027-01-15T09:00:00Z"), ("MaxSize", "1")]);
    bench.wait(3600);
    assert_eq!(bounds(&bench), (0, 1, 1));
}

#[test]
fn an_action_is_replaced_by_name_and_deleted() {
    let mut bench = Bench::with_group(0, 4, &[]);
    put(&mut bench, "a", &[("Recurrence", "0 6 * * MON-FRI"), ("DesiredCapacity", "1")]);
    put(&mut bench, "a", &[("Recurrence", "0 7 * * MON-FRI"), ("DesiredCapacity", "1")]);
    put(&mut bench, "b", &[("Recurrence", "0 18 * * *"), ("DesiredCapacity", "0")]);
    let soon = bench.asg("DescribeScheduledActions", &[("EndTime", "2027-01-16T00:00:00Z")]);
    assert_eq!(one(&soon, "ScheduledActionName"), "b", "the other one is due on Monday");
    let named = bench.asg("DescribeScheduledActions", &[("ScheduledActionNames.member.1", "a")]);
    assert_eq!(one(&named, "StartTime"), "2027-01-18T07:00:00.000Z");
    bench.on_group("DeleteScheduledAction", &[("ScheduledActionName", "a")]);
    let (code, message) =
        bench.refused("DeleteScheduledAction", &[("AutoScalingGroupName", "g"), ("ScheduledActionName", "a")]);
    assert_eq!((code.as_str(), message.as_str()), ("ValidationError", "Scheduled action name not found"));
}

#[test]
fn an_action_that_makes_no_sense_is_refused() {
    let mut bench = Bench::with_group(0, 4, &[]);
    for (fields, part) in [
        (&[("StartTime", "2027-01-15T09:00:00Z")][..], "At least one of"),
        (&[("StartTime", "2027-01-15T07:59:00Z"), ("MinSize", "1")], "in the past"),
        (&[("StartTime", "tomorrow"), ("MinSize", "1")], "ISO8601"),
        (&[("MinSize", "1")], "start time or a recurrence"),
        (&[("Recurrence", "61 * * * *"), ("MinSize", "1")], "Given recurrence string:61 * * * * is invalid"),
        (&[("Recurrence", "1 * * * *"), ("MinSize", "2"), ("MaxSize", "1")], "Max bound"),
        (&[("Recurrence", "1 * * * *"), ("MinSize", "2"), ("EndTime", "2027-01-15T07:00:00Z")], "end time"),
        (&[("Recurrence", "1 * * * *"), ("MinSize", "2"), ("TimeZone", "Europe/Berlin")], "use Etc/UTC"),
    ] {
        let own = [("AutoScalingGroupName", "g"), ("ScheduledActionName", "x")];
        let (_, message) = bench.refused("PutScheduledUpdateGroupAction", &[&own, fields].concat());
        assert!(message.contains(part), "{fields:?}: {message}");
    }
}

#[test]
fn the_metrics_that_are_collected_are_told() {
    let mut bench = Bench::with_group(0, 4, &[]);
    bench.on_group("EnableMetricsCollection", &[("Granularity", "1Minute")]);
    let body = bench.asg("DescribeAutoScalingGroups", &[]);
    let types = bench.asg("DescribeMetricCollectionTypes", &[]);
    let (mut enabled, mut known) = (all(&body, "Metric"), all(&types, "Metric"));
    enabled.sort();
    known.sort();
    assert!(enabled == known && enabled.contains(&"GroupInServiceInstances".to_owned()), "{body}");
    bench.on_group("DisableMetricsCollection", &[]);
    let one_of_them = [("Granularity", "1Minute"), ("Metrics.member.1", "GroupTotalInstances")];
    bench.on_group("EnableMetricsCollection", &one_of_them);
    let body = bench.asg("DescribeAutoScalingGroups", &[]);
    assert_eq!((one(&body, "Metric"), one(&body, "Granularity")), ("GroupTotalInstances".into(), "1Minute".into()));
    for (field, value) in [("Granularity", "5Minute"), ("Metrics.member.1", "Load")] {
        let mut fields = vec![("AutoScalingGroupName", "g"), (field, value)];
        if field != "Granularity" {
            fields.push(("Granularity", "1Minute"));
        }
        let (_, message) = bench.refused("EnableMetricsCollection", &fields);
        assert!(message.contains(value), "{message}");
    }
}

#[test]
fn the_topics_that_a_group_tells_are_told() {
    const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:fleet";
    let mut bench = Bench::with_group(0, 4, &[]);
    bench.group("other", 0, 1, &[]);
    let told = |first, second| {
        [("TopicARN", TOPIC), ("NotificationTypes.member.1", first), ("NotificationTypes.member.2", second)]
    };
    let (launch, end) = ("autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_TERMINATE");
    bench.on_group("PutNotificationConfiguration", &told(launch, "autoscaling:TEST_NOTIFICATION"));
    bench.on_group("PutNotificationConfiguration", &told(end, launch));
    let body = bench.asg("DescribeNotificationConfigurations", &[("AutoScalingGroupNames.member.1", "g")]);
    assert_eq!(all(&body, "NotificationType"), [launch, end], "what was told before is replaced");
    assert_eq!(all(&body, "TopicARN"), [TOPIC, TOPIC]);
    let body = bench.asg("DescribeNotificationConfigurations", &[("AutoScalingGroupNames.member.1", "other")]);
    assert!(all(&body, "TopicARN").is_empty(), "{body}");
    let first = bench.asg("DescribeNotificationConfigurations", &[("MaxRecords", "1")]);
    let token = one(&first, "NextToken");
    let second = bench.asg("DescribeNotificationConfigurations", &[("MaxRecords", "1"), ("NextToken", &token)]);
    assert_eq!([one(&first, "NotificationType"), one(&second, "NotificationType")], [launch, end]);
    for (fields, part) in [
        (told("autoscaling:NONE", launch), "\"autoscaling:NONE\" is not a valid Notification Type"),
        ([("TopicARN", "fleet"), ("NotificationTypes.member.1", launch), ("x", "")], "Invalid topic ARN: fleet"),
    ] {
        let fields = [&[("AutoScalingGroupName", "g")][..], &fields].concat();
        let (_, message) = bench.refused("PutNotificationConfiguration", &fields);
        assert!(message.contains(part), "{message}");
    }
    bench.on_group("DeleteNotificationConfiguration", &[("TopicARN", TOPIC)]);
    let body = bench.asg("DescribeNotificationConfigurations", &[]);
    assert!(all(&body, "TopicARN").is_empty(), "{body}");
    assert_eq!(all(&bench.asg("DescribeAutoScalingNotificationTypes", &[]), "member").len(), 5);
}
