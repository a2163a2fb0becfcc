//! One list of a platform, such as the pending jobs of a project: its pages as they were read last, and when it is to be read again.

use serde::{Deserialize, Serialize};

use super::{Items, MOST_BYTES, PAGE, SHRINK};
use crate::platform::answer::Stage;

/// A list as it was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KnownList<L> {
    pages: Vec<Page<L>>,
    /// The reading in which it was read to its end; 0 for never.
    pub read: u32,
    /// When it is its turn.
    pub turn: Turn,
    /// How many items a page may have, so that a reply is not too large.
    pub size: usize,
}

/// Whose turn it is: the least comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Turn {
    /// The reading in which it was tried last; 0 for never.
    tried: u32,
    /// Whether it hung then.
    hung: bool,
}

/// A page as it was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Page<L> {
    pub url: String,
    /// Its entity tag; empty when it must be read anew each time.
    pub tag: String,
    pub items: Items<L>,
    /// How long the reply was that it came in.
    pub bytes: usize,
    /// The address of the page after it.
    pub next: Option<String>,
    /// The reading in which it was seen last.
    pub seen: u32,
}

impl<L> Default for KnownList<L> {
    fn default() -> Self {
        Self { pages: Vec::new(), read: 0, turn: Turn::default(), size: PAGE }
    }
}

impl<L> KnownList<L> {
    /// All of its pages, of so many items each, read in this reading. Pages that have room grow again.
    pub(super) fn read(mut pages: Vec<Page<L>>, size: usize, number: u32) -> Self {
        // They are kept until the next reading, and most lists have one page only.
        pages.shrink_to_fit();
        let largest = pages.iter().map(|page| page.bytes).max().unwrap_or(0);
        let size = if largest.saturating_mul(2 * SHRINK) < MOST_BYTES { (size * SHRINK).min(PAGE) } else { size };
        Self { pages, read: number, turn: Turn { tried: number, hung: false }, size }
    }

    /// It was tried in this reading, and an answer came.
    pub(super) fn tried(&mut self, number: u32) {
        self.turn = Turn { tried: number, hung: false };
    }

    /// It hangs: it must not keep others from their turn.
    pub(super) fn hung(&mut self, number: u32) {
        self.turn = Turn { tried: number, hung: true };
    }

    /// Pages that came later stand in the place of those with the same address.
    pub(super) fn add(&mut self, pages: Vec<Page<L>>, size: usize) {
        self.pages.retain(|known| pages.iter().all(|page| page.url != known.url));
        self.pages.extend(pages);
        self.size = size;
    }

    /// Whether it was read to its end in this reading, or lately enough for it to be good for so many.
    pub(super) fn is_good(&self, number: u32, good_for: u32) -> bool {
        self.read > 0 && number < self.read.saturating_add(good_for)
    }

    /// Whether a page of it came in this reading.
    pub(super) fn seen(&self, number: u32) -> bool {
        self.pages.iter().any(|page| page.seen == number)
    }

    /// Drops what was not seen since this reading.
    pub(super) fn forget_before(&mut self, number: u32) {
        self.pages.retain(|page| page.seen > number);
    }

    /// Drops jobs that were seen before this reading, and what would tell that they are still there.
    pub(super) fn forget_jobs(&mut self, number: u32) {
        self.pages.retain(|page| page.seen == number || page.items.jobs.is_empty());
    }

    /// The page of this address, when it would be known again.
    pub(super) fn page(&self, url: &str) -> Option<&Page<L>> {
        self.pages.iter().find(|page| page.url == url && !page.tag.is_empty())
    }

    /// The entity tag of the page of this address.
    pub(super) fn tag(&self, url: &str) -> Option<&str> {
        self.page(url).map(|page| page.tag.as_str())
    }

    /// The lists that stand on it.
    pub(super) fn lists(&self) -> impl Iterator<Item = &L> {
        self.pages.iter().flat_map(|page| &page.items.lists)
    }

    /// The jobs on it, those that were seen last at the end.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (u64, Stage)> {
        self.pages.iter().flat_map(|page| page.items.jobs.iter().copied())
    }
}
