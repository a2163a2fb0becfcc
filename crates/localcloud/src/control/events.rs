//! The timeline as a stream of JSON lines.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use super::api::{Api, ApiError};
use crate::{
    fleet::FleetEvent,
    state::{RunState, Shared},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    /// Only events after this number.
    #[serde(default)]
    since: u64,
    /// Whether to go on with what happens from now on.
    #[serde(default = "yes")]
    follow: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn events(
    State(shared): Api,
    range: Result<Query<Range>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(range) = range.map_err(|rejection| ApiError::bad(rejection.body_text()))?;
    let updates = range.follow.then(|| shared.events.subscribe());
    let end = shared.run_state.subscribe();
    let reader = Reader { last: range.since, backlog: VecDeque::new(), updates, end, shared };
    let lines = stream::unfold(reader.refill(), |mut reader| async {
        let event = reader.next().await?;
        let line = serde_json::to_string(&event).unwrap_or_default() + "\n";
        Some((Ok::<_, Infallible>(line), reader))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Reads events in order, without a gap as long as the timeline remembers them.
struct Reader {
    shared: Arc<Shared>,
    last: u64,
    backlog: VecDeque<FleetEvent>,
    /// What happens from now on; none when only the past is wanted.
    updates: Option<broadcast::Receiver<FleetEvent>>,
    end: watch::Receiver<RunState>,
}

impl Reader {
    fn refill(mut self) -> Self {
        self.backlog = self.shared.read(|state, _| state.timeline.since(self.last).cloned().collect());
        self
    }

    async fn next(&mut self) -> Option<FleetEvent> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                self.last = event.seq;
                return Some(event);
            }
            let updates = self.updates.as_mut()?;
            let event = tokio::select! {
                biased;
                event = updates.recv() => event,
                // The last event came before this.
                _ = self.end.wait_for(|run_state| *run_state == RunState::Off) => return None,
            };
            match event {
                Ok(event) if event.seq > self.last => {
                    self.last = event.seq;
                    return Some(event);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.backlog = self.shared.read(|state, _| state.timeline.since(self.last).cloned().collect());
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
