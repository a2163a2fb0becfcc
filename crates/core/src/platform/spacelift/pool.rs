//! A worker pool as Spacelift shows it.

use serde_json::{Value, json};

use super::client::Question;
use crate::{
    exchange::{ErrorKind, ExchangeError},
    platform::answer::{Document, Remedies},
};

const POOL: &str =
    "query Pool($pool: ID!) { workerPool(id: $pool) { pendingRuns workers { id busy drained metadata } } }";

const DRAIN: &str = "mutation Drain($pool: ID!, $worker: ID!, $on: Boolean!) { \
                     workerDrainSet(workerPool: $pool, id: $worker, drain: $on) { id busy drained } }";

const NO_POOL: &str = "there is no worker pool with this id, or the key may not see it; check worker_pool, and give the API key the right \
                       Space: Read on the pool's space";

const EXPIRED: &str = "the token that the API key was exchanged for is refused; check that the key still exists";

const READ: Remedies = Remedies {
    unauthorized: EXPIRED,
    forbidden: "the API key lacks the right Space: Read on the pool's space",
    not_found: NO_POOL,
};

const LACKS_DRAIN: &str = "the API key lacks the right Worker Pool: Drain Worker (Spacelift then says that the worker is not found), or the \
                           worker is gone; add the right to the key's role";

const SET: Remedies = Remedies { unauthorized: EXPIRED, forbidden: LACKS_DRAIN, not_found: LACKS_DRAIN };

/// A worker pool at one moment.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) pending: u32,
    /// `None` when there is no list.
    pub(super) workers: Option<Vec<Worker>>,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: String,
    pub(super) busy: bool,
    /// The metadata `instance_id`.
    instance: Option<String>,
}

impl Pool {
    pub(super) fn question(pool: &str) -> Question {
        Question { what: "read the worker pool", query: POOL, variables: json!({ "pool": pool }), remedies: READ }
    }

    pub(super) fn read(document: &Document) -> Result<Self, ExchangeError> {
        let Some(pool) = document.root().key("data")?.key("workerPool")?.not_null() else {
            return Err(ExchangeError::new(
                ErrorKind::NotFound,
                format!("Spacelift: cannot read the worker pool: {NO_POOL}"),
            ));
        };
        let pending = pool.key("pendingRuns")?.count()?;
        let Some(list) = pool.key("workers")?.not_null() else { return Ok(Self { pending, workers: None }) };
        let mut workers = Vec::new();
        for worker in list.list()? {
            workers.push(Worker {
                id: worker.key("id")?.text()?.to_owned(),
                busy: worker.key("busy")?.flag()?,
                // Whatever it holds, it is written by the launcher's environment: it may be anything.
                instance: worker.optional("metadata")?.and_then(|text| instance_id(text.text().ok()?)),
            });
        }
        Ok(Self { pending, workers: Some(workers) })
    }

    /// How many workers are busy, drained ones among them.
    pub(super) fn busy(&self) -> Option<u32> {
        let busy = self.workers.as_ref()?.iter().filter(|worker| worker.busy).count();
        Some(u32::try_from(busy).unwrap_or(u32::MAX))
    }

    /// The workers of this instance. There may be more than one for a while: an earlier launcher's is only slowly taken
    /// for dead.
    pub(super) fn own(self, instance: &str) -> Vec<Worker> {
        let ours = |worker: &Worker| worker.instance.as_deref() == Some(instance);
        self.workers.unwrap_or_default().into_iter().filter(ours).collect()
    }
}

/// Asks to drain a worker, or to take that back.
pub(super) fn set_drain(pool: &str, worker: &str, on: bool) -> Question {
    let what = if on { "drain this machine's worker" } else { "take the drain of this machine's worker back" };
    let variables = json!({ "pool": pool, "worker": worker, "on": on });
    Question { what, query: DRAIN, variables, remedies: SET }
}

/// Whether the worker is busy now that its drain is as it was asked for.
pub(super) fn drain_set(document: &Document, worker: &str, on: bool) -> Result<bool, ExchangeError> {
    let fail = |kind, why: &str| {
        Err(ExchangeError::new(kind, format!("Spacelift: cannot set the drain of worker {worker} to {on}: {why}")))
    };
    let Some(answer) = document.root().key("data")?.key("workerDrainSet")?.not_null() else {
        return fail(ErrorKind::NotFound, LACKS_DRAIN);
    };
    if answer.key("id")?.text()? != worker {
        return fail(ErrorKind::Malformed, "the answer is about another worker; nothing is concluded from it");
    }
    if answer.key("drained")?.flag()? != on {
        return fail(ErrorKind::Malformed, "the answer shows it otherwise; it is asked again");
    }
    answer.key("busy")?.flag()
}

/// Metadata is JSON in a text.
fn instance_id(metadata: &str) -> Option<String> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    Some(metadata.get("instance_id")?.as_str()?.to_owned())
}
