//! Which redirects are followed: those that stay with the same host.

use lightsout_core::exchange::{Method, Reply};
use reqwest::Url;

/// Where a reply redirects to, when it may be followed with the same headers and body. Any other redirect is the answer.
pub(super) fn target(method: Method, from: &Url, reply: &Reply) -> Option<Url> {
    let repeatable = match reply.status {
        307 | 308 => true,
        301 | 302 => method == Method::Get,
        _ => false,
    };
    if !repeatable {
        return None;
    }
    let to = from.join(reply.header("location")?).ok()?;
    same_host(from, &to).then_some(to)
}

/// The same scheme, host and port; or the same host from `http` to `https`.
fn same_host(from: &Url, to: &Url) -> bool {
    from.origin() == to.origin() || (from.host() == to.host() && from.scheme() == "http" && to.scheme() == "https")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn follow(method: Method, status: u16, from: &str, location: &str) -> Option<String> {
        let headers = BTreeMap::from([("location".to_owned(), location.to_owned())]);
        let reply = Reply { status, headers, body: Vec::new() };
        target(method, &Url::parse(from).unwrap(), &reply).map(Into::into)
    }

    #[test]
    fn stays_with_the_same_host() {
        let from = "https://ci.example/api?page=1";
        assert_eq!(follow(Method::Get, 302, from, "/v2/api").unwrap(), "https://ci.example/v2/api");
        assert_eq!(follow(Method::Get, 301, from, "https://ci.example/x").unwrap(), "https://ci.example/x");
        assert_eq!(follow(Method::Get, 302, from, "https://evil.example/x"), None);
        assert_eq!(follow(Method::Get, 302, from, "https://ci.example:8443/x"), None, "another port is another server");
        assert_eq!(follow(Method::Get, 302, from, "//evil.example/x"), None);
        assert_eq!(follow(Method::Get, 302, from, "https://ci.example@evil.example/"), None);
    }

    #[test]
    fn upgrades_to_tls_and_never_back() {
        assert!(follow(Method::Get, 301, "http://ci.example/a", "https://ci.example/a").is_some());
        assert!(follow(Method::Get, 301, "https://ci.example/a", "http://ci.example/a").is_none());
    }

    #[test]
    fn a_change_is_repeated_only_where_the_status_says_so() {
        let post = |status| follow(Method::Post, status, "https://ci.example/a", "/b").is_some();
        assert!(post(307) && post(308));
        assert!(!post(301) && !post(302) && !post(303));
    }
}
