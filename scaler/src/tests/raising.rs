//! From the need to the raise, and what is read and written around it.

use lightsout_cloud::{Doubt, DoubtKind};
use lightsout_core::record::{FailedLaunch, LaunchTrouble, Outcome};

use super::*;

#[tokio::test]
async fn raises_to_the_need_and_then_holds() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    let first = ticked(&mut scheduler).await.remove(0);
    assert_eq!((first.result, first.to), (Outcome::Raised, Some(3)));
    assert_eq!(first.reason.as_deref(), Some("3 waiting + 0 running: need 3; desired is 0"));
    assert!(first.ms.demand.is_some() && first.ms.describe.is_some() && first.ms.raise.is_some());
    let second = ticked(&mut scheduler).await.remove(0);
    assert_eq!((second.result, second.to, second.ms.raise), (Outcome::Held, None, None));
    assert_eq!(calls(&groups), ["describe a", "describe a", "history a", "raise a 3", "describe a"]);
}

#[tokio::test]
async fn launches_that_failed_are_told_while_jobs_wait() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let failed = FailedLaunch {
        time: jiff::Timestamp::now().to_string(),
        trouble: LaunchTrouble::Quota,
        message: "no more".into(),
    };
    groups.remember_failure("a", failed.clone());
    groups.change("a", |view| {
        let text = "switched off".into();
        view.doubts = vec![Doubt { kind: DoubtKind::LaunchesSuspended, text }];
    });
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    for expected in [Outcome::Raised, Outcome::Held] {
        let record = ticked(&mut scheduler).await.remove(0);
        assert_eq!((record.result, record.launches_suspended), (expected, true));
        assert_eq!(record.failed_launches, std::slice::from_ref(&failed));
    }
    scheduler.replace_queues(|_| Box::new(waiting(0)));
    assert_eq!(ticked(&mut scheduler).await[0].failed_launches, [], "nobody waits for them");
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let (settings, groups) = (settings(&[("a", "spare = 2"), ("b", "")]), FakeGroups::of(&["a", "b"]));
    let mut context = context(&settings, &groups);
    context.dry_run = true;
    let mut scheduler = scheduler(&settings, context, vec![waiting(3), waiting(0)]);
    let results: Vec<_> = ticked(&mut scheduler).await.iter().map(|record| (record.result, record.to)).collect();
    assert_eq!(results, [(Outcome::WouldRaise, Some(5)), (Outcome::Held, None)]);
    assert_eq!(calls(&groups), ["describe a,b", "describe a", "history a"]);
    assert_eq!(groups.desired("a"), 0);
}

#[tokio::test]
async fn all_groups_of_a_region_are_described_at_once() {
    let pools = [("a", ""), ("b", "region = 'eu-west-1'"), ("c", ""), ("d", "region = 'eu-west-1'")];
    let (settings, groups) = (settings(&pools), FakeGroups::of(&["a", "b", "c", "d"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(0); 4]);
    assert_eq!(ticked(&mut scheduler).await.len(), 4);
    let mut calls = calls(&groups);
    calls.sort();
    assert_eq!(calls, ["describe a,c", "describe b,d"]);
}

#[tokio::test]
async fn the_floor_is_written_when_it_changes_and_taken_back_when_it_has_no_reason() {
    let groups = FakeGroups::of(&["a"]);
    let spare = settings(&[("a", "spare = 2")]);
    let mut with_spare = scheduler(&spare, context(&spare, &groups), vec![waiting(0)]);
    ticked(&mut with_spare).await;
    ticked(&mut with_spare).await;
    let none = settings(&[("a", "")]);
    let mut without = scheduler(&none, context(&none, &groups), vec![waiting(0)]);
    ticked(&mut without).await;
    ticked(&mut without).await;
    let writes: Vec<_> =
        calls(&groups).into_iter().filter(|call| call.starts_with("raise") || call.starts_with("floor")).collect();
    assert_eq!(writes, ["raise a 2", "floor a 2", "floor a 0"]);
}

#[tokio::test]
async fn a_slow_queue_does_not_undo_what_somebody_raised_meanwhile() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.after_describe(|groups| groups.values_mut().for_each(|view| view.desired = 8));
    let slow = Answers(waiting(3).0, Some("1.1"));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![slow]);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held);
    assert_eq!(
        (groups.desired("a"), calls(&groups)),
        (8, vec!["describe a".into(), "describe a".into(), "history a".into()])
    );
}

#[tokio::test]
async fn a_cooldown_holds_the_next_raise() {
    let (settings, groups) = (settings(&[("a", "cooldown = '1h'")]), FakeGroups::of(&["a"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(3)]);
    ticked(&mut scheduler).await;
    groups.change("a", |view| view.desired = 1);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held);
    assert_eq!(groups.desired("a"), 1);
}
