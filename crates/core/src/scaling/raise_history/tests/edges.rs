//! Where a raise is just in vain, and where it is not.

use super::*;

/// What becomes of a raise from one instance to two: what each later tick sees, as time, waiting jobs, running jobs and what is desired. Whether it was in vain.
fn after(ticks: &[(u64, u32, u32, u32)]) -> u32 {
    let mut history = RaiseHistory::default();
    let see = |history: &mut RaiseHistory, (at, queued, running, desired): (u64, u32, u32, u32)| {
        let (now, demand) = (Duration::from_secs(at), Demand { queued, running: Some(running), poll_after: None });
        history.see(observation(&ScalerPolicy::default(), &demand, desired), now);
    };
    see(&mut history, (1_000, 2, 0, 1));
    history.raised(2);
    for tick in ticks {
        see(&mut history, *tick);
    }
    history.in_vain
}

#[test]
fn a_raise_whose_instance_leaves_while_all_jobs_wait_was_in_vain() {
    assert_eq!(after(&[(1_010, 2, 0, 2), (1_020, 2, 0, 1)]), 1);
    // A gap of 30 s tells as much, and one that is longer tells nothing.
    assert_eq!(after(&[(1_010, 2, 0, 2), (1_040, 2, 0, 1)]), 1);
    assert_eq!(after(&[(1_010, 2, 0, 2), (1_041, 2, 0, 1)]), 0);
}

#[test]
fn a_raise_after_which_a_job_began_was_not_in_vain_although_as_many_wait() {
    assert_eq!(after(&[(1_010, 2, 0, 2), (1_020, 2, 1, 2), (1_030, 2, 1, 1)]), 0);
    // Nor one after which a job ended: who has done it may leave first.
    assert_eq!(after(&[(1_010, 2, 1, 2), (1_020, 2, 0, 1)]), 0);
}

#[test]
fn a_raise_that_still_stands_is_not_in_vain() {
    assert_eq!(after(&[(1_010, 2, 0, 2), (1_020, 2, 0, 2)]), 0);
    // Others went past it, and one of them left.
    assert_eq!(after(&[(1_010, 2, 0, 3), (1_020, 2, 0, 2)]), 0);
}

#[test]
fn records_of_pools_whose_members_were_not_looked_at_say_nothing_of_ready_ones() {
    let written = |ready| serde_json::to_value(Outlook { silent: 1, ready, ..Outlook::default() }).unwrap();
    assert_eq!(written(0).get("ready"), None);
    assert_eq!(written(2)["ready"], 2);
}
