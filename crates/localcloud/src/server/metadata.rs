//! The listener of one instance's metadata service.

use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;

use super::{
    connection::{Cut, Service, read, response},
    injection::with_faults,
};
use crate::{
    aws::metadata::{self, Location},
    faults::{Call, Target},
    http::{Request, Response},
    refusal::Refusal,
    state::Shared,
};

/// Answers the software on one instance.
pub(crate) struct MetadataService {
    pub shared: Arc<Shared>,
    pub instance: String,
}

impl Service for MetadataService {
    async fn answer(&self, request: hyper::Request<Incoming>) -> Result<hyper::Response<Body>, Cut> {
        let request = match read(request).await {
            Ok(request) => request,
            Err(refusal) => return Ok(response(refusal)),
        };
        self.shared.update(|state, _| *state.counters.imds.entry(self.instance.clone()).or_default() += 1);
        let call = Call { target: Target::Imds, name: &request.path, instance: Some(&self.instance) };
        with_faults(&self.shared, call, |why| self.refuse(why, &request), || self.carry_out(&request)).await
    }
}

impl MetadataService {
    fn carry_out(&self, request: &Request) -> Response {
        let location = Location { region: &self.shared.region, account: &self.shared.account };
        self.shared.update(|state, now| {
            let found = state.cloud.instance(&self.instance).zip(state.hosts.get_mut(&self.instance));
            match found {
                Some((instance, host)) => host.metadata.handle(request, instance, &location, now),
                None => metadata::page(404, "Not Found"),
            }
        })
    }

    fn refuse(&self, why: Refusal, request: &Request) -> Response {
        match why {
            Refusal::Status(code) => {
                let title = hyper::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
                metadata::page(code, title.unwrap_or("Error"))
            }
            Refusal::Throttled => metadata::page(429, "Too Many Requests"),
            Refusal::Expired => {
                self.shared.update(|state, _| {
                    if let Some(host) = state.hosts.get_mut(&self.instance) {
                        host.metadata.expire_tokens();
                    }
                });
                self.carry_out(request)
            }
        }
    }
}
