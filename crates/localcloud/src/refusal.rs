//! Why a fault on request refuses a call; each service says it in its own shape.

/// Why a fault refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(u16),
    Throttled,
    Expired,
}
