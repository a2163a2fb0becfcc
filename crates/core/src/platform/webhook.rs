//! Webhooks as hints: who sent it is verified, and then it says no more than "jobs may wait; look now".
//!
//! What a platform tells in a webhook may be late, doubled or lost, and its sender may be an attacker who has an old
//! one. So nothing in it is believed: an authentic hint about waiting jobs makes the scaler read the queue once more,
//! which any tick does anyway. A forged one is refused ([`verify`]), a replayed one is recognised ([`Deliveries`]), and
//! the scaler takes at most one hint a second for each pool. How a sender is known is the platform's own:
//! `platform/NAME/webhook.rs`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    hint::black_box,
};

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How far a signed time may be from ours, in seconds, both ways.
const WINDOW: i64 = 300;

/// Headers of a webhook, names in lower case.
pub type Headers = BTreeMap<String, String>;

/// How the webhooks of a platform are understood.
pub struct Webhook {
    /// The platform's name in settings and logs.
    pub platform: &'static str,
    /// Who sent it: its signature or token against our secret, and its age.
    pub(super) authenticate: fn(&str, &Headers, &[u8], Timestamp) -> Result<Delivery, Refused>,
    /// Whether it is about a job that waits.
    pub(super) waiting: fn(&Headers, &Map<String, Value>) -> bool,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.platform)
    }
}

/// An authentic webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What makes it the same again.
    pub delivery: Delivery,
    /// Whether it is about jobs that may wait now.
    pub waiting: bool,
}

/// Names a delivery by what its sender vouched for. The platforms' own delivery ids are mostly not signed, so that
/// whoever replays one could change them.
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

/// Verifies a webhook; `body` is what came, byte by byte.
///
/// # Errors
/// When it is not authentic, not fresh, or not understood.
pub fn verify(
    webhook: &Webhook,
    secret: &SecretString,
    headers: &Headers,
    body: &[u8],
    now: Timestamp,
) -> Result<Hint, Refused> {
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return Err(Refused::Forged);
    }
    let delivery = (webhook.authenticate)(secret, headers, body, now)?;
    let event: Value = serde_json::from_slice(body).map_err(|_| Refused::Malformed)?;
    let event = event.as_object().ok_or(Refused::Malformed)?;
    Ok(Hint { delivery, waiting: (webhook.waiting)(headers, event) })
}

/// Whether a key of an event has this text.
pub(super) fn says(event: &Map<String, Value>, key: &str, value: &str) -> bool {
    event.get(key).and_then(Value::as_str) == Some(value)
}

/// A token that is sent as it is.
pub(super) fn token(secret: &str, sent: Option<&str>, body: &[u8]) -> Result<Delivery, Refused> {
    let sent = sent.ok_or(Refused::Unsigned)?;
    // Digests have one length, and how much two of them have in common says nothing about the tokens.
    let (ours, theirs) = (Sha256::digest(secret), Sha256::digest(sent));
    let differing = ours.iter().zip(theirs.iter()).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    if differing == 0 { Ok(named(&[body])) } else { Err(Refused::Forged) }
}

/// Whether this is the HMAC-SHA256 of these parts; compared in constant time.
pub(super) fn signed(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

pub(super) fn fresh(time: &str, now: Timestamp) -> Result<(), Refused> {
    let time: i64 = time.parse().map_err(|_| Refused::Stale)?;
    if now.as_second().abs_diff(time) <= WINDOW.unsigned_abs() { Ok(()) } else { Err(Refused::Stale) }
}

pub(super) fn named(parts: &[&[u8]]) -> Delivery {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    Delivery(digest.finalize().into())
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
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
