//! What a group's activities tell of its desired capacity.

use aws_sdk_autoscaling::types::Activity;
use jiff::Timestamp;
use lightsout_core::cloud::{CapacityChange, ChangeKind};

/// Stands between the time and the numbers where somebody set the desired capacity: a person, a policy, a schedule (EC2 Auto
/// Scaling User Guide, "Verify a scaling activity"). Every launch and every ending that follows from it repeats it.
const SET: &str = "changing the desired capacity from ";
/// Where an instance left and the desired capacity fell with it.
const LEFT: &str = "in response to a user request, shrinking the capacity from ";

/// The changes that these activities tell of, each once.
pub(super) fn changes(activities: &[Activity]) -> Vec<CapacityChange> {
    let mut changes = Vec::new();
    for activity in activities {
        let cause = activity.cause().unwrap_or_default();
        for change in sets(cause) {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        if cause.contains(LEFT)
            && let Some(at) =
                activity.start_time().and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok())
        {
            changes.push(CapacityChange { at, kind: ChangeKind::Left });
        }
    }
    changes
}

fn sets(cause: &str) -> impl Iterator<Item = CapacityChange> {
    let places = cause.match_indices(SET).map(|(place, _)| place);
    places.filter_map(|place| {
        let (before, numbers) = (&cause[..place], &cause[place + SET.len()..]);
        let at = before.rsplit("At ").next()?.split_whitespace().next()?.parse().ok()?;
        let to = numbers.split_whitespace().nth(2)?.trim_end_matches('.').parse().ok()?;
        Some(CapacityChange { at, kind: ChangeKind::Set { to } })
    })
}
