//! Secrets, each fetched once for all pools that need it, and anew when the platform refuses it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use lightsout_cloud::SecretError;
use lightsout_core::settings::SecretSource;
use secrecy::SecretString;

/// The usual age of a refused secret at which it is fetched anew: rotation takes its time, and stores throttle.
const REFETCH_AFTER: Duration = Duration::from_secs(60);
/// How long a failed fetch usually stands.
const KEEP_FAILURE: Duration = Duration::from_secs(5);

type FetchedSecret = Result<SecretString, SecretError>;
type Key = (Option<String>, String);

/// A secret and when it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    pub(crate) at: Instant,
}

/// Every secret that is known.
pub(crate) struct Tokens {
    /// How long a refused secret is not fetched again.
    pub(crate) refetch_after: Duration,
    /// How long a failed fetch stands.
    pub(crate) keep_failure: Duration,
    fetch: Box<dyn Fn(Option<String>, SecretSource) -> LocalBoxFuture<'static, FetchedSecret>>,
    known: RefCell<BTreeMap<Key, Fetched>>,
}

struct Fetched {
    at: Instant,
    answer: Shared<LocalBoxFuture<'static, FetchedSecret>>,
}

impl Tokens {
    /// `fetch` gets the region and the source of a secret.
    pub(crate) fn new<F>(fetch: impl Fn(Option<String>, SecretSource) -> F + 'static) -> Self
    where
        F: Future<Output = FetchedSecret> + 'static,
    {
        let fetch = Box::new(move |region, source| fetch(region, source).boxed_local());
        Self { refetch_after: REFETCH_AFTER, keep_failure: KEEP_FAILURE, fetch, known: RefCell::default() }
    }

    /// The secret, fetched unless it is known.
    pub(crate) async fn get(&self, region: Option<&String>, source: &SecretSource) -> Result<Token, SecretError> {
        if let SecretSource::Inline(secret) = source {
            // Nothing tells two of them apart but what they are.
            return Ok(Token { secret: secret.clone(), at: Instant::now() });
        }
        let (at, answer) = {
            let mut known = self.known.borrow_mut();
            let key = key(region, source);
            if known.get(&key).is_some_and(|fetched| fetched.failed(self.keep_failure)) {
                known.remove(&key);
            }
            let fetched = known.entry(key).or_insert_with(|| Fetched {
                at: Instant::now(),
                answer: (self.fetch)(region.cloned(), source.clone()).shared(),
            });
            (fetched.at, fetched.answer.clone())
        };
        Ok(Token { secret: answer.await?, at })
    }

    /// Forgets a secret that was refused. False when it is too fresh to hope for another, or stands in the settings.
    pub(crate) fn forget_refused(&self, region: Option<&String>, source: &SecretSource, seen: Instant) -> bool {
        if matches!(source, SecretSource::Inline(_)) {
            return false;
        }
        let mut known = self.known.borrow_mut();
        let key = key(region, source);
        match known.get(&key) {
            Some(fetched) if fetched.at == seen && seen.elapsed() < self.refetch_after => false,
            Some(fetched) if fetched.at == seen => known.remove(&key).is_some(),
            // Another pool was faster.
            Some(_) | None => true,
        }
    }
}

impl Fetched {
    fn failed(&self, so_long_ago: Duration) -> bool {
        self.at.elapsed() >= so_long_ago && matches!(self.answer.peek(), Some(Err(_)))
    }
}

fn key(region: Option<&String>, source: &SecretSource) -> Key {
    (region.cloned(), source.to_string())
}
