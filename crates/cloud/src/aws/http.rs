//! The SDK's HTTP client over our own, so that there is one TLS stack, one set of proxies and one place to tell
//! "never sent" from "no answer".

use std::{sync::Arc, time::Duration};

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
