//! Lists that come in pages, of which only those are read again that changed.

use std::{collections::BTreeMap, mem};

use super::{Document, RequestContext, next_page};
use crate::{
    exchange::{ExchangeError, Reply, Request},
    settings::BaseUrl,
};

/// The largest page that the platforms give.
pub const PAGE: usize = 100;

/// How many pages of one list are read before something must be wrong: 10,000 items.
const MOST_PAGES: u32 = 100;

/// The pages of a platform's lists. A reading goes through several lists; what it read is remembered by entity tag for
/// the next one.
#[derive(Debug)]
pub struct Listing<T> {
    base: BaseUrl,
    /// The pages of the last readings, by URL.
    known: BTreeMap<String, Page<T>>,
    /// Those of the reading under way.
    read: BTreeMap<String, Page<T>>,
    /// The pages asked for so far of the list at hand.
    pages_of_list: u32,
}

/// What a page came to, valid as long as its entity tag is.
#[derive(Clone, Debug)]
pub struct Page<T> {
    tag: String,
    /// What was made of the items on it.
    pub items: T,
    /// The address of the page after it.
    pub next: Option<String>,
}

impl<T: Clone> Listing<T> {
    /// Nothing is known yet of the lists below this address.
    pub fn new(base: BaseUrl) -> Self {
        Self { base, known: BTreeMap::new(), read: BTreeMap::new(), pages_of_list: 0 }
    }

    /// Begins a reading, or drops one: what it read is still true as long as its entity tags are.
    pub fn restart(&mut self) {
        self.known.append(&mut self.read);
        self.pages_of_list = 0;
    }

    /// Ends a reading that went through all its lists: pages that it did not see are forgotten.
    pub fn end(&mut self) {
        self.known = mem::take(&mut self.read);
        self.pages_of_list = 0;
    }

    /// Begins another list of the reading.
    pub fn begin_list(&mut self) {
        self.pages_of_list = 0;
    }

    /// Asks for a page of the list at hand, unless it is as it was.
    pub fn request(&mut self, url: &str) -> Request {
        self.pages_of_list += 1;
        let request = Request::get(url);
        match self.known.get(url) {
            Some(page) => request.header("if-none-match", page.tag.clone()),
            None => request,
        }
    }

    /// The page that came, with what `items` makes of a new one beside the number of items on it. `None` when the reply
    /// is neither a page nor says that it is as it was.
    pub fn page(
        &mut self,
        context: &RequestContext,
        reply: &Reply,
        url: &str,
        items: impl FnOnce(&Document) -> Result<(T, usize), ExchangeError>,
    ) -> Result<Option<Page<T>>, ExchangeError> {
        let page = match (reply.status, self.known.get(url)) {
            (200, _) => {
                let (items, all) = items(&context.json(reply)?)?;
                let next = next_page(context, reply, &self.base, url, all >= PAGE)?;
                // A full last page is not remembered: a page after it could appear without changing it.
                let tag = reply.header("etag").filter(|_| all < PAGE || next.is_some()).unwrap_or_default();
                Page { tag: tag.to_owned(), items, next }
            }
            (304, Some(page)) => page.clone(),
            (_, _) => return Ok(None),
        };
        if page.next.is_some() && self.pages_of_list >= MOST_PAGES {
            return Err(context.malformed(&format!(
                "there is still a next page after {MOST_PAGES} pages of {PAGE}; if there really are that many, split the pool"
            )));
        }
        if !page.tag.is_empty() {
            self.read.insert(url.to_owned(), page.clone());
        }
        Ok(Some(page))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{context, reply},
        *,
    };

    const URL: &str = "https://ci.example.com/jobs?per_page=100";

    fn listing() -> Listing<usize> {
        Listing::new(BaseUrl::parse("https://ci.example.com").unwrap())
    }

    /// A page with so many items, which each page says itself.
    fn page(listing: &mut Listing<usize>, url: &str, reply: &Reply) -> Result<Option<(usize, bool)>, ExchangeError> {
        let items = |document: &Document| document.root().number().map(|n| (1, usize::try_from(n).unwrap()));
        let page = listing.page(&context(), reply, url, items)?;
        Ok(page.map(|page| (page.items, page.next.is_some())))
    }

    fn tag_sent(request: &Request) -> Option<&str> {
        request.headers.iter().find(|(name, _)| *name == "if-none-match").map(|(_, value)| value.expose())
    }

    #[test]
    fn a_page_that_did_not_change_is_taken_as_it_was() {
        let mut listing = listing();
        assert_eq!(tag_sent(&listing.request(URL)), None);
        assert_eq!(page(&mut listing, URL, &reply(200, &[("etag", "a")], "3")), Ok(Some((1, false))));
        listing.end();
        assert_eq!(tag_sent(&listing.request(URL)), Some("a"));
        assert_eq!(page(&mut listing, URL, &reply(304, &[], "")), Ok(Some((1, false))));
        // Not seen in a whole reading: forgotten.
        listing.end();
        listing.end();
        assert_eq!(tag_sent(&listing.request(URL)), None);
        assert_eq!(page(&mut listing, URL, &reply(304, &[], "")), Ok(None), "unchanged from what?");
    }

    #[test]
    fn a_reading_that_was_dropped_is_remembered() {
        let mut listing = listing();
        listing.request(URL);
        page(&mut listing, URL, &reply(200, &[("etag", "a")], "3")).unwrap();
        listing.restart();
        assert_eq!(tag_sent(&listing.request(URL)), Some("a"));
    }

    #[test]
    fn a_full_last_page_is_not_remembered() {
        let mut listing = listing();
        listing.request(URL);
        let last = reply(200, &[("etag", "a"), ("x-next-page", "")], "100");
        assert_eq!(page(&mut listing, URL, &last), Ok(Some((1, false))));
        listing.end();
        assert_eq!(tag_sent(&listing.request(URL)), None);
    }

    #[test]
    fn anything_else_is_no_page() {
        for status in [204, 401, 404, 500] {
            assert_eq!(page(&mut listing(), URL, &reply(status, &[], "3")), Ok(None), "{status}");
        }
        assert!(page(&mut listing(), URL, &reply(200, &[], "<html>")).is_err());
    }

    #[test]
    fn a_list_that_does_not_end_is_an_error_and_each_list_counts_anew() {
        let mut listing = listing();
        let full = reply(200, &[], "100");
        for _ in 1..MOST_PAGES {
            listing.request(URL);
            assert_eq!(page(&mut listing, URL, &full), Ok(Some((1, true))));
        }
        listing.begin_list();
        listing.request(URL);
        assert_eq!(page(&mut listing, URL, &full), Ok(Some((1, true))), "another list");
        for _ in 1..MOST_PAGES {
            listing.request(URL);
        }
        assert!(page(&mut listing, URL, &full).unwrap_err().message.contains("100 pages of 100"));
        assert_eq!(page(&mut listing, URL, &reply(200, &[], "7")), Ok(Some((1, false))), "the last one may be it");
    }
}
