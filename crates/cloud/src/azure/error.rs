//! What a failed call to Azure means to its caller: one table.

use std::time::Duration;

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    exchange::{Reply, Unreachable},
};
use serde::Deserialize;

/// How long a scope is left alone that said nothing of how long, and at most.
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);

/// What must be allowed to those who write records, as the roles name it.
pub(super) const WRITE_RECORDS: &str = "Microsoft.Insights/Telemetry/Write";

/// What the Resource Manager says of a failure (Azure Resource Manager, "Error details").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Detail {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    #[serde(default)]
    details: Vec<Detail>,
}

impl Detail {
    /// The cause, which stands inside of what merely says that something failed.
    pub(super) fn innermost(mut self) -> Self {
        while let Some(index) = self.details.iter().position(|detail| detail.code.is_some()) {
            self = self.details.swap_remove(index);
        }
        self
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: Detail,
}

/// The failure that a reply tells, for a call that needs this right.
pub(super) fn of_reply(right: &str, reply: &Reply) -> CloudError {
    let detail = serde_json::from_slice::<Envelope>(&reply.body).map(|envelope| envelope.error).unwrap_or_default();
    let outer = detail.code.clone();
    let Detail { code, message, .. } = detail.innermost();
    let code = code.or(outer).unwrap_or_default();
    let message = message.unwrap_or_default();
    let kind = kind(reply.status, &code, &message);
    let said = match (code.is_empty(), message.is_empty()) {
        (true, _) => format!("status {}", reply.status),
        (false, true) => code,
        (false, false) => format!("{code}: {message}"),
    };
    CloudError::new(kind, format!("{right}: {said}{}", remedy(kind, right)))
}

/// The failure that there was no reply.
pub(super) fn of_silence(right: &str, error: &Unreachable) -> CloudError {
    let kind = match error {
        Unreachable::Timeout(_) | Unreachable::Broken(_) | Unreachable::TooLarge(_) => CloudErrorKind::Timeout,
        Unreachable::Connect(_) | Unreachable::Untrusted(_) => CloudErrorKind::Unreachable,
    };
    CloudError::new(kind, format!("{right}: {error}; {}", error.remedy()))
}

/// How long Azure wishes to be left alone, where it says that it was asked too often.
pub(super) fn rest(reply: &Reply) -> Option<Duration> {
    (reply.status == 429).then(|| wish(reply).unwrap_or(REST).min(LONGEST_REST))
}

/// When to come again, where a reply says so.
pub(super) fn wish(reply: &Reply) -> Option<Duration> {
    reply.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

/// Which kind a failure is. A code says more than a status, of which 409 and 400 mean many things.
fn kind(status: u16, code: &str, message: &str) -> CloudErrorKind {
    match (status, code) {
        (_, "QuotaExceeded") => CloudErrorKind::OutOfBounds,
        (409 | 400, "OperationNotAllowed") if message.to_ascii_lowercase().contains("quota") => {
            CloudErrorKind::OutOfBounds
        }
        // Azure answers so for an instance that is on its way out, or was deleted a moment ago.
        (400, "InvalidParameter" | "BadRequest") if message.contains("not an active Virtual Machine Scale Set VM") => {
            CloudErrorKind::NotFound
        }
        (401, _) => CloudErrorKind::Credentials,
        (403, _) => CloudErrorKind::Denied,
        (404, _) => CloudErrorKind::NotFound,
        // Somebody else changed it, or does: look, and try again.
        (409 | 412, _) | (_, "OperationPreempted" | "AnotherOperationInProgress") => CloudErrorKind::InProgress,
        (429, _) => CloudErrorKind::Throttled,
        (408 | 500..=599, _) => CloudErrorKind::Timeout,
        _ => CloudErrorKind::Other,
    }
}

fn remedy(kind: CloudErrorKind, right: &str) -> String {
    match kind {
        // Instance metadata and others ask for no right of the Resource Manager.
        CloudErrorKind::Denied if !right.contains('/') => String::new(),
        CloudErrorKind::Denied => {
            format!(
                "; give the identity a role with {right} on {} (a new assignment takes minutes to reach everybody)",
                scope(right)
            )
        }
        CloudErrorKind::OutOfBounds => "; ask for more quota, or lower the pool's max".into(),
        CloudErrorKind::NotFound
        | CloudErrorKind::AtFloor
        | CloudErrorKind::InProgress
        | CloudErrorKind::NothingHeld
        | CloudErrorKind::Credentials
        | CloudErrorKind::Throttled
        | CloudErrorKind::Timeout
        | CloudErrorKind::Unreachable
        | CloudErrorKind::Other => String::new(),
    }
}

/// Where a role must be assigned to hold for calls that need this right. A machine of a Flexible scale set is a resource beside the scale set, not
/// below it: what is assigned on the scale set does not reach them (Azure RBAC, "Understand scope").
fn scope(right: &str) -> &'static str {
    match right {
        "Microsoft.Compute/virtualMachines/delete" => "the machine's resource group",
        "Microsoft.Compute/virtualMachines/read" => "the scale set's resource group",
        #[cfg(feature = "host")]
        "Microsoft.Insights/autoscaleSettings/read" => "the scale set's resource group",
        #[cfg(feature = "host")]
        "Microsoft.Authorization/roleAssignments/read" | "Microsoft.Authorization/roleDefinitions/read" => {
            "the scale set's resource group"
        }
        #[cfg(feature = "host")]
        "Microsoft.Compute/skus/read" | "Microsoft.Compute/locations/usages/read" => "the subscription",
        #[cfg(feature = "host")]
        "Microsoft.Compute/images/read" | "Microsoft.Compute/galleries/images/versions/read" => "the image",
        #[cfg(feature = "host")]
        "Microsoft.Network/virtualNetworks/usages/read" => "the network",
        #[cfg(feature = "host")]
        "Microsoft.Web/sites/read"
        | "Microsoft.Web/sites/functions/read"
        | "Microsoft.Web/sites/config/list/action" => "the function app",
        #[cfg(feature = "host")]
        "Microsoft.Insights/components/query/read" => "the resource of Application Insights",
        #[cfg(feature = "host")]
        "Microsoft.KeyVault/vaults/read" => "the subscription",
        #[cfg(feature = "host")]
        WRITE_RECORDS => "the data collection rule, such as Monitoring Metrics Publisher",
        "Microsoft.KeyVault/vaults/secrets/getSecret/action" => "the vault",
        "Microsoft.Resources/tags/write" => "what is tagged: the scale set, or the machine's resource group",
        _ => "the scale set",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: BTreeMap::new(), body: body.into() }
    }

    fn envelope(code: &str, message: &str) -> String {
        serde_json::json!({ "error": { "code": code, "message": message } }).to_string()
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        const INACTIVE: &str = "The provided instanceId 3 is not an active Virtual Machine Scale Set VM instanceId.";
        const CORES: &str =
            "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.";
        for (status, code, message, kind) in [
            (
                401,
                "ExpiredAuthenticationToken",
                "The access token expiry UTC time is in the past.",
                CloudErrorKind::Credentials,
            ),
            (401, "InvalidAuthenticationToken", "The access token is invalid.", CloudErrorKind::Credentials),
            (403, "AuthorizationFailed", "The client does not have authorization.", CloudErrorKind::Denied),
            (403, "LinkedAuthorizationFailed", "It may not join the subnet.", CloudErrorKind::Denied),
            (404, "ResourceNotFound", "The Resource was not found.", CloudErrorKind::NotFound),
            (404, "NotFound", "The entity was not found.", CloudErrorKind::NotFound),
            (404, "ResourceGroupNotFound", "Resource group could not be found.", CloudErrorKind::NotFound),
            (404, "InstanceIdNotFound", "", CloudErrorKind::NotFound),
            (400, "InvalidParameter", INACTIVE, CloudErrorKind::NotFound),
            (400, "InvalidParameter", "The value of parameter x is invalid.", CloudErrorKind::Other),
            (
                409,
                "Conflict",
                "The request failed due to conflict with a concurrent request.",
                CloudErrorKind::InProgress,
            ),
            (
                409,
                "OperationNotAllowed",
                "The operation is not allowed while the VM is deleted.",
                CloudErrorKind::InProgress,
            ),
            (409, "AnotherOperationInProgress", "", CloudErrorKind::InProgress),
            (409, "OperationPreempted", "A more recent operation pre-empted it.", CloudErrorKind::InProgress),
            (409, "OperationNotAllowed", CORES, CloudErrorKind::OutOfBounds),
            (409, "QuotaExceeded", "", CloudErrorKind::OutOfBounds),
            (
                412,
                "PreconditionFailed",
                "The condition specified using HTTP conditional header(s) is not met.",
                CloudErrorKind::InProgress,
            ),
            (429, "TooManyRequests", "", CloudErrorKind::Throttled),
            (
                429,
                "OperationNotAllowed",
                "The server rejected the request because too many requests have been received.",
                CloudErrorKind::Throttled,
            ),
            (408, "", "", CloudErrorKind::Timeout),
            (500, "InternalExecutionError", "", CloudErrorKind::Timeout),
            (503, "", "", CloudErrorKind::Timeout),
            (400, "", "", CloudErrorKind::Other),
        ] {
            let error = of_reply("a/b/read", &reply(status, &envelope(code, message)));
            assert_eq!(error.kind, kind, "{status} {code}");
            assert!(error.message.starts_with("a/b/read: ") && error.message.contains(code), "{error}");
        }
    }

    #[test]
    fn the_cause_is_told_and_not_what_is_around_it() {
        let body = r#"{"error":{"code":"OperationNotAllowed","message":"It failed.","details":[{"message":"no code"},{"code":"QuotaExceeded","message":"12 of 10 cores."}]}}"#;
        let error = of_reply("w", &reply(409, body));
        assert_eq!(error.kind, CloudErrorKind::OutOfBounds);
        assert!(error.message.contains("12 of 10 cores"), "{error}");
    }

    #[test]
    fn what_is_no_envelope_tells_its_status() {
        for body in ["", "<html>", "[]", "{\"error\":\"invalid_request\"}"] {
            assert_eq!(of_reply("r", &reply(502, body)).message, "r: status 502");
        }
    }

    #[test]
    fn a_missing_right_is_named() {
        let error = of_reply(
            "Microsoft.Compute/virtualMachineScaleSets/write",
            &reply(403, &envelope("AuthorizationFailed", "no")),
        );
        assert!(
            error.message.contains("give the identity a role with Microsoft.Compute/virtualMachineScaleSets/write"),
            "{error}"
        );
        assert_eq!(of_reply("instance metadata", &reply(403, "")).message, "instance metadata: status 403");
    }

    #[test]
    fn what_may_have_been_applied_is_told_from_what_was_not() {
        for (error, kind) in [
            (Unreachable::Timeout(Duration::from_secs(1)), CloudErrorKind::Timeout),
            (Unreachable::Broken("reset".into()), CloudErrorKind::Timeout),
            (Unreachable::TooLarge(1), CloudErrorKind::Timeout),
            (Unreachable::Connect("refused".into()), CloudErrorKind::Unreachable),
            (Unreachable::Untrusted("UnknownIssuer".into()), CloudErrorKind::Unreachable),
        ] {
            assert_eq!(of_silence("r", &error).kind, kind, "{error}");
        }
    }

    #[test]
    fn a_wish_to_be_left_alone_is_heeded_within_reason() {
        let wish = |status, value: Option<&str>| {
            let headers = value.map(|value| ("retry-after".to_owned(), value.to_owned())).into_iter().collect();
            rest(&Reply { status, headers, body: Vec::new() })
        };
        assert_eq!(wish(429, Some("17")), Some(Duration::from_secs(17)));
        assert_eq!(wish(429, Some("86400")), Some(LONGEST_REST));
        assert_eq!(wish(429, None), Some(REST));
        assert_eq!(wish(429, Some("soon")), Some(REST));
        assert_eq!(wish(503, Some("17")), None);
    }
}
