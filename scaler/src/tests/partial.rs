//! A reading that failed in part: what was counted is a lower bound.

use lightsout_core::record::{Outcome, TickTrouble};

use super::*;
use crate::trouble::summarize;

fn refused() -> ExchangeError {
    ExchangeError::new(ErrorKind::Forbidden, "cannot read the jobs of project b: HTTP 403")
}

#[tokio::test]
async fn what_was_counted_is_raised_to_and_what_is_missing_is_told() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![partly(3, refused())]);
    let mut records = Vec::new();
    let failed = scheduler.once(|record| records.push(record.clone())).await;
    assert_eq!((records[0].result, records[0].to), (Outcome::Raised, Some(3)));
    assert_eq!(records[0].missing.as_deref(), Some("cannot read the jobs of project b: HTTP 403"));
    assert_eq!((&records[0].error, records[0].trouble), (&None, Some(TickTrouble::Forbidden)));
    assert_eq!(groups.desired("a"), 3);
    let error = summarize(1, &failed).unwrap_err().to_string();
    assert!(error.contains("project b"), "`once` exits with 1: {error}");
}

#[tokio::test]
async fn no_floor_follows_from_a_part_of_the_queue() {
    let (settings, groups) = (settings(&[("a", "spare = 2")]), FakeGroups::of(&["a"]));
    let floors = || calls(&groups).into_iter().filter(|call| call.starts_with("floor")).collect::<Vec<_>>();
    ticked(&mut scheduler(&settings, context(&settings, &groups), vec![partly(1, refused())])).await;
    assert_eq!(floors(), [""; 0]);
    ticked(&mut scheduler(&settings, context(&settings, &groups), vec![waiting(5)])).await;
    assert_eq!(floors(), ["floor a 2"], "what is kept in reserve, not the five that wait");
}

#[tokio::test]
async fn a_platform_that_throttles_in_the_middle_is_left_alone() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let wait = ExchangeError::new(ErrorKind::Throttled(Some(Duration::from_secs(300))), "429");
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![partly(1, wait)]);
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Raised);
    let asked = calls(&groups).len();
    let record = ticked(&mut scheduler).await.remove(0);
    assert!(record.error.is_some_and(|error| error.starts_with("left alone until 20")), "it wishes to be asked later");
    assert_eq!(calls(&groups).len(), asked);
}
