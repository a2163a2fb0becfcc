//! Finds the instance's own runner by its name in GitHub's list of runners, page by page.

use crate::{
    exchange::{Effect, ExchangeError, Reply, Request},
    platform::{
        answer::{RequestContext, next_page},
        github::refusal::refusal,
    },
    settings::BaseUrl,
};

/// How many pages are read before something must be wrong: old versions of GitHub Enterprise Server ignore the name and
/// list all runners.
const MOST_PAGES: u32 = 100;

/// The search for the runner of this instance's name.
pub(super) struct Search {
    base: BaseUrl,
    url: String,
    pages: u32,
}

/// What a page says.
pub(super) enum Found {
    /// There is none of this name.
    None,
    /// This one.
    One(Entry),
    /// Not on this page; there are more.
    More(Search),
}

/// A registration as GitHub lists it.
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) online: bool,
    pub(super) busy: bool,
}

impl Search {
    pub(super) fn new(base: BaseUrl, url: String) -> Self {
        Self { base, url, pages: 1 }
    }

    pub(super) fn ask(&self) -> Effect {
        Effect::Http(Request::get(&self.url))
    }

    /// Reads the page that was asked for. GitHub compares names without regard to case.
    pub(super) fn read(&self, context: &RequestContext, reply: &Reply, name: &str) -> Result<Found, ExchangeError> {
        if reply.status != 200 {
            return Err(refusal(context, reply));
        }
        let document = context.json(reply)?;
        let runners = document.root().key("runners")?;
        let runners = runners.list()?;
        let all = runners.len();
        for runner in runners {
            let id = runner.key("id")?.number()?;
            let online = runner.key("status")?.text()? != "offline";
            let busy = runner.key("busy")?.flag()?;
            if runner.key("name")?.text()?.eq_ignore_ascii_case(name) {
                return Ok(Found::One(Entry { id, online, busy }));
            }
        }
        match next_page(context, reply, &self.base, &self.url, all >= 100)? {
            None => Ok(Found::None),
            Some(_) if self.pages >= MOST_PAGES => {
                Err(context.malformed(&format!("there is still a next page after {MOST_PAGES} pages of runners")))
            }
            Some(url) => Ok(Found::More(Self { base: self.base.clone(), url, pages: self.pages + 1 })),
        }
    }
}
