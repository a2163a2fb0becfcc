//! Launches that failed, as a group's activities tell of them.

use lightsout_core::{
    record::{FailedLaunch, LaunchTrouble},
    redact,
};

/// How a launch's entry begins (EC2 Auto Scaling User Guide, "Verify a scaling activity").
pub(super) const LAUNCH: &str = "Launching a new EC2 instance";
/// The longest message that is kept, in characters.
const MESSAGE: usize = 300;

/// What says why, first match first: parts of AWS's own sentences, in lower case, and error codes among them (EC2 Auto Scaling User Guide,
/// "Troubleshoot"; EC2 API reference, "Error codes").
const WORDS: &[(&str, LaunchTrouble)] = &[
    ("lifecycle action", LaunchTrouble::Hook),
    ("insufficientinstancecapacity", LaunchTrouble::Capacity),
    ("unfulfillablecapacity", LaunchTrouble::Capacity),
    ("insufficienthostcapacity", LaunchTrouble::Capacity),
    ("do not have sufficient", LaunchTrouble::Capacity),
    ("no spot capacity available", LaunchTrouble::Capacity),
    ("insufficient capacity", LaunchTrouble::Capacity),
    ("vcpulimitexceeded", LaunchTrouble::Quota),
    ("vcpu limit", LaunchTrouble::Quota),
    ("instancelimitexceeded", LaunchTrouble::Quota),
    ("maxspotinstancecountexceeded", LaunchTrouble::Quota),
    ("max spot instance count exceeded", LaunchTrouble::Quota),
    ("instance(s) are already running", LaunchTrouble::Quota),
    ("volumelimitexceeded", LaunchTrouble::Quota),
    ("insufficientfreeaddressesinsubnet", LaunchTrouble::Settings),
    ("kms", LaunchTrouble::Key),
    // What a launch ends with when the service's role has no access to the key of an encrypted volume, and the only cause that is documented.
    ("client error on launch", LaunchTrouble::Key),
    ("does not exist", LaunchTrouble::Settings),
    ("not supported", LaunchTrouble::Settings),
    ("not authorized", LaunchTrouble::Settings),
    ("service-linked role", LaunchTrouble::Settings),
    ("unauthorizedoperation", LaunchTrouble::Settings),
    ("invalid", LaunchTrouble::Settings),
];

/// The failed launch that an entry of the history tells of, if it tells of one.
pub(super) fn failed(time: String, description: &str, status: &str, message: &str) -> Option<FailedLaunch> {
    let over = matches!(status, "Failed" | "Cancelled");
    (over && description.starts_with(LAUNCH)).then(|| FailedLaunch {
        time,
        trouble: trouble(message),
        message: redact(message.trim(), MESSAGE),
    })
}

/// Whether an entry tells of a launch that succeeded.
pub(super) fn succeeded(description: &str, status: &str) -> bool {
    status == "Successful" && description.starts_with(LAUNCH)
}

fn trouble(message: &str) -> LaunchTrouble {
    let message = message.to_lowercase();
    let found = WORDS.iter().find(|(word, _)| message.contains(word));
    found.map_or(LaunchTrouble::Other, |(_, trouble)| *trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_launch_failed_is_told_from_the_services_own_words() {
        for (message, expected) in [
            (
                "We currently do not have sufficient c7i.large capacity in the Availability Zone you requested (eu-central-1a). Launching \
                 EC2 instance failed.",
                LaunchTrouble::Capacity,
            ),
            (
                "There is no Spot capacity available that matches your request. Launching EC2 instance failed.",
                LaunchTrouble::Capacity,
            ),
            (
                "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request configuration. \
                 Launching EC2 instance failed.",
                LaunchTrouble::Capacity,
            ),
            (
                "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the \
                 specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment \
                 to this limit. Launching EC2 instance failed.",
                LaunchTrouble::Quota,
            ),
            (
                "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded.",
                LaunchTrouble::Quota,
            ),
            (
                "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: Client.InternalError: \
                 Client error on launch",
                LaunchTrouble::Key,
            ),
            (
                "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: \
                 Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
                LaunchTrouble::Key,
            ),
            (
                "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token 5a23 was abandoned: Heartbeat Timeout",
                LaunchTrouble::Hook,
            ),
            ("The image id '[ami-0a1]' does not exist. Launching EC2 instance failed.", LaunchTrouble::Settings),
            (
                "Your requested instance type (g5.xlarge) is not supported in your requested Availability Zone (eu-central-1c).",
                LaunchTrouble::Settings,
            ),
            (
                "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances. Launching EC2 instance \
                 failed.",
                LaunchTrouble::Settings,
            ),
            ("Something new. Launching EC2 instance failed.", LaunchTrouble::Other),
        ] {
            let launch = failed("t".into(), "Launching a new EC2 instance.  Status Reason: ...", "Failed", message);
            assert_eq!(launch.map(|launch| launch.trouble), Some(expected), "{message}");
        }
    }

    #[test]
    fn what_did_not_fail_or_is_no_launch_is_none() {
        for (description, status) in [
            ("Launching a new EC2 instance: i-1", "Successful"),
            ("Launching a new EC2 instance: i-1", "PreInService"),
            ("Terminating EC2 instance: i-1", "Failed"),
        ] {
            assert_eq!(failed("t".into(), description, status, "no capacity"), None, "{description} {status}");
        }
    }
}
