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
    azure,
    faults::{Call, Target},
    http::{self, Request, Response},
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
        if self.is_azure() && azure::metadata::asks_for_events(&request) {
            // The first request turns the events on, and whoever gives up on it waits for the rest of the time.
            let wait = self.shared.update(|state, now| state.azure.ask_events(&self.instance, now));
            tokio::time::sleep(wait).await;
        }
        with_faults(&self.shared, call, |why| self.refuse(why, &request), || self.carry_out(&request)).await
    }
}

impl MetadataService {
    fn carry_out(&self, request: &Request) -> Response {
        let location = Location { region: &self.shared.region, account: &self.shared.account };
        self.shared.update(|state, now| {
            if state.azure.machine(&self.instance).is_some() {
                return azure::metadata::handle(&mut state.azure, &mut state.tokens, &self.instance, request, now);
            }
            let found = state.cloud.instance(&self.instance).zip(state.hosts.get_mut(&self.instance));
            match found {
                Some((instance, host)) => host.metadata.handle(request, instance, &location, now),
                None => metadata::page(404, "Not Found"),
            }
        })
    }

    fn is_azure(&self) -> bool {
        self.shared.read(|state, _| state.azure.machine(&self.instance).is_some())
    }

    fn refuse(&self, why: Refusal, request: &Request) -> Response {
        if self.is_azure() {
            return match why {
                Refusal::Status(code) => azure::metadata::error(code, http::reason_phrase(code)),
                Refusal::Throttled => azure::metadata::error(429, "Too many requests"),
                Refusal::Expired => {
                    self.shared.update(|state, _| state.tokens.expire(&self.instance));
                    self.carry_out(request)
                }
            };
        }
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
