//! The listener of one instance's metadata service.

use std::sync::Arc;

use axum::body::Body;
use hyper::{Response, body::Incoming};

use super::{
    connection::{Cut, Service, read, response},
    front::{Refusal, with_faults},
};
use crate::{
    aws::metadata::{self, Place},
    faults::{Call, Target},
    http::{Answer, Request},
    state::Shared,
};

/// Answers the software on one instance.
pub(crate) struct MetadataService {
    pub shared: Arc<Shared>,
    pub instance: String,
}

impl Service for MetadataService {
    async fn answer(&self, request: hyper::Request<Incoming>) -> Result<Response<Body>, Cut> {
        let request = match read(request).await {
            Ok(request) => request,
            Err(refusal) => return Ok(response(refusal)),
        };
        self.shared.act(|world, _| *world.counters.imds.entry(self.instance.clone()).or_default() += 1);
        let call = Call { target: Target::Imds, name: &request.path, instance: Some(&self.instance) };
        with_faults(&self.shared, call, |why| self.refuse(why, &request), || self.carry_out(&request)).await
    }
}

impl MetadataService {
    fn carry_out(&self, request: &Request) -> Answer {
        let place = Place { region: &self.shared.region, account: &self.shared.account };
        self.shared.act(|world, now| {
            let found = world.cloud.instance(&self.instance).zip(world.guests.get_mut(&self.instance));
            match found {
                Some((instance, guest)) => guest.metadata.handle(request, instance, &place, now),
                None => metadata::page(404, "Not Found"),
            }
        })
    }

    fn refuse(&self, why: Refusal, request: &Request) -> Answer {
        match why {
            Refusal::Status(code) => {
                let title = hyper::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
                metadata::page(code, title.unwrap_or("Error"))
            }
            Refusal::Throttled => metadata::page(429, "Too Many Requests"),
            Refusal::Expired => {
                self.shared.act(|world, _| {
                    if let Some(guest) = world.guests.get_mut(&self.instance) {
                        guest.metadata.expire_tokens();
                    }
                });
                self.carry_out(request)
            }
        }
    }
}
