//! Records in a table of Log Analytics (Azure Monitor, "Logs Ingestion API"): one call each, which answers when the row is taken. An agent of
//! Azure's own that follows the log would lose the last ones, with the machine.

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    duration::not_within,
    exchange::{Method, Request, Text},
    settings::{LogStream, RecordsSettings},
};

use super::{
    client::Azure,
    error::{self, WRITE_RECORDS},
};
use crate::{Archive, CloudFuture, archive::Entry};

/// The version of the API that is spoken.
const VERSION: &str = "2023-01-01";
/// For what tokens are asked where the endpoint's address does not say it.
const AUDIENCE: &str = "https://monitor.azure.com";

/// How long a record may take as a whole. An ending waits for less.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wish to be left alone that is heeded by waiting: with a longer one the record is given up at once.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// The place that the settings name.
pub(super) fn open(settings: &RecordsSettings) -> Vec<Box<dyn Archive>> {
    let stream = settings.log_analytics.clone().into_iter();
    stream.map(|stream| Box::new(LogAnalytics { azure: Azure::default(), stream }) as Box<dyn Archive>).collect()
}

/// A stream of a data collection rule.
#[derive(Debug)]
struct LogAnalytics {
    azure: Azure,
    stream: LogStream,
}

impl Archive for LogAnalytics {
    fn key(&self) -> &'static str {
        "log_analytics"
    }

    fn place(&self) -> String {
        format!("records.log_analytics = \"{}\"", self.stream)
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn put<'a>(&'a self, entry: &'a Entry) -> CloudFuture<'a, ()> {
        Box::pin(async move {
            let taken = tokio::time::timeout(TIMEOUT, self.upload(entry)).await;
            // Records are rare: nothing is held for the next one.
            self.azure.forget();
            taken.unwrap_or_else(|_| {
                let remedy = "check the way there: a proxy, or a private endpoint";
                let why = format!("{WRITE_RECORDS}: {}", not_within("no answer", TIMEOUT, remedy));
                Err(CloudError::new(CloudErrorKind::Timeout, why))
            })
        })
    }
}

impl LogAnalytics {
    /// What is throttled was not taken, nor what finds a service away that says when it is back: both are sent once more.
    async fn upload(&self, entry: &Entry) -> Result<(), CloudError> {
        let audience = audience(self.stream.host());
        let mut request = Request::new(Method::Post, format!("{}?api-version={VERSION}", self.stream))
            .header("content-type", "application/json");
        request.body = Some(Text::Plain(row(entry)));
        let mut reply = self.azure.authorized(&audience, WRITE_RECORDS, &request).await?;
        let away = || error::wish(&reply).filter(|_| reply.status == 503);
        if let Some(rest) = error::rest(&reply).or_else(away).filter(|rest| *rest <= LONGEST_REST) {
            tokio::time::sleep(rest).await;
            reply = self.azure.authorized(&audience, WRITE_RECORDS, &request).await?;
        }
        if (200..300).contains(&reply.status) {
            return Ok(());
        }
        let mut error = error::of_reply(WRITE_RECORDS, &reply);
        if matches!(reply.status, 400 | 404) {
            error.message.push_str("; compare it with the rule's immutable id and its streams");
        }
        Err(error)
    }
}

/// The rows of one call, of which there is one. The record is an object already.
fn row(Entry { instance, unix_ms, json, .. }: &Entry) -> String {
    let at = Timestamp::from_millisecond(*unix_ms).unwrap_or_default();
    let instance = serde_json::Value::from(instance.as_str());
    format!(r#"[{{"TimeGenerated":"{at:.3}","Instance":{instance},"Record":{json}}}]"#)
}

/// For what a token must be that this endpoint accepts: each of Azure's clouds has an address of its own, such as `monitor.azure.us`.
fn audience(host: &str) -> String {
    let cloud = host.split_once(".ingest.").map(|(_, cloud)| cloud).filter(|cloud| cloud.starts_with("monitor."));
    cloud.map_or_else(|| AUDIENCE.into(), |cloud| format!("https://{cloud}"))
}

#[cfg(test)]
mod tests {
    use lightsout_core::settings::{AgentSettings, Fragment};
    use lightsout_io::testing::{Answer, ReceivedRequest, Server, nowhere};
    use serde_json::{Value, json};

    use super::*;
    use crate::azure::tests::{at, granted, refused};

    const PATH: &str = "/dataCollectionRules/dcr-0f1e/streams/Custom-Lightsout_CL";

    fn entry() -> Entry {
        Entry {
            instance: "ci_1".into(),
            name: "2026-11-26T03-00-00.250Z-decrement".into(),
            unix_ms: 1_795_662_000_250,
            json: r#"{"schema":1,"kind":"departure"}"#.into(),
        }
    }

    fn archive(url: &str) -> LogAnalytics {
        let text = format!("[records]\nlog_analytics = '{url}{PATH}'\n[platform.command]\nrun = ['worker']\n");
        let settings = AgentSettings::parse(&[Fragment::new("a.toml", text)]).unwrap();
        LogAnalytics { azure: at(url), stream: settings.records.log_analytics.unwrap() }
    }

    /// An endpoint that answers its calls, counted from 0, so.
    async fn endpoint(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Server {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        Server::start(move |seen, _| {
            granted(seen).unwrap_or_else(|| answer(calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
        })
        .await
    }

    fn uploads(server: &Server) -> Vec<ReceivedRequest> {
        server.seen().into_iter().filter(|seen| seen.method == "POST").collect()
    }

    #[test]
    fn a_token_is_asked_for_the_cloud_that_has_the_endpoint() {
        for (host, wanted) in [
            ("ci-abcd.westeurope-1.ingest.monitor.azure.com", "https://monitor.azure.com"),
            ("ci.usgovvirginia-1.ingest.monitor.azure.us", "https://monitor.azure.us"),
            ("ci.chinanorth3-1.ingest.monitor.azure.cn", "https://monitor.azure.cn"),
            ("127.0.0.1", AUDIENCE),
            ("ci.ingest.example.com", AUDIENCE),
        ] {
            assert_eq!(audience(host), wanted);
        }
    }

    #[tokio::test]
    async fn a_record_is_a_row_with_its_time_and_its_instance() {
        let server = endpoint(|_| Answer::status(204, "")).await;
        let archive = archive(&server.url);
        assert!(archive.place().starts_with(&format!("records.{} = ", archive.key())));
        for _ in 0..2 {
            archive.put(&entry()).await.unwrap();
        }
        let seen = server.seen();
        assert!(seen[0].path.contains("resource=https%3A%2F%2Fmonitor.azure.com"), "{}", seen[0].path);
        assert_eq!(seen.len(), 4, "no token is held for the next record: {seen:?}");
        let sent = &uploads(&server)[0];
        assert_eq!(sent.path, format!("{PATH}?api-version=2023-01-01"));
        assert_eq!(sent.headers["authorization"], "Bearer token-1");
        assert_eq!(sent.headers["content-type"], "application/json");
        let row = json!({
            "TimeGenerated": "2026-11-26T03:00:00.250Z", "Instance": "ci_1",
            "Record": { "schema": 1, "kind": "departure" },
        });
        assert_eq!(serde_json::from_str::<Value>(&sent.body).unwrap(), json!([row]));
    }

    #[tokio::test]
    async fn what_is_throttled_for_a_moment_is_sent_once_more() {
        let rest =
            |status, rest: &'static str| Answer::with(status, ("retry-after", rest), r#"{"error":{"code":"Busy"}}"#);
        let throttled = move |wish: &'static str| rest(429, wish);
        for status in [429, 503] {
            let moment =
                endpoint(move |call| if call == 0 { rest(status, "0") } else { Answer::status(204, "") }).await;
            archive(&moment.url).put(&entry()).await.unwrap();
            assert_eq!(uploads(&moment).len(), 2, "{status}");
        }
        let down = endpoint(|_| Answer::status(503, "")).await;
        assert_eq!(archive(&down.url).put(&entry()).await.unwrap_err().kind, CloudErrorKind::Timeout);
        assert_eq!(uploads(&down).len(), 1, "it says of no moment");
        let always = endpoint(move |_| throttled("0")).await;
        assert_eq!(archive(&always.url).put(&entry()).await.unwrap_err().kind, CloudErrorKind::Throttled);
        assert_eq!(uploads(&always).len(), 2, "and no more");
        let long = endpoint(move |_| throttled("60")).await;
        assert_eq!(archive(&long.url).put(&entry()).await.unwrap_err().kind, CloudErrorKind::Throttled);
        assert_eq!(uploads(&long).len(), 1, "nobody waits for so long");
    }

    #[tokio::test]
    async fn what_azure_refuses_says_what_is_missing() {
        let of = async |status, code, message| {
            let server = endpoint(move |_| refused(status, code, message)).await;
            archive(&server.url).put(&entry()).await.unwrap_err()
        };
        let denied =
            of(403, "OperationFailed", "The authentication token provided does not have access to ingest data").await;
        assert_eq!(denied.kind, CloudErrorKind::Denied);
        let remedy = "give the identity a role with Microsoft.Insights/Telemetry/Write on the data collection rule, such as Monitoring Metrics Publisher";
        assert!(denied.message.contains("does not have access") && denied.message.contains(remedy), "{denied}");
        let unknown = of(404, "NotFound", "Data collection rule with immutable Id 'dcr-0f1e' not found.").await;
        assert_eq!(unknown.kind, CloudErrorKind::NotFound);
        assert!(unknown.message.contains("'dcr-0f1e' not found"), "{unknown}");
        let stream = of(400, "InvalidStream", "Ingestion was rejected: the stream was not found.").await;
        for error in [unknown, stream] {
            assert!(error.message.ends_with("compare it with the rule's immutable id and its streams"), "{error}");
        }
        let large = endpoint(|_| Answer::status(413, "")).await;
        assert!(archive(&large.url).put(&entry()).await.unwrap_err().message.contains("status 413"));
        // Nobody who gives tokens is there either.
        let nobody = nowhere().await;
        assert_eq!(archive(&nobody).put(&entry()).await.unwrap_err().kind, CloudErrorKind::Credentials);
    }
}
