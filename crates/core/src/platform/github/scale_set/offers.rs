//! The jobs that GitHub offers to a scale set, and that wait until they are taken.

use super::{At, Listener, Next, refusal, session};
use crate::exchange::{EffectResult, ErrorKind, ExchangeError};

/// What GitHub may refuse.
const LISTED: usize = 0;
const TAKEN: usize = 1;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Whether nothing may be changed: none is taken.
    pub(super) looks: bool,
    /// Whether some are not known to be taken.
    pub(super) owed: bool,
    /// How many were taken in this reading; what GitHub assigned does not count them yet.
    pub(super) acquired: u32,
    /// Whether some were asked for in this reading.
    asked: bool,
    /// How GitHub refused for good to list them, and to let them be taken, which is said once each.
    refused: [Option<ErrorKind>; 2],
    /// That refusal, where this reading is to say it.
    pub(super) missing: Option<ExchangeError>,
}

impl Offers {
    /// A reading begins.
    pub(super) fn begin(&mut self) {
        (self.acquired, self.asked, self.missing) = (0, false, None);
    }

    /// For good, or it is an error of this reading.
    fn are_refused(&mut self, what: usize, error: ExchangeError) -> Result<(), ExchangeError> {
        if error.is_transient() {
            return Err(error);
        }
        if self.refused[what].replace(error.kind) != Some(error.kind) {
            self.missing = Some(error);
        }
        Ok(())
    }
}

impl Listener {
    /// No message tells of the jobs that were offered before, and could not be taken then.
    pub(super) fn no_message(&mut self) -> Next {
        // By that GitHub says that what it counted last holds.
        self.told = true;
        let session = self.session()?;
        let (available, request) = (session.statistics.available, session.ask_acquirable());
        if self.offers.looks || self.offers.asked || !self.offers.owed || available == 0 {
            return self.done(None);
        }
        Ok(self.ask(At::Acquirable, request))
    }

    pub(super) fn acquirable(&mut self, result: EffectResult) -> Next {
        let context = self.context("list the jobs that are offered to the runner scale set");
        let reply = context.reply(result)?;
        let jobs = match reply.status {
            204 => Vec::new(),
            200 => session::acquirable(&context, &reply)?,
            401 => return self.renew(),
            _ => {
                self.offers.are_refused(LISTED, refusal(&context, &reply))?;
                return self.done(None);
            }
        };
        self.offers.refused[LISTED] = None;
        if jobs.is_empty() {
            self.offers.owed = false;
            return self.done(None);
        }
        self.acquire(&jobs, None)
    }

    pub(super) fn acquire(&mut self, jobs: &[u64], number: Option<u64>) -> Next {
        (self.offers.asked, self.offers.owed) = (true, true);
        let request = self.session()?.acquire(jobs);
        let offered = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        Ok(self.ask(At::Acquired { number, offered }, request))
    }

    /// The message is kept until its jobs are taken: it is told again, and they are offered again. Where they are refused for good it would be so for
    /// ever, and keep all that comes after it: they stay offered without it.
    pub(super) fn acquired(&mut self, result: EffectResult, number: Option<u64>, offered: u32) -> Next {
        let context = self.context(format!("take the {offered} jobs that are offered to the runner scale set"));
        let reply = context.reply(result)?;
        match reply.status {
            200 => {
                let taken = session::taken(&context, &reply).unwrap_or(offered);
                (self.offers.owed, self.offers.refused[TAKEN]) = (taken < offered, None);
                self.offers.acquired = self.offers.acquired.saturating_add(taken);
            }
            401 => return self.renew(),
            _ => self.offers.are_refused(TAKEN, refusal(&context, &reply))?,
        }
        match number {
            Some(number) => self.acknowledge(number),
            None => self.done(None),
        }
    }
}
