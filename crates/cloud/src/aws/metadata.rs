//! The instance metadata service, version 2 (EC2 user guide, "Use the Instance Metadata Service"), over plain HTTP:
//! small, never through a proxy, and exact about what each status means.

use std::{
    env,
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use lightsout_core::duration::not_within;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, Response, StatusCode, Uri, body::Incoming, header::HeaderMap};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use lightsout_io::http::root;

use super::http;

/// Where the service answers on EC2.
pub(super) const ENDPOINT: &str = "http://169.254.169.254";
/// The same over IPv6.
const ENDPOINT_IPV6: &str = "http://[fd00:ec2::254]";
/// The variable that chooses between the two, as the SDKs know it.
const MODE_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
/// The variable that names another endpoint, as the SDKs know it.
pub(super) const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

const TIMEOUT: Duration = Duration::from_secs(1);
const BODY_CAP: usize = 64 << 10;
const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// The longest life that a token may have, in seconds.
const TTL: u64 = 21_600;

/// Why an item could not be read. None of these says anything about the item: keep what was known before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ImdsError {
    /// 401 also with a new token.
    #[error("the metadata service refuses its own new token (401): is something between the instance and it?")]
    Unauthorized,
    /// 403: the request is not allowed, or the service is switched off.
    #[error("the metadata service refuses the request (403): is it enabled (HttpEndpoint) for this instance?")]
    Forbidden,
    /// 429 or 503: too many requests.
    #[error("the metadata service throttles the instance's requests; it passes by itself")]
    Throttled,
    /// Nothing came in time.
    #[error("{}", not_within("the metadata service did not answer", *.0, "in a container it needs a hop limit of 2"))]
    Timeout(Duration),
    /// No connection, or it broke.
    #[error("the metadata service cannot be reached: {0}")]
    Connect(String),
    /// Any other status.
    #[error("the metadata service answered with the status {0}")]
    Status(u16),
    /// A body that is longer than any item.
    #[error("the metadata service sent more than {0} bytes")]
    TooLarge(usize),
    /// A body that is no text, or a token that cannot stand in a header.
    #[error("the metadata service sent something that is not text")]
    NotText,
    /// The endpoint is not a plain `http` address.
    #[error("{ENDPOINT_VARIABLE}={0} is not a URL such as {ENDPOINT}")]
    Endpoint(String),
    /// Neither of the two families.
    #[error("{MODE_VARIABLE}={0}: expected IPv4 or IPv6")]
    Mode(String),
}

/// Where the service may answer, by what the variables say; the endpoint goes before the mode, as in the SDKs. Without either it is at both
/// addresses, or at one: on a subnet of IPv6 alone nothing leads to the other.
fn endpoints(endpoint: Option<String>, mode: Option<String>) -> Result<Vec<String>, ImdsError> {
    match (endpoint, mode) {
        (Some(endpoint), _) => Ok(vec![endpoint]),
        (None, None) => Ok(vec![ENDPOINT.into(), ENDPOINT_IPV6.into()]),
        (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv4") => Ok(vec![ENDPOINT.into()]),
        (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => Ok(vec![ENDPOINT_IPV6.into()]),
        (None, Some(mode)) => Err(ImdsError::Mode(mode)),
    }
}

/// A client that holds one token, renews it in time, and asks once: what to do after an error is the caller's to decide.
#[derive(Debug)]
pub(super) struct Imds {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// Where it may answer.
    endpoints: Vec<String>,
    /// Which of them has given a token: from then on no other one is asked.
    found: OnceLock<usize>,
    timeout: Duration,
    token: Mutex<Option<Token>>,
    /// By how many milliseconds this machine's clock was ahead of the service's, at the last answer.
    ahead_ms: AtomicI64,
}

/// The status, headers and text of an answer.
type MetadataReply = (StatusCode, HeaderMap, Result<String, ImdsError>);

/// A session token. Its `Debug` form does not show it.
#[derive(Clone)]
struct Token {
    text: String,
    renew_at: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

impl Imds {
    /// The service at [`ENDPOINT_VARIABLE`], else where [`MODE_VARIABLE`] says.
    ///
    /// # Errors
    /// [`ImdsError::Endpoint`] or [`ImdsError::Mode`] when a variable holds something else than it may.
    pub(super) fn from_env() -> Result<Self, ImdsError> {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self::at(&endpoints(variable(ENDPOINT_VARIABLE), variable(MODE_VARIABLE))?)
    }

    /// The service at this URL.
    ///
    /// # Errors
    /// [`ImdsError::Endpoint`] when it is not a plain `http` URL.
    #[cfg(test)]
    pub(super) fn new(endpoint: &str) -> Result<Self, ImdsError> {
        Self::at(&[endpoint.to_owned()])
    }

    /// The service at the first of these URLs, unless that cannot be reached while another one gives a token.
    ///
    /// # Errors
    /// [`ImdsError::Endpoint`] when one is not a plain `http` URL.
    fn at(endpoints: &[String]) -> Result<Self, ImdsError> {
        let endpoints: Vec<_> = endpoints.iter().map(|endpoint| endpoint.trim_end_matches('/').to_owned()).collect();
        let plain = |endpoint: &String| {
            endpoint.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
        };
        if let Some(endpoint) = endpoints.iter().find(|endpoint| !plain(endpoint)) {
            return Err(ImdsError::Endpoint(endpoint.clone()));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(70))
            .pool_max_idle_per_host(1)
            .http1_max_buf_size(16 << 10)
            .build(connector);
        Ok(Self {
            client,
            endpoints,
            found: OnceLock::new(),
            timeout: TIMEOUT,
            token: Mutex::new(None),
            ahead_ms: AtomicI64::new(0),
        })
    }

    /// Allows each request this long instead of 1 s.
    #[cfg(test)]
    pub(super) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// By how much this machine's clock was ahead of the cloud's at the last answer; within a second or two it may be the network.
    pub(super) fn clock_ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Reads one item, such as `/latest/meta-data/instance-id`. `None`: the service says that it is absent (404).
    ///
    /// # Errors
    /// Any other answer, or none; see [`ImdsError`].
    pub(super) async fn get(&self, path: &str) -> Result<Option<String>, ImdsError> {
        let token = self.token(None).await?;
        match self.read(path, &token).await {
            Err(ImdsError::Unauthorized) => {
                let token = self.token(Some(&token)).await?;
                self.read(path, &token).await
            }
            result => result,
        }
    }

    /// Whether items are told to those only who show a token. Any other answer than a refusal means that they are told to everybody.
    ///
    /// # Errors
    /// [`ImdsError`] when there is no answer.
    pub(super) async fn requires_tokens(&self) -> Result<bool, ImdsError> {
        // A header that says nothing: an empty token would be one that is wrong.
        let (status, ..) = self.exchange(Method::GET, "/latest/meta-data/", ("accept", "text/plain")).await?;
        match status {
            StatusCode::UNAUTHORIZED => Ok(true),
            StatusCode::OK => Ok(false),
            status => Err(error(status)),
        }
    }

    /// The current token, or a new one when it is `refused` or near its end. Concurrent callers share one request.
    async fn token(&self, refused: Option<&str>) -> Result<String, ImdsError> {
        let mut held = self.token.lock().await;
        if let Some(token) = &*held
            && Some(token.text.as_str()) != refused
            && Instant::now() < token.renew_at
        {
            return Ok(token.text.clone());
        }
        *held = None;
        let asked_at = Instant::now();
        let (status, headers, text) = self.session().await?;
        if status != StatusCode::OK {
            return Err(error(status));
        }
        let text = text?;
        let token = Token { renew_at: asked_at + renew_after(&headers), text };
        Ok(held.insert(token).text.clone())
    }

    /// Asks for a token where the service is. Until one was given, it is asked for elsewhere, too, where the first address cannot be reached; where it is
    /// given, the service stays. Any other answer from elsewhere may be of a service that is switched off there, or of somebody else, and says nothing.
    async fn session(&self) -> Result<MetadataReply, ImdsError> {
        let ask = async |at: usize| {
            let header = (TTL_HEADER, &*TTL.to_string());
            let answer = self.exchange_at(&self.endpoints[at], Method::PUT, TOKEN_PATH, header).await;
            if matches!(answer, Ok((StatusCode::OK, ..))) {
                let _ = self.found.set(at);
            }
            answer
        };
        let known = self.found.get().copied();
        let first = ask(known.unwrap_or(0)).await;
        if known.is_some() || !matches!(first, Err(ImdsError::Connect(_) | ImdsError::Timeout(_))) {
            return first;
        }
        for other in 1..self.endpoints.len() {
            let answer = ask(other).await;
            if self.found.get().is_some() {
                let (at, not_at) = (&self.endpoints[other], &self.endpoints[0]);
                tracing::info!(at, "the metadata service answers here, and not at {not_at}");
                http::metadata_is_over_ipv6(at == ENDPOINT_IPV6);
                return answer;
            }
        }
        first
    }

    async fn read(&self, path: &str, token: &str) -> Result<Option<String>, ImdsError> {
        let (status, _, text) = self.exchange(Method::GET, path, (TOKEN_HEADER, token)).await?;
        match status {
            StatusCode::OK => text.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(error(status)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        header: (&'static str, &str),
    ) -> Result<MetadataReply, ImdsError> {
        self.exchange_at(&self.endpoints[self.found.get().copied().unwrap_or(0)], method, path, header).await
    }

    async fn exchange_at(
        &self,
        endpoint: &str,
        method: Method,
        path: &str,
        header: (&'static str, &str),
    ) -> Result<MetadataReply, ImdsError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{endpoint}/{}", path.trim_start_matches('/')))
            .header(header.0, header.1)
            .body(Empty::new())
            .map_err(|_| ImdsError::NotText)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| broken(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            if let Some(date) = date(&headers) {
                let ahead = Timestamp::now().duration_since(date).as_millis();
                self.ahead_ms.store(i64::try_from(ahead).unwrap_or(0), Ordering::Relaxed);
            }
            Ok((status, headers, text(response).await?))
        };
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| ImdsError::Timeout(self.timeout))?
    }
}

/// The body. That it is no text matters only where it is used, so that is a result of its own.
async fn text(response: Response<Incoming>) -> Result<Result<String, ImdsError>, ImdsError> {
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Some(chunk) = frame.data_ref() {
            if body.len() + chunk.len() > BODY_CAP {
                return Err(ImdsError::TooLarge(BODY_CAP));
            }
            body.extend_from_slice(chunk);
        }
    }
    Ok(String::from_utf8(body).map_err(|_| ImdsError::NotText))
}

/// The time at which an answer was sent, by the sender's clock, to the second (RFC 9110, "Date").
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(hyper::header::DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

/// When to renew a token: one minute, or for a short-lived one a tenth of its life, before its end.
fn renew_after(headers: &HeaderMap) -> Duration {
    let granted = headers.get(TTL_HEADER).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(TTL).min(TTL);
    let life = Duration::from_secs(granted);
    life.saturating_sub((life / 10).min(Duration::from_secs(60)))
}

fn error(status: StatusCode) -> ImdsError {
    match status {
        StatusCode::UNAUTHORIZED => ImdsError::Unauthorized,
        StatusCode::FORBIDDEN => ImdsError::Forbidden,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => ImdsError::Throttled,
        status => ImdsError::Status(status.as_u16()),
    }
}

fn broken(error: &dyn std::error::Error) -> ImdsError {
    ImdsError::Connect(root(error))
}

#[cfg(test)]
mod tests;
