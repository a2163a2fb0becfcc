//! What a failed AWS call means to its caller.

use std::{error::Error, fmt};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::Unreachable,
};

/// A failed AWS call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AwsError {
    /// What the caller should make of it.
    pub(super) kind: AwsErrorKind,
    /// The IAM action of the call, such as `autoscaling:SetDesiredCapacity`.
    pub(super) action: &'static str,
    /// AWS's error code, when AWS answered.
    pub(super) code: Option<String>,
    /// AWS's own words, or what kept the call from AWS.
    pub(super) message: String,
}

/// Kinds of failed AWS calls, by what the caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AwsErrorKind {
    /// The group is at its minimum size and must not shrink.
    AtFloor,
    /// The capacity asked for is above the group's maximum.
    AboveMax,
    /// The capacity asked for is below the group's minimum.
    BelowMin,
    /// What was named does not exist, or the instance is in no group any more.
    NotFound,
    /// Something else goes on in the group: describe, then try again.
    InProgress,
    /// No lifecycle hook waits for this instance, not yet or not any more.
    NoActiveHook,
    /// The instance is in a state that does not allow it.
    WrongState,
    /// Too many calls: try again later.
    Throttled,
    /// The credentials lack a right. Somebody must grant it.
    Denied,
    /// The credentials are missing, expired or not accepted: new ones may be.
    Credentials,
    /// No answer, or none that can be read: whether it was applied is not known. Describe before anything else.
    Timeout,
    /// The call never reached AWS, so nothing was applied.
    Unreachable,
    /// Anything else.
    Other,
}

impl AwsError {
    /// From what the SDK says of a call of `action`.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the SDK adds kinds; what is not known may have been applied")]
    pub(super) fn from_sdk<E>(action: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (kind, code, message) = match error {
            SdkError::ServiceError(service) => match service.err().code() {
                Some(code) => {
                    let message = service.err().message().unwrap_or_default();
                    (classify(code, message), Some(code), message.to_owned())
                }
                None => unreadable(service.raw(), error),
            },
            SdkError::ResponseError(response) => unreadable(response.raw(), error),
            SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => undelivered(error),
            _ => (AwsErrorKind::Timeout, None, chain(error)),
        };
        Self { kind, action, code: code.map(str::to_owned), message }
    }

    /// One that AWS did not say: the call makes no sense, or its answer lacks what was asked for.
    pub(super) fn without_code(kind: AwsErrorKind, action: &'static str, message: String) -> Self {
        Self { kind, action, code: None, message }
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.action, self.meaning())?;
        match (&self.code, self.message.is_empty()) {
            (Some(code), true) => write!(f, " ({code})"),
            (Some(code), false) => write!(f, " ({code}: {})", self.message),
            (None, true) => Ok(()),
            (None, false) => write!(f, " ({})", self.message),
        }
    }
}

impl Error for AwsError {}

impl From<AwsError> for CloudError {
    fn from(error: AwsError) -> Self {
        let kind = match error.kind {
            AwsErrorKind::AtFloor => CloudErrorKind::AtFloor,
            AwsErrorKind::AboveMax | AwsErrorKind::BelowMin => CloudErrorKind::OutOfBounds,
            AwsErrorKind::NotFound => CloudErrorKind::NotFound,
            AwsErrorKind::InProgress | AwsErrorKind::WrongState => CloudErrorKind::InProgress,
            AwsErrorKind::NoActiveHook => CloudErrorKind::NothingHeld,
            AwsErrorKind::Throttled => CloudErrorKind::Throttled,
            AwsErrorKind::Denied => CloudErrorKind::Denied,
            AwsErrorKind::Credentials => CloudErrorKind::Credentials,
            AwsErrorKind::Timeout => CloudErrorKind::Timeout,
            AwsErrorKind::Unreachable => CloudErrorKind::Unreachable,
            AwsErrorKind::Other => CloudErrorKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl AwsError {
    fn meaning(&self) -> String {
        match self.kind {
            AwsErrorKind::AtFloor => "the group is at its minimum size".into(),
            AwsErrorKind::AboveMax => "the capacity is above the group's maximum size".into(),
            AwsErrorKind::BelowMin => "the capacity is below the group's minimum size".into(),
            AwsErrorKind::NotFound => "it does not exist".into(),
            AwsErrorKind::InProgress => "another activity of the group is in progress; it passes by itself".into(),
            AwsErrorKind::NoActiveHook => "no lifecycle hook waits for this instance".into(),
            AwsErrorKind::WrongState => "the instance's state does not allow it".into(),
            AwsErrorKind::Throttled => "AWS throttles the account's calls; it passes by itself".into(),
            AwsErrorKind::Denied if self.code.as_deref() == Some("OptInRequired") => {
                "the account has no access to this service or region: sign up, or opt in to it".into()
            }
            AwsErrorKind::Denied => {
                format!("the credentials lack the right {}: allow this action in the role's policy", self.action)
            }
            AwsErrorKind::Credentials if self.code.is_some() => {
                "AWS does not accept the credentials: check that they are current, and the clock".into()
            }
            AwsErrorKind::Credentials => {
                "there are no credentials: give the instance or function a role, or set AWS_ACCESS_KEY_ID".into()
            }
            AwsErrorKind::Timeout => "no clear answer, so that it may have been applied, which is looked at; if it stays so, check the network".into(),
            AwsErrorKind::Unreachable => "AWS cannot be reached: check the region, the endpoint and the network".into(),
            AwsErrorKind::Other => "AWS refused it".into(),
        }
    }
}

/// Codes that say everything.
const CODES: &[(&str, AwsErrorKind)] = &[
    ("AccessDenied", AwsErrorKind::Denied),
    ("AccessDeniedException", AwsErrorKind::Denied),
    ("AuthFailure", AwsErrorKind::Credentials),
    ("ExpiredToken", AwsErrorKind::Credentials),
    ("ExpiredTokenException", AwsErrorKind::Credentials),
    ("IncompleteSignature", AwsErrorKind::Credentials),
    ("InvalidAccessKeyId", AwsErrorKind::Credentials),
    ("InvalidClientTokenId", AwsErrorKind::Credentials),
    ("MissingAuthenticationToken", AwsErrorKind::Credentials),
    ("OptInRequired", AwsErrorKind::Denied),
    ("RequestExpired", AwsErrorKind::Credentials),
    ("SignatureDoesNotMatch", AwsErrorKind::Credentials),
    ("UnauthorizedOperation", AwsErrorKind::Denied),
    ("UnrecognizedClientException", AwsErrorKind::Credentials),
    ("RequestLimitExceeded", AwsErrorKind::Throttled),
    ("Throttling", AwsErrorKind::Throttled),
    ("SlowDown", AwsErrorKind::Throttled),
    ("ThrottlingException", AwsErrorKind::Throttled),
    ("ThrottledException", AwsErrorKind::Throttled),
    ("TooManyRequestsException", AwsErrorKind::Throttled),
    ("ResourceContention", AwsErrorKind::InProgress),
    ("ScalingActivityInProgress", AwsErrorKind::InProgress),
    ("IncorrectInstanceState", AwsErrorKind::WrongState),
    ("InvalidInstanceID.NotFound", AwsErrorKind::NotFound),
    ("NoSuchBucket", AwsErrorKind::NotFound),
    ("NoSuchEntity", AwsErrorKind::NotFound),
    ("ParameterNotFound", AwsErrorKind::NotFound),
    ("ParameterVersionNotFound", AwsErrorKind::NotFound),
    ("ResourceNotFoundException", AwsErrorKind::NotFound),
    // KMS's.
    ("NotFoundException", AwsErrorKind::NotFound),
];

/// What EC2 Auto Scaling says under the code `ValidationError`, which alone says nothing.
const VALIDATION: &[(&str, AwsErrorKind)] = &[
    ("desiredSize equals minSize", AwsErrorKind::AtFloor),
    ("update the AutoScalingGroup sizes appropriately", AwsErrorKind::AtFloor),
    ("is above max value", AwsErrorKind::AboveMax),
    ("is below min value", AwsErrorKind::BelowMin),
    ("No managed instance found", AwsErrorKind::NotFound),
    ("is not part of Auto Scaling group", AwsErrorKind::NotFound),
    ("name not found", AwsErrorKind::NotFound),
    ("No active Lifecycle Action found", AwsErrorKind::NoActiveHook),
    ("is not in InService", AwsErrorKind::WrongState),
];

/// The kind of an error by its code and, where the code does not say it, by the core of its message.
pub(super) fn classify(code: &str, message: &str) -> AwsErrorKind {
    let found = match code {
        "ValidationError" => VALIDATION.iter().find(|(core, _)| message.contains(core)),
        code => CODES.iter().find(|(known, _)| *known == code),
    };
    found.map_or(AwsErrorKind::Other, |(_, kind)| *kind)
}

/// What to make of an answer that AWS's own servers would not give: a proxy's, or one cut short.
fn unreadable<'a>(answer: &HttpResponse, error: &(dyn Error + 'static)) -> (AwsErrorKind, Option<&'a str>, String) {
    let status = answer.status();
    let kind = if status.is_client_error() { AwsErrorKind::Other } else { AwsErrorKind::Timeout };
    (kind, None, format!("the answer with the status {} cannot be read: {}", status.as_u16(), chain(error)))
}

/// What to make of a call that has no answer. What our HTTP client does not account for was not sent.
fn undelivered<'a>(error: &(dyn Error + 'static)) -> (AwsErrorKind, Option<&'a str>, String) {
    for cause in causes(error) {
        if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
            let (kind, text) = of_unreachable(unreachable);
            return (kind, None, text);
        }
        // Asked before the call, and from elsewhere: what went wrong there says nothing about the call.
        if cause.to_string().contains("credential") {
            return (AwsErrorKind::Credentials, None, chain(error));
        }
    }
    (AwsErrorKind::Unreachable, None, chain(error))
}

/// What our own HTTP client says of a call that it could not carry.
pub(super) fn of_unreachable(unreachable: &Unreachable) -> (AwsErrorKind, String) {
    let kind = match unreachable {
        Unreachable::Connect(_) | Unreachable::Untrusted(_) => AwsErrorKind::Unreachable,
        Unreachable::Timeout(_) | Unreachable::TooLarge(_) | Unreachable::Broken(_) => AwsErrorKind::Timeout,
    };
    let text = match unreachable {
        Unreachable::Untrusted(_) => {
            format!("{unreachable}; {} (for AWS alone: {})", unreachable.remedy(), super::CA_BUNDLE)
        }
        Unreachable::Connect(_) | Unreachable::Timeout(_) | Unreachable::TooLarge(_) | Unreachable::Broken(_) => {
            unreachable.to_string()
        }
    };
    (kind, text)
}

/// All causes in one line, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| Error::source(*error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_code_and_wording() {
        // Wordings as real groups answered them.
        let validation = |message: &str| classify("ValidationError", message);
        assert_eq!(
            validation(
                "Currently, desiredSize equals minSize (3). Terminating instance without replacement will violate group's \
                 min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
            ),
            AwsErrorKind::AtFloor
        );
        assert_eq!(
            validation(
                "AutoScalingGroup G has min-size=1, max-size=50, and desired-size=1. To detach 1 instance, please update \
                 the AutoScalingGroup sizes appropriately."
            ),
            AwsErrorKind::AtFloor
        );
        assert_eq!(
            validation("New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup."),
            AwsErrorKind::AboveMax
        );
        assert_eq!(
            validation("New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup."),
            AwsErrorKind::BelowMin
        );
        assert_eq!(
            validation("Instance Id not found - No managed instance found for instance ID i-0123"),
            AwsErrorKind::NotFound
        );
        assert_eq!(validation("The instance i-1 is not part of Auto Scaling group g."), AwsErrorKind::NotFound);
        assert_eq!(
            validation("AutoScalingGroup name not found - AutoScalingGroup 'g' not found"),
            AwsErrorKind::NotFound
        );
        assert_eq!(validation("No active Lifecycle Action found with instance ID i-0123"), AwsErrorKind::NoActiveHook);
        assert_eq!(validation("No active Lifecycle Action found with token 9a1b"), AwsErrorKind::NoActiveHook);
        for state in ["InService or EnteringStandby or Standby", "InService or Standby", "InService"] {
            assert_eq!(validation(&format!("The instance i-0123 is not in {state}.")), AwsErrorKind::WrongState);
        }
        assert_eq!(validation("1 validation error detected"), AwsErrorKind::Other);

        let by_code = |code| classify(code, "any text");
        assert_eq!(by_code("ScalingActivityInProgress"), AwsErrorKind::InProgress);
        assert_eq!(by_code("ResourceContention"), AwsErrorKind::InProgress);
        assert_eq!(by_code("Throttling"), AwsErrorKind::Throttled);
        assert_eq!(by_code("RequestLimitExceeded"), AwsErrorKind::Throttled);
        assert_eq!(by_code("InvalidInstanceID.NotFound"), AwsErrorKind::NotFound);
        assert_eq!(by_code("InternalFailure"), AwsErrorKind::Other);
    }

    #[test]
    fn a_missing_right_is_not_a_refused_credential() {
        let error = |code: Option<&str>, kind| AwsError {
            kind,
            action: "autoscaling:SetDesiredCapacity",
            code: code.map(str::to_owned),
            message: String::new(),
        };
        let classified = |code: &str| {
            let error = CloudError::from(error(Some(code), classify(code, "any text")));
            (error.kind, error.message)
        };
        for code in ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"] {
            let (kind, message) = classified(code);
            assert_eq!(kind, CloudErrorKind::Denied, "{code}");
            assert!(message.contains("lack the right autoscaling:SetDesiredCapacity"), "{message}");
        }
        let (kind, message) = classified("OptInRequired");
        assert_eq!(kind, CloudErrorKind::Denied);
        assert!(message.contains("opt in"), "{message}");
        for code in [
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "MissingAuthenticationToken",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ] {
            let (kind, message) = classified(code);
            assert_eq!(kind, CloudErrorKind::Credentials, "{code}");
            assert!(message.contains("does not accept the credentials"), "{message}");
        }
        let none = CloudError::from(error(None, AwsErrorKind::Credentials));
        assert!(none.message.contains("there are no credentials"), "{none}");
    }

    #[test]
    fn kinds_say_what_the_caller_should_do() {
        for (kind, expected) in [
            (AwsErrorKind::AtFloor, CloudErrorKind::AtFloor),
            (AwsErrorKind::AboveMax, CloudErrorKind::OutOfBounds),
            (AwsErrorKind::BelowMin, CloudErrorKind::OutOfBounds),
            (AwsErrorKind::NotFound, CloudErrorKind::NotFound),
            (AwsErrorKind::InProgress, CloudErrorKind::InProgress),
            (AwsErrorKind::WrongState, CloudErrorKind::InProgress),
            (AwsErrorKind::NoActiveHook, CloudErrorKind::NothingHeld),
            (AwsErrorKind::Throttled, CloudErrorKind::Throttled),
            (AwsErrorKind::Timeout, CloudErrorKind::Timeout),
            (AwsErrorKind::Unreachable, CloudErrorKind::Unreachable),
            (AwsErrorKind::Other, CloudErrorKind::Other),
        ] {
            let error = AwsError { kind, action: "a:B", code: None, message: "why".into() };
            assert_eq!(CloudError::from(error.clone()), CloudError::new(expected, error.to_string()));
        }
    }

    #[test]
    fn a_code_under_validation_is_not_found_in_other_codes() {
        assert_eq!(classify("Other", "No managed instance found"), AwsErrorKind::Other);
    }

    #[test]
    fn reads_well() {
        let error = AwsError {
            kind: AwsErrorKind::Denied,
            action: "autoscaling:SetDesiredCapacity",
            code: Some("AccessDenied".into()),
            message: "User: arn:aws:sts::1:x is not authorized".into(),
        };
        assert_eq!(
            error.to_string(),
            "autoscaling:SetDesiredCapacity failed: the credentials lack the right autoscaling:SetDesiredCapacity: allow \
             this action in the role's policy (AccessDenied: User: arn:aws:sts::1:x is not authorized)"
        );
    }
}
