//! What a platform's codec says of its lists.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    exchange::{ExchangeError, Reply, Request},
    platform::answer::{Document, RequestContext, Stage},
    settings::BaseUrl,
};

/// What stands on a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Items<L> {
    /// Further lists to read.
    pub lists: Vec<L>,
    /// Jobs of the pool.
    pub jobs: Vec<(u64, Stage)>,
    /// How many items there are in all.
    pub count: usize,
}

/// What it means that a list is not found.
#[derive(Debug)]
pub(crate) enum ListNotFound<L> {
    /// A failure.
    Failure,
    /// Nothing is on it any more.
    Empty,
    /// This list, on which it stood, may be out of date.
    Outdated(L),
}

/// What a platform's codec knows of its lists.
pub(crate) trait Source: fmt::Debug + Send {
    /// Names a list. Of those that wait to be read equally long, the least comes first.
    type List: Clone + Ord + fmt::Debug + Send + Serialize + DeserializeOwned;

    /// The platform's name in settings and logs.
    const PLATFORM: &'static str;

    /// How many requests are open at once, at most.
    const AT_ONCE: usize;

    /// Where the platform is: a token must go nowhere else.
    fn base(&self) -> &BaseUrl;

    /// Begins a reading: the lists at the top.
    fn begin(&mut self) -> Vec<Self::List>;

    /// For how many readings a list stays as it was read, without a look; 1 for one that is read each time.
    fn good_for(&self, list: &Self::List) -> u32;

    /// A list's address, for pages of so many items.
    fn url(&self, list: &Self::List, page: usize) -> String;

    /// The request as the platform wants it.
    fn dress(&self, request: Request) -> Request;

    /// The start of what is said about this list.
    fn context(&self, list: &Self::List) -> RequestContext;

    /// What lists of this kind are called, many of them, when it is told how far a reading came.
    fn noun(&self, list: &Self::List) -> &'static str;

    /// Reads a page, answered at this moment by the platform's clock.
    fn items(
        &self,
        list: &Self::List,
        page: &Document,
        at: Option<Timestamp>,
    ) -> Result<Items<Self::List>, ExchangeError>;

    /// What a reply other than a page means.
    fn refusal(&self, context: &RequestContext, reply: &Reply) -> ExchangeError {
        context.refusal(reply)
    }

    /// What a 404 means.
    fn gone(&self, list: &Self::List) -> ListNotFound<Self::List>;

    /// Takes note of what a reply says about the platform's quota.
    fn saw(&mut self, reply: &Reply);

    /// How long nothing more is to be asked, when the quota says so in the middle of a reading with so many requests open.
    fn used_up(&self, open: usize) -> Option<Duration>;

    /// How long to leave the platform alone after this reading.
    fn poll_after(&self) -> Option<Duration>;
}
