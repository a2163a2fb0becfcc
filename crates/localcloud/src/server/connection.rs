//! Carries requests from sockets to a service and answers back, and can break a connection as networks do.

use std::{convert::Infallible, future::poll_fn, io, pin::Pin, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::http::{self, Request, Response};

/// The longest request body, in bytes.
pub(super) const BODY_CAP: usize = 8 << 20;

pub(crate) trait Service: Send + Sync + 'static {
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<hyper::Response<Body>, Cut>> + Send;
}

/// The connection is to be cut off instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut off on purpose")]
pub(crate) struct Cut;

/// Serves connections until it is dropped, which closes them all.
pub(crate) async fn serve(listener: TcpListener, service: impl Service) {
    let service = Arc::new(service);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&service)));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others may end soon.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, service: Arc<impl Service>) {
    // Small answers go out at once; that they do is best effort.
    let _ = stream.set_nodelay(true);
    let handler = service_fn(|request| {
        let service = Arc::clone(&service);
        Box::pin(async move { service.answer(request).await })
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(120));
    let mut connection = http.serve_connection(TokioIo::new(stream), handler);
    let ended = poll_fn(|cx| Pin::new(&mut connection).poll_without_shutdown(cx)).await;
    if ended.is_err_and(|error| error.is_user()) {
        // Without lingering a close is a reset.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// Reads a request whole; too long a body is an answer already.
pub(super) async fn read(request: hyper::Request<Incoming>) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_CAP).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Response::new(413, "text/plain", "the body is too long\n").header("connection", "close"));
        }
        Err(_) => return Err(Response::new(400, "text/plain", "the body broke off\n").header("connection", "close")),
    };
    let mut headers = std::collections::BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_insert(value);
    }
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: http::pairs(head.uri.query().unwrap_or_default().as_bytes()),
        headers,
        body,
    })
}

/// The answer as hyper sends it.
pub(super) fn response(answer: Response) -> hyper::Response<Body> {
    let mut builder = hyper::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(answer.body)).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer cannot be sent: it is a bug in localcloud");
        let mut failed = hyper::Response::new(Body::empty());
        *failed.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}

/// The answer with a body that breaks off in the middle, and the connection with it.
pub(super) fn broken(answer: Response) -> hyper::Response<Body> {
    let whole = answer.body.clone();
    let half = whole.slice(..whole.len() / 2);
    let mut response = response(Response { body: Bytes::new(), ..answer });
    response.headers_mut().insert(hyper::header::CONTENT_LENGTH, whole.len().max(1).into());
    let rest = stream::once(async {
        // What was sent so far has to leave before the reset overtakes it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let start = stream::iter((!half.is_empty()).then_some(Ok(half)));
    *response.body_mut() = Body::from_stream(futures_util::StreamExt::chain(start, rest));
    response
}

/// For services that cannot fail.
pub(super) fn unfailing<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
