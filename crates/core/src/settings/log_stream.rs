//! Places in Azure's Log Analytics.

use std::fmt;

use super::BaseUrl;

/// What an address looks like, for messages.
pub(super) const LOG_STREAM_EXAMPLE: &str =
    "https://NAME.REGION.ingest.monitor.azure.com/dataCollectionRules/dcr-ID/streams/Custom-Lightsout_CL";

/// A stream of a data collection rule, which leads into a table of Log Analytics, by the address that takes its rows (Azure Monitor, "Logs
/// Ingestion API": endpoint, immutable id of the rule, name of the stream).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStream {
    url: BaseUrl,
}

impl LogStream {
    /// Reads an address; else what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = BaseUrl::parse(text)?;
        if !url.hides_tokens() {
            return Err(format!("\"{url}\" is no https: the machine's token would go there in clear"));
        }
        let parts: Vec<&str> = url.path().split('/').collect();
        let ["", "dataCollectionRules", rule, "streams", stream] = parts[..] else {
            return Err("expected an endpoint, /dataCollectionRules/, a rule, /streams/ and a stream".into());
        };
        let plain = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !rule.strip_prefix("dcr-").is_some_and(|id| plain(id, "-")) {
            return Err(format!("{rule:?} is no immutable id of a data collection rule, which begins with dcr-"));
        }
        if !stream.strip_prefix("Custom-").is_some_and(|table| plain(table, "_")) {
            return Err(format!("{stream:?} is no stream of a table of one's own, which is Custom- and its name"));
        }
        Ok(Self { url })
    }

    /// The host of its endpoint, in lower case.
    pub fn host(&self) -> &str {
        self.url.host()
    }
}

impl fmt::Display for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://ci-abcd.westeurope-1.ingest.monitor.azure.com/dataCollectionRules/dcr-0f1e2d/streams/Custom-Lightsout_CL";

    #[test]
    fn an_address_has_an_endpoint_a_rule_and_a_stream() {
        for text in [URL, &format!(" {URL}/ ")] {
            let stream = LogStream::parse(text).unwrap();
            let expected = ("ci-abcd.westeurope-1.ingest.monitor.azure.com", URL);
            assert_eq!((stream.host(), stream.to_string().as_str()), expected);
        }
    }

    #[test]
    fn without_tls_it_is_this_machine() {
        let (_, path) = URL.split_once(".com").unwrap();
        for here in ["http://127.0.0.1:8080", "http://[::1]:8080"] {
            LogStream::parse(&format!("{here}{path}")).expect(here);
        }
    }

    #[test]
    fn what_is_none_is_told_by_its_part() {
        for (from, to, part) in [
            ("https://", "", "begins with https://"),
            ("https://", "http://", "in clear"),
            ("https://ci-abcd", "http://127.0.0.1", "in clear"),
            ("_CL", "_CL?api-version=2023-01-01", "a query"),
            ("/streams/Custom-Lightsout_CL", "", "/streams/ and a stream"),
            ("/dataCollectionRules", "/subscriptions/x/dataCollectionRules", "/dataCollectionRules/"),
            ("dcr-0f1e2d", "my-rule", "\"my-rule\" is no immutable id"),
            ("dcr-0f1e2d", "dcr-", "\"dcr-\" is no immutable id"),
            ("dcr-0f1e2d", "dcr-%2e", "is no immutable id"),
            ("Custom-Lightsout_CL", "Lightsout_CL", "\"Lightsout_CL\" is no stream"),
            ("Custom-Lightsout_CL", "Microsoft-Syslog", "is no stream"),
        ] {
            let why = LogStream::parse(&URL.replace(from, to)).expect_err(to);
            assert!(why.contains(part), "{to}: {why}");
        }
    }
}
