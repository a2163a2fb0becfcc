//! Refusals, as the services word them.

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

    pub(crate) fn no_group(name: &str) -> Self {
        Self::validation(format!("AutoScalingGroup name not found - AutoScalingGroup: {name} not found"))
    }

    pub(crate) fn in_progress(activity: &str) -> Self {
        Self::new("ScalingActivityInProgress", format!("Activity {activity} is in progress."))
    }
}
