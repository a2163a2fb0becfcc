use std::fmt;

use super::{NAME, SpaceliftQueueSettings, client::Client, pool::Pool};
use crate::{
    platform::{Demand, Queue, Talk, walk::Turn},
    wire::{Conversation, Step, Told},
};

/// Reads the queue of a worker pool: see [`crate::platform::spacelift`].
pub struct SpaceliftQueue {
    client: Client,
    talk: Talk<Demand>,
}

impl SpaceliftQueue {
    /// A reader that has not logged in yet.
    pub fn new(settings: SpaceliftQueueSettings) -> Self {
        let question = Pool::question(&settings.worker_pool);
        let client = Client::new(settings);
        let talk = client.talk(
            move || Ok(Turn::Ask(question.clone(), ())),
            |(), document| {
                let pool = Pool::read(document)?;
                Ok(Turn::Done(Demand { queued: pool.pending, running: pool.busy(), poll_after: None }))
            },
        );
        Self { client, talk }
    }
}

impl fmt::Debug for SpaceliftQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceliftQueue").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Conversation for SpaceliftQueue {
    type Output = Demand;

    fn start(&mut self) -> Step<Demand> {
        self.talk.start()
    }

    fn told(&mut self, told: Told) -> Step<Demand> {
        self.talk.told(told)
    }
}

impl Queue for SpaceliftQueue {
    fn platform(&self) -> &'static str {
        NAME
    }
}
