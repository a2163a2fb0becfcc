//! What people read: each thing by one word, the same wherever it is told.

use std::{collections::BTreeSet, fmt::Debug};

use lightsout_core::agent::{
    action::Rung,
    host::CloudCall,
    phase::{BrokenBy, LeaveReason, PhaseName},
};
use serde::Serialize;

/// Whether each of these stands in records and in the status by this word, and no two by the same.
fn told<T: Serialize + Debug>(all: &[(T, &str)], word: fn(&T) -> String) {
    for (what, expected) in all {
        assert_eq!(word(what), *expected, "{what:?}");
        assert_eq!(serde_json::to_value(what).unwrap(), *expected, "{what:?}, in a record");
    }
    let words: BTreeSet<_> = all.iter().map(|(_, word)| word).collect();
    assert_eq!(words.len(), all.len());
}

#[test]
fn a_phase_a_reason_and_a_fault_are_called_the_same_in_logs_and_in_records() {
    let reasons = [
        (LeaveReason::Full, "full"),
        (LeaveReason::Idle, "idle"),
        (LeaveReason::Limit, "limit"),
        (LeaveReason::Age, "age"),
        (LeaveReason::RunnerExpired, "runner-expired"),
        (LeaveReason::Operator, "operator"),
        (LeaveReason::Rebalance, "rebalance"),
        (LeaveReason::Maintenance, "maintenance"),
        (LeaveReason::ScaleIn, "scale-in"),
        (LeaveReason::Spot, "spot"),
        (LeaveReason::Broken, "broken"),
    ];
    told(&reasons, |why| why.as_str().into());
    told(&reasons, ToString::to_string);
    let faults = [
        (BrokenBy::BeforeRegister, "before_register"),
        (BrokenBy::BootDeadline, "boot_deadline"),
        (BrokenBy::RunnerExits, "runner_exits"),
        (BrokenBy::UnknownActivity, "unknown_activity"),
        (BrokenBy::Full, "full"),
    ];
    told(&faults, |by| by.as_str().into());
    let phases = [
        (PhaseName::Preparing, "preparing"),
        (PhaseName::Booting, "booting"),
        (PhaseName::Registering, "registering"),
        (PhaseName::Idle, "idle"),
        (PhaseName::Busy, "busy"),
        (PhaseName::Draining, "draining"),
        (PhaseName::Retiring, "retiring"),
        (PhaseName::Gone, "gone"),
    ];
    told(&phases, |phase| phase.as_str().into());
}

#[test]
fn what_the_cloud_was_asked_and_did_not_answer_is_told_apart() {
    let calls = [
        CloudCall::Membership,
        CloudCall::GroupSize,
        CloudCall::Protect(true),
        CloudCall::Protect(false),
        CloudCall::ExtendLaunchHook,
        CloudCall::CompleteLaunchHook,
        CloudCall::FindHook,
        CloudCall::ExtendHook,
        CloudCall::CompleteHook,
        CloudCall::End(Rung::Decrement),
        CloudCall::RecordReady,
    ];
    let words: BTreeSet<_> = calls.iter().map(|call| call.words()).collect();
    assert_eq!(words.len(), calls.len(), "{words:?}");
    assert!(words.iter().all(|words| words.contains(' ')), "an operator reads a sentence with it: {words:?}");
}
