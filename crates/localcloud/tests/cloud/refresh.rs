//! Instance refreshes.

use lightsout_localcloud::aws::model::{LifecycleState, RefreshStatus};

use crate::bench::{Bench, Fields, one};

fn start(bench: &mut Bench, more: Fields<'_>) {
    bench.on_group("StartInstanceRefresh", more);
}

fn status(bench: &Bench) -> RefreshStatus {
    bench.cloud.group("g").unwrap().refreshes.last().unwrap().status
}

#[test]
fn replaces_everything_within_the_healthy_share() {
    let mut bench = Bench::in_service(4, 9, &[]);
    let old = bench.launched.clone();
    start(&mut bench, &[("Preferences.MinHealthyPercentage", "50")]);
    let mut fewest = 4;
    for _ in 0..120 {
        bench.wait(1);
        fewest = fewest.min(bench.serving().len());
    }
    assert_eq!(fewest, 2, "half of the group stays in service, and no more than that");
    assert_eq!(status(&bench), RefreshStatus::Successful);
    assert!(old.iter().all(|id| bench.state(id) == LifecycleState::Terminated));
    assert_eq!((bench.serving().len(), bench.launched.len(), bench.desired()), (4, 8, 4));
    let body = bench.on_group("DescribeInstanceRefreshes", &[]);
    assert_eq!((one(&body, "PercentageComplete").as_str(), one(&body, "Status").as_str()), ("100", "Successful"));
}

#[test]
fn takes_at_least_one_at_a_time() {
    let mut bench = Bench::in_service(2, 9, &[]);
    start(&mut bench, &[("Preferences.MinHealthyPercentage", "100")]);
    bench.wait(2);
    assert_eq!(bench.serving().len(), 1);
    bench.wait(120);
    assert_eq!((status(&bench), bench.serving().len()), (RefreshStatus::Successful, 2));
}

#[test]
fn only_one_at_a_time_and_it_can_be_cancelled() {
    let mut bench = Bench::in_service(2, 9, &[]);
    start(&mut bench, &[]);
    let (code, message) = bench.refused("StartInstanceRefresh", &[("AutoScalingGroupName", "g")]);
    assert_eq!(code, "InstanceRefreshInProgress");
    assert!(message.starts_with("An Instance Refresh is already in progress"), "{message}");
    bench.wait(2);
    bench.on_group("CancelInstanceRefresh", &[]);
    bench.wait(60);
    assert_eq!(status(&bench), RefreshStatus::Cancelled);
    assert_eq!((bench.serving().len(), bench.launched.len()), (2, 3), "what was begun is completed, and no more");
    let (code, _) = bench.refused("CancelInstanceRefresh", &[("AutoScalingGroupName", "g")]);
    assert_eq!(code, "ActiveInstanceRefreshNotFound");
    start(&mut bench, &[]);
}

#[test]
fn waits_an_hour_for_protected_instances_and_then_fails() {
    let mut bench = Bench::in_service(1, 9, &[("NewInstancesProtectedFromScaleIn", "true")]);
    start(&mut bench, &[]);
    bench.wait(3590);
    assert_eq!(status(&bench), RefreshStatus::InProgress);
    bench.wait(20);
    assert_eq!(status(&bench), RefreshStatus::Failed);
    assert_eq!((bench.serving().len(), bench.launched.len()), (1, 1));
    assert!(one(&bench.on_group("DescribeInstanceRefreshes", &[]), "StatusReason").contains("protected"));
}

#[test]
fn goes_on_when_protection_goes() {
    let mut bench = Bench::in_service(1, 9, &[("NewInstancesProtectedFromScaleIn", "true")]);
    let id = bench.launched[0].clone();
    start(&mut bench, &[]);
    bench.wait(1800);
    bench.protect(&id, false);
    bench.wait(60);
    assert_eq!((bench.state(&id), status(&bench)), (LifecycleState::Terminated, RefreshStatus::Successful));
}

#[test]
fn an_instance_that_leaves_by_itself_counts_as_replaced() {
    let mut bench = Bench::in_service(1, 9, &[("NewInstancesProtectedFromScaleIn", "true")]);
    let id = bench.launched[0].clone();
    start(&mut bench, &[]);
    bench.wait(60);
    bench.terminate(&id, false);
    bench.wait(60);
    assert_eq!((status(&bench), bench.serving().len()), (RefreshStatus::Successful, 1));
}

#[test]
fn ignores_or_replaces_protected_instances_on_request() {
    for (choice, launched) in [("Ignore", 2), ("Refresh", 4)] {
        let mut bench = Bench::in_service(2, 9, &[("NewInstancesProtectedFromScaleIn", "true")]);
        start(&mut bench, &[("Preferences.ScaleInProtectedInstances", choice)]);
        bench.wait(300);
        assert_eq!((status(&bench), bench.launched.len()), (RefreshStatus::Successful, launched), "{choice}");
    }
    let mut bench = Bench::in_service(1, 1, &[]);
    let fields = [("AutoScalingGroupName", "g"), ("Preferences.ScaleInProtectedInstances", "Maybe")];
    assert!(bench.refused("StartInstanceRefresh", &fields).1.contains("[Refresh, Ignore, Wait]"));
}

#[test]
fn skips_instances_that_match() {
    let mut bench = Bench::in_service(1, 9, &[]);
    start(&mut bench, &[("Preferences.SkipMatching", "true")]);
    bench.wait(10);
    assert_eq!((status(&bench), bench.launched.len()), (RefreshStatus::Successful, 1));
    bench.ec2("CreateLaunchTemplateVersion", &[("LaunchTemplateName", "t"), ("LaunchTemplateData.ImageId", "ami-2")]);
    start(
        &mut bench,
        &[
            ("Preferences.SkipMatching", "true"),
            ("DesiredConfiguration.LaunchTemplate.LaunchTemplateName", "t"),
            ("DesiredConfiguration.LaunchTemplate.Version", "2"),
        ],
    );
    bench.wait(60);
    assert_eq!((status(&bench), bench.launched.len()), (RefreshStatus::Successful, 2));
    assert_eq!(bench.instance(&bench.launched[1]).image, "ami-2");
}

#[test]
fn a_new_instance_warms_up_before_the_next_goes() {
    let mut bench = Bench::in_service(2, 9, &[("DefaultInstanceWarmup", "100")]);
    start(&mut bench, &[]);
    bench.wait(90);
    assert_eq!(bench.launched.len(), 3);
    bench.wait(300);
    assert_eq!((bench.launched.len(), status(&bench)), (4, RefreshStatus::Successful));
}

/// A group on version 1 of its template, of which a refresh has replaced some instances by version 2.
fn half_way(version: &str) -> Bench {
    let mut bench = Bench::new();
    bench.template("t", &[]);
    bench.group("g", 4, 9, &[("LaunchTemplate.Version", version)]);
    bench.wait(30);
    let second = [("LaunchTemplateName", "t"), ("SourceVersion", "1"), ("LaunchTemplateData.ImageId", "ami-2")];
    bench.ec2("CreateLaunchTemplateVersion", &second);
    let wanted = [
        ("DesiredConfiguration.LaunchTemplate.LaunchTemplateName", "t"),
        ("DesiredConfiguration.LaunchTemplate.Version", "2"),
        ("Preferences.MinHealthyPercentage", "75"),
    ];
    start(&mut bench, &wanted);
    bench.wait(40);
    bench
}

fn images(bench: &Bench) -> Vec<String> {
    bench.serving().iter().map(|id| bench.instance(id).image.clone()).collect()
}

#[test]
fn is_rolled_back_to_the_former_template() {
    let mut bench = half_way("1");
    let old = bench.serving().iter().find(|id| bench.instance(id).image == "ami-1").cloned().unwrap();
    assert!(images(&bench).contains(&"ami-2".to_owned()), "{:?}", images(&bench));
    bench.on_group("RollbackInstanceRefresh", &[]);
    assert_eq!(status(&bench), RefreshStatus::RollbackInProgress);
    let own = [("AutoScalingGroupName", "g")];
    assert_eq!(bench.refused("StartInstanceRefresh", &own).0, "InstanceRefreshInProgress");
    assert_eq!(bench.refused("RollbackInstanceRefresh", &own).0, "IrreversibleInstanceRefresh");
    bench.wait(200);
    assert_eq!(status(&bench), RefreshStatus::RollbackSuccessful);
    assert_eq!(images(&bench), ["ami-1"; 4]);
    assert!(bench.serving().contains(&old), "what was of the former template stays");
    let body = bench.on_group("DescribeInstanceRefreshes", &[]);
    assert_eq!(
        (one(&body, "Status").as_str(), one(&body, "PercentageComplete").as_str()),
        ("RollbackSuccessful", "100")
    );
    assert_eq!(bench.refused("RollbackInstanceRefresh", &own).0, "ActiveInstanceRefreshNotFound");
}

#[test]
fn is_not_rolled_back_to_what_is_not_known() {
    let own = [("AutoScalingGroupName", "g")];
    let (code, message) = half_way("$Default").refused("RollbackInstanceRefresh", &own);
    assert_eq!(code, "IrreversibleInstanceRefresh");
    assert!(message.contains("$Default"), "{message}");
    let mut bench = Bench::in_service(2, 4, &[]);
    start(&mut bench, &[]);
    let (_, message) = bench.refused("RollbackInstanceRefresh", &own);
    assert!(message.contains("without a desired configuration"), "{message}");
}
