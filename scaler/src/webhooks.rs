//! The pools' webhooks: whose hint is believed, and for which pools.

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
use lightsout_cloud::SecretError;
use lightsout_core::{
    platform::webhook::{Deliveries, Refused, Webhook, verify},
    settings::{PoolSettings, SecretSource},
};
use secrecy::SecretString;

use crate::tokens::Tokens;

/// How many deliveries of a pool are told apart from replayed ones.
const MAX_DELIVERIES: usize = 4096;

/// Every pool's webhook, by the last part of its address.
#[derive(Debug, Default)]
pub(crate) struct Webhooks(BTreeMap<String, Vec<PoolWebhook>>);

#[derive(Debug)]
struct PoolWebhook {
    pool: String,
    kind: &'static Webhook,
    secret: SecretString,
    /// Where the secret came from, and when it was asked for.
    origin: Option<Origin>,
    deliveries: Mutex<Deliveries>,
}

#[derive(Debug)]
struct Origin {
    region: Option<String>,
    source: SecretSource,
    at: Instant,
}

impl Webhooks {
    /// The webhooks of these pools, their secrets fetched once; none, where no pool has one.
    pub(crate) async fn resolve(pools: &[Rc<PoolSettings>], tokens: &Tokens) -> Result<Self, String> {
        let mut webhooks = Self::default();
        for settings in pools {
            let Some(webhook) = &settings.webhook else { continue };
            let (region, source) = (settings.region.clone(), webhook.secret.clone());
            let token = tokens.get(region.as_ref(), &source).await.map_err(|error| failed(&settings.name, &error))?;
            let origin = Origin { region, source, at: token.at };
            webhooks.insert(&webhook.path, &settings.name, webhook.kind, token.secret, Some(origin));
        }
        Ok(webhooks)
    }

    /// Fetches the secrets of this path anew that may have been changed since: those that are not fresh. True when there is any, so that a webhook
    /// that was refused may be looked at again.
    pub(crate) async fn renew(&mut self, path: &str, tokens: &Tokens) -> Result<bool, String> {
        let mut renewed = false;
        for webhook in self.0.get_mut(path).into_iter().flatten() {
            let Some(Origin { region, source, at }) = &mut webhook.origin else { continue };
            if tokens.forget_refused(region.as_ref(), source, *at) {
                let token = tokens.get(region.as_ref(), source).await.map_err(|error| failed(&webhook.pool, &error))?;
                (webhook.secret, *at) = (token.secret, token.at);
                renewed = true;
            }
        }
        Ok(renewed)
    }

    /// Whether no pool has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With one more, whose secret stays what it is.
    #[cfg(test)]
    pub(crate) fn add(&mut self, path: &str, pool: &str, kind: &'static Webhook, secret: SecretString) {
        self.insert(path, pool, kind, secret, None);
    }

    fn insert(&mut self, path: &str, pool: &str, kind: &'static Webhook, secret: SecretString, origin: Option<Origin>) {
        let deliveries = Mutex::new(Deliveries::new(MAX_DELIVERIES));
        let webhook = PoolWebhook { pool: pool.into(), kind, secret, origin, deliveries };
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
            match verify(webhook.kind, &webhook.secret, headers, body, now) {
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

fn failed(pool: &str, error: &SecretError) -> String {
    format!("the webhook of the pool {pool}: {error}")
}
