//! The one listener for AWS, Azure, the CI platform and control: who is asked, and what goes wrong with the question.

use std::sync::Arc;

use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;

use super::{
    aws, azure,
    connection::{Cut, Service, read, response, unfailing},
    injection::with_faults,
};
use crate::{
    aws::{functions, objects},
    control,
    faults::{Call, Target},
    http::Request,
    state::Shared,
};

pub(crate) struct Front {
    shared: Arc<Shared>,
    control: TowerToHyperService<Router>,
}

impl Front {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
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
        if let Some(service) = azure::Service::of(&request) {
            azure::answer(&self.shared, service, request).await
        } else if request.path == "/" || objects::is_for(&request) || functions::is_for(&request) {
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
