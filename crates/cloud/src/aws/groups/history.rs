//! What a group's activities tell of its desired capacity, and of launches that failed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use lightsout_core::{
    cloud::{CapacityChange, ChangeKind},
    record::FailedLaunch,
};

use super::launches;
use crate::History;

/// Stands between the time and the numbers where somebody set the desired capacity: a person, a policy, a schedule (EC2 Auto
/// Scaling User Guide, "Verify a scaling activity"). Every launch and every ending that follows from it repeats it.
const SET: &str = "changing the desired capacity from ";
/// Where an instance left and the desired capacity fell with it.
const LEFT: &str = "in response to a user request, shrinking the capacity from ";

/// How long an answer may be on its way: so far a clock that is ahead of its `Date` may be right.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// By so much a clock may differ for AWS to take what it signs (AWS IAM User Guide, "Signature Version 4": five minutes, and up to fifteen). A `Date`
/// that differs by more is not the cloud's.
const SIGNED: SignedDuration = SignedDuration::from_mins(15);

/// Notes when an answer was sent, by the sender's clock (RFC 9110, "Date").
#[derive(Clone, Debug, Default)]
pub(super) struct Sent(Arc<Mutex<Option<Timestamp>>>);

impl Sent {
    /// How far this machine's clock, which says `now`, is ahead of the sender's; zero where it may be right.
    fn ahead(&self, now: Timestamp) -> SignedDuration {
        let sent = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.and_then(|sent| Some(now.duration_since(now.clamp(sent, sent.checked_add(ON_ITS_WAY).ok()?))))
            .filter(|ahead| ahead.abs() <= SIGNED)
            .unwrap_or_default()
    }
}

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "Sent"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(|date| rfc2822::parse(date).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.map(|date| date.timestamp());
        Ok(())
    }
}

/// What these activities tell, which are the newest first, and which came with an answer of this time.
pub(super) fn told(activities: &[Activity], sent: &Sent) -> History {
    let ahead = sent.ahead(Timestamp::now());
    let here =
        |change: CapacityChange| CapacityChange { at: change.at.saturating_add(ahead).unwrap_or(change.at), ..change };
    // What failed before a launch that succeeded says no longer why nothing comes.
    let since_success = activities.iter().take_while(|activity| !succeeded(activity));
    History {
        changes: changes(activities).into_iter().map(here).collect(),
        failed_launches: since_success.filter_map(failed_launch).collect(),
    }
}

fn succeeded(activity: &Activity) -> bool {
    let status = activity.status_code().map(ScalingActivityStatusCode::as_str).unwrap_or_default();
    launches::succeeded(activity.description().unwrap_or_default(), status)
}

fn failed_launch(activity: &Activity) -> Option<FailedLaunch> {
    let status = activity.status_code().map(ScalingActivityStatusCode::as_str).unwrap_or_default();
    let message = activity.status_message().unwrap_or_default();
    launches::failed(format!("{:.3}", begun(activity)?), activity.description().unwrap_or_default(), status, message)
}

/// The last launch that these activities tell of, the newest being the first, if it failed.
#[cfg(feature = "host")]
pub(in crate::aws) fn last_launch_failure(activities: &[Activity]) -> Option<FailedLaunch> {
    let last = activities.iter().find(|activity| {
        let over = activity
            .status_code()
            .is_some_and(|status| matches!(status.as_str(), "Successful" | "Failed" | "Cancelled"));
        over && activity.description().is_some_and(|description| description.starts_with(launches::LAUNCH))
    })?;
    failed_launch(last)
}

fn begun(activity: &Activity) -> Option<Timestamp> {
    Timestamp::from_millisecond(activity.start_time()?.to_millis().ok()?).ok()
}

/// The changes that these activities tell of, each once.
fn changes(activities: &[Activity]) -> Vec<CapacityChange> {
    let mut changes = Vec::new();
    for activity in activities {
        let cause = activity.cause().unwrap_or_default();
        for change in sets(cause) {
            if !changes.contains(&change) {
                changes.push(change);
            }
        }
        if cause.contains(LEFT)
            && let Some(at) = begun(activity)
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
