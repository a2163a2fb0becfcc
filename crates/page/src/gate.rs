//! Who may read the page, and where it is for them.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::{IpAddr, SocketAddr},
};

use sha2::{Digest, Sha256};

/// Who may read: on loopback whoever is on this machine, elsewhere whoever knows the token in the address.
#[derive(Clone, Debug)]
pub struct Gate {
    token: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Page,
    /// What happens from now on.
    Events,
    /// The page, without the slash at the end on which its links rest.
    Slash,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The token is wrong or missing.
    Token,
    /// Asked under a name that is not this machine's loopback: a page of somebody else, whose name now leads here.
    Host,
    /// There is nothing.
    Nothing,
}

impl Gate {
    /// Of an address that is listened at: on loopback without a token, elsewhere with a new one.
    ///
    /// # Errors
    /// When no token can be drawn.
    pub fn new(at: SocketAddr) -> io::Result<Self> {
        if at.ip().is_loopback() { Ok(Self { token: None }) } else { Self::with_token() }
    }

    /// With a token wherever it is: on loopback as well, where a proxy may pass on what others ask.
    ///
    /// # Errors
    /// When no token can be drawn.
    pub fn with_token() -> io::Result<Self> {
        Ok(Self { token: Some(random()?) })
    }

    /// The address to open.
    pub fn link(&self, at: SocketAddr) -> String {
        // Where all addresses are listened at, its name leads others here.
        let named = at.ip().is_unspecified().then(|| fs::read_to_string("/proc/sys/kernel/hostname").ok()).flatten();
        let host = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let place = host.map_or_else(|| at.to_string(), |host| format!("{host}:{}", at.port()));
        self.token.as_ref().map_or_else(|| format!("http://{place}/"), |token| format!("http://{place}/{token}/"))
    }

    /// What this path is, for somebody who asks under this name.
    pub(crate) fn route(&self, path: &str, host: Option<&str>) -> Result<Route, Refusal> {
        let rest = match &self.token {
            None if !host.is_some_and(is_loopback) => return Err(Refusal::Host),
            None => path,
            Some(token) => {
                let (given, rest) = path
                    .strip_prefix('/')
                    .and_then(|path| {
                        let end = path.find('/').unwrap_or(path.len());
                        path.split_at_checked(end)
                    })
                    .unwrap_or_default();
                // Digests, so that the time of the comparison tells nothing of the token.
                if Sha256::digest(given) != Sha256::digest(token) {
                    return Err(Refusal::Token);
                }
                rest
            }
        };
        match rest {
            "/" => Ok(Route::Page),
            "/events" => Ok(Route::Events),
            "" => Ok(Route::Slash),
            _ => Err(Refusal::Nothing),
        }
    }
}

/// Whether a `Host` names loopback, whatever the port: a tunnel has another one.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// 128 bits that nobody can guess.
fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_of_loopback_lead_to_the_page() {
        let at = "127.0.0.1:80".parse().unwrap();
        let gate = Gate::new(at).unwrap();
        assert_eq!(gate.link(at), "http://127.0.0.1:80/");
        for host in ["127.0.0.1:80", "localhost:8080", "LOCALHOST", "[::1]:80"] {
            assert_eq!(gate.route("/", Some(host)), Ok(Route::Page), "{host}");
        }
        for host in [None, Some("evil.example:80"), Some("localhost.evil.example"), Some("10.0.0.1"), Some("[")] {
            assert_eq!(gate.route("/", host), Err(Refusal::Host), "{host:?}");
        }
        let named = Some("localhost");
        assert_eq!(gate.route("/events", named), Ok(Route::Events));
        assert_eq!(gate.route("/etc/passwd", named), Err(Refusal::Nothing));
    }

    #[test]
    fn elsewhere_the_token_leads_to_the_page_and_nothing_else_does() {
        let at = "10.0.0.1:80".parse().unwrap();
        let gate = Gate::new(at).unwrap();
        let link = gate.link(at);
        let path = link.strip_prefix("http://10.0.0.1:80").unwrap();
        assert_eq!(path.len(), 34, "{link}");
        for host in [None, Some("anything")] {
            assert_eq!(gate.route(path, host), Ok(Route::Page));
            assert_eq!(gate.route(&format!("{path}events"), host), Ok(Route::Events));
            assert_eq!(gate.route(path.trim_end_matches('/'), host), Ok(Route::Slash));
            assert_eq!(gate.route(&format!("{path}more"), host), Err(Refusal::Nothing));
        }
        let other = Gate::new(at).unwrap().link(at);
        let other = other.strip_prefix("http://10.0.0.1:80").unwrap();
        for wrong in ["", "/", "//", "/events", &path[..32], other, &path[1..], &format!("/{path}")] {
            assert_eq!(gate.route(wrong, Some("localhost")), Err(Refusal::Token), "{wrong}");
        }
        let proxied = Gate::with_token().unwrap();
        assert_eq!(
            proxied.route("/", Some("localhost")),
            Err(Refusal::Token),
            "a proxy may have asked under that name"
        );
    }
}
