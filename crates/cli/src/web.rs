//! The page of `lightsout timeline`, live: served to whoever may look, and brought up to date by server-sent events.
//!
//! It has a thread of its own, with its sockets and its folding of records, so that no reader takes the fleet's time.

mod address;
mod records;
mod server;

use std::{net::SocketAddr, thread};

use anyhow::{Context, Result};
use lightsout_io::command_line;
use lightsout_page::{Gate, Page, Picture, Source};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use self::server::{MOST_CONNECTIONS, serve};
pub(crate) use self::{
    address::{LOOPBACK, address},
    records::Records,
};

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
        let (page, picture) = lightsout_page::open(gate, source, MOST_CONNECTIONS);
        let runtime = command_line::runtime()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => run(listener, page, picture, stopped).await,
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

async fn run(listener: TcpListener, page: Page, picture: Picture<impl Source>, stopped: oneshot::Receiver<()>) {
    let server: JoinHandle<()> = tokio::spawn(serve(listener, page.clone()));
    picture.run(stopped).await;
    server.abort();
    page.farewell().await;
}

#[cfg(test)]
mod tests;
