//! How a pool's queue is read: by one reader that is kept, with a token that is fetched anew when it is refused, at the pace that the
//! platform wishes for.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use lightsout_core::{
    duration::{format_about, format_duration, not_within},
    exchange::ErrorKind,
    metrics::platform_reason,
    platform::{Queue, Reading},
};
use tokio::time::timeout_at;

use super::{Pool, TickContext};
use crate::{
    tokens::Token,
    trouble::{LONGER, Trouble},
};

/// How many requests the pools with the same address may have open at once, all together: a platform counts who asks,
/// not for which pool. It bounds memory and connections, too; a platform that is slow delays its own pools only.
pub(super) const MAX_REQUESTS: usize = 32;
/// How long an ending scaler tries to give back what a platform holds for it.
pub(crate) const RELEASE: Duration = Duration::from_secs(5);
/// A platform's wish for no more than this is about an even pace.
const PACE: Duration = Duration::from_secs(10);
/// The longest that a platform's wish to be left alone is honoured.
pub(super) const MAX_POLL_AFTER: Duration = Duration::from_secs(600);

/// Why a queue was not read.
pub(crate) enum ReadError {
    /// Somebody else reads it, and only one can.
    Elsewhere(String),
    Failed(Trouble),
}

impl Pool {
    /// Reads the queue, with a fresh token when the one at hand is refused.
    pub(crate) async fn read(
        &mut self,
        context: &TickContext,
        started: Instant,
        until: Instant,
    ) -> Result<Reading, ReadError> {
        if context.dry_run {
            return Box::pin(self.only_look(context, started, until)).await;
        }
        self.read_queue(context, started, until).await
    }

    /// Reads it, and gives back what the platform holds for it: whoever does more than look has it meanwhile.
    async fn only_look(
        &mut self,
        context: &TickContext,
        started: Instant,
        until: Instant,
    ) -> Result<Reading, ReadError> {
        let read = self.read_queue(context, started, until).await;
        self.release(context, RELEASE).await;
        read
    }

    async fn read_queue(
        &mut self,
        context: &TickContext,
        started: Instant,
        until: Instant,
    ) -> Result<Reading, ReadError> {
        let room = Rc::clone(&self.room);
        let mut again = true;
        if self.refused {
            Box::pin(self.renew(context, until)).await.map_err(ReadError::Failed)?;
        }
        loop {
            let queue = match self.queue.take() {
                Some(queue) => queue,
                None => self.open(context, until).await.map_err(ReadError::Failed)?,
            };
            // It stays the pool's while it is read: a tick may be cut off meanwhile, and what the platform holds is still to be given back.
            let (queue, token_at) = self.queue.insert(queue);
            let token_at = *token_at;
            if context.dry_run {
                self.left_out = queue.only_look();
            }
            if let Some(memory) = self.recalled.take() {
                queue.recall(&memory);
            }
            let left = |until: Instant| until.saturating_duration_since(Instant::now());
            let time = (left(started + enough(context.deadline)), left(until));
            let read = Box::pin(context.driver.complete_sharing(queue.as_mut(), time, &room)).await;
            let trouble = match &read {
                Ok(reading) => reading.missing.as_ref(),
                Err(error) => Some(error),
            }
            .map(|error| error.kind);
            if let Some(kind) = trouble {
                context.meter.failed(&self.settings.name, "queue", platform_reason(kind));
            }
            let refused = trouble == Some(ErrorKind::Unauthorized);
            let source = self.settings.platform.secret().zip(token_at);
            if refused
                && std::mem::take(&mut again)
                && source.is_some_and(|(source, at)| {
                    context.tokens.forget_refused(self.settings.region.as_ref(), source, at)
                })
            {
                tracing::info!(pool = self.settings.name, "the token was refused and is fetched anew");
                Box::pin(self.renew(context, until)).await.map_err(ReadError::Failed)?;
                continue;
            }
            let wish = read.as_ref().ok().and_then(|reading| reading.demand.poll_after);
            let poll_after = match trouble {
                Some(ErrorKind::Throttled(after)) => after.max(wish),
                Some(ErrorKind::Occupied(after)) => Some(after),
                Some(_) | None => wish,
            };
            if let Some(said) = poll_after.and_then(cut_short) {
                tracing::warn!(pool = self.settings.name, "{said}");
            }
            let until = poll_after.map(|after| Instant::now() + after.min(MAX_POLL_AFTER));
            let throttled = matches!(trouble, Some(ErrorKind::Throttled(_)));
            self.not_before = until;
            self.no_hint_before = until.filter(|_| throttled || wish.is_some_and(|wish| wish > PACE));
            return read.map_err(|error| match error.kind {
                ErrorKind::TimeOver => ReadError::Failed(Trouble::late(format!(
                    "the queue was not read: {}; raise `deadline`, see why {} is slow, or \
                     give its pools more time with `tick`: all together they have {MAX_REQUESTS} requests open at once",
                    error.message,
                    self.settings.platform.address()
                ))),
                ErrorKind::Occupied(_) => ReadError::Elsewhere(error.message),
                ErrorKind::Unauthorized
                | ErrorKind::Forbidden
                | ErrorKind::NotFound
                | ErrorKind::NoRunner
                | ErrorKind::Throttled(_)
                | ErrorKind::Server
                | ErrorKind::Unreachable
                | ErrorKind::Malformed
                | ErrorKind::Refused => ReadError::Failed(error.into()),
            });
        }
    }

    /// Gives back what the platform holds for this scaler alone, since no reading follows; tries it for so long.
    pub(crate) async fn release(&mut self, context: &TickContext, time: Duration) {
        let Some((queue, _)) = &mut self.queue else { return };
        let Some(mut release) = queue.release() else { return };
        match context.driver.complete(release.as_mut(), time).await {
            Ok(()) => tracing::debug!(pool = self.settings.name, "gave back what the platform held for this scaler"),
            Err(error) => tracing::warn!(
                pool = self.settings.name,
                error = error.message,
                "could not give back what the platform holds for this scaler: the next one waits until it runs out"
            ),
        }
    }

    /// The queue goes on with the token as it is now. What the platform holds for it is kept: opened anew, it would find that in its way.
    /// Until it is had nothing is asked with the one that was refused.
    async fn renew(&mut self, context: &TickContext, until: Instant) -> Result<(), Trouble> {
        self.refused = true;
        let token = self.token(context, until).await?;
        self.refused = false;
        let Some(((queue, token_at), token)) = self.queue.as_mut().zip(token) else { return Ok(()) };
        // Also where it cannot be one: after a while it is fetched again.
        *token_at = Some(token.at);
        if !queue.take_secret(&token.secret)? {
            self.queue = None;
        }
        Ok(())
    }

    async fn open(&self, context: &TickContext, until: Instant) -> Result<(Box<dyn Queue>, Option<Instant>), Trouble> {
        let (secret, at) = self.token(context, until).await?.map(|token| (token.secret, token.at)).unzip();
        Ok((self.settings.platform.open(secret)?, at))
    }

    /// The token that the settings name, if they name one.
    async fn token(&self, context: &TickContext, until: Instant) -> Result<Option<Token>, Trouble> {
        let Some(source) = self.settings.platform.secret() else { return Ok(None) };
        let token = timeout_at(until.into(), context.tokens.get(self.settings.region.as_ref(), source))
            .await
            .map_err(|_| Trouble::late(not_within(format!("no secret from {source}"), context.deadline, LONGER)))?
            .map_err(|error| Trouble::other(error.to_string()))?;
        Ok(Some(token))
    }
}

/// How much of a tick's time a reading of many parts has: what it counted by then is still to be raised to.
fn enough(deadline: Duration) -> Duration {
    deadline / 4 * 3
}

/// What is to be said of a wish to be left alone that is not honoured as a whole.
fn cut_short(wish: Duration) -> Option<String> {
    (wish > MAX_POLL_AFTER).then(|| {
        format!(
            "the platform wishes to be left alone for {}, and is asked again after {} all the same; a longer `tick`, or fewer pools with its token, ask \
             it for less",
            format_about(wish),
            format_duration(MAX_POLL_AFTER)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_is_not_honoured_as_a_whole_is_said_with_both_times() {
        assert_eq!(cut_short(MAX_POLL_AFTER), None);
        let said = cut_short(Duration::from_secs(3600)).expect("six times as long");
        assert!(said.contains("1h") && said.contains("10m") && said.contains("`tick`"), "{said}");
    }
}
