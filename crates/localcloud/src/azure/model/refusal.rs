//! Why a call is refused, in the Resource Manager's words.

/// A refusal: HTTP status, code and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The part of the request that is at fault.
    pub(crate) target: Option<&'static str>,
}

impl Refused {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), target: None }
    }

    pub(crate) fn invalid(target: &'static str, message: impl Into<String>) -> Self {
        Self { target: Some(target), ..Self::new(400, "InvalidParameter", message) }
    }

    /// Another write to the same scale set is under way.
    pub(crate) fn concurrent() -> Self {
        let message = "The request failed due to conflict with a concurrent request. To resolve it, please refer to \
                       https://aka.ms/activitylog to get more details on the conflicting requests.";
        Self::new(409, "Conflict", message)
    }

    /// An instance that is gone, or on its way.
    pub(crate) fn not_active(instance: &str) -> Self {
        let message =
            format!("The provided instanceId {instance} is not an active Virtual Machine Scale Set VM instanceId.");
        Self { target: Some("instanceIds"), ..Self::new(400, "InvalidParameter", message) }
    }
}
