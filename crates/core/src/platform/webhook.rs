//! Webhooks as hints: who sent it is verified, and then it says no more than "jobs may wait; look now".
//!
//! What a platform tells in a webhook may be late, doubled or lost, and its sender may be an attacker who has an old one. So nothing in it is
//! believed: an authentic hint about waiting jobs makes the scaler read the queue once more, which any tick does anyway. A forged one is refused
//! ([`verify`]), a replayed one is recognised ([`Deliveries`]), and the scaler takes at most one hint a second for each pool.
//!
//! - GitLab: a signing token (`whsec_...`; Standard Webhooks) or the secret token in `X-Gitlab-Token`.
//! - GitHub: `X-Hub-Signature-256`, made from the secret and the raw body.
//! - Buildkite: `X-Buildkite-Signature`, or the token in `X-Buildkite-Token`.
//!
//! Sources: GitLab documentation (webhooks), the Standard Webhooks specification, GitHub documentation (validating webhook deliveries), Buildkite
//! documentation (webhooks).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hint::black_box,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How far a signed time may be from ours, in seconds, both ways.
const WINDOW: i64 = 300;

/// How GitLab's signing tokens begin (Standard Webhooks).
const SIGNING_TOKEN: &str = "whsec_";

/// Whose webhook it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookKind {
    /// GitLab's job events.
    GitLab,
    /// GitHub's `workflow_job`.
    GitHub,
    /// Buildkite's `job.scheduled`.
    Buildkite,
}

/// An authentic webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What makes it the same again.
    pub delivery: Delivery,
    /// Whether it is about jobs that may wait now.
    pub waiting: bool,
}

/// Names a delivery by what its sender vouched for. The platforms' own delivery ids are mostly not signed, so that whoever replays one could change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery([u8; 32]);

/// Why a webhook is not accepted. It is for the log; who sent it learns none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has no signature and no token.
    #[error("it is not signed; set the same secret at the platform and in the pool's webhook")]
    Unsigned,
    /// Its signature or its token is wrong.
    #[error("its signature or token is wrong; set the same secret at the platform and in the pool's webhook")]
    Forged,
    /// It was signed too long ago, or ahead of time.
    #[error("it was signed more than 5 minutes ago or ahead; see that this machine's clock is right")]
    Stale,
    /// It is authentic and cannot be understood.
    #[error("it is authentic, but no JSON object of this platform; choose JSON as its content type")]
    Malformed,
}

/// Verifies a webhook. Header names are in lower case; `body` is what came, byte by byte.
///
/// # Errors
/// When it is not authentic, not fresh, or not understood.
pub fn verify(
    kind: WebhookKind,
    secret: &SecretString,
    headers: &BTreeMap<String, String>,
    body: &[u8],
    now: Timestamp,
) -> Result<Hint, Refused> {
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return Err(Refused::Forged);
    }
    let header = |name: &str| headers.get(name).map(String::as_str);
    let delivery = match kind {
        WebhookKind::GitLab => gitlab(secret, header, body, now),
        WebhookKind::GitHub => github(secret, header, body),
        WebhookKind::Buildkite => buildkite(secret, header, body, now),
    }?;
    let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Malformed)?;
    let event = event.as_object().ok_or(Refused::Malformed)?;
    let is = |key: &str, value: &str| event.get(key).and_then(Value::as_str) == Some(value);
    let waiting = match kind {
        WebhookKind::GitLab => is("object_kind", "build") && is("build_status", "pending"),
        WebhookKind::GitHub => header("x-github-event") == Some("workflow_job") && is("action", "queued"),
        WebhookKind::Buildkite => is("event", "job.scheduled"),
    };
    Ok(Hint { delivery, waiting })
}

/// With a signing token only a signature counts: whoever could send the plain token instead would be spared the signature.
fn gitlab<'a>(
    secret: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, Refused> {
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

fn github<'a>(secret: &str, header: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Result<Delivery, Refused> {
    let signature = header("x-hub-signature-256").ok_or(Refused::Unsigned)?;
    let signature = signature.strip_prefix("sha256=").and_then(from_hex).ok_or(Refused::Forged)?;
    if signed(secret.as_bytes(), &[body], &signature) { Ok(named(&[body])) } else { Err(Refused::Forged) }
}

fn buildkite<'a>(
    secret: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, Refused> {
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

/// A token that is sent as it is.
fn token(secret: &str, sent: Option<&str>, body: &[u8]) -> Result<Delivery, Refused> {
    let sent = sent.ok_or(Refused::Unsigned)?;
    // Digests have one length, and how much two of them have in common says nothing about the tokens.
    let (ours, theirs) = (Sha256::digest(secret), Sha256::digest(sent));
    let differing = ours.iter().zip(theirs.iter()).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    if differing == 0 { Ok(named(&[body])) } else { Err(Refused::Forged) }
}

/// Whether this is the HMAC-SHA256 of these parts; compared in constant time.
fn signed(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

fn fresh(time: &str, now: Timestamp) -> Result<(), Refused> {
    let time: i64 = time.parse().map_err(|_| Refused::Stale)?;
    if now.as_second().abs_diff(time) <= WINDOW.unsigned_abs() { Ok(()) } else { Err(Refused::Stale) }
}

fn named(parts: &[&[u8]]) -> Delivery {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    Delivery(digest.finalize().into())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// The deliveries of late. Bounded: a delivery that was forgotten costs one more reading when it comes again.
#[derive(Clone, Debug)]
pub struct Deliveries {
    most: usize,
    seen: BTreeSet<Delivery>,
    order: VecDeque<Delivery>,
}

impl Deliveries {
    /// Remembers this many; at least 1.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), seen: BTreeSet::new(), order: VecDeque::new() }
    }

    /// Whether it comes for the first time, as far as is remembered.
    pub fn is_new(&mut self, delivery: Delivery) -> bool {
        if !self.seen.insert(delivery) {
            return false;
        }
        self.order.push_back(delivery);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}
