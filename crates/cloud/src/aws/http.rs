//! The SDK's HTTP client over our own, so that there is one TLS stack, one set of proxies and one place to tell
//! "never sent" from "no answer".

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use lightsout_core::exchange::Unreachable;
use lightsout_io::http::{Clients, Limits};

use crate::aws::{ATTEMPT_TIMEOUT, CA_BUNDLE, CONNECT_TIMEOUT};

/// The metadata service's addresses (EC2 user guide, "Access instance metadata").
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Whether it was found at the second. The SDK, which takes the role's credentials from it, would look at the first for ever.
static OVER_IPV6: AtomicBool = AtomicBool::new(false);

/// Where this instance's metadata service was found.
#[cfg(feature = "host")]
pub(super) fn metadata_is_over_ipv6(found: bool) {
    OVER_IPV6.store(found, Ordering::Relaxed);
}

/// The same URL, at the metadata service's other address if that is where it is.
fn where_it_is(mut url: reqwest::Url, over_ipv6: bool) -> reqwest::Url {
    if over_ipv6 && url.host_str() == Some(METADATA.to_string().as_str()) {
        // It fails for URLs without a host alone.
        let _ = url.set_ip_host(METADATA_IPV6.into());
    }
    url
}

/// A client whose connections are shared by all SDK clients that use it.
pub(super) fn client() -> SharedHttpClient {
    let limits = Limits { connect: CONNECT_TIMEOUT, request: ATTEMPT_TIMEOUT, ..Limits::default() };
    let clients = Arc::new(Clients::new(limits, None).trusting_also(CA_BUNDLE));
    http_client_fn(move |settings, _| {
        // Only the SDK's own parts, such as its client of the instance metadata, set this one.
        let timeout = settings.read_timeout().map_or(limits.request, |timeout| timeout.min(limits.request));
        SharedHttpConnector::new(Bridge { clients: Arc::clone(&clients), timeout })
    })
}

#[derive(Debug)]
struct Bridge {
    clients: Arc<Clients>,
    timeout: Duration,
}

impl HttpConnector for Bridge {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (clients, timeout) = (Arc::clone(&self.clients), self.timeout);
        HttpConnectorFuture::new_boxed(Box::pin(async move { perform(&clients, request, timeout).await }))
    }
}

async fn perform(clients: &Clients, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, ConnectorError> {
    let malformed = |why: &str| ConnectorError::user(why.to_owned().into());
    let url = reqwest::Url::parse(request.uri()).map_err(|error| ConnectorError::user(error.into()))?;
    let url = where_it_is(url, OVER_IPV6.load(Ordering::Relaxed));
    let method = request.method().parse().map_err(|_| malformed("not an HTTP method"))?;
    let client = clients.for_url(&url).map_err(refused)?;
    let mut sending = client.request(method, url).timeout(timeout);
    for (name, value) in request.headers() {
        sending = sending.header(name, value);
    }
    let body = request.body().bytes().ok_or_else(|| malformed("a streaming body"))?.to_vec();
    let response = clients.send(sending.body(body)).await.map_err(refused)?;

    let status = StatusCode::try_from(response.status().as_u16())
        .map_err(|error| refused(Unreachable::Broken(error.to_string())))?;
    let headers = response.headers().clone();
    let mut answer = HttpResponse::new(status, SdkBody::from(clients.body(response, None).await.map_err(refused)?));
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            answer.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(answer)
}

fn refused(error: Unreachable) -> ConnectorError {
    match error {
        Unreachable::Timeout(_) => ConnectorError::timeout(error.into()),
        Unreachable::Connect(_) | Unreachable::Untrusted(_) | Unreachable::Broken(_) => {
            ConnectorError::io(error.into())
        }
        Unreachable::TooLarge(_) => ConnectorError::other(error.into(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_asks_for_credentials_where_the_metadata_service_was_found() {
        let asked = |url: &str, over_ipv6| where_it_is(url.parse().unwrap(), over_ipv6).to_string();
        let role = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
        assert_eq!(asked(role, false), role);
        assert_eq!(asked(role, true), role.replace("169.254.169.254", "[fd00:ec2::254]"));
        // A container's credentials are a neighbour's.
        for other in ["http://169.254.170.2/v2/credentials", "https://autoscaling.eu-central-1.amazonaws.com/"] {
            assert_eq!(asked(other, true), other);
        }
    }
}
