//! How many runs of a worker pool wait and run.

use std::fmt;

use secrecy::SecretString;

use super::{NAME, SpaceliftQueueSettings, client::Client, pool::Pool};
use crate::{
    exchange::{Call, EffectId, EffectResult, Exchange, ExchangeError, ExchangeStep},
    platform::{Demand, Queue, Reading, steps::Transition},
};

/// Reads the queue of a worker pool: see [`crate::platform::spacelift`].
pub struct SpaceliftQueue {
    client: Client,
    call: Call<Reading>,
}

impl SpaceliftQueue {
    /// A reader that has not logged in yet, with the API key's secret.
    ///
    /// # Errors
    /// When the secret or a setting cannot be one of Spacelift.
    pub fn new(settings: SpaceliftQueueSettings, api_key_secret: SecretString) -> Result<Self, ExchangeError> {
        let client = Client::new(settings, api_key_secret)?;
        let question = Pool::question(client.worker_pool());
        let call = client.call(
            move || Ok(Transition::Perform(question.clone(), ())),
            |(), document| {
                let pool = Pool::read(document)?;
                let demand = Demand { queued: pool.pending, running: pool.busy(), poll_after: None };
                Ok(Transition::Done(demand.into()))
            },
        );
        Ok(Self { client, call })
    }
}

impl fmt::Debug for SpaceliftQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceliftQueue").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Exchange for SpaceliftQueue {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        self.call.start()
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        self.call.resume(id, result)
    }

    fn more(&mut self) -> ExchangeStep<Reading> {
        self.call.more()
    }
}

impl Queue for SpaceliftQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}
