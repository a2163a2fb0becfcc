//! The Docker engine as one machine sees it. All machines of the fleet share one engine; each gets a socket of its
//! own, behind which only its own containers are listed and heard of, and nothing can be changed but that they are killed.

use std::{convert::Infallible, io, path::PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper::{Method, Request, Response, StatusCode, Uri, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};

/// A machine's view of the engine.
#[derive(Clone, Debug)]
pub(super) struct EngineProxy {
    /// The engine's own socket.
    pub engine: PathBuf,
    /// What the machine's containers carry, as `label=value`.
    pub label: String,
}

type Body = Either<Incoming, Full<Bytes>>;

/// The socket of this machine's engine: where `DOCKER_HOST` says, else the usual place.
pub(super) fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").ok();
    let path = host.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
    path.into()
}

impl EngineProxy {
    /// Answers at the socket for as long as it is polled.
    pub(super) async fn serve(self, socket: UnixListener) -> io::Result<Infallible> {
        loop {
            let (stream, _) = socket.accept().await?;
            let proxy = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| proxy.answer(request));
                // Whoever hangs up in the middle has its reasons.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let refuse = |status: StatusCode, why: String| {
            let mut reply = Response::new(Either::Right(Full::from(json!({ "message": why }).to_string())));
            *reply.status_mut() = status;
            reply
        };
        let may = match killed(request.method(), request.uri().path()) {
            Some(id) => self.owns(id).await,
            None => Ok([Method::GET, Method::HEAD].contains(request.method())),
        };
        let answered = match may {
            Ok(true) => self.forward(request.method(), request.uri()).await,
            Ok(false) => {
                let why = "a machine may only read, and kill what it runs itself";
                return Ok(refuse(StatusCode::FORBIDDEN, why.to_owned()));
            }
            Err(error) => Err(error),
        };
        match answered {
            Ok(reply) => Ok(reply.map(Either::Left)),
            Err(error) => Ok(refuse(StatusCode::BAD_GATEWAY, format!("{error:#}"))),
        }
    }

    /// Whether this container, running or not, is one of the machine's.
    async fn owns(&self, id: &str) -> Result<bool> {
        let filters = json!({ "id": [id] }).to_string();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("all", "true")
            .append_pair("filters", &filters)
            .finish();
        let reply = self.forward(&Method::GET, &format!("/containers/json?{query}").parse()?).await?;
        let found: Vec<Value> = serde_json::from_slice(&reply.into_body().collect().await?.to_bytes())?;
        Ok(!found.is_empty())
    }

    async fn forward(&self, method: &Method, target: &Uri) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.engine).await.context("no Docker engine answers")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let target = self.filtered(target.path(), target.query().unwrap_or_default());
        let forwarded =
            Request::builder().method(method).uri(target).header("host", "docker").body(Empty::<Bytes>::new())?;
        Ok(sender.send_request(forwarded).await?)
    }

    /// The path and query of a question, which is about this machine's containers only where it is about containers at all.
    fn filtered(&self, path: &str, query: &str) -> String {
        if !path.ends_with("/containers/json") && !path.ends_with("/events") {
            return format!("{path}?{query}");
        }
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let given = pairs.iter().find(|(key, _)| key == "filters");
        let mut filters: Value =
            given.and_then(|(_, text)| serde_json::from_str(text).ok()).unwrap_or_else(|| json!({}));
        if let Value::Array(labels) = &mut filters["label"] {
            labels.push(self.label.clone().into());
        } else {
            filters["label"] = json!([self.label]);
        }
        let others =
            pairs.iter().filter(|(key, _)| key != "filters").map(|(key, value)| (key.as_str(), value.as_str()));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("filters", &filters.to_string())
            .finish();
        format!("{path}?{query}")
    }
}

/// The container that is to be killed.
fn killed<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let (_, rest) = path.split_once("/containers/").filter(|_| method == Method::POST)?;
    rest.strip_suffix("/kill").filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_changed_but_that_a_container_is_killed() {
        assert_eq!(killed(&Method::POST, "/v1.41/containers/a1b2/kill"), Some("a1b2"));
        assert_eq!(killed(&Method::POST, "/containers/a1b2/kill"), Some("a1b2"));
        for other in ["/containers/a1b2/stop", "/containers//kill", "/containers/a/../b/kill", "/containers/kill"] {
            assert_eq!(killed(&Method::POST, other), None, "{other}");
        }
        assert_eq!(killed(&Method::GET, "/containers/a1b2/kill"), None);
    }

    fn filtered(path: &str, query: &str) -> (String, Value) {
        let proxy = EngineProxy { engine: "/nowhere".into(), label: "lightsout.machine=f/i-1".into() };
        let target = proxy.filtered(path, query);
        let (_, query) = target.split_once('?').unwrap();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let filters = pairs
            .iter()
            .find(|(key, _)| key == "filters")
            .map_or(Value::Null, |(_, text)| serde_json::from_str(text).unwrap());
        (query.to_owned(), filters)
    }

    #[test]
    fn only_the_machines_own_containers_are_asked_for() {
        let own = "lightsout.machine=f/i-1";
        let (query, filters) = filtered(
            "/v1.47/containers/json",
            "all=true&filters=%7B%22label%22%3A%5B%22a%22%5D%2C%22status%22%3A%5B%22running%22%5D%7D",
        );
        assert!(query.contains("all=true"), "{query}");
        assert_eq!(filters, json!({ "label": ["a", own], "status": ["running"] }));
        assert_eq!(filtered("/events", "").1, json!({ "label": [own] }));
        assert_eq!(filtered("/v1.47/containers/json", "filters=%7B%7D").1, json!({ "label": [own] }));
        assert_eq!(filtered("/version", "a=b"), ("a=b".to_owned(), Value::Null));
    }
}
