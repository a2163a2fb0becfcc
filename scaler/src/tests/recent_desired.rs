//! A description that lags behind, and what is known besides.

use futures_util::FutureExt;
use lightsout_core::{
    cloud::{CapacityChange, ChangeKind},
    record::{Outcome, TickTrouble},
};

use super::*;

fn change(kind: ChangeKind) -> CapacityChange {
    CapacityChange { at: jiff::Timestamp::now(), kind }
}

/// A group in which 40 instances were raised by us, and whose descriptions say 2 all the same.
async fn raised_and_stale(groups: &FakeGroups) -> (ScalerSettings, Scheduler) {
    let settings = settings(&[("a", "")]);
    groups.change("a", |view| (view.max, view.desired) = (100, 2));
    let mut scheduler = scheduler(&settings, context(&settings, groups), vec![waiting(40)]);
    groups.stale("a", true);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Raised);
    assert_eq!(groups.desired("a"), 40);
    (settings, scheduler)
}

#[tokio::test]
async fn what_was_written_is_not_lowered_by_a_smaller_need() {
    let groups = FakeGroups::of(&["a"]);
    let (_, mut scheduler) = raised_and_stale(&groups).await;
    scheduler.replace_queues(|_| Box::new(waiting(30)));
    let record = ticked(&mut scheduler).await.remove(0);
    assert_eq!((record.result, groups.desired("a")), (Outcome::Held, 40));
    assert_eq!(
        record.reason.as_deref(),
        Some("30 waiting + 0 running: need 30; desired is 2, and was 40 within 30s, which may hold still")
    );
    scheduler.replace_queues(|_| Box::new(waiting(41)));
    assert_eq!(ticked(&mut scheduler).await[0].to, Some(41), "what is above everything known is written");
}

#[tokio::test]
async fn a_raise_whose_answer_was_lost_counts_as_written() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.stale("a", true);
    groups.inject(GroupsCall::Raise { group: "a".into(), to: 9 }, Fault::Lost { applied: true });
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(9)]);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Failed);
    scheduler.replace_queues(|_| Box::new(waiting(4)));
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held);
    assert_eq!(groups.desired("a"), 9);
}

#[tokio::test]
async fn a_raise_whose_answer_was_lost_is_written_again_while_it_is_needed() {
    for applied in [false, true] {
        let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
        groups.stale("a", true);
        groups.inject(GroupsCall::Raise { group: "a".into(), to: 9 }, Fault::Lost { applied });
        let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(9)]);
        assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Failed);
        let again = ticked(&mut scheduler).await.remove(0);
        assert_eq!((again.result, again.to, groups.desired("a")), (Outcome::Raised, Some(9), 9));
        assert_eq!(
            again.reason.as_deref(),
            Some(
                "9 waiting + 0 running: need 9; desired is 0, and the last raise was not answered: it is written again"
            )
        );
        assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held, "it was answered now");
    }
}

#[tokio::test]
async fn a_refused_raise_is_tried_again_in_the_next_tick() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.inject(GroupsCall::Raise { group: "a".into(), to: 9 }, Fault::Refused(throttled()));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(9)]);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Failed);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Raised);
}

#[tokio::test]
async fn instances_that_left_by_the_history_are_raised_again_at_once() {
    let groups = FakeGroups::of(&["a"]);
    let (_, mut scheduler) = raised_and_stale(&groups).await;
    scheduler.replace_queues(|_| Box::new(waiting(30)));
    groups.stale("a", false);
    groups.change("a", |view| view.desired = 20);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held, "nothing says how 40 became 20");
    (0..20).for_each(|_| groups.remember("a", change(ChangeKind::Left)));
    assert_eq!(ticked(&mut scheduler).await[0].to, Some(30));
}

#[tokio::test]
async fn a_first_look_is_followed_by_a_second_one() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.after_describe(|groups| groups.values_mut().for_each(|view| view.desired = 8));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held);
    assert_eq!(groups.desired("a"), 8);
}

#[tokio::test]
async fn what_the_history_tells_of_another_scalers_raise_is_not_lowered() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.stale("a", true);
    groups.change("a", |view| view.desired = 9);
    groups.remember("a", change(ChangeKind::Set { to: 9 }));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held, "and remembered");
    assert_eq!(groups.desired("a"), 9);
}

#[tokio::test]
async fn without_a_history_jobs_are_served_all_the_same() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let denied = CloudError::new(CloudErrorKind::Denied, "autoscaling:DescribeScalingActivities is not allowed");
    groups.inject(GroupsCall::History("a".into()), Fault::Refused(denied));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    assert_eq!(ticked(&mut scheduler).await[0].to, Some(3));
}

#[tokio::test]
async fn a_cloud_that_refuses_a_stale_raise_needs_no_second_look() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let capable =
        lightsout_core::cloud::Capabilities { conditional_raise: true, ..lightsout_cloud::fake::CAPABILITIES };
    let groups = groups.with(capable);
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    assert_eq!(ticked(&mut scheduler).await[0].to, Some(3));
    assert_eq!(calls(&groups), ["describe a", "raise a 3"]);
}

/// Somebody else sets the group of `a` to this number right after it was looked at.
async fn outrun(by: u32) -> (Decision, FakeGroups) {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let capable =
        lightsout_core::cloud::Capabilities { conditional_raise: true, ..lightsout_cloud::fake::CAPABILITIES };
    let groups = groups.with(capable);
    groups.after_describe(move |groups| groups.get_mut("a").unwrap().desired = by);
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    (ticked(&mut scheduler).await.remove(0), groups)
}

#[tokio::test]
async fn a_raise_that_came_too_late_is_sent_again_only_if_it_is_still_needed() {
    let (record, groups) = outrun(7).await;
    assert_eq!((record.result, groups.desired("a")), (Outcome::Held, 7), "{record}");
    assert_eq!(calls(&groups), ["describe a", "raise a 3", "describe a"]);
    let (record, groups) = outrun(2).await;
    assert_eq!((record.result, record.to, groups.desired("a")), (Outcome::Raised, Some(3), 3), "{record}");
    assert_eq!(calls(&groups), ["describe a", "raise a 3", "describe a", "raise a 3"]);
}

/// Somebody lowers the maximum to this number right before a raise to nine.
async fn lowered(max: u32) -> (Decision, FakeGroups) {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
    ticked(&mut scheduler).await;
    scheduler.replace_queues(|_| Box::new(waiting(9)));
    groups.after_describe(move |groups| {
        let view = groups.get_mut("a").unwrap();
        (view.max, view.desired) = (max, view.desired.min(max));
    });
    (ticked(&mut scheduler).await.remove(0), groups)
}

#[tokio::test]
async fn a_raise_above_a_maximum_that_was_lowered_meanwhile_is_one_to_the_new_maximum() {
    let (record, groups) = lowered(4).await;
    assert_eq!((record.result, record.to, groups.desired("a")), (Outcome::Raised, Some(4), 4), "{record}");
    assert_eq!(calls(&groups)[4..], ["describe a", "history a", "raise a 9", "describe a", "raise a 4"]);
    // As somebody does who removes the group: that is no failure.
    let (record, groups) = lowered(0).await;
    assert_eq!((record.result, record.failure(), groups.desired("a")), (Outcome::Held, None, 0), "{record}");
}

#[tokio::test]
async fn a_raise_that_a_quota_refuses_fails_with_the_clouds_words_and_is_not_tried_twice() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let quota = CloudError::new(CloudErrorKind::OutOfBounds, "the quota of cores is used up");
    groups.inject(GroupsCall::Raise { group: "a".into(), to: 3 }, Fault::Refused(quota));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    let record = ticked(&mut scheduler).await.remove(0);
    assert_eq!(record.failure(), Some("the quota of cores is used up"), "{record}");
    assert_eq!(calls(&groups)[3..], ["raise a 3", "describe a"]);
}

#[tokio::test]
async fn an_early_look_needs_no_other_one_before_the_raise() {
    let (settings, groups) = (settings(&[("a", ""), ("b", "")]), FakeGroups::of(&["a", "b"]));
    groups.change("b", |view| view.desired = 10);
    let mut context = context(&settings, &groups);
    context.only_once(2);
    let mut scheduler = scheduler(&settings, context, vec![waiting(3), waiting(30)]);
    let results: BTreeMap<_, _> =
        ticked(&mut scheduler).await.into_iter().map(|record| (record.pool, record.result)).collect();
    assert_eq!(results, BTreeMap::from([("a".to_owned(), Outcome::Raised), ("b".to_owned(), Outcome::Held)]));
    assert_eq!(
        calls(&groups),
        ["describe a,b", "describe a", "history a", "raise a 3", "describe a"],
        "none where there is no room, and one after the write"
    );
}

/// One tick that nothing follows raises a group from 5 to 9, which then is described like this, with these changes in its history.
async fn raised_once(
    seen: u32,
    history: &[(i64, ChangeKind)],
    fault: Option<Fault>,
) -> (Decision, FakeGroups, Scheduler) {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut context = context(&settings, &groups);
    context.only_once(1);
    groups.change("a", |view| view.desired = 5);
    groups.after_raise("a", move |view| view.desired = seen);
    let now = jiff::Timestamp::now();
    for (seconds, kind) in history {
        let at = now + jiff::SignedDuration::from_secs(*seconds);
        groups.remember_after_raise("a", CapacityChange { at, kind: *kind });
    }
    if let Some(fault) = fault {
        // The one before the raise is answered.
        groups.inject(GroupsCall::History("a".into()), Fault::Slow(Duration::ZERO));
        groups.inject(GroupsCall::History("a".into()), fault);
    }
    let mut scheduler = scheduler(&settings, context, vec![waiting(9)]);
    let record = ticked(&mut scheduler).await.remove(0);
    assert_eq!(
        (record.result, record.to),
        (Outcome::Raised, Some(9)),
        "it was written, whatever became of it: {record}"
    );
    (record, groups, scheduler)
}

const SOON: i64 = 5;

#[tokio::test]
async fn once_tells_that_another_writers_lower_number_won() {
    for ours in [None, Some((SOON, ChangeKind::Set { to: 9 }))] {
        let history = [Some((SOON + 1, ChangeKind::Set { to: 6 })), ours];
        let history: Vec<_> = history.into_iter().flatten().collect();
        let (record, groups, scheduler) = raised_once(6, &history, None).await;
        let failure = record.failure().unwrap_or_default();
        for said in ["raised to 9", "somebody set it to 6", "is 6 now", "run once again"] {
            assert!(failure.contains(said), "{said}: {record}");
        }
        assert_eq!((&record.missing, record.trouble), (&None, Some(TickTrouble::Other)));
        assert_eq!(calls(&groups)[3..], ["raise a 9", "describe a", "history a"]);
        assert_eq!(scheduler.memory()["a"].failed, None, "a later run does not say it again");
    }
}

#[tokio::test]
async fn once_takes_no_late_description_and_no_departure_for_a_number_that_was_lowered() {
    let lower = ChangeKind::Set { to: 5 };
    let throttled = || Some(Fault::Refused(throttled()));
    for (what, seen, history, fault) in [
        ("it stands", 9, vec![], None),
        ("somebody else raised higher", 12, vec![], None),
        ("nobody knows", 8, vec![], throttled()),
        ("an instance left", 8, vec![(SOON, ChangeKind::Left)], None),
        ("one that left before is not shown either", 4, vec![(-1, ChangeKind::Left)], None),
        ("as it was before the raise, and set to that", 5, vec![(-1, lower)], None),
        ("our own is later", 5, vec![(SOON, lower), (SOON + 1, ChangeKind::Set { to: 9 })], None),
        (
            "in the same second nobody knows which is later",
            5,
            vec![(SOON, ChangeKind::Set { to: 9 }), (SOON, lower)],
            None,
        ),
    ] {
        let (record, groups, _) = raised_once(seen, &history, fault).await;
        assert_eq!((record.failure(), record.trouble), (None, None), "{what}: {record}");
        let looks = if seen < 9 { 6 } else { 5 };
        assert_eq!(calls(&groups).len(), looks, "{what}: what stands needs no history: {:?}", calls(&groups));
    }
}

/// As many pools as there are would ask about their groups all at once.
#[tokio::test]
async fn looks_after_raises_wait_for_one_another_and_no_longer_than_a_raise_may_take() {
    let (mut settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    settings.deadline = Duration::from_millis(300);
    let mut context = context(&settings, &groups);
    context.only_once(1);
    let looks = &context.regions.region(&lightsout_core::settings::Location::default()).histories;
    let mut held = Vec::new();
    while let Some(slot) = looks.acquire(0).now_or_never() {
        held.push(slot);
    }
    let record = ticked(&mut scheduler(&settings, context, vec![waiting(3)])).await.remove(0);
    assert_eq!((record.result, record.failure()), (Outcome::Raised, None), "{record}");
    assert_eq!(calls(&groups).last().map(String::as_str), Some("raise a 3"), "{:?}", calls(&groups));
}
