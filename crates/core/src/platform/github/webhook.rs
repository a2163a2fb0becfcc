//! GitHub's `workflow_job`: `X-Hub-Signature-256`, made from the secret and the raw body.
//!
//! Source: GitHub documentation (validating webhook deliveries).

use jiff::Timestamp;

use super::NAME;
use crate::platform::webhook::{Delivery, Headers, Refused, Webhook, from_hex, named, says, signed};

/// Its webhooks as hints.
pub static WEBHOOK: Webhook = Webhook {
    platform: NAME,
    authenticate,
    waiting: |headers, event| {
        headers.get("x-github-event").is_some_and(|name| name == "workflow_job") && says(event, "action", "queued")
    },
};

fn authenticate(secret: &str, headers: &Headers, body: &[u8], _: Timestamp) -> Result<Delivery, Refused> {
    let header = |name: &str| headers.get(name).map(String::as_str);
    let signature = header("x-hub-signature-256").ok_or(Refused::Unsigned)?;
    let signature = signature.strip_prefix("sha256=").and_then(from_hex).ok_or(Refused::Forged)?;
    if signed(secret.as_bytes(), &[body], &signature) { Ok(named(&[body])) } else { Err(Refused::Forged) }
}
