//! The page's wire: one request a connection, which can only read.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lightsout_page::{Page, Visit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// So many connections at once; others wait in the kernel until one ends.
pub(super) const MOST_CONNECTIONS: u32 = 64;
/// So long a request may take to come, and the page to be read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of an answer is kept in this process until its reader takes it.
const BUFFER: usize = 64 << 10;

/// Answers for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, page: Page) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, and the like: it passes, or it does not.
                tracing::warn!(%error, "the page cannot be asked for");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let connection = connection(stream, page.clone());
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

/// One connection, until it is answered, its reader has fallen behind, or its patience has run out.
async fn connection(stream: TcpStream, page: Page) {
    let visit = Visit::default();
    let (page, visit) = (&page, &visit);
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(page.answer(&request, visit).await) });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).max_buf_size(BUFFER);
    tokio::select! {
        // Whoever hangs up in the middle has its reasons.
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = visit.over(PATIENCE) => {}
    }
}
