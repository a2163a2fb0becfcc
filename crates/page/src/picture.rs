//! The picture, drawn again and again for those who look.

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use lightsout_core::chart::Chart;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::{
    answer::{Page, PageRequest},
    document::live_page,
    gate::Gate,
    readers::Readers,
};

/// How often those who look are told what has changed.
const REFRESH: Duration = Duration::from_secs(1);
/// Looking takes at most this part of a core: after each look there is a pause of so many times its length.
const REST: u32 = 9;
/// But no longer than this: the page takes its server for lost after twice as long.
const LONGEST: Duration = Duration::from_secs(30);
/// So many may wait for an answer at once; others wait for their turn.
pub(crate) const ASKS: usize = 64;

/// What is drawn.
pub trait Source: Send + 'static {
    /// Why it cannot be had.
    type Error: fmt::Display + Send;

    /// The chart as it is now.
    ///
    /// # Errors
    /// When what it is drawn from does not answer.
    fn look(&mut self) -> impl Future<Output = Result<Chart, Self::Error>> + Send;

    /// What those who look are told when no more comes.
    fn end(&self) -> &str;
}

/// The page of this source behind this gate, which so many may follow at once; and its picture, which is to be run for it.
pub fn open<S: Source>(gate: Gate, source: S, most: u32) -> (Page, Picture<S>) {
    let (asks, asked) = mpsc::channel(ASKS);
    (Page::new(gate, asks, most), Picture::new(source, asked))
}

/// The picture, as those who look know it.
pub struct Picture<S> {
    source: S,
    asked: mpsc::Receiver<PageRequest>,
    readers: Readers,
    last: Option<Chart>,
    /// The last one as an event, once somebody has begun with it.
    whole: Option<Bytes>,
    /// Why there is none newer, when it could not be had.
    trouble: Option<Trouble>,
    /// When it may be drawn again.
    next: Instant,
}

/// What those who look are told while no picture can be had.
#[derive(serde::Serialize)]
struct Trouble {
    why: String,
    /// When it began, in milliseconds since 1970.
    since: i64,
}

impl<S: Source> Picture<S> {
    fn new(source: S, asked: mpsc::Receiver<PageRequest>) -> Self {
        Self {
            source,
            asked,
            readers: Readers::default(),
            last: None,
            whole: None,
            trouble: None,
            next: Instant::now(),
        }
    }

    /// Draws it for those who look, until it is stopped: by a word, or by nobody being there any more to say one. Then all are shown how it ended.
    pub async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let due = async {
                if self.readers.is_empty() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep_until(self.next.into()).await;
            };
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(ask) = self.asked.recv() => self.answer(ask).await,
                () = due => self.refresh().await,
            }
        }
        self.refresh().await;
        self.readers.tell(&event("end", &json!({ "why": self.source.end() })));
    }

    async fn answer(&mut self, ask: PageRequest) {
        // One chart for all who come at the same time.
        if self.last.is_none() || (self.readers.is_empty() && Instant::now() >= self.next) {
            self.refresh().await;
        }
        let missing = || self.trouble.as_ref().map(|trouble| trouble.why.clone()).unwrap_or_default();
        match ask {
            PageRequest::Page(answer) => {
                let page = self.last.as_ref().map(|chart| Bytes::from(live_page(chart))).ok_or_else(missing);
                let _ = answer.send(page);
            }
            PageRequest::Events(dropped, answer) => {
                let Some(chart) = &self.last else {
                    let _ = answer.send(Err(missing()));
                    return;
                };
                let whole = self.whole.get_or_insert_with(|| event("chart", chart)).clone();
                // An old picture is not handed out as the present one.
                let lost = self.trouble.as_ref().map(|trouble| event("lost", trouble));
                let _ = answer.send(Ok(self.readers.add(std::iter::once(whole).chain(lost), dropped)));
            }
        }
    }

    /// Looks, and tells what has changed.
    async fn refresh(&mut self) {
        let started = Instant::now();
        let looked = self.source.look().await;
        let told = match &looked {
            Err(error) => {
                let since = self.trouble.take().map_or_else(|| Timestamp::now().as_millisecond(), |it| it.since);
                event("lost", self.trouble.insert(Trouble { why: format!("{error:#}"), since }))
            }
            Ok(chart) => match self.last.as_ref().and_then(|last| chart.since(last)) {
                Some(update) => event("update", &update),
                None => event("chart", chart),
            },
        };
        self.readers.tell(&told);
        if let Ok(chart) = looked {
            (self.last, self.whole, self.trouble) = (Some(chart), None, None);
        }
        self.next = Instant::now() + (started.elapsed() * REST).clamp(REFRESH, LONGEST);
    }
}

/// One server-sent event. JSON is one line, so it is one field.
#[expect(clippy::expect_used, reason = "its keys are texts")]
fn event(name: &str, data: &impl serde::Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("only text keys");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use lightsout_core::chart::{Listings, Readings};
    use tokio::sync::Notify;

    use super::*;

    /// Somebody of whom the test says whether it answers.
    #[derive(Clone)]
    struct Answers(Arc<Mutex<bool>>);

    impl Source for Answers {
        type Error = &'static str;

        async fn look(&mut self) -> Result<Chart, Self::Error> {
            let answers = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let chart = Chart::of_pools([("linux", &Readings::default())], &Listings::default(), Timestamp::now());
            answers.then_some(chart).ok_or("the cloud is gone")
        }

        fn end(&self) -> &'static str {
            "that was all"
        }
    }

    #[tokio::test]
    async fn who_comes_while_it_is_lost_is_told_so_right_behind_the_last_picture() {
        let source = Answers(Arc::new(Mutex::new(true)));
        let (_asks, asked) = mpsc::channel(1);
        let mut picture = Picture::new(source.clone(), asked);
        picture.refresh().await;
        *source.0.lock().unwrap() = false;
        picture.refresh().await;
        let (answer, mut answered) = oneshot::channel();
        picture.answer(PageRequest::Events(Arc::new(Notify::new()), answer)).await;
        let mut told = answered.try_recv().unwrap().unwrap();
        let mut next = || String::from_utf8(told.try_recv().unwrap().to_vec()).unwrap();
        let (first, second) = (next(), next());
        assert!(first.starts_with("event: chart\n") && first.ends_with("\n\n"), "{first}");
        assert!(second.starts_with("event: lost\ndata: {\"why\":\"the cloud is gone\",\"since\":"), "{second}");
    }
}
