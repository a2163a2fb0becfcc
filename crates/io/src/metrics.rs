//! Metrics towards the outside: the page that Prometheus scrapes, and OTLP.

pub mod otlp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lightsout_core::metrics::{Registry, prometheus};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

/// How many may read the page at once; others wait in the listener's own queue. Two scrapers and two people: each may hold a head and a metric of all
/// pools, which is a megabyte of a scaler with a thousand pools, and what a reader takes is taken from a program that is to stay small.
const AT_ONCE: usize = 4;
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 8 << 10;
/// For a whole request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whose metrics they are.
pub trait Metered: Send + Sync {
    /// Hands over the values as they are now.
    fn look(&self, at: &mut dyn FnMut(&Registry));
}

/// A part of the page, from 0 on, until there is none: metric by metric, so that the whole never is in memory.
pub fn part(metered: &dyn Metered, number: usize) -> Option<String> {
    let mut text = None;
    metered.look(&mut |registry| {
        text = registry.metrics().nth(number).map(|metric| prometheus::family(registry, metric));
    });
    text
}

/// A server of the page; its end closes it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `/metrics` there.
///
/// # Errors
/// When nothing can listen there.
pub async fn serve(address: SocketAddr, metered: Arc<dyn Metered>) -> Result<Server, String> {
    let failed =
        |error| format!("--metrics {address}: {error}; choose another address, or end the program that has it");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the metrics can be read from the network, and name pools; nothing asks who reads them");
    }
    tracing::info!(%address, "metrics at /metrics");
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let task = tokio::spawn(async move {
        loop {
            // Whoever comes beyond them waits in the listener's own queue.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let metered = Arc::clone(&metered);
                    tokio::spawn(async move {
                        let _permit = permit;
                        if let Ok(Err(error)) = timeout(TIMEOUT, answer(stream, &*metered)).await {
                            tracing::debug!(%error, "a reader of the metrics went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a reader of the metrics could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(Server { address, task })
}

/// One request, one reply, and the connection's end is the reply's (RFC 9112, 6.3).
async fn answer(mut stream: TcpStream, metered: &dyn Metered) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = String::from_utf8_lossy(&head);
    let mut words = line.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let status = match (method, path) {
        ("GET" | "HEAD", "/metrics") => "200 OK",
        ("GET" | "HEAD", _) => "404 Not Found",
        _ => "405 Method Not Allowed",
    };
    let kind = prometheus::CONTENT_TYPE;
    let reply = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).await?;
    if (method, status) == ("GET", "200 OK") {
        let mut number = 0;
        while let Some(text) = part(metered, number) {
            stream.write_all(text.as_bytes()).await?;
            number += 1;
        }
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests;
