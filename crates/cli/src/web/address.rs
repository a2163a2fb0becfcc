//! Addresses on a command line.

use std::net::{IpAddr, SocketAddr};

/// An address of this machine on a command line: an IP address, with a port or without one; 0, or none, takes a free one.
///
/// # Errors
///
/// When it is none, with what to write.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    text.parse().or_else(|_| alone()).map_err(|_| {
        "not an address of this machine: write 127.0.0.1:8080, 0.0.0.0, [::1]:8080, or leave it out for a free port of loopback"
            .to_owned()
    })
}

/// Loopback, with a port that the kernel gives.
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_port_and_nothing_else() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0", "0.0.0.0:0"),
            ("::1", "[::1]:0"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(address(text).map(|at| at.to_string()).as_deref(), Ok(expected));
        }
        for text in ["", "8080", "localhost", "127.0.0.1:http", "127.0.0.1:70000"] {
            assert!(address(text).is_err_and(|why| why.contains("127.0.0.1:8080")), "{text}");
        }
    }
}
