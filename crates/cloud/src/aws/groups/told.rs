//! A group's history as AWS's own client prints it (`aws autoscaling describe-scaling-activities`), for whoever explains what became of instances.

use jiff::Timestamp;
use lightsout_core::explain::{Activity, ActivityKind};
use serde_json::Value;

use super::launches;

/// How the entry of an ending begins; the instance's id follows (EC2 Auto Scaling User Guide, "Verify a scaling activity").
const ENDING: &str = "Terminating EC2 instance: ";

/// Why a group ended an instance, by parts of its own sentence, first match first. What an instance asked for itself is not among them.
const ENDINGS: &[(&str, ActivityKind)] = &[
    ("instance refresh", ActivityKind::Refresh),
    ("health check", ActivityKind::Unhealthy),
    ("health-check", ActivityKind::Unhealthy),
    ("difference between desired and actual capacity", ActivityKind::Lowered),
];

/// What the entries tell that matters here, each with its time; `None` when this is no such answer.
pub(crate) fn activities(answer: &Value) -> Option<Vec<(Timestamp, Activity)>> {
    let entries = answer.get("Activities")?.as_array()?;
    // The newest come first. What failed before a launch that succeeded says no longer why nothing comes.
    let success =
        entries.iter().position(|entry| launches::succeeded(text(entry, "Description"), text(entry, "StatusCode")));
    let told = entries.iter().enumerate().filter_map(|(place, entry)| {
        let (at, activity) = activity(entry)?;
        let past =
            success.is_some_and(|success| place > success) && matches!(activity.kind, ActivityKind::LaunchFailed(_));
        (!past).then_some((at, activity))
    });
    Some(told.collect())
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn activity(entry: &Value) -> Option<(Timestamp, Activity)> {
    let text = |key: &str| text(entry, key);
    let at: Timestamp = text("StartTime").parse().ok()?;
    let (description, cause, group) = (text("Description"), text("Cause"), text("AutoScalingGroupName"));
    let launch = launches::failed(String::new(), description, text("StatusCode"), text("StatusMessage"));
    let activity = match launch {
        Some(failed) => Activity {
            group: group.to_owned(),
            instance: None,
            kind: ActivityKind::LaunchFailed(failed.trouble),
            text: failed.message,
        },
        None => Activity {
            group: group.to_owned(),
            instance: Some(description.strip_prefix(ENDING)?.split_whitespace().next()?.to_owned()),
            kind: ENDINGS.iter().find(|(words, _)| cause.contains(words))?.1,
            text: cause.trim().to_owned(),
        },
    };
    Some((at, activity))
}

#[cfg(test)]
mod tests {
    use lightsout_core::record::LaunchTrouble;
    use serde_json::json;

    use super::*;

    #[test]
    fn endings_and_failed_launches_are_told_and_nothing_else() {
        let out = "At 2026-11-26T03:00:00Z an instance was taken out of service in response to";
        let entry = |description: &str, status: &str, cause: &str| {
            json!({
                "AutoScalingGroupName": "g", "Description": description, "Cause": cause, "StatusCode": status,
                "StatusMessage": "We currently do not have sufficient capacity.", "StartTime": "2026-11-26T03:00:00.500000+00:00"
            })
        };
        let answer = json!({ "Activities": [
            entry("Terminating EC2 instance: i-1", "Successful", &format!("{out} an instance refresh.")),
            entry("Terminating EC2 instance: i-2 - draining", "Successful", &format!(
                "{out} a difference between desired and actual capacity, shrinking the capacity from 2 to 1."
            )),
            entry("Terminating EC2 instance: i-3", "Successful", &format!("{out} an EC2 health check indicating it has been stopped.")),
            entry("Terminating EC2 instance: i-4", "Successful", "At noon instance i-4 was taken out of service in response to a user request."),
            entry("Launching a new EC2 instance.  Status Reason: no", "Failed", "At noon"),
            entry("Launching a new EC2 instance: i-5", "Successful", "At noon"),
            entry("Launching a new EC2 instance.  Status Reason: no", "Failed", "Before that one succeeded"),
        ] });
        let told: Vec<_> = activities(&answer).unwrap().into_iter().map(|(_, it)| (it.instance, it.kind)).collect();
        let of = |id: &str| Some(id.to_owned());
        assert_eq!(
            told,
            [
                (of("i-1"), ActivityKind::Refresh),
                (of("i-2"), ActivityKind::Lowered),
                (of("i-3"), ActivityKind::Unhealthy),
                (None, ActivityKind::LaunchFailed(LaunchTrouble::Capacity)),
            ]
        );
        assert_eq!(activities(&json!({ "instance": "i-1" })), None);
    }
}
