//! The page's wire: one request a connection, which can only read.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, mpsc, oneshot},
};

use super::{
    address::{Gate, Refusal, Route},
    readers::Told,
};

/// So many connections at once; others wait in the kernel until one ends.
pub(super) const MOST_CONNECTIONS: u32 = 64;
/// So long a request may take to come, and the page to be read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of an answer is kept in this process until its reader takes it.
const BUFFER: usize = 64 << 10;

/// What a connection asks the picture for.
pub(super) enum Ask {
    /// The page as it is now; the error in words where it cannot be had.
    Page(oneshot::Sender<Result<Bytes, String>>),
    /// All that happens from now on, the whole chart first; with what ends its connection.
    Events(Arc<Notify>, oneshot::Sender<Result<Told, String>>),
}

type Body = Either<Full<Bytes>, EventStream>;
type EventStream = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Answers for as long as it is polled; each connection takes a permit of the `room`.
pub(super) async fn serve(listener: TcpListener, gate: Gate, asks: mpsc::Sender<Ask>, room: Arc<Semaphore>) {
    let gate = Arc::new(gate);
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
        let connection = connection(stream, Arc::clone(&gate), asks.clone());
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

/// One connection, until it is answered, its reader has fallen behind, or its patience has run out.
async fn connection(stream: TcpStream, gate: Arc<Gate>, asks: mpsc::Sender<Ask>) {
    let (dropped, follows) = (Arc::new(Notify::new()), AtomicBool::new(false));
    let service = service_fn(|request| answer(request, &gate, &asks, &dropped, &follows));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).max_buf_size(BUFFER);
    let too_long = async {
        tokio::time::sleep(PATIENCE).await;
        if follows.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        // Whoever hangs up in the middle has its reasons.
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = dropped.notified() => {}
        () = too_long => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    gate: &Gate,
    asks: &mpsc::Sender<Ask>,
    dropped: &Arc<Notify>,
    follows: &AtomicBool,
) -> Result<Response<Body>, Infallible> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let route = gate.route(request.uri().path(), host);
    if route.is_ok() && ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
        reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(reply);
    }
    Ok(match route {
        Err(Refusal::Token) => text(
            StatusCode::FORBIDDEN,
            "the token in the address is wrong or missing: open the whole address that was printed",
        ),
        Err(Refusal::Host) => {
            text(StatusCode::FORBIDDEN, "this page is for this machine alone: open it by the address that was printed")
        }
        Err(Refusal::Nothing) => text(StatusCode::NOT_FOUND, "there is nothing here but the page"),
        Ok(Route::Slash) => {
            let mut reply = text(StatusCode::TEMPORARY_REDIRECT, "");
            if let Ok(there) = HeaderValue::try_from(format!("{}/", request.uri().path())) {
                reply.headers_mut().insert(header::LOCATION, there);
            }
            reply
        }
        Ok(Route::Page) => match ask(asks, Ask::Page).await {
            Ok(page) => reply(StatusCode::OK, "text/html; charset=utf-8", Either::Left(Full::new(page))),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        Ok(Route::Events) if request.method() == Method::HEAD => {
            reply(StatusCode::OK, "text/event-stream", Either::Left(Full::default()))
        }
        Ok(Route::Events) => match ask(asks, |answer| Ask::Events(Arc::clone(dropped), answer)).await {
            Ok(told) => {
                follows.store(true, Ordering::Relaxed);
                reply(StatusCode::OK, "text/event-stream", Either::Right(events(told)))
            }
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
    })
}

async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    what: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Ask,
) -> Result<T, String> {
    let gone = || "the fleet has ended".to_owned();
    let (answer, answered) = oneshot::channel();
    asks.send(what(answer)).await.map_err(|_| gone())?;
    answered.await.unwrap_or_else(|_| Err(gone()))
}

fn events(told: Told) -> EventStream {
    let next = |mut told: Told| async move { Some((Ok(Frame::data(told.recv().await?)), told)) };
    StreamBody::new(Box::pin(stream::unfold(told, next)))
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    reply(status, "text/plain; charset=utf-8", Either::Left(Full::from(format!("{text}\n"))))
}

fn reply(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // What a document says of itself cannot forbid that another frames it.
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}
