//! The scaler as a custom handler of Azure Functions: the same program, which sees by its environment who started it.
//!
//! The host of the function app asks over HTTP: a `POST` to the function's name for each invocation. It takes a status that is no success for a
//! failed invocation, whatever the body says, and looks with a `GET /` whether anybody listens, any answer will do (Azure, "Azure Functions custom
//! handlers"; Azure/azure-functions-host, `DefaultHttpWorkerService`). What comes to the function of webhooks it forwards as it was sent, path, headers
//! and body, and gives back what is answered (`enableForwardingHttpRequest`). A panic ends the process, and with it the invocation: the host starts another.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use lightsout_core::settings::CloudName;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

use crate::{
    function::{self, FunctionError, Opened, Request, SettingsSource},
    listener::headers,
};

/// The variable that holds the port on which the host expects its handler, and is there in a handler alone.
pub(crate) const PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

const HOME: SettingsSource = SettingsSource {
    cloud: CloudName::Azure,
    package: "FUNCTIONS_APP_ROOT_PATH",
    remedy: "put scaler.toml beside host.json, or set LIGHTSOUT_SCALER_CONFIG_TOML",
};

/// Where the host asks for a tick: the name of the timer's function in the package, and nothing else. What strangers send has another path, which
/// the host forwards as they wrote it, and which it compares with a function's route without regard to case.
const TIMER: &str = "/scale";

/// How long an invocation may take: until the next one of a timer that comes every minute, which waits for it. The host does not tell its handler
/// how long it waits itself: `functionTimeout` in host.json, which must be longer.
const TIME: Duration = Duration::from_secs(58);

/// The longest event, in bytes: a timer's has some hundred, a webhook may have no more.
const LONGEST: usize = 1 << 20;

type InvocationResult = Result<Value, FunctionError>;

/// An invocation, and who waits for what comes of it.
enum Invocation {
    Timer(oneshot::Sender<InvocationResult>),
    Webhook(Request, oneshot::Sender<StatusCode>),
}

/// Serves invocations until the host ends the process.
pub(crate) fn main(port: &str) -> ExitCode {
    function::run(async {
        let port = port
            .parse()
            .map_err(|_| format!("{PORT} = {port:?}: expected a port, as the host of the function app sets it"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener =
            TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let mut opened = Opened::start(&HOME).await;
        let (sender, mut invocations) = mpsc::channel(1);
        tokio::spawn(accept(listener, sender));
        // One by one, whatever the host does.
        while let Some(invocation) = invocations.recv().await {
            // Who waits no longer hears nothing; the ticks were as good.
            match invocation {
                Invocation::Timer(waiting) => drop(waiting.send(invoke(&mut opened).await)),
                Invocation::Webhook(request, waiting) => {
                    let _ = waiting.send(opened.request(&request, Instant::now() + TIME).await);
                }
            }
        }
        Ok::<_, String>(())
    })
}

/// Ticks until the time of an invocation is over.
async fn invoke(opened: &mut Opened) -> InvocationResult {
    let until = Instant::now() + TIME;
    let answer = match opened.ready().await {
        Ok(function) => function.scheduled(until).await,
        Err(error) => Err(error),
    };
    // The host keeps what a handler writes, and nothing of the answer of one that failed.
    answer.inspect_err(|error| tracing::error!(error = error.message, "the invocation failed"))
}

/// Serves every connection, for ever.
async fn accept(listener: TcpListener, invocations: mpsc::Sender<Invocation>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, invocations.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection of the host could not be accepted");
                // Most likely too many open files: some end soon.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, invocations: mpsc::Sender<Invocation>) {
    let service = service_fn(move |request| {
        let invocations = invocations.clone();
        async move { Ok::<_, Infallible>(answer(request, invocations).await) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection of the host broke");
    }
}

/// Answers one request: the timer's invocation, or a webhook by where it was sent. Nothing else makes a tick.
async fn answer(request: hyper::Request<Incoming>, invocations: mpsc::Sender<Invocation>) -> Response<Full<Bytes>> {
    if request.method() != Method::POST {
        return reply(StatusCode::NOT_FOUND, &json!({}));
    }
    let (head, body) = request.into_parts();
    // One that comes in part is no invocation.
    let body = match Limited::new(body, LONGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            // Told by the status: it may be a stranger's, whom the host lets through.
            tracing::debug!(error, "an invocation could not be read");
            let long = error.is::<LengthLimitError>();
            return reply(if long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST }, &json!({}));
        }
    };
    let path = head.uri.path();
    if path != TIMER {
        let (method, headers) = (head.method.as_str().to_owned(), headers(&head.headers));
        let webhook = Request { method, path: path.to_owned(), headers, body: body.to_vec() };
        let status = ask(&invocations, |waiting| Invocation::Webhook(webhook, waiting)).await;
        return reply(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &json!({}));
    }
    // What triggered it says nothing that a tick needs.
    match ask(&invocations, Invocation::Timer).await {
        Some(Ok(value)) => reply(StatusCode::OK, &outcome(&value.to_string())),
        Some(Err(error)) => reply(StatusCode::INTERNAL_SERVER_ERROR, &outcome(&error.message)),
        None => reply(StatusCode::INTERNAL_SERVER_ERROR, &outcome("the scaler ends")),
    }
}

/// Hands an invocation over and waits for what comes of it; `None`: the process ends.
async fn ask<T>(
    invocations: &mpsc::Sender<Invocation>,
    invocation: impl FnOnce(oneshot::Sender<T>) -> Invocation,
) -> Option<T> {
    let (waiting, done) = oneshot::channel();
    invocations.send(invocation(waiting)).await.ok()?;
    done.await.ok()
}

/// What the host reads: no outputs, for there are no bindings but the trigger, and a line for the invocation's log.
fn outcome(line: &str) -> Value {
    json!({ "Outputs": {}, "Logs": [line], "ReturnValue": null })
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(body.to_string())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
