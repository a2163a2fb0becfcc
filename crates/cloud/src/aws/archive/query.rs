//! Records read back from CloudWatch Logs, for whoever explains them.

use lightsout_core::cloud::CloudError;
use serde_json::{Value, json};

use super::{Aws, AwsError, AwsErrorKind};
use crate::aws::request::{Call, Service};

/// The longest page, in bytes: a megabyte of events, with room for what JSON adds (CloudWatch Logs API reference, `FilterLogEvents`).
const PAGE: usize = 8 << 20;
/// How many pages are read at most; one may be empty, and another follow it.
const MOST_PAGES: usize = 500;

/// What was written to a log group between two times, in milliseconds since the Unix epoch, oldest first.
pub(crate) async fn messages(
    region: Option<String>,
    group: &str,
    (from_ms, to_ms): (i64, i64),
) -> Result<Vec<String>, CloudError> {
    read(&Aws::new(region), group, (from_ms, to_ms), None).await.map_err(CloudError::from)
}

/// With a pattern only what matches it (CloudWatch Logs User Guide, "Filter pattern syntax").
pub(in crate::aws) async fn read(
    aws: &Aws,
    group: &str,
    span_ms: (i64, i64),
    pattern: Option<&str>,
) -> Result<Vec<String>, AwsError> {
    let more = pattern.map_or_else(|| json!({}), |pattern| json!({ "filterPattern": pattern }));
    let events = events(aws, group, &more, span_ms).await?;
    Ok(events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)).collect())
}

/// The events themselves, of those that `more` asks for.
pub(in crate::aws) async fn events(
    aws: &Aws,
    group: &str,
    more: &Value,
    (from_ms, to_ms): (i64, i64),
) -> Result<Vec<Value>, AwsError> {
    const ACTION: &str = "logs:FilterLogEvents";
    let mut body = json!({ "logGroupName": group, "startTime": from_ms, "endTime": to_ms });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    let mut found = Vec::new();
    for _ in 0..MOST_PAGES {
        let answer = Call::json(ACTION, Service::LOGS, "Logs_20140328.FilterLogEvents", &body).ask(aws, PAGE).await?;
        let mut answer: Value = serde_json::from_slice(&answer)
            .map_err(|error| AwsError::without_code(AwsErrorKind::Timeout, ACTION, error.to_string()))?;
        if let Value::Array(events) = answer["events"].take() {
            found.extend(events);
        }
        match answer["nextToken"].as_str() {
            Some(token) => body["nextToken"] = token.into(),
            None => return Ok(found),
        }
    }
    let much = format!("the group holds more than {MOST_PAGES} pages in this time: ask for less of it");
    Err(AwsError::without_code(AwsErrorKind::Other, ACTION, much))
}
