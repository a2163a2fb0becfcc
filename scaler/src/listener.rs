//! Accepts webhooks, and shows metrics and the page beside them. It believes nothing, keeps nothing, and costs little: connections, sizes, times, rates
//! and lines in the log are bounded, and nothing that a stranger wrote reaches the log.

mod peers;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Either};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lightsout_core::{metrics::prometheus, platform::webhook::Refused};
use lightsout_io::metrics::{Metered, part};
use lightsout_page::{Body, Page, Visit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};

pub(crate) use self::peers::Bodies;
use self::peers::{Admitted, BodyBudget, Peers, Rate, TokenBucket};
use crate::webhooks::Webhooks;

/// What the paths of webhooks begin with.
const HOOKS: &str = "/hooks/";
/// How many hints may wait. More say nothing new.
pub(crate) const MAX_HINTS: usize = 1024;
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Lines that strangers can cause, of any kind: at once, and a minute in the long run.
const LINES: u32 = 6;

/// How many may read the page of metrics at once, whoever they are.
const METRICS_AT_ONCE: usize = 2;
/// How often it may be read: in a second in the long run, and at once. A page of a thousand pools is long, and nobody need read it more often.
const METRICS_RATE: f64 = 1.0;
const METRICS_BURST: u32 = 10;

/// What one request and all requests may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the whole request, from the connection to the answer.
    pub(crate) timeout: Duration,
    /// The longest body, in bytes.
    pub(crate) body: usize,
    /// All bodies that are being read at once.
    pub(crate) bodies: Bodies,
    /// Requests a second in the long run, and at once.
    pub(crate) rate: u32,
    pub(crate) burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            body: 1 << 20,
            bodies: Bodies { own: 32 << 10, long: 2 << 20 },
            rate: 20,
            burst: 100,
        }
    }
}

/// What listens; its end closes it.
#[derive(Debug)]
pub(crate) struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What there is to be had at the address.
pub(crate) struct Endpoints {
    pub(crate) webhooks: Arc<Webhooks>,
    /// Where authentic hints go, as the names of pools.
    pub(crate) hints: mpsc::Sender<String>,
    /// Whose metrics are shown.
    pub(crate) metered: Option<Arc<dyn Metered>>,
    pub(crate) page: Option<Page>,
}

/// Takes the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let failed = |error| format!("--listen {address}: {error}; choose another address, or end the program that has it");
    TcpListener::bind(address).await.map_err(failed)
}

/// Listens with these limits.
pub(crate) fn listen(listener: TcpListener, offer: Endpoints, limits: Limits) -> Listener {
    let Endpoints { webhooks, hints, metered, page } = offer;
    let now = Instant::now();
    let metered = metered.map(|metered| MetricsEndpoint {
        metered,
        room: Arc::new(Semaphore::new(METRICS_AT_ONCE)),
        pages: Mutex::new(TokenBucket::full(METRICS_BURST, now)),
    });
    let strangers = Mutex::new(TokenBucket::full(limits.burst, now));
    let (refusals, troubles) = (LogLimiter::new(now), LogLimiter::new(now));
    let server = Arc::new(Server { webhooks, hints, metered, page, strangers, limits, refusals, troubles });
    let peers = Arc::new(Peers::new(Rate { rate: limits.rate, burst: limits.burst }, limits.bodies, now));
    let task = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(admitted) = peers.admit(peer.ip(), Instant::now()) else { continue };
                    tokio::spawn(Arc::clone(&server).serve(stream, Arc::new(admitted)));
                }
                Err(error) => {
                    server
                        .troubles
                        .line(|withheld| tracing::warn!(%error, withheld, "a connection could not be accepted"));
                    // Most likely too many open files: some end soon.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Listener(task)
}

struct Server {
    webhooks: Arc<Webhooks>,
    hints: mpsc::Sender<String>,
    /// Whose metrics are shown here, too.
    metered: Option<MetricsEndpoint>,
    page: Option<Page>,
    /// What all strangers together may ask of the page; behind a proxy they have an address in common with the senders of webhooks.
    strangers: Mutex<TokenBucket>,
    limits: Limits,
    refusals: LogLimiter,
    /// Apart from these, since an operator must see to them.
    troubles: LogLimiter,
}

/// Metrics that anybody may read, and how much of that there may be.
struct MetricsEndpoint {
    metered: Arc<dyn Metered>,
    room: Arc<Semaphore>,
    pages: Mutex<TokenBucket>,
}

/// What strangers can cause to be said, in few lines.
pub(crate) struct LogLimiter(Mutex<LogBudget>);

struct LogBudget {
    bucket: TokenBucket,
    withheld: u64,
}

impl LogLimiter {
    /// All may be said that may be said at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(LogBudget { bucket: TokenBucket::full(LINES, now), withheld: 0 }))
    }

    /// Says why the webhook of this name was refused, if there is a line left, and gives what to answer.
    pub(crate) fn say(&self, path: &str, why: Refused) -> StatusCode {
        self.line(|withheld| tracing::info!(path, %why, withheld, "a webhook was refused"));
        match why {
            Refused::Malformed => StatusCode::BAD_REQUEST,
            Refused::Unsigned | Refused::Forged | Refused::Stale => StatusCode::UNAUTHORIZED,
        }
    }

    /// A line, if there is one left. It gets how many were withheld before it.
    pub(crate) fn line(&self, say: impl FnOnce(Option<u64>)) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.bucket.take(f64::from(LINES) / 60.0, LINES, Instant::now()) {
            let withheld = std::mem::take(&mut lines.withheld);
            say((withheld > 0).then_some(withheld));
        } else {
            lines.withheld += 1;
        }
    }
}

impl Server {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: Arc<Admitted>) {
        let limit = self.limits.timeout;
        let visit = Arc::new(Visit::default());
        let service = {
            let visit = Arc::clone(&visit);
            service_fn(move |request| {
                let (server, peer, visit) = (Arc::clone(&self), Arc::clone(&peer), Arc::clone(&visit));
                async move { Ok::<_, Infallible>(server.route(request, &peer, &visit).await) }
            })
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit)
            .keep_alive(false)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
            }
            // The answer has its own time-out; this one is for who does not read it.
            () = visit.over(limit * 2) => tracing::debug!("a connection took too long"),
        }
    }

    /// Brings a request to what is asked for.
    async fn route(
        &self,
        request: Request<Incoming>,
        peer: &Admitted,
        visit: &Visit,
    ) -> Response<Either<MetricsBody, Body>> {
        let path = request.uri().path();
        if let Some(shown) = self.metered.as_ref().filter(|_| path == "/metrics") {
            return shown.page(request.method(), peer).map(Either::Left);
        }
        if let Some(page) = self.page.as_ref().filter(|_| !path.starts_with(HOOKS)) {
            let now = Instant::now();
            if page.admits(&request) {
                peer.is_authentic(now);
            } else if !self.answers_stranger(now) {
                return empty(StatusCode::TOO_MANY_REQUESTS).map(Either::Left);
            }
            return page.answer(&request, visit).await.map(Either::Right);
        }
        empty(self.answer(request, peer).await).map(Either::Left)
    }

    fn answers_stranger(&self, now: Instant) -> bool {
        let Limits { rate, burst, .. } = self.limits;
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner).take(f64::from(rate), burst, now)
    }

    async fn answer(&self, request: Request<Incoming>, peer: &Admitted) -> StatusCode {
        let (head, body) = request.into_parts();
        let Some(path) = head.uri.path().strip_prefix(HOOKS) else { return StatusCode::NOT_FOUND };
        if head.method != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        if !peer.take_token(Instant::now()) {
            return StatusCode::TOO_MANY_REQUESTS;
        }
        // The pool's own name of it: what a stranger writes there is of any length and any number.
        let Some(path) = self.webhooks.known(path) else { return StatusCode::UNAUTHORIZED };
        // Taken until the end of it all.
        let mut budget = peer.body_budget();
        let body = match timeout(self.limits.timeout, read(body, self.limits.body, &mut budget)).await {
            Ok(Ok(whole)) => whole,
            Ok(Err(status)) => return status,
            Err(_) => return StatusCode::REQUEST_TIMEOUT,
        };
        match self.webhooks.accept(path, &headers(&head.headers), &body, jiff::Timestamp::now()) {
            Ok(pools) => {
                peer.is_authentic(Instant::now());
                for pool in pools {
                    tracing::debug!(pool, "jobs may wait, says a webhook");
                    // No room means that many hints wait already.
                    let _ = self.hints.try_send(pool.to_owned());
                }
                StatusCode::ACCEPTED
            }
            Err(why) => self.refusals.say(path, why),
        }
    }
}

/// Reads a body of at most so many bytes, for each of which there must be room while it is in memory.
async fn read(mut body: Incoming, longest: usize, budget: &mut BodyBudget<'_>) -> Result<Vec<u8>, StatusCode> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        if whole.len() + part.len() > longest {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if !budget.take(part.len()) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        // Exactly: to double it would take more than there is room for.
        whole.reserve_exact(part.len());
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

impl MetricsEndpoint {
    /// The page of metrics.
    fn page(&self, method: &Method, peer: &Admitted) -> Response<MetricsBody> {
        if method != Method::GET {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let now = Instant::now();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if !peer.take_token(now) || !pages.take(METRICS_RATE, METRICS_BURST, now) {
            return empty(StatusCode::TOO_MANY_REQUESTS);
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        let page = MetricsPage { metered: Arc::clone(&self.metered), next: 0, _permit: permit };
        let mut reply = Response::new(MetricsBody(Some(page)));
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(prometheus::CONTENT_TYPE));
        reply
    }
}

/// The body of a reply: nothing, or the page of metrics, of which no more is in memory than is being sent.
struct MetricsBody(Option<MetricsPage>);

struct MetricsPage {
    metered: Arc<dyn Metered>,
    /// The next of its parts.
    next: usize,
    _permit: OwnedSemaphorePermit,
}

impl hyper::body::Body for MetricsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(page) = &mut self.0 else { return Poll::Ready(None) };
        let text = part(&*page.metered, page.next);
        page.next += 1;
        if text.is_none() {
            self.0 = None;
        }
        Poll::Ready(text.map(|text| Ok(Frame::data(Bytes::from(text)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.0.is_none() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

fn empty(status: StatusCode) -> Response<MetricsBody> {
    let mut reply = Response::new(MetricsBody(None));
    *reply.status_mut() = status;
    reply
}

/// The headers that came once and are text.
pub(crate) fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
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
