//! Calls that go wrong because somebody asked for it.

use std::{future::pending, time::Duration};

use axum::body::Body;

use super::connection::{Cut, broken, response};
use crate::{
    faults::{Call, FaultEffect},
    http::Response,
    refusal::Refusal,
    state::Shared,
};

/// Carries a call out, unless a fault says otherwise.
pub(super) async fn with_faults(
    shared: &Shared,
    call: Call<'_>,
    refuse: impl FnOnce(Refusal) -> Response,
    carry_out: impl FnOnce() -> Response,
) -> Result<hyper::Response<Body>, Cut> {
    let hit = shared.update(|state, _| state.faults.hit(call));
    if hit.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(hit.delay_ms)).await;
    }
    match hit.effect {
        Some(FaultEffect::Late { ms }) => {
            let answer = carry_out();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(response(answer))
        }
        Some(FaultEffect::Status { code }) => Ok(response(refuse(Refusal::Status(code)))),
        Some(FaultEffect::Throttle) => Ok(response(refuse(Refusal::Throttled))),
        Some(FaultEffect::Expire) => Ok(response(refuse(Refusal::Expired))),
        Some(FaultEffect::Drop) => Err(Cut),
        Some(FaultEffect::Reset) => Ok(broken(carry_out())),
        Some(FaultEffect::Truncate) => {
            let answer = carry_out();
            let half = answer.body.slice(..answer.body.len() / 2);
            Ok(response(Response { body: half, ..answer }))
        }
        Some(FaultEffect::Hang) => {
            drop(carry_out());
            pending().await
        }
        // A delay is over, and the others are no fault of a call.
        None
        | Some(
            FaultEffect::Latency { .. }
            | FaultEffect::StaleDescribes { .. }
            | FaultEffect::LaunchFailures { .. }
            | FaultEffect::CancelRequest
            | FaultEffect::LoseClaim
            | FaultEffect::PatientAbort
            | FaultEffect::RewriteEnvironment
            | FaultEffect::LeaveChild
            | FaultEffect::RunnerTooOld,
        ) => Ok(response(carry_out())),
    }
}
