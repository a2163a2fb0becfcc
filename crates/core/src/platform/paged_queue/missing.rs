//! What a reading did not read, in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{PagedQueue, Run, Source};
use crate::{
    duration::format_duration,
    exchange::{ErrorKind, ExchangeError},
};

/// How many lists that failed are named beside the first.
const NAMED: usize = 3;

impl<S: Source> PagedQueue<S> {
    /// What this reading did not read of these lists; an error when there is nothing that it did read.
    pub(super) fn missing(
        &self,
        run: Run<S::List>,
        lists: &BTreeSet<S::List>,
        cut: bool,
    ) -> Result<Option<ExchangeError>, ExchangeError> {
        let read_now = |list: &&S::List| self.known.get(*list).is_some_and(|known| known.read == self.number);
        let looked_at: Vec<_> = lists.iter().filter(|list| self.source.good_for(list) <= 1).collect();
        let read = looked_at.iter().filter(|list| read_now(list)).count();
        let unread = looked_at
            .len()
            .saturating_sub(read + looked_at.iter().filter(|list| run.failed.contains_key(**list)).count());
        let stopped = cut || run.over.is_some();
        if run.failed.is_empty() && !stopped {
            return Ok(None);
        }
        let first = run.over.or_else(|| run.failed.values().next().cloned());
        let nothing = read == 0 && !looked_at.iter().any(|list| self.seen_now(list));
        let time_over = || ExchangeError::new(ErrorKind::TimeOver, String::new());
        if nothing && (stopped || !run.failed.is_empty()) {
            return Err(first.unwrap_or_else(time_over));
        }
        let kind = first.as_ref().map_or(ErrorKind::TimeOver, |error| error.kind);
        let mut parts = Vec::new();
        if let Some(error) = first {
            let others = run.failed.iter().filter(|(_, other)| other.message != error.message).map(|(list, _)| list);
            let others = self.named(&others.collect::<Vec<_>>());
            parts.push(error.message + &others);
        }
        if unread > 0 || cut {
            let why = if cut { "its time was over" } else { "then" };
            parts.push(format!(
                "{why} with {} read; the next reading goes on there{}",
                self.progress(&looked_at),
                if cut { ". Raise `deadline`, or split the pool" } else { "" }
            ));
        }
        Ok(Some(ExchangeError::new(kind, parts.join("; "))))
    }

    /// What to say when the quota is used up in the middle of a reading.
    pub(super) fn quota(&self, wait: Duration) -> ExchangeError {
        let context = self.run.due.first().map(|(_, list)| self.source.context(list));
        let platform = context.map(|context| context.platform).unwrap_or_default();
        let message = format!(
            "{platform}: its rate limit leaves no more requests for now; it is asked again in {}. Fewer lists, a longer `tick`, \
             or a token whose limit is higher help",
            format_duration(wait)
        );
        ExchangeError::new(ErrorKind::Throttled(Some(wait)), message)
    }

    fn seen_now(&self, list: &S::List) -> bool {
        self.known.get(list).is_some_and(|known| known.seen(self.number))
    }

    /// Further lists that failed.
    fn named(&self, lists: &[&S::List]) -> String {
        if lists.is_empty() {
            return String::new();
        }
        let names: Vec<_> = lists.iter().take(NAMED).map(|list| self.source.context(list).what).collect();
        let more = lists.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("; nor could it {}{more}", names.join(", "))
    }

    /// Such as "640 of 1000 projects".
    fn progress(&self, lists: &[&S::List]) -> String {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for list in lists {
            let (read, all) = counts.entry(self.source.noun(list)).or_default();
            *all += 1;
            *read += usize::from(self.known.get(*list).is_some_and(|known| known.read == self.number));
        }
        counts.iter().map(|(noun, (read, all))| format!("{read} of {all} {noun}")).collect::<Vec<_>>().join(" and ")
    }
}
