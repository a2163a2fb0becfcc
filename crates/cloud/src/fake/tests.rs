use std::collections::BTreeSet;

use lightsout_core::cloud::{Floor, Leave, Membership};

use super::*;
use crate::{Groups, Host};

const ALONE: Membership = Membership::InService { protected: true };
const HELD: Membership = Membership::Terminating { waiting: true };
const GOING: Membership = Membership::Terminating { waiting: false };

#[tokio::test]
async fn an_instance_leaves_once_its_ending_is_let_go() {
    let host = FakeHost::default();
    assert_eq!(host.extend_hook().await.unwrap_err().kind, CloudErrorKind::NothingHeld);
    host.leave(Leave::Decrement).await.unwrap();
    assert_eq!((host.membership().await, host.group_size().await.unwrap().desired), (Ok(HELD), 0));
    host.extend_hook().await.unwrap();
    host.complete_hook().await.unwrap();
    assert_eq!(host.membership().await, Ok(GOING));
    let calls = host.calls();
    assert_eq!(calls[0..3], [HostCall::ExtendHook, HostCall::Leave(Leave::Decrement), HostCall::Membership]);
}

#[tokio::test]
async fn a_group_at_its_minimum_shrinks_by_nobody() {
    let host = FakeHost::default();
    host.change(|state| state.group_size.min = 1);
    assert_eq!(host.leave(Leave::Decrement).await.unwrap_err().kind, CloudErrorKind::AtFloor);
    assert_eq!(host.state().membership, ALONE);
    host.leave(Leave::Replace).await.unwrap();
    assert_eq!((host.state().group_size.desired, host.state().membership), (1, HELD));
}

#[tokio::test]
async fn where_leaving_always_lowers_the_capacity_nobody_is_replaced() {
    let host = FakeHost::default().with(Capabilities { leaving_lowers_capacity: true, ..CAPABILITIES });
    host.leave(Leave::Replace).await.unwrap();
    assert_eq!(host.state().group_size.desired, 0);
}

#[tokio::test]
async fn outside_of_a_group_there_is_nothing_but_the_end() {
    let host = FakeHost::default();
    host.change(|state| state.membership = Membership::Outside);
    for error in [host.group_size().await.err(), host.protect(true).await.err(), host.leave(Leave::Replace).await.err()]
    {
        assert_eq!(error.unwrap().kind, CloudErrorKind::NotFound);
    }
    host.terminate().await.unwrap();
}

#[tokio::test]
async fn a_fault_befalls_the_next_such_call_only() {
    let host = FakeHost::default();
    let denied = CloudError::new(CloudErrorKind::Denied, "no");
    host.inject(HostCall::Protect(false), Fault::Refused(denied.clone()));
    host.protect(true).await.unwrap();
    assert_eq!(host.protect(false).await, Err(denied));
    assert_eq!(host.state().membership, ALONE);
    host.protect(false).await.unwrap();
    assert_eq!(host.state().membership, Membership::InService { protected: false });
}

#[tokio::test]
async fn a_lost_answer_leaves_it_open_whether_it_took_effect() {
    for (applied, membership) in [(true, HELD), (false, ALONE)] {
        let host = FakeHost::default();
        host.inject(HostCall::Leave(Leave::Decrement), Fault::Lost { applied });
        assert_eq!(host.leave(Leave::Decrement).await.unwrap_err().kind, CloudErrorKind::Timeout);
        assert_eq!(host.membership().await, Ok(membership));
    }
}

#[tokio::test]
async fn a_conditional_raise_is_refused_when_somebody_else_was_faster() {
    let names = BTreeSet::from(["a".to_owned()]);
    for (conditional_raise, desired) in [(true, 7), (false, 3)] {
        let groups = FakeGroups::of(&["a"]).with(Capabilities { conditional_raise, ..CAPABILITIES });
        groups.after_describe(|groups| groups.get_mut("a").unwrap().desired = 7);
        let seen = groups.describe(&names).await.unwrap();
        let raised = groups.raise(seen["a"].as_ref().unwrap(), 3).await;
        let refused = raised.err().map(|error| error.kind);
        assert_eq!(refused, conditional_raise.then_some(CloudErrorKind::InProgress));
        assert_eq!(groups.desired("a"), desired);
    }
}

#[tokio::test]
async fn a_group_keeps_its_bounds_and_its_floor() {
    let groups = FakeGroups::of(&["a"]);
    let seen = groups.describe(&BTreeSet::from(["a".to_owned(), "absent".to_owned()])).await.unwrap();
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(groups.raise(seen["a"].as_ref().unwrap(), 11).await.unwrap_err().kind, CloudErrorKind::OutOfBounds);
    let floor = Floor { instances: 2, written: None };
    groups.leave_floor("a", floor).await.unwrap();
    assert_eq!(groups.describe(&BTreeSet::from(["a".to_owned()])).await.unwrap()["a"].as_ref().unwrap().floor, floor);
    assert_eq!(groups.leave_floor("absent", floor).await.unwrap_err().kind, CloudErrorKind::NotFound);
}
