//! The page of `lightsout timeline`, live: served to whoever may look, and brought up to date by server-sent events.
//!
//! It has a thread of its own, with its sockets and its folding of records, so that no reader takes the fleet's time: nobody is waited for, a queue is short,
//! and who falls behind is dropped ([`readers`]). While nobody looks nothing is done.

mod address;
mod readers;
mod records;
mod server;

use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use jiff::Timestamp;
use lightsout_core::chart::Chart;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use self::{
    address::Gate,
    readers::Readers,
    server::{Ask, MOST_CONNECTIONS, serve},
};
pub(crate) use self::{
    address::{LOOPBACK, address},
    records::Records,
};
use crate::page::live_page;

/// How often those who look are told what has changed.
const REFRESH: Duration = Duration::from_secs(1);
/// Looking takes at most this part of a core: after each look there is a pause of so many times its length.
const REST: u32 = 9;
/// But no longer than this: the page takes its server for lost after twice as long.
const LONGEST: Duration = Duration::from_secs(30);
/// So long the last words have to reach those who look.
const FAREWELL: Duration = Duration::from_secs(1);
/// So many may wait for an answer at once; others wait for their turn.
const ASKS: usize = 64;

/// What is drawn.
pub(crate) trait Source: Send + 'static {
    /// The chart as it is now.
    ///
    /// # Errors
    ///
    /// When what it is drawn from does not answer.
    fn look(&mut self) -> impl Future<Output = Result<Chart>> + Send;

    /// What those who look are told when no more comes.
    fn end(&self) -> &str;
}

/// The page while it is served.
pub(crate) struct Web {
    link: String,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Web {
    /// Serves it at this address.
    ///
    /// # Errors
    ///
    /// When nothing can listen there.
    pub(crate) fn start(at: SocketAddr, source: impl Source) -> Result<Self> {
        let cannot = || format!("--web {at}: nothing can listen there; choose another address, or leave it out");
        let listener = std::net::TcpListener::bind(at).with_context(cannot)?;
        listener.set_nonblocking(true).with_context(cannot)?;
        let at = listener.local_addr().with_context(cannot)?;
        let gate = Gate::new(at).context("--web: no token can be drawn from /dev/urandom")?;
        let link = gate.link(at);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => run(listener, gate, source, stopped).await,
                    Err(error) => tracing::error!(%error, "the page is not served"),
                }
            });
        };
        let thread = thread::Builder::new().name("web".to_owned()).spawn(run).context("no thread for the page")?;
        Ok(Self { link, stop, thread })
    }

    /// Where to look.
    pub(crate) fn link(&self) -> &str {
        &self.link
    }

    /// Shows how it ended to those who look, and ends.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        // A panic there has been told of already.
        let _ = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}

async fn run(listener: TcpListener, gate: Gate, source: impl Source, mut stopped: oneshot::Receiver<()>) {
    let (asks, mut asked) = mpsc::channel(ASKS);
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    let server: JoinHandle<()> = tokio::spawn(serve(listener, gate, asks, Arc::clone(&room)));
    let mut picture = Picture { source, readers: Readers::default(), last: None, trouble: None, next: Instant::now() };
    loop {
        let due = async {
            if picture.readers.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until(picture.next.into()).await;
        };
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(ask) = asked.recv() => picture.answer(ask).await,
            () = due => picture.refresh().await,
        }
    }
    server.abort();
    picture.refresh().await;
    picture.readers.tell(&event("end", &json!({ "why": picture.source.end() })));
    drop((picture, asked));
    let _ = tokio::time::timeout(FAREWELL, room.acquire_many(MOST_CONNECTIONS)).await;
}

/// The picture, as those who look know it.
struct Picture<S> {
    source: S,
    readers: Readers,
    last: Option<Chart>,
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
    async fn answer(&mut self, ask: Ask) {
        // One chart for all who come at the same time.
        if self.last.is_none() || (self.readers.is_empty() && Instant::now() >= self.next) {
            self.refresh().await;
        }
        let missing = || self.trouble.as_ref().map(|trouble| trouble.why.clone()).unwrap_or_default();
        match ask {
            Ask::Page(answer) => {
                let page = self.last.as_ref().map(|chart| Bytes::from(live_page(chart))).ok_or_else(missing);
                let _ = answer.send(page);
            }
            Ask::Events(dropped, answer) => {
                // An old picture is not handed out as the present one.
                let lost = self.trouble.as_ref().map(|trouble| event("lost", trouble)).unwrap_or_default();
                let first = self.last.as_ref().map(|chart| Bytes::from([event("chart", chart), lost].concat()));
                let first = first.ok_or_else(missing);
                let _ = answer.send(first.map(|first| self.readers.add(first, dropped)));
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
            (self.last, self.trouble) = (Some(chart), None);
        }
        self.next = Instant::now() + (started.elapsed() * REST).clamp(REFRESH, LONGEST);
    }
}

/// One server-sent event. JSON is one line, so it is one field.
fn event(name: &str, data: &impl serde::Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("only text keys");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests;
