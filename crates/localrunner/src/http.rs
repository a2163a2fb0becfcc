//! A small HTTP client for loopback: whole bodies, a deadline on each request, no TLS.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

const BODY_CAP: usize = 16 * 1024 * 1024;

/// The client; clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    deadline: Duration,
}

/// A whole reply, whatever its status.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

impl Http {
    /// A client whose requests take at most `deadline` each.
    pub fn new(deadline: Duration) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), deadline }
    }

    /// Asks and reads the whole answer.
    pub async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).with_context(|| format!("bad request to {url}"))?;
        let exchange = async {
            let reply = self.client.request(request).await.with_context(|| format!("no answer from {url}"))?;
            let (head, body) = reply.into_parts();
            let body = Limited::new(body, BODY_CAP)
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!("the answer from {url} broke off: {error}"))?
                .to_bytes();
            Ok(Reply { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(self.deadline, exchange)
            .await
            .with_context(|| format!("no answer from {url} within {:.1} s", self.deadline.as_secs_f64()))?
    }

    pub async fn json(&self, method: Method, url: &str, body: &Value) -> Result<Reply> {
        self.send(method, url, &[("content-type", "application/json")], Bytes::from(body.to_string())).await
    }
}

impl Reply {
    /// The body as JSON.
    pub fn value(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("HTTP {} with a body that is not JSON", self.status))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}
