//! The page's answers: to one request a connection, which can only read.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Frame,
    header::{self, HeaderValue},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::{
    gate::{Gate, Refusal, Route},
    readers::Updates,
};

/// So long the last words have to reach those who follow.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection asks the picture for.
pub(crate) enum PageRequest {
    /// The page as it is now; the error in words where it cannot be had.
    Page(oneshot::Sender<Result<Bytes, String>>),
    /// All that happens from now on, the whole chart first; with what ends its connection.
    Events(Arc<Notify>, oneshot::Sender<Result<Updates, String>>),
}

/// What an answer consists of.
pub type Body = Either<Full<Bytes>, EventStream>;
type EventStream = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// The page, as connections ask for it.
#[derive(Clone, Debug)]
pub struct Page {
    gate: Arc<Gate>,
    asks: mpsc::Sender<PageRequest>,
    /// For those who follow.
    room: Arc<Semaphore>,
    most: u32,
}

/// A connection in which the page is asked for.
#[derive(Debug, Default)]
pub struct Visit {
    dropped: Arc<Notify>,
    follows: OnceLock<OwnedSemaphorePermit>,
}

impl Visit {
    /// Ends when the connection is to end: because it fell behind, or because this is too long for one that does not follow.
    pub async fn over(&self, patience: Duration) {
        let too_long = async {
            sleep(patience).await;
            if self.follows.get().is_some() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.dropped.notified() => {}
            () = too_long => {}
        }
    }
}

impl Page {
    pub(crate) fn new(gate: Gate, asks: mpsc::Sender<PageRequest>, most: u32) -> Self {
        Self { gate: Arc::new(gate), asks, room: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Whether this request comes from somebody who may read: with the token, or under a name of loopback where none is asked for.
    pub fn admits<B>(&self, request: &Request<B>) -> bool {
        self.route(request).is_ok()
    }

    fn route<B>(&self, request: &Request<B>) -> Result<Route, Refusal> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        self.gate.route(request.uri().path(), host)
    }

    /// The answer to a request of this connection.
    pub async fn answer<B>(&self, request: &Request<B>, visit: &Visit) -> Response<Body> {
        let route = match self.route(request) {
            Ok(route) => route,
            Err(Refusal::Token) => {
                return text(
                    StatusCode::FORBIDDEN,
                    "the token in the address is wrong or missing: open the whole address that was printed",
                );
            }
            Err(Refusal::Host) => {
                return text(
                    StatusCode::FORBIDDEN,
                    "this page is for this machine alone: open it by the address that was printed",
                );
            }
            Err(Refusal::Nothing) => return text(StatusCode::NOT_FOUND, "there is nothing here but the page"),
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
            reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        match route {
            Route::Slash => {
                let mut reply = text(StatusCode::TEMPORARY_REDIRECT, "");
                if let Ok(there) = HeaderValue::try_from(format!("{}/", request.uri().path())) {
                    reply.headers_mut().insert(header::LOCATION, there);
                }
                reply
            }
            Route::Page => match self.ask(PageRequest::Page).await {
                Ok(page) => reply(StatusCode::OK, "text/html; charset=utf-8", Either::Left(Full::new(page))),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
            },
            Route::Events if request.method() == Method::HEAD => {
                reply(StatusCode::OK, "text/event-stream", Either::Left(Full::default()))
            }
            Route::Events => match self.follow(visit).await {
                Ok(told) => reply(StatusCode::OK, "text/event-stream", Either::Right(events(told))),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
            },
        }
    }

    async fn follow(&self, visit: &Visit) -> Result<Updates, String> {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let permit = room.map_err(|_| format!("{} follow this page already, which is as many as may", self.most))?;
        let told = self.ask(|answer| PageRequest::Events(Arc::clone(&visit.dropped), answer)).await?;
        let _ = visit.follows.set(permit);
        Ok(told)
    }

    async fn ask<T>(&self, what: impl FnOnce(oneshot::Sender<Result<T, String>>) -> PageRequest) -> Result<T, String> {
        let gone = || "this page is no longer served".to_owned();
        let (answer, answered) = oneshot::channel();
        self.asks.send(what(answer)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Waits until the last words of the picture, which has ended, have reached those who follow; not for long.
    pub async fn farewell(&self) {
        let _ = timeout(FAREWELL, self.room.acquire_many(self.most)).await;
    }
}

fn events(told: Updates) -> EventStream {
    let next = |mut told: Updates| async move { Some((Ok(Frame::data(told.recv().await?)), told)) };
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

#[cfg(test)]
mod tests;
