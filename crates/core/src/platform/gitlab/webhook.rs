//! GitLab's job events: a signing token (`whsec_...`; Standard Webhooks) or the secret token in `X-Gitlab-Token`.
//!
//! Sources: GitLab documentation (webhooks), the Standard Webhooks specification.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;

use super::NAME;
use crate::platform::webhook::{Delivery, Headers, Refused, Webhook, fresh, named, says, signed, token};

/// How signing tokens begin (Standard Webhooks).
const SIGNING_TOKEN: &str = "whsec_";

/// Its webhooks as hints.
pub static WEBHOOK: Webhook = Webhook {
    platform: NAME,
    authenticate,
    waiting: |_, event| says(event, "object_kind", "build") && says(event, "build_status", "pending"),
};

/// With a signing token only a signature counts: whoever could send the plain token instead would be spared the
/// signature.
fn authenticate(secret: &str, headers: &Headers, body: &[u8], now: Timestamp) -> Result<Delivery, Refused> {
    let header = |name: &str| headers.get(name).map(String::as_str);
    let Some(encoded) = secret.strip_prefix(SIGNING_TOKEN) else {
        return token(secret, header("x-gitlab-token"), body);
    };
    let key = STANDARD.decode(encoded).map_err(|_| Refused::Forged)?;
    let (Some(id), Some(time), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Err(Refused::Unsigned);
    };
    let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
    let offered = signatures.split_ascii_whitespace().filter_map(|one| one.strip_prefix("v1,"));
    let authentic = offered.filter_map(|one| STANDARD.decode(one).ok()).any(|one| signed(&key, &parts, &one));
    if !authentic {
        return Err(Refused::Forged);
    }
    fresh(time, now)?;
    Ok(named(&parts))
}
