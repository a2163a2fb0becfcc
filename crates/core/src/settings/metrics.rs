//! Where a program shows its metrics; the same for agent and scaler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Key, Side, reader::Section};

/// The keys below `[metrics]`.
pub const METRICS_KEYS: &[Key] = &[
    Key::optional(
        "listen",
        Side::Both,
        "`host:port`, or a port of loopback",
        "none",
        "where Prometheus finds `/metrics`; as `--metrics`, which goes before it",
    ),
    Key::optional(
        "emf",
        Side::Both,
        "true, false",
        "`false`",
        "whether lines in CloudWatch's embedded metric format go to standard output; as `--emf`",
    ),
];

/// How metrics are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Where Prometheus finds them; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether CloudWatch's lines are written.
    pub emf: bool,
}

impl MetricsSettings {
    /// An address with its port, or a port alone, which is loopback's: what is not asked for is not shown to the network.
    pub fn address(text: &str) -> Option<SocketAddr> {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        text.parse().ok().or_else(|| text.parse().ok().map(loopback))
    }

    pub(super) fn read(s: Section<'_>) -> Self {
        let text = s.text("listen");
        let listen = text.as_deref().and_then(Self::address);
        if text.is_some() && listen.is_none() {
            s.contradiction(
                "listen",
                "expected an address with its port, or a port",
                "write for example listen = \"127.0.0.1:9464\"",
            );
        }
        let settings = Self { listen, emf: s.flag("emf").unwrap_or(false) };
        s.finish();
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_loopbacks() {
        for (text, expected) in [
            ("9464", Some("127.0.0.1:9464")),
            ("0.0.0.0:9464", Some("0.0.0.0:9464")),
            ("[::1]:0", Some("[::1]:0")),
            ("localhost:9464", None),
            ("99999", None),
            ("", None),
        ] {
            assert_eq!(
                MetricsSettings::address(text).map(|address| address.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
