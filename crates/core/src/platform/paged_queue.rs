//! A queue that is spread over many lists: several are read at a time, and in parts where there is no time for all.
//!
//! The lists are a tree. What a platform's codec says of it is a [`Source`]: the lists at the top, where each is, and
//! which further lists and jobs stand on a page. [`PagedQueue`] reads them all, each with its pages, and counts the jobs.
//!
//! - A list that cannot be read costs what stands on it and nothing else: what was counted is a lower bound, and the
//!   reading says what is missing.
//! - A reading that has no time for all, because it is cut or the platform's quota is used up, goes on in the next one:
//!   the lists that were not tried for the longest come first. Until then a list counts as it was when it was read
//!   last, for [`GOOD_FOR`] readings at most, or the parts would never add up. Jobs that ended in between are counted
//!   for so long; that costs an instance too many for a while, and never a job.
//! - A page whose reply is too large is asked for in smaller pieces, down to one item a page.

mod known_list;
mod missing;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub(super) use self::source::{Items, ListNotFound, Source};

use self::known_list::{KnownList, Page, Turn};
use super::{
    Queue, Reading, Waits,
    answer::{RequestContext, demand, next_page, sent_at},
    steps::unasked,
    waits::WaitLog,
};
use crate::exchange::{
    Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Reply, Request, Unreachable,
};

/// The largest page that the platforms give.
pub(super) const PAGE: usize = 100;

/// For how many readings a list that was not read again counts as it was.
pub(super) const GOOD_FOR: u32 = 8;

/// How many items of one list are read before something must be wrong.
const MOST_ITEMS: usize = 10_000;

/// The longest page, in bytes: so many are read at once that the shell's own limit would be too much memory.
const MOST_BYTES: usize = 4 << 20;

/// A page that is too large is asked for in so many pieces.
const SHRINK: usize = 4;

/// After so many requests in a row that the platform did not answer, or answered with trouble of its own, it is left
/// alone until the next reading.
const TROUBLE: u32 = 10;

/// Reads the lists of a source.
#[derive(Debug)]
pub(super) struct PagedQueue<S: Source> {
    source: S,
    /// What is known of the lists.
    known: BTreeMap<S::List, KnownList<S::List>>,
    /// Lists that went on to stand where they stood although they were not found.
    lost: BTreeSet<S::List>,
    /// How many readings were begun.
    number: u32,
    /// The number of the next request; no two are the same, also of two readings.
    next_id: u64,
    /// When the platform answered last, by its own clock.
    clock: Option<Timestamp>,
    waits: WaitLog,
    run: Run<S::List>,
}

/// The reading under way.
#[derive(Debug)]
struct Run<L> {
    top: Vec<L>,
    /// The lists that are part of this reading.
    met: BTreeSet<L>,
    /// Those that are still to be asked for.
    due: BTreeSet<(Turn, L)>,
    open: BTreeMap<EffectId, Open<L>>,
    /// The latest of the requests that are answered.
    answered: Option<EffectId>,
    failed: BTreeMap<L, ExchangeError>,
    /// Requests in a row that met trouble.
    trouble: u32,
    /// Why no more is asked in this reading.
    over: Option<ExchangeError>,
}

/// A list that is being read.
#[derive(Debug)]
struct Open<L> {
    list: L,
    /// The page that is asked for.
    url: String,
    /// Items a page.
    size: usize,
    /// The pages that came.
    pages: Vec<Page<L>>,
}

impl<L> Default for Run<L> {
    fn default() -> Self {
        let (met, due) = (BTreeSet::new(), BTreeSet::new());
        let (open, failed) = (BTreeMap::new(), BTreeMap::new());
        Self { top: Vec::new(), met, due, open, answered: None, failed, trouble: 0, over: None }
    }
}

type Next = Result<ExchangeStep<Reading>, ExchangeError>;

impl<S: Source> PagedQueue<S> {
    /// A reader that knows nothing yet.
    pub(super) fn new(source: S) -> Self {
        let (known, lost) = (BTreeMap::new(), BTreeSet::new());
        Self { source, known, lost, number: 0, next_id: 0, clock: None, waits: WaitLog::default(), run: Run::default() }
    }

    /// Makes a list part of this reading, and those that stand on it when it stays as it was.
    fn meet(&mut self, list: S::List) {
        let mut stack = vec![list];
        while let Some(list) = stack.pop() {
            if !self.run.met.insert(list.clone()) {
                continue;
            }
            let known = self.known.get(&list);
            let good = known.filter(|known| known.is_good(self.number, self.source.good_for(&list)));
            match good {
                Some(known) => stack.extend(known.lists().cloned()),
                None => drop(self.run.due.insert((known.map_or_else(Turn::default, |known| known.turn), list))),
            }
        }
    }

    fn ask(&mut self, open: Open<S::List>) -> ExchangeStep<Reading> {
        let request = Request::get(&open.url).up_to(MOST_BYTES);
        let request = match self.known.get(&open.list).and_then(|known| known.tag(&open.url)) {
            Some(tag) => request.header("if-none-match", tag.to_owned()),
            None => request,
        };
        let id = EffectId(self.next_id);
        self.next_id += 1;
        self.run.open.insert(id, open);
        ExchangeStep::Perform(id, Effect::Http(self.source.dress(request)))
    }

    fn go_on(&mut self, mut open: Open<S::List>, result: EffectResult) -> ExchangeStep<Reading> {
        let list = open.list.clone();
        let too_large = matches!(result, EffectResult::Http(Err(Unreachable::TooLarge(_))));
        if too_large && open.size > 1 {
            open.size = (open.size / SHRINK).max(1);
            open.url = self.source.url(&open.list, open.size);
            self.set_aside(&open);
            open.pages.clear();
            return self.ask(open);
        }
        let next = if too_large {
            self.set_aside(&open);
            Err(self.source.context(&list).malformed(&format!(
                "one item alone is longer than {MOST_BYTES} bytes; delete what makes it so long, or take this list out of the pool"
            )))
        } else {
            self.page(open, result)
        };
        match next {
            Ok(step) => step,
            Err(error) => {
                self.fail(list, error);
                self.more()
            }
        }
    }

    fn page(&mut self, mut open: Open<S::List>, result: EffectResult) -> Next {
        let context = self.source.context(&open.list);
        let reply = context.reply(result).inspect_err(|_| self.set_aside(&open))?;
        self.source.saw(&reply);
        self.clock = sent_at(&reply).or(self.clock);
        let known = self.known.get(&open.list).and_then(|known| known.page(&open.url));
        let page = match (reply.status, known) {
            (200, _) => self.new_page(&context, &reply, &open),
            (304, Some(known)) => Ok(Page { seen: self.number, ..known.clone() }),
            (404, _) => return self.not_found(&context, &reply, open),
            (_, _) => Err(self.source.refusal(&context, &reply)),
        };
        let page = page.inspect_err(|_| self.set_aside(&open))?;
        self.run.trouble = 0;
        for list in page.items.lists.clone() {
            self.meet(list);
        }
        let next = page.next.clone();
        open.pages.push(page);
        let Some(next) = next else {
            self.end(open);
            return Ok(self.more());
        };
        if open.pages.len() * open.size >= MOST_ITEMS {
            let pages = open.pages.len();
            self.set_aside(&open);
            return Err(context.malformed(&format!(
                "there is still a next page after {pages} pages of {}; if there really are that many, split the pool",
                open.size
            )));
        }
        open.url = next;
        Ok(self.ask(open))
    }

    fn new_page(
        &self,
        context: &RequestContext,
        reply: &Reply,
        open: &Open<S::List>,
    ) -> Result<Page<S::List>, ExchangeError> {
        let items = self.source.items(&open.list, &context.json(reply)?, sent_at(reply))?;
        let full = items.count >= open.size;
        let next = next_page(context, reply, self.source.base(), &open.url, full)?;
        // A full last page is not remembered by its tag: a page after it could appear without changing it.
        let tag = reply.header("etag").filter(|_| !full || next.is_some()).unwrap_or_default();
        Ok(Page { url: open.url.clone(), tag: tag.to_owned(), items, bytes: reply.body.len(), next, seen: self.number })
    }

    fn not_found(&mut self, context: &RequestContext, reply: &Reply, open: Open<S::List>) -> Next {
        match self.source.gone(&open.list) {
            ListNotFound::Empty => {
                self.run.trouble = 0;
                self.end(Open { pages: Vec::new(), ..open });
                return Ok(self.more());
            }
            ListNotFound::Outdated(parent) => {
                self.set_aside(&open);
                let read_now = self.known.get(&parent).is_some_and(|known| known.read == self.number);
                if self.lost.insert(open.list) && !read_now && !self.run.due.iter().any(|(_, due)| *due == parent) {
                    self.run.met.remove(&parent);
                    if let Some(known) = self.known.get_mut(&parent) {
                        known.read = 0;
                    }
                    self.meet(parent);
                }
            }
            ListNotFound::Failure => self.set_aside(&open),
        }
        Err(self.source.refusal(context, reply))
    }

    /// The list was read to its end.
    fn end(&mut self, open: Open<S::List>) {
        self.lost.remove(&open.list);
        let known = KnownList::read(open.pages, open.size, self.number);
        self.known.insert(open.list, known);
    }

    /// The list was not read to its end: what came of it stands beside what is known from before.
    fn set_aside(&mut self, open: &Open<S::List>) {
        self.known.entry(open.list.clone()).or_default().add(open.pages.clone(), open.size);
    }

    fn fail(&mut self, list: S::List, error: ExchangeError) {
        let known = self.known.entry(list.clone()).or_default();
        known.tried(self.number);
        let below: Vec<_> = known.lists().cloned().collect();
        match error.kind {
            ErrorKind::Unauthorized | ErrorKind::Throttled(_) => self.run.over = Some(error.clone()),
            ErrorKind::Server | ErrorKind::Unreachable | ErrorKind::TimeOver => {
                self.run.trouble += 1;
                if self.run.trouble >= TROUBLE {
                    self.run.over = Some(error.clone());
                }
            }
            // What the list held may be there no more, or not for us.
            ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Refused => known.forget_jobs(self.number),
            ErrorKind::NoRunner | ErrorKind::Occupied(_) | ErrorKind::Malformed => {}
        }
        self.run.failed.insert(list, error);
        for list in below {
            self.meet(list);
        }
    }

    /// The end of the reading, `cut` when its time is over.
    fn finish(&mut self, cut: bool) -> Result<Reading, ExchangeError> {
        let mut run = std::mem::take(&mut self.run);
        for (id, open) in std::mem::take(&mut run.open) {
            self.set_aside(&open);
            // It keeps its turn, unless many that were asked later are answered.
            let at_once = u64::try_from(S::AT_ONCE).unwrap_or(u64::MAX);
            let hangs = run.answered.is_none_or(|last| id.0.saturating_add(at_once) < last.0);
            if hangs && let Some(known) = self.known.get_mut(&open.list) {
                known.hung(self.number);
            }
        }
        let (mut lists, mut jobs, mut stack) = (BTreeSet::new(), BTreeMap::new(), run.top.clone());
        while let Some(list) = stack.pop() {
            if !lists.insert(list.clone()) {
                continue;
            }
            let good_for = self.source.good_for(&list).max(GOOD_FOR);
            if let Some(known) = self.known.get_mut(&list) {
                known.forget_before(self.number.saturating_sub(good_for));
                stack.extend(known.lists().cloned());
                jobs.extend(known.jobs());
            }
        }
        self.known.retain(|list, _| lists.contains(list));
        self.lost.retain(|list| lists.contains(list));
        run.failed.retain(|list, _| lists.contains(list));
        let missing = self.missing(run, &lists, cut)?;
        if missing.is_none() {
            self.waits.take(&jobs, self.clock);
        }
        let demand = demand(&jobs, self.source.poll_after());
        Ok(Reading { demand, missing })
    }
}

impl<S: Source> Exchange for PagedQueue<S> {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        self.number += 1;
        self.run = Run { top: self.source.begin(), ..Run::default() };
        for list in self.run.top.clone() {
            self.meet(list);
        }
        self.more()
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Reading> {
        match self.run.open.remove(&id) {
            Some(open) => {
                self.run.answered = self.run.answered.max(Some(id));
                self.go_on(open, result)
            }
            None => ExchangeStep::Done(Err(unasked())),
        }
    }

    fn more(&mut self) -> ExchangeStep<Reading> {
        if self.run.over.is_none()
            && !self.run.due.is_empty()
            && let Some(wait) = self.source.used_up(self.run.open.len())
        {
            self.run.over = Some(self.quota(wait));
        }
        if self.run.over.is_some() || (self.run.due.is_empty() && self.run.open.is_empty()) {
            return ExchangeStep::Done(self.finish(false));
        }
        if self.run.open.len() >= S::AT_ONCE {
            return ExchangeStep::Wait;
        }
        let Some((_, list)) = self.run.due.pop_first() else { return ExchangeStep::Wait };
        let size = self.known.get(&list).map_or(PAGE, |known| known.size);
        let url = self.source.url(&list, size);
        self.ask(Open { list, url, size, pages: Vec::new() })
    }

    fn cut(&mut self) -> Option<Reading> {
        let seen = |list: &S::List| {
            let open = self.run.open.values().any(|open| open.list == *list && !open.pages.is_empty());
            open || self.known.get(list).is_some_and(|known| known.read == self.number || known.seen(self.number))
        };
        let counts = |list: &&S::List| self.source.good_for(list) <= 1;
        if self.run.met.iter().filter(counts).any(seen) { self.finish(true).ok() } else { None }
    }
}

impl<S: Source> Queue for PagedQueue<S> {
    fn platform(&self) -> &'static str {
        S::PLATFORM
    }

    fn memory(&self) -> Option<String> {
        let known: Vec<_> = self.known.iter().collect();
        serde_json::to_string(&(self.number, known)).ok()
    }

    fn recall(&mut self, memory: &str) {
        type Memory<L> = (u32, Vec<(L, KnownList<L>)>);
        if let Ok((number, known)) = serde_json::from_str::<Memory<S::List>>(memory) {
            self.number = number;
            self.known = known.into_iter().collect();
            // How long ago that was nobody knows: each list is asked for, and only its tags say that it is as it was.
            self.known.values_mut().for_each(|known| known.read = 0);
        }
    }

    fn waits(&mut self, _: Timestamp) -> Option<Waits> {
        self.waits.told()
    }
}
