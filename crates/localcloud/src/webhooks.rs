//! Posts the platform's job events.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::sync::mpsc;

use crate::ci::webhook::WebhookDelivery;

/// How long an answer may take; the vendors wait as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts what comes, one event after another, until nobody sends any more. What nobody takes is not posted again: the
/// vendors do no better as a rule.
pub(crate) async fn run(mut deliveries: mpsc::UnboundedReceiver<WebhookDelivery>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    while let Some(delivery) = deliveries.recv().await {
        let url = delivery.url.clone();
        match tokio::time::timeout(PATIENCE, post(&client, delivery)).await {
            Ok(Ok(status)) if status.is_success() => tracing::debug!(url, "a job event was taken"),
            Ok(Ok(status)) => tracing::warn!(url, status = status.as_u16(), "a job event was refused"),
            Ok(Err(error)) => tracing::warn!(url, error, "a job event reached nobody"),
            Err(_) => tracing::warn!(url, "a job event got no answer"),
        }
    }
}

async fn post(
    client: &Client<HttpConnector, Full<Bytes>>,
    delivery: WebhookDelivery,
) -> Result<hyper::StatusCode, String> {
    let mut request = hyper::Request::post(&delivery.url);
    for (name, value) in delivery.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(delivery.body))).map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| error.to_string())?;
    Ok(answer.status())
}
