//! Long lists, and describes that lag behind.

use std::{collections::BTreeSet, time::Duration};

use crate::bench::{Bench, Fields, all, one};

/// Asks until there is no next page; every page but the last is full.
fn pages(bench: &mut Bench, action: &str, size: usize, element: &str, more: Fields<'_>) -> Vec<String> {
    let (mut seen, mut token) = (Vec::new(), None::<String>);
    let records = size.to_string();
    loop {
        let mut fields = vec![("MaxRecords", records.as_str())];
        fields.extend(token.as_deref().map(|token| ("NextToken", token)));
        fields.extend(more);
        let body = bench.asg(action, &fields);
        let page = all(&body, element);
        assert!(page.len() <= size);
        seen.extend(page.iter().cloned());
        match all(&body, "NextToken").first() {
            None => return seen,
            Some(next) => {
                assert_eq!(page.len(), size);
                token = Some(next.clone());
            }
        }
    }
}

#[test]
fn groups_come_a_page_at_a_time() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    let names: Vec<String> = (0..7).map(|n| format!("pool-{n}")).collect();
    for name in &names {
        bench.group(name, 0, 1, &[]);
    }
    let seen = pages(&mut bench, "DescribeAutoScalingGroups", 3, "AutoScalingGroupName", &[]);
    assert_eq!(seen, names);
    let body = bench.asg("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", "nope")]);
    assert!(body.contains("<AutoScalingGroups></AutoScalingGroups>"), "unknown names are left out: {body}");
}

#[test]
fn instances_come_a_page_at_a_time_and_unknown_ones_are_left_out() {
    let mut bench = Bench::in_service(7, 9, &[]);
    let seen = pages(&mut bench, "DescribeAutoScalingInstances", 3, "InstanceId", &[]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), bench.launched.iter().collect());
    assert_eq!(seen.len(), 7);
    let id = bench.launched[0].clone();
    let ids = [("InstanceIds.member.1", "i-00000000000000000"), ("InstanceIds.member.2", id.as_str())];
    let body = bench.asg("DescribeAutoScalingInstances", &ids);
    assert_eq!((one(&body, "InstanceId"), one(&body, "HealthStatus")), (id, "HEALTHY".to_owned()));
    assert!(bench.refused("DescribeAutoScalingInstances", &[("MaxRecords", "51")]).1.ends_with("equal to 50"));
    assert!(bench.refused("DescribeAutoScalingGroups", &[("MaxRecords", "101")]).1.ends_with("equal to 100"));
}

#[test]
fn activities_come_newest_first_behind_those_under_way() {
    let mut bench = Bench::in_service(1, 9, &[]);
    bench.wait(60);
    bench.set_desired(2);
    bench.wait(5);
    bench.terminate(&bench.launched[0].clone(), true);
    bench.wait(5);
    let more = [("AutoScalingGroupName", "g")];
    let descriptions = pages(&mut bench, "DescribeScalingActivities", 1, "Description", &more);
    let ids = bench.launched.clone();
    assert_eq!(
        descriptions,
        [
            format!("Launching a new EC2 instance: {}", ids[1]),
            format!("Terminating EC2 instance: {}", ids[0]),
            format!("Launching a new EC2 instance: {}", ids[0]),
        ]
    );
    let body = bench.asg("DescribeScalingActivities", &more);
    assert_eq!(all(&body, "StatusCode"), ["PreInService", "Successful", "Successful"]);
    assert_eq!(all(&body, "EndTime").len(), 2);
    assert!(
        all(&body, "Cause")[2]
            .contains("a user request created an AutoScalingGroup changing the desired capacity from 0 to 1.")
    );
}

#[test]
fn tags_select_groups() {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    for (name, fleet) in [("one", "linux"), ("two", "windows")] {
        let tags = [("Tags.member.1.Key", "ci-fleet"), ("Tags.member.1.Value", fleet)];
        bench.group(name, 0, 1, &tags);
    }
    let by = |bench: &mut Bench, name, value| {
        let fields = [("Filters.member.1.Name", name), ("Filters.member.1.Values.member.1", value)];
        all(&bench.asg("DescribeAutoScalingGroups", &fields), "AutoScalingGroupName")
    };
    assert_eq!(by(&mut bench, "tag:ci-fleet", "windows"), ["two"]);
    assert_eq!(by(&mut bench, "tag-key", "ci-fleet"), ["one", "two"]);
    assert_eq!(by(&mut bench, "tag-value", "linux"), ["one"]);
    assert!(by(&mut bench, "tag:other", "linux").is_empty());
    let filter = [("Filters.member.1.Name", "auto-scaling-group"), ("Filters.member.1.Values.member.1", "one")];
    let body = bench.asg("DescribeTags", &filter);
    assert_eq!((one(&body, "Key"), one(&body, "Value")), ("ci-fleet".to_owned(), "linux".to_owned()));
}

#[test]
fn instances_can_be_left_out_of_groups() {
    let mut bench = Bench::in_service(2, 3, &[]);
    assert_eq!(all(&bench.asg("DescribeAutoScalingGroups", &[]), "InstanceId").len(), 2);
    let body = bench.asg("DescribeAutoScalingGroups", &[("IncludeInstances", "false")]);
    assert!(all(&body, "InstanceId").is_empty() && one(&body, "DesiredCapacity") == "2");
}

#[test]
fn describes_can_lag_behind_while_calls_do_not() {
    let mut bench = Bench::in_service(1, 5, &[]);
    let seen = |bench: &mut Bench| one(&bench.asg("DescribeAutoScalingGroups", &[]), "DesiredCapacity");
    bench.cloud.stale_describes(Duration::from_secs(10));
    bench.set_desired(3);
    assert_eq!(seen(&mut bench), "1");
    bench.wait(9);
    assert_eq!((seen(&mut bench).as_str(), bench.desired()), ("1", 3));
    bench.wait(2);
    assert_eq!(seen(&mut bench), "3");
    let listed = |bench: &mut Bench| all(&bench.ec2("DescribeInstances", &[]), "instanceId").len();
    assert_eq!(listed(&mut bench), 3);
    bench.set_desired(4);
    bench.wait(2);
    assert_eq!(listed(&mut bench), 3);
    bench.cloud.stale_describes(Duration::ZERO);
    assert_eq!(listed(&mut bench), 4);
}
