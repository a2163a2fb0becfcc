//! A queue that only one can read, and that another scaler reads.

use std::cell::RefCell;

use lightsout_core::record::Outcome;

use super::*;
use crate::check::check;

const WHY: &str = "waits for the session of the runner scale set linux, which another owner holds";

fn occupied() -> Answers {
    Answers(Err(ExchangeError::new(ErrorKind::Occupied(Duration::from_secs(30)), WHY)), None)
}

#[tokio::test]
async fn a_scaler_that_waits_for_another_says_so_and_has_not_failed() {
    let (settings, groups) = (settings(&[("a", "spare = 1")]), FakeGroups::of(&["a"]));
    let mut first = scheduler(&settings, context(&settings, &groups), vec![occupied()]);
    let mut records = Vec::new();
    let failed = first.once(|record| records.push(record.clone())).await;
    assert_eq!(failed, [], "`once` exits with 0");
    let (result, reason) = (records[0].result, records[0].reason.as_deref());
    assert_eq!((result, reason, records[0].failure()), (Outcome::Standby, Some(WHY), None));
    assert_eq!(calls(&groups), ["describe a"], "nothing is raised and no floor is left");
    first.replace_queues(|_| Box::new(waiting(3)));
    let record = ticked(&mut first).await.remove(0);
    assert_eq!((record.result, record.failure()), (Outcome::Held, None), "it asks again when it may");
    assert_eq!(calls(&groups), ["describe a"]);
}

#[tokio::test]
async fn the_group_of_one_that_waits_is_looked_at_all_the_same() {
    let (settings, groups) = (settings(&[("a", "region = 'eu-west-1'")]), FakeGroups::of(&[]));
    let record = ticked(&mut scheduler(&settings, context(&settings, &groups), vec![occupied()])).await.remove(0);
    assert_eq!(record.result, Outcome::Failed);
    assert!(record.error.unwrap().starts_with("there is no group a in eu-west-1"));
}

#[tokio::test]
async fn check_beside_a_scaler_that_runs_finds_no_error() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let pools = Pool::all(settings.pools.clone()).into_iter().map(|pool| pool.with_queue(Box::new(occupied())));
    let warnings = RefCell::new(Vec::new());
    let found = |finding: &crate::check::Finding| warnings.borrow_mut().extend(finding.warnings.clone());
    check(&Rc::new(context(&settings, &groups)), pools.collect(), found).await.unwrap();
    assert_eq!(warnings.into_inner(), [format!("the queue was not tried: this scaler {WHY}")]);
}
