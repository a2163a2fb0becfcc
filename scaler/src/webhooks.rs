//! The pools' webhooks: whose hint is believed, and for which pools.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lightsout_cloud::SecretError;
use lightsout_core::{
    platform::webhook::{Deliveries, Refused, Webhook, verify},
    settings::{PoolSettings, SecretSource},
};
use secrecy::SecretString;
use tokio::time::sleep;

use crate::tokens::Tokens;

/// How often a listener's secrets are fetched anew: a day of one of them costs a tenth of a cent at AWS's Secrets Manager.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(300);

/// How many deliveries of a pool are told apart from replayed ones.
const MAX_DELIVERIES: usize = 4096;

/// Every pool's webhook, by the last part of its address.
#[derive(Debug, Default)]
pub(crate) struct Webhooks(BTreeMap<String, Vec<PoolWebhook>>);

#[derive(Debug)]
struct PoolWebhook {
    pool: String,
    kind: &'static Webhook,
    secret: Mutex<Secret>,
    /// Where the secret comes from.
    origin: Option<Origin>,
    deliveries: Mutex<Deliveries>,
}

#[derive(Debug)]
struct Secret {
    text: SecretString,
    /// When it was asked for.
    at: Instant,
}

#[derive(Debug)]
struct Origin {
    region: Option<String>,
    source: SecretSource,
}

impl Webhooks {
    /// The webhooks of these pools, their secrets fetched once; none, where no pool has one.
    pub(crate) async fn resolve(pools: &[Rc<PoolSettings>], tokens: &Tokens) -> Result<Self, String> {
        let mut webhooks = Self::default();
        for settings in pools {
            let Some(webhook) = &settings.webhook else { continue };
            let (region, source) = (settings.region.clone(), webhook.secret.clone());
            let token = tokens.get(region.as_ref(), &source).await.map_err(|error| failed(&settings.name, &error))?;
            let secret = Secret { text: token.secret, at: token.at };
            webhooks.insert(&webhook.path, &settings.name, webhook.kind, secret, Some(Origin { region, source }));
        }
        Ok(webhooks)
    }

    /// Fetches the secrets of this path anew that may have been changed since: those that are not fresh. True when there is any, so that a webhook
    /// that was refused may be looked at again.
    pub(crate) async fn renew(&self, path: &str, tokens: &Tokens) -> Result<bool, String> {
        let mut renewed = false;
        for webhook in self.0.get(path).into_iter().flatten() {
            renewed |= webhook.renew(tokens).await?;
        }
        Ok(renewed)
    }

    /// Fetches all secrets anew, again and again. It asks by its own clock, so that nobody who sends webhooks can make it ask, and a secret that was
    /// taken back is refused soon, whether anybody uses the new one or not. Where one cannot be fetched the last one goes on.
    pub(crate) async fn keep_fresh(&self, tokens: &Tokens, every: Duration) -> Infallible {
        loop {
            sleep(every).await;
            for webhook in self.0.values().flatten() {
                if let Err(error) = webhook.renew(tokens).await {
                    tracing::warn!(error, "a webhook's secret cannot be renewed: the last one is still accepted");
                }
            }
        }
    }

    /// Whether no pool has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With one more, whose secret stays what it is.
    #[cfg(test)]
    pub(crate) fn add(&mut self, path: &str, pool: &str, kind: &'static Webhook, secret: SecretString) {
        self.insert(path, pool, kind, Secret { text: secret, at: Instant::now() }, None);
    }

    fn insert(&mut self, path: &str, pool: &str, kind: &'static Webhook, secret: Secret, origin: Option<Origin>) {
        let deliveries = Mutex::new(Deliveries::new(MAX_DELIVERIES));
        let webhook = PoolWebhook { pool: pool.into(), kind, secret: Mutex::new(secret), origin, deliveries };
        self.0.entry(path.into()).or_default().push(webhook);
    }

    /// The name that a pool's settings give to this webhook, if one has it.
    pub(crate) fn known(&self, path: &str) -> Option<&str> {
        self.0.get_key_value(path).map(|(path, _)| path.as_str())
    }

    /// The pools that an authentic webhook makes tick: none when it is about something else, or was here before.
    pub(crate) fn accept(
        &self,
        path: &str,
        headers: &BTreeMap<String, String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<&str>, Refused> {
        let mut refused = Some(Refused::Forged);
        let mut pools = Vec::new();
        for webhook in self.0.get(path).into_iter().flatten() {
            match verify(webhook.kind, &webhook.secret().text, headers, body, now) {
                Ok(hint) => {
                    refused = None;
                    let mut deliveries = webhook.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
                    if hint.waiting && deliveries.is_new(hint.delivery) {
                        pools.push(webhook.pool.as_str());
                    }
                }
                Err(why) => refused = refused.and(Some(why)),
            }
        }
        refused.map_or(Ok(pools), Err)
    }
}

impl PoolWebhook {
    /// Fetches the secret anew, unless it is fresh or stands in the settings. Whether it did.
    async fn renew(&self, tokens: &Tokens) -> Result<bool, String> {
        let Some(Origin { region, source }) = &self.origin else { return Ok(false) };
        let seen = self.secret().at;
        if !tokens.forget_refused(region.as_ref(), source, seen) {
            return Ok(false);
        }
        let token = tokens.get(region.as_ref(), source).await.map_err(|error| failed(&self.pool, &error))?;
        *self.secret() = Secret { text: token.secret, at: token.at };
        Ok(true)
    }

    fn secret(&self) -> MutexGuard<'_, Secret> {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(pool: &str, error: &SecretError) -> String {
    format!("the webhook of the pool {pool}: {error}")
}
