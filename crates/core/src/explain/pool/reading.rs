//! What keeps the scaler from reading, or from raising.

use super::Tick;
use crate::{
    explain::{Answer, Cause},
    record::{Decision, TickTrouble},
};

pub(super) fn failed(answer: &mut Answer, last: Tick<'_>) {
    let Decision { pool, error, trouble, .. } = last.decision;
    let error = error.as_deref().unwrap_or("the record does not say with what");
    let (cause, what) = match trouble {
        Some(TickTrouble::Unauthorized) => (Cause::TokenRefused, "the token or the credentials are not accepted"),
        Some(TickTrouble::Forbidden) => (Cause::RightMissing, "a right is missing"),
        Some(TickTrouble::NotFound) => (Cause::TickFailed, "what its settings name does not exist, or may not be seen"),
        Some(TickTrouble::Throttled) => (Cause::TickFailed, "it is throttled"),
        Some(TickTrouble::Unavailable) => (Cause::TickFailed, "the other side gave no good answer"),
        Some(TickTrouble::Other) | None => (Cause::TickFailed, "the tick failed"),
    };
    let remedy = if cause == Cause::TokenRefused {
        "store a new token where the scaler reads it (it reads it anew by itself), then: lightsout-scaler check"
    } else {
        "do as the message says, then: lightsout-scaler check"
    };
    answer.find(cause, last.basis(), format!("{pool} is not scaled because {what}: {error}"), remedy);
}

pub(super) fn standby(answer: &mut Answer, last: Tick<'_>) {
    let Decision { pool, reason, .. } = last.decision;
    let reason = reason.as_deref().unwrap_or("only one can read its queue");
    answer.find(
        Cause::Standby,
        last.basis(),
        format!("{pool} is scaled by another scaler: this one {reason}"),
        "look at the records of the scaler that holds the session; this one takes over when it is free",
    );
}

pub(super) fn partial(answer: &mut Answer, last: Tick<'_>, missing: &str) {
    let pool = &last.decision.pool;
    let token =
        matches!(last.decision.trouble, Some(TickTrouble::Unauthorized)).then_some("the token is not accepted: ");
    answer.find(
        Cause::PartialReading,
        last.basis(),
        format!(
            "the queue of {pool} was read in part, so that jobs may wait which it does not count: {}{missing}",
            token.unwrap_or_default()
        ),
        "do as the message says, then: lightsout-scaler check",
    );
}
