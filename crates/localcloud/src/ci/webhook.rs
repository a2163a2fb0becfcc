//! Job events that a platform posts to whoever wants to know.

use serde::{Deserialize, Serialize};

use crate::{digest::hmac_sha256, time::Timestamp};

/// Where a platform posts its job events, if it has any that a scaler could use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub url: String,
    /// What shows that an event is genuine.
    pub secret: String,
    /// How it shows, on platforms that leave the choice.
    #[serde(default, rename = "kind")]
    pub auth: WebhookAuth,
}

/// How an event shows that it is genuine, on platforms that leave the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookAuth {
    /// It carries the secret itself.
    #[default]
    Token,
    /// It carries a signature over the body.
    Signature,
}

/// One event to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebhookDelivery {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl WebhookDelivery {
    /// An event that carries this document.
    pub(crate) fn new(to: &Webhook, document: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { url: to.url.clone(), headers, body: document.to_string() }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The HMAC-SHA256 of what stands before the body and the body, as hexadecimal digits.
    pub(crate) fn signature(&self, secret: &str, before: &str) -> String {
        hmac_sha256(secret.as_bytes(), format!("{before}{}", self.body).as_bytes())
    }

    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

/// A delivery's id, in the shape of a UUID: the same event always has the same.
pub(super) fn delivery_id(job: u64, event: &str, at: Timestamp) -> String {
    let hex = hmac_sha256(event.as_bytes(), format!("{job}/{}", at.0).as_bytes());
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
