//! Refusals, as the services word them.

use super::xml::Xml;

/// What a call gives: the content of its result element, or nothing at all for calls without output.
pub(crate) type CallResult = Result<Option<Xml>, AwsError>;

/// A refusal: HTTP status, error code, message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl AwsError {
    /// HTTP 400 with a code of its own.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// `ValidationError`, the refusal of EC2 Auto Scaling for nearly everything.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    /// The refusal of an action that a service does not have.
    pub(crate) fn unknown_action(action: &str, version: &str) -> Self {
        Self::new("InvalidAction", format!("Could not find operation {action} for version {version}"))
    }

    pub(crate) fn no_group(name: &str) -> Self {
        Self::validation(format!("AutoScalingGroup name not found - AutoScalingGroup: {name} not found"))
    }

    pub(crate) fn in_progress(activity: &str) -> Self {
        Self::new("ScalingActivityInProgress", format!("Activity {activity} is in progress."))
    }
}
