//! The one listener for AWS, the CI platform and control: who is asked, and what goes wrong with the question.

use std::{future::pending, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;

use super::{
    aws,
    connection::{Cut, Service, broken, read, response, unfailing},
};
use crate::{
    control,
    faults::{Call, FaultEffect, Target},
    http::{Request, Response},
    state::Shared,
};

pub(super) struct Front {
    shared: Arc<Shared>,
    control: TowerToHyperService<Router>,
}

impl Front {
    pub fn new(shared: Arc<Shared>) -> Self {
        let control = TowerToHyperService::new(control::router(Arc::clone(&shared)));
        Self { shared, control }
    }
}

impl Service for Front {
    async fn answer(&self, request: hyper::Request<Incoming>) -> Result<hyper::Response<Body>, Cut> {
        let path = request.uri().path();
        if path.starts_with("/_lightsout") && !path.starts_with("/_lightsout/runner/") {
            return Ok(unfailing(hyper::service::Service::call(&self.control, request).await));
        }
        let request = match read(request).await {
            Ok(request) => request,
            Err(refusal) => return Ok(response(refusal)),
        };
        if request.path == "/" {
            aws::answer(&self.shared, request).await
        } else {
            platform(&self.shared, request).await
        }
    }
}

async fn platform(shared: &Shared, request: Request) -> Result<hyper::Response<Body>, Cut> {
    let (name, instance) = shared.update(|state, _| {
        let name = state.ci.route(&request);
        *state.counters.platform.entry(name.to_owned()).or_default() += 1;
        let machine = state.ci.machine_of(&request);
        (name, machine.and_then(|machine| state.instance_of(&machine).map(str::to_owned)))
    });
    let call = Call { target: Target::Platform, name, instance: instance.as_deref() };
    let refuse = |why| shared.read(|state, now| state.ci.refuse(why, now));
    with_faults(shared, call, refuse, || shared.update(|state, now| state.ci.handle(&request, now))).await
}

/// Why a fault refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(u16),
    Throttled,
    Expired,
}

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
        None
        | Some(FaultEffect::Latency { .. } | FaultEffect::StaleDescribes { .. } | FaultEffect::LaunchFailures { .. }) => {
            Ok(response(carry_out()))
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
    }
}
