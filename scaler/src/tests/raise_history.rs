//! Raises that are in vain, and members whose agents are dead.

use lightsout_core::{
    cloud::{CapacityChange, ChangeKind, Member},
    record::Outcome,
};

use super::*;

/// The instance leaves without a job, as the group's history tells.
fn leaves(groups: &FakeGroups) {
    groups.change("a", |view| view.desired = 0);
    groups.remember("a", CapacityChange { at: jiff::Timestamp::now(), kind: ChangeKind::Left });
}

#[tokio::test]
async fn a_job_that_no_instance_takes_slows_the_raises_for_it_alone() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
    for expected in [Outcome::Raised, Outcome::Raised, Outcome::Held, Outcome::Held] {
        let record = ticked(&mut scheduler).await.remove(0);
        assert_eq!(record.result, expected, "{record}");
        if expected == Outcome::Held {
            let reason = record.reason.unwrap_or_default();
            assert!(reason.contains("the last 2 raises were in vain"), "{reason}");
            assert_eq!(record.why.and_then(|why| why.outlook).map(|outlook| outlook.unmet), Some(1));
        } else {
            leaves(&groups);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scheduler.replace_queues(|_| Box::new(waiting(4)));
    assert_eq!(ticked(&mut scheduler).await[0].to, Some(3), "three more are served as ever");
    scheduler.replace_queues(|_| Box::new(waiting(0)));
    ticked(&mut scheduler).await;
    groups.change("a", |view| view.desired = 0);
    (0..3).for_each(|_| leaves(&groups));
    scheduler.replace_queues(|_| Box::new(waiting(1)));
    assert_eq!(ticked(&mut scheduler).await[0].to, Some(1), "an empty queue is a success");
}

/// One that was started an hour ago.
fn member(ready: bool) -> Member {
    let started = jiff::Timestamp::now() - Duration::from_secs(3600);
    Member { started, ready: ready.then_some(started) }
}

#[tokio::test]
async fn the_members_themselves_tell_which_of_them_are_left_out_of_the_capacity() {
    let denied = CloudError::new(CloudErrorKind::Denied, "ec2:DescribeInstances is not allowed");
    for (name, members, fault, expected) in [
        ("never ready", Some(member(false)), None, Outcome::Raised),
        ("ready", Some(member(true)), None, Outcome::Held),
        ("a cloud without such a sign", None, None, Outcome::Raised),
        ("the scaler's role is an old one", Some(member(true)), Some(Fault::Refused(denied)), Outcome::Raised),
    ] {
        let (mut settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
        settings.pools[0].policy.silent_after = Duration::ZERO;
        groups.change("a", |view| view.desired = 1);
        if let Some(member) = members {
            groups.show_members("a", &[member]);
        }
        if let Some(fault) = fault {
            groups.inject(GroupsCall::Members("a".into()), fault);
        }
        let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
        let record = ticked(&mut scheduler).await.remove(0);
        assert_eq!(record.result, expected, "{name}: {record}");
        ticked(&mut scheduler).await;
        let looks = calls(&groups).iter().filter(|call| *call == "members a").count();
        assert_eq!(looks, 1, "{name}: a few an hour, and not each tick");
    }
}
