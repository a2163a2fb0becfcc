//! Records read back from CloudWatch Logs, for whoever explains them.

use lightsout_core::cloud::CloudError;
use serde_json::{Value, json};

use super::{Aws, AwsError, AwsErrorKind, logs_call};

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
    read(&Aws::new(region), group, (from_ms, to_ms)).await.map_err(CloudError::from)
}

pub(super) async fn read(aws: &Aws, group: &str, (from_ms, to_ms): (i64, i64)) -> Result<Vec<String>, AwsError> {
    const ACTION: &str = "logs:FilterLogEvents";
    let mut body = json!({ "logGroupName": group, "startTime": from_ms, "endTime": to_ms });
    let mut messages = Vec::new();
    for _ in 0..MOST_PAGES {
        let answer = logs_call(ACTION, "Logs_20140328.FilterLogEvents", &body).ask(aws, PAGE).await?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|error| AwsError::without_code(AwsErrorKind::Timeout, ACTION, error.to_string()))?;
        let events = answer["events"].as_array().into_iter().flatten();
        messages.extend(events.filter_map(|event| event["message"].as_str().map(str::to_owned)));
        match answer["nextToken"].as_str() {
            Some(token) => body["nextToken"] = token.into(),
            None => return Ok(messages),
        }
    }
    let much = format!("the group holds more than {MOST_PAGES} pages in this time: ask for less of it");
    Err(AwsError::without_code(AwsErrorKind::Other, ACTION, much))
}
