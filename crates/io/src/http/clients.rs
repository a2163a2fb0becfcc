//! reqwest clients, each made when a URL first needs it.

use std::{
    error::Error,
    net::{IpAddr, Ipv6Addr},
    sync::{Once, OnceLock},
    time::Duration,
};

use lightsout_core::{duration::not_within, exchange::Unreachable};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, Url, redirect};

/// Where EC2's metadata service answers over IPv6 (EC2 user guide, "Access instance metadata").
const METADATA_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// How long a request may take and how large its reply may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the connection to come about.
    pub connect: Duration,
    /// For the whole request, the reply's body included.
    pub request: Duration,
    /// The longest body, in bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), request: Duration::from_secs(10), body: 8 << 20 }
    }
}

/// The clients for every kind of URL. None of them follows redirects.
#[derive(Debug)]
pub struct Clients {
    limits: Limits,
    user_agent: Option<String>,
    /// The variable that names a file of CAs which are trusted besides the system's.
    trusted: Option<&'static str>,
    plain: OnceLock<Client>,
    plain_near: OnceLock<Client>,
    tls: OnceLock<Client>,
    tls_near: OnceLock<Client>,
}

impl Clients {
    /// Makes no client yet.
    pub fn new(limits: Limits, user_agent: Option<String>) -> Self {
        Self {
            limits,
            user_agent,
            trusted: None,
            plain: OnceLock::new(),
            plain_near: OnceLock::new(),
            tls: OnceLock::new(),
            tls_near: OnceLock::new(),
        }
    }

    /// The same, and the CAs are trusted as well that are in the file which this variable names, if it is set.
    #[must_use]
    pub fn trusting_also(self, variable: &'static str) -> Self {
        Self { trusted: Some(variable), ..self }
    }

    /// The client for this URL. Only an `https` URL makes it load the system's certificates.
    pub fn for_url(&self, url: &Url) -> Result<&Client, Unreachable> {
        let tls = url.scheme() == "https";
        let near = is_near(url);
        let slot = match (tls, near) {
            (false, false) => &self.plain,
            (false, true) => &self.plain_near,
            (true, false) => &self.tls,
            (true, true) => &self.tls_near,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let mut builder = self.builder(tls, near);
        if tls {
            builder = builder.tls_certs_merge(self.trusted()?);
        }
        let client = builder.build().map_err(|error| {
            Unreachable::Connect(format!(
                "no HTTP client for {}: {}; are the system's CA certificates installed (package ca-certificates)?",
                url.origin().ascii_serialization(),
                root(&error)
            ))
        })?;
        Ok(slot.get_or_init(|| client))
    }

    /// This long, or as long as the limit allows.
    pub fn at_most(&self, timeout: Duration) -> Duration {
        timeout.min(self.limits.request)
    }

    /// Sends a request and waits for the head of its reply.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Unreachable> {
        request.send().await.map_err(|error| self.unreachable(error))
    }

    /// Reads a reply's body up to the cap: the limit, or less.
    pub async fn body(&self, mut response: Response, cap: Option<usize>) -> Result<Vec<u8>, Unreachable> {
        let cap = cap.map_or(self.limits.body, |cap| cap.min(self.limits.body));
        let announced = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if announced > cap {
            return Err(Unreachable::TooLarge(cap));
        }
        let mut body = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + chunk.len() > cap {
                return Err(Unreachable::TooLarge(cap));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The CAs that are trusted besides the system's.
    fn trusted(&self) -> Result<Vec<Certificate>, Unreachable> {
        let named = self.trusted.and_then(|name| Some((name, std::env::var_os(name).filter(|path| !path.is_empty())?)));
        let Some((name, path)) = named else { return Ok(Vec::new()) };
        let wrong = |why: String| {
            Unreachable::Connect(format!("{name} = {}: {why}; name a file of CA certificates in PEM", path.display()))
        };
        let text = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
        let found = Certificate::from_pem_bundle(&text).map_err(|error| wrong(root(&error)))?;
        if found.is_empty() { Err(wrong("there is no certificate in it".into())) } else { Ok(found) }
    }

    fn builder(&self, tls: bool, near: bool) -> ClientBuilder {
        install_crypto();
        let mut builder = Client::builder()
            .connect_timeout(self.limits.connect)
            .timeout(self.limits.request)
            .pool_max_idle_per_host(super::AT_ONCE)
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false);
        if let Some(user_agent) = &self.user_agent {
            builder = builder.user_agent(user_agent);
        }
        if !tls {
            builder = builder.tls_certs_only([]);
        }
        if near {
            builder = builder.no_proxy();
        }
        builder
    }

    fn unreachable(&self, error: reqwest::Error) -> Unreachable {
        let error = error.without_url();
        if error.is_connect() {
            let why = if error.is_timeout() {
                not_within("no connection", self.limits.connect, "does a firewall drop what is sent?")
            } else {
                root(&error)
            };
            // As rustls begins what it says of certificates.
            if let Some(why) = why.strip_prefix("invalid peer certificate: ") {
                return Unreachable::Untrusted(why.to_owned());
            }
            Unreachable::Connect(why)
        } else if error.is_timeout() {
            Unreachable::Timeout(self.limits.request)
        } else if error.is_builder() {
            Unreachable::Connect(root(&error))
        } else {
            Unreachable::Broken(root(&error))
        }
    }
}

/// Whether the URL's host is this machine or its link (instance metadata): no proxy can stand between.
fn is_near(url: &Url) -> bool {
    match url.host_str().unwrap_or_default() {
        "localhost" => true,
        host => match host.trim_matches(['[', ']']).parse() {
            Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
            Ok(IpAddr::V6(address)) => {
                // EC2's metadata service has a unique local address where IPv4's is link-local.
                address.is_loopback() || address.is_unicast_link_local() || address == METADATA_IPV6
            }
            Err(_) => false,
        },
    }
}

fn install_crypto() {
    static ONCE: Once = Once::new();
    // It fails only when another provider is installed already, and then that one serves.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// The innermost cause: the layers around it only say that they failed.
pub fn root(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}
