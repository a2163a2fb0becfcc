//! `watch`: when pools tick, and how it stops.

use std::cell::{Cell, RefCell};

use lightsout_core::record::Outcome;
use tokio::sync::{Notify, mpsc};

use super::*;

/// A channel whose sender is gone: no hint will come.
fn no_hints() -> mpsc::Receiver<String> {
    mpsc::channel(1).1
}

const TICK: Duration = Duration::from_millis(5);

#[tokio::test]
async fn a_platform_that_wishes_patience_gets_it() {
    let (settings, groups) = (settings(&[("eager", ""), ("patient", "")]), FakeGroups::of(&["eager", "patient"]));
    let wish = Demand { queued: 1, running: Some(0), poll_after: Some(Duration::from_secs(300)) };
    let mut scheduler =
        scheduler(&settings, context(&settings, &groups), vec![waiting(1), Answers(Ok(wish.into()), None)]);
    let (enough, seen) = (Notify::new(), RefCell::new(BTreeMap::<String, u32>::new()));
    let done = |record: &Decision| {
        let mut seen = seen.borrow_mut();
        *seen.entry(record.pool.clone()).or_default() += 1;
        if seen["eager"] == 3 {
            enough.notify_one();
        }
    };
    scheduler.watch(TICK, no_hints(), enough.notified(), done).await;
    let seen = seen.into_inner();
    assert!(seen["eager"] >= 3, "{seen:?}");
    assert_eq!(seen["patient"], 1);
}

#[tokio::test]
async fn a_throttled_platform_is_left_alone() {
    let (settings, groups) = (settings(&[("eager", ""), ("throttled", "")]), FakeGroups::of(&["eager", "throttled"]));
    let error = ExchangeError::new(ErrorKind::Throttled(Some(Duration::from_secs(300))), "429");
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(1), Answers(Err(error), None)]);
    let (enough, eager, refused) = (Notify::new(), Cell::new(0), Cell::new(0));
    let done = |record: &Decision| {
        let count = if record.pool == "eager" { &eager } else { &refused };
        count.set(count.get() + 1);
        if eager.get() == 3 {
            enough.notify_one();
        }
    };
    scheduler.watch(TICK, no_hints(), enough.notified(), done).await;
    assert_eq!(refused.get(), 1);
}

#[tokio::test]
async fn a_tick_that_has_begun_is_ended_before_it_stops() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.inject(GroupsCall::Raise { group: "a".into(), to: 2 }, Fault::Slow(Duration::from_millis(100)));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(2)]);
    let raising = groups.clone();
    let stop = async move {
        while !calls(&raising).iter().any(|call| call.starts_with("raise")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let records = RefCell::new(Vec::new());
    scheduler.watch(Duration::from_secs(60), no_hints(), stop, |record| records.borrow_mut().push(record.result)).await;
    assert_eq!(records.into_inner(), [Outcome::Raised]);
    assert_eq!(groups.desired("a"), 2);
}

#[tokio::test]
async fn a_pool_that_still_ticks_sits_the_next_one_out() {
    let (settings, groups) = (settings(&[("slow", ""), ("eager", "")]), FakeGroups::of(&["slow", "eager"]));
    let slow = Answers(waiting(1).0, Some("1"));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![slow, waiting(0)]);
    let (enough, order) = (Notify::new(), RefCell::new(Vec::new()));
    let done = |record: &Decision| {
        order.borrow_mut().push(record.pool.clone());
        if record.pool == "slow" {
            enough.notify_one();
        }
    };
    scheduler.watch(TICK, no_hints(), enough.notified(), done).await;
    let order = order.into_inner();
    assert!(order.iter().filter(|pool| *pool == "eager").count() > 1, "{order:?}");
    assert_eq!(order.iter().filter(|pool| *pool == "slow").count(), 1);
}
