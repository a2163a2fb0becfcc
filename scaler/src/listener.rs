//! Accepts webhooks. It believes nothing, keeps nothing, and costs little: bounded connections, sizes, times and rates.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lightsout_core::platform::webhook::Refused;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};

use crate::webhooks::Webhooks;

/// How many hints may wait. More say nothing new.
pub(crate) const MAX_HINTS: usize = 1024;
/// Connections at once; whoever comes after them is turned away.
const MAX_CONNECTIONS: usize = 64;
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// What one request and all requests may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the whole request, from the connection to the answer.
    pub(crate) timeout: Duration,
    /// The longest body, in bytes.
    pub(crate) body: usize,
    /// Requests a second in the long run, and at once.
    pub(crate) rate: u32,
    pub(crate) burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), body: 1 << 20, rate: 20, burst: 100 }
    }
}

/// A listener; its end closes it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens with the usual limits; authentic hints go to `hints`, as the names of pools.
pub(crate) async fn listen(
    address: SocketAddr,
    webhooks: Webhooks,
    hints: mpsc::Sender<String>,
) -> Result<Listener, String> {
    let listening = listen_with(address, webhooks, hints, Limits::default()).await?;
    tracing::info!(address = %listening.address, "listening for webhooks");
    Ok(listening)
}

/// Listens with these limits.
pub(crate) async fn listen_with(
    address: SocketAddr,
    webhooks: Webhooks,
    hints: mpsc::Sender<String>,
    limits: Limits,
) -> Result<Listener, String> {
    let failed = |error| format!("--listen {address}: {error}; choose another address, or end the program that has it");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let bucket = Mutex::new(TokenBucket { left: f64::from(limits.burst), at: Instant::now() });
    let server = Arc::new(Server { webhooks, hints, limits, bucket });
    let task = tokio::spawn(async move {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
                    let server = Arc::clone(&server);
                    tokio::spawn(async move {
                        server.serve(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for a webhook could not be accepted");
                    // Most likely too many open files: some end soon.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(Listener { address, task })
}

struct Server {
    webhooks: Webhooks,
    hints: mpsc::Sender<String>,
    limits: Limits,
    bucket: Mutex<TokenBucket>,
}

/// Requests that may still come now.
struct TokenBucket {
    left: f64,
    at: Instant,
}

impl Server {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let limit = self.limits.timeout;
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move {
                let mut reply = Response::new(Empty::<Bytes>::new());
                *reply.status_mut() = server.answer(request).await;
                Ok::<_, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit)
            .keep_alive(false)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // The answer has its own time-out; this one is for who does not read it.
        match timeout(limit * 2, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a webhook's connection broke"),
            Err(_) => tracing::debug!("a webhook's connection took too long"),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> StatusCode {
        let (head, body) = request.into_parts();
        let Some(path) = head.uri.path().strip_prefix("/hooks/") else { return StatusCode::NOT_FOUND };
        if head.method != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        if !self.take_token() {
            return StatusCode::TOO_MANY_REQUESTS;
        }
        let body = match timeout(self.limits.timeout, Limited::new(body, self.limits.body).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return StatusCode::PAYLOAD_TOO_LARGE,
            Ok(Err(_)) => return StatusCode::BAD_REQUEST,
            Err(_) => return StatusCode::REQUEST_TIMEOUT,
        };
        match self.webhooks.accept(path, &headers(&head.headers), &body, jiff::Timestamp::now()) {
            Ok(pools) => {
                for pool in pools {
                    tracing::debug!(pool, "jobs may wait, says a webhook");
                    // No room means that many hints wait already.
                    let _ = self.hints.try_send(pool.to_owned());
                }
                StatusCode::ACCEPTED
            }
            Err(Refused::Malformed) => {
                tracing::info!(path, why = %Refused::Malformed, "a webhook was refused");
                StatusCode::BAD_REQUEST
            }
            Err(why @ (Refused::Unsigned | Refused::Forged | Refused::Stale)) => {
                tracing::info!(path, %why, "a webhook was refused");
                StatusCode::UNAUTHORIZED
            }
        }
    }

    /// Takes one of the requests that may come now.
    fn take_token(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = bucket.at.elapsed().as_secs_f64() * f64::from(self.limits.rate);
        bucket.left = (bucket.left + grown).min(f64::from(self.limits.burst));
        bucket.at = Instant::now();
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }
}

fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for name in map.keys() {
        // A header that comes twice has no meaning here, and counts as absent.
        let mut values = map.get_all(name).iter();
        if let (Some(value), None) = (values.next(), values.next())
            && let Ok(value) = value.to_str()
        {
            headers.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    headers
}
