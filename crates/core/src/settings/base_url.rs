//! The address of a platform, checked once.

use std::{fmt, net::IpAddr};

use http::Uri;

/// The address of a platform: scheme, host, perhaps a port and a path; no slash at its end, no user name, query or
/// fragment. Paths can be put behind it, and a token may go wherever [`Self::leads_to`] says.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    origin: Origin,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    tls: bool,
    /// In lower case.
    host: String,
    port: u16,
}

impl BaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
            return Err("expected an address that begins with https:// or http://");
        };
        if rest.contains('@') {
            return Err("the address holds a user name or a password");
        }
        if rest.contains(['?', '#', '"', '\\']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("the address holds a query, a fragment, a quote or a space");
        }
        let text = text.trim_end_matches('/');
        let origin = origin(text).ok_or("the address names no host, or a port that is none")?;
        Ok(Self { text: text.to_owned(), origin })
    }

    /// The address as it was written, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host in lower case, without the port.
    pub fn host(&self) -> &str {
        &self.origin.host
    }

    /// What follows the host and port: empty, or begins with a slash.
    pub fn path(&self) -> &str {
        let (_, rest) = self.text.split_once("://").unwrap_or_default();
        rest.find('/').map_or("", |at| &rest[at..])
    }

    /// Whether requests are encrypted.
    pub fn is_tls(&self) -> bool {
        self.origin.tls
    }

    /// Whether nobody on the way can read a token that goes there: with TLS, or by an address of this machine's loopback.
    pub fn hides_tokens(&self) -> bool {
        let address = self.host().trim_start_matches('[').trim_end_matches(']');
        self.is_tls() || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether another absolute address has the same scheme, host and port.
    pub fn leads_to(&self, url: &str) -> bool {
        origin(url).is_some_and(|origin| origin == self.origin)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// `None` for anything but plain `http` and `https` without a user name.
fn origin(url: &str) -> Option<Origin> {
    let uri: Uri = url.parse().ok()?;
    let (tls, default_port) = match uri.scheme_str()? {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host();
    // Neither a user name before the host nor anything but a port after it.
    let port = match authority.as_str().strip_prefix(host)? {
        "" => default_port,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    (!host.is_empty()).then(|| Origin { tls, host: host.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read() {
        for (text, host, path, tls) in [
            ("https://ci.example.com", "ci.example.com", "", true),
            (" https://CI.example.com:8443// ", "ci.example.com", "", true),
            ("http://127.0.0.1:8080/a/b/", "127.0.0.1", "/a/b", false),
            ("http://[::1]:8080", "[::1]", "", false),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.path(), url.is_tls()), (host, path, tls), "{text}");
            assert_eq!(url.to_string(), text.trim().trim_end_matches('/'));
        }
    }

    #[test]
    fn tokens_are_hidden_by_tls_or_stay_on_the_machine() {
        for (text, hidden) in [
            ("https://ci.example.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]/a", true),
            ("http://ci.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
            // A name is whatever somebody resolves it to.
            ("http://localhost", false),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().hides_tokens(), hidden, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, part) in [
            ("", "begins with https://"),
            ("ci.example.com", "begins with https://"),
            ("ftp://ci.example.com", "begins with https://"),
            ("https://me:hunter2@ci.example.com", "holds a user name"),
            ("https://ci.example.com/?a", "a query, a fragment"),
            ("https://ci.example.com#a", "a query, a fragment"),
            ("https://ci.example.com/a b", "a space"),
            ("https://ci.example.com/\"", "a quote"),
            ("https://", "names no host"),
            ("https:///a", "names no host"),
            ("https://:80", "names no host"),
            ("https://a:x", "a port"),
            ("https://a:65536", "a port"),
        ] {
            let why = BaseUrl::parse(text).expect_err(text);
            assert!(why.contains(part) && !why.contains("hunter2"), "{text}: {why}");
        }
    }

    #[test]
    fn origins_are_compared_as_a_browser_does() {
        let leads = |base: &str, url: &str| BaseUrl::parse(base).unwrap().leads_to(url);
        assert!(leads("http://a:80/x", "HTTP://A?y"));
        assert!(leads("http://[::1]:8080/", "http://[::1]:8080"));
        assert!(leads("https://[::1]/", "https://[::1]:443"));
        for url in [
            "ftp://a/",
            "https://a.b",
            "https://a:x",
            "https://a:444",
            "http://a",
            "a",
            "/a",
            "//a/",
            "https://a@b/",
            "https://b@a/",
            "https://b\\@a/",
        ] {
            assert!(!leads("https://a", url), "{url}");
        }
    }
}
