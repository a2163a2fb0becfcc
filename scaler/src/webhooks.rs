//! The pools' webhooks: whose hint is believed, and for which pools.

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use lightsout_core::{
    platform::webhook::{Deliveries, Refused, Webhook, verify},
    settings::PoolSettings,
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
    deliveries: Mutex<Deliveries>,
}

impl Webhooks {
    /// The webhooks of these pools, their secrets fetched once; none, where no pool has one.
    pub(crate) async fn resolve(pools: &[Rc<PoolSettings>], tokens: &Tokens) -> Result<Self, String> {
        let mut webhooks = Self::default();
        for settings in pools {
            let Some(webhook) = &settings.webhook else { continue };
            let token = tokens.get(settings.region.as_ref(), &webhook.secret).await;
            let token = token.map_err(|error| format!("the webhook of the pool {}: {error}", settings.name))?;
            webhooks.add(&webhook.path, &settings.name, webhook.kind, token.secret);
        }
        Ok(webhooks)
    }

    /// Whether no pool has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With one more.
    pub(crate) fn add(&mut self, path: &str, pool: &str, kind: &'static Webhook, secret: SecretString) {
        let deliveries = Mutex::new(Deliveries::new(MAX_DELIVERIES));
        self.0.entry(path.into()).or_default().push(PoolWebhook { pool: pool.into(), kind, secret, deliveries });
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
