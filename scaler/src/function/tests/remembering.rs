//! What pools remember between two invocations, and what they give back before the environment stands still.

use super::*;

/// One pool never ends its tick. What all others know of their platforms and groups outlives that.
#[tokio::test]
async fn no_pool_forgets_anything_because_another_is_slow() {
    let names = ["slow", "throttled", "cooling"];
    let groups = FakeGroups::of(&names);
    let mut function = patient(&[("slow", ""), ("throttled", ""), ("cooling", "cooldown = '1h'")], &groups, Ticks::One);
    let throttled = QueueReply::Throttled(Duration::from_secs(300));
    let answers: [&[QueueReply]; 3] =
        [&[QueueReply::Never], &[throttled], &[QueueReply::Waiting(2), QueueReply::Waiting(5)]];
    let queues = Queues::of(&mut function, &[(names[0], answers[0]), (names[1], answers[1]), (names[2], answers[2])]);
    let error = function.scheduled(soon()).await.unwrap_err();
    assert!(error.message.contains("slow: its tick had not ended when the function's time-out came near"), "{error:?}");
    assert_eq!(raises(&groups), ["raise cooling 2"]);
    queues.answer("slow", &[QueueReply::Waiting(3)]);
    let answer = function.scheduled(within(Duration::from_secs(60))).await.unwrap();
    // Of three pools, two were due.
    assert_eq!(answer, serde_json::json!({ "pools": 3, "ticks": 2, "raises": 1 }));
    assert_eq!(queues.state("throttled").asked, 1, "it wanted to be left alone");
    assert_eq!((queues.state("cooling").asked, queues.state("slow").asked), (2, 2));
    assert_eq!(raises(&groups), ["raise cooling 2", "raise slow 3"], "a cooldown goes on");
}

/// The write was on its way when its tick was cut off: it may take effect at any time, and what is written next must not lower that.
#[tokio::test]
async fn a_raise_that_was_cut_off_counts_as_one_that_may_have_taken_effect() {
    let groups = FakeGroups::of(&["a"]);
    let call = GroupsCall::Raise { group: "a".into(), to: 9 };
    groups.inject(call, Fault::Slow(HOUR));
    let mut function = patient(&[("a", "")], &groups, Ticks::One);
    let queues = Queues::of(&mut function, &[("a", &[QueueReply::Waiting(9)])]);
    function.scheduled(soon()).await.unwrap_err();
    assert_eq!(raises(&groups), ["raise a 9"]);
    queues.answer("a", &[QueueReply::Waiting(4), QueueReply::Waiting(9)]);
    function.scheduled(within(Duration::from_secs(60))).await.unwrap();
    assert_eq!(raises(&groups), ["raise a 9"], "4 would be less than 9");
    function.scheduled(within(Duration::from_secs(60))).await.unwrap();
    assert_eq!((raises(&groups).len(), groups.desired("a")), (2, 9), "it is written again while it is needed");
}

/// A session that nobody reads shuts every other scaler out until it runs out.
#[tokio::test]
async fn what_a_platform_holds_is_given_back_by_every_invocation() {
    let groups = FakeGroups::of(&["a", "slow"]);
    let mut function = patient(&[("a", ""), ("slow", "")], &groups, Ticks::UntilDeadline);
    let queues = Queues::of(&mut function, &[("a", &[QueueReply::Waiting(0)]), ("slow", &[QueueReply::Never])]);
    let held = |pool: &str| queues.state(pool).held;
    for (pool, id) in [("a", 1), ("slow", 2)] {
        assert_eq!(function.request(&webhook(pool, "s3cret", id), soon()).await, StatusCode::ACCEPTED);
        assert_eq!(queues.state(pool).asked, 1);
        assert!(!held(pool), "by a webhook's, before the answer: {pool}");
    }
    function.scheduled(soon()).await.unwrap_err();
    assert_eq!((queues.state("a").asked, queues.state("slow").asked), (2, 2));
    assert!(!held("a") && !held("slow"), "by a scheduled one, also of a tick that was cut off");
}

#[tokio::test]
async fn who_does_not_take_back_what_it_holds_is_not_waited_for() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = patient(&[("a", "")], &groups, Ticks::One);
    let queues = Queues::of(&mut function, &[("a", &[QueueReply::Waiting(0)])]);
    queues.let_release_hang("a");
    assert!(function.scheduled(soon()).await.is_ok());
    assert_eq!(function.request(&webhook("a", "s3cret", 1), soon()).await, StatusCode::ACCEPTED);
}

/// A platform's wish to be left alone outlasts any webhook: nothing is to be waited for.
#[tokio::test]
async fn a_webhook_for_a_pool_that_must_not_be_asked_is_answered_at_once() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = patient(&[("a", "")], &groups, Ticks::One);
    let queues = Queues::of(&mut function, &[("a", &[QueueReply::Throttled(Duration::from_secs(300))])]);
    let until = within(HOUR);
    for id in 1..=20 {
        assert_eq!(function.request(&webhook("a", "s3cret", id), until).await, StatusCode::ACCEPTED);
    }
    assert_eq!(queues.state("a").asked, 1);
}
