//! Buildkite's `job.scheduled`: `X-Buildkite-Signature`, or the token in `X-Buildkite-Token`.
//!
//! Source: Buildkite documentation (webhooks).

use jiff::Timestamp;

use super::NAME;
use crate::platform::webhook::{Delivery, Headers, Refused, Webhook, fresh, from_hex, named, says, signed, token};

/// Its webhooks as hints.
pub static WEBHOOK: Webhook =
    Webhook { platform: NAME, authenticate, waiting: |_, event| says(event, "event", "job.scheduled") };

fn authenticate(secret: &str, headers: &Headers, body: &[u8], now: Timestamp) -> Result<Delivery, Refused> {
    let header = |name: &str| headers.get(name).map(String::as_str);
    let Some(signature) = header("x-buildkite-signature") else {
        return token(secret, header("x-buildkite-token"), body);
    };
    let part = |name: &str| {
        signature
            .split(',')
            .find_map(|part| part.trim().split_once('=').filter(|(found, _)| *found == name))
            .map(|(_, value)| value)
    };
    let (time, signature) = part("timestamp").zip(part("signature")).ok_or(Refused::Forged)?;
    let parts = [time.as_bytes(), b".", body];
    if !from_hex(signature).is_some_and(|signature| signed(secret.as_bytes(), &parts, &signature)) {
        return Err(Refused::Forged);
    }
    fresh(time, now)?;
    Ok(named(&parts))
}
