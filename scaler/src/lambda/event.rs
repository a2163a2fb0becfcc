//! What an invocation is about: a request to a function URL, or anything else, which is the schedule.
//!
//! Source: AWS Lambda Developer Guide, "Invoking Lambda function URLs": the payload has format 2.0.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::function::Request;

/// What an invocation is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It is time to tick.
    Scheduled,
    /// Somebody sent this to the function URL.
    Request(Request),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    raw_path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct Context {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

/// Reads an invocation's payload.
///
/// # Errors
/// When it is a request that is not in format 2.0: as a schedule it would tick for a minute.
pub(super) fn read(event: Value) -> Result<Event, String> {
    if event.get("requestContext").is_none() {
        return Ok(Event::Scheduled);
    }
    let wrong = |why: &dyn std::fmt::Display| {
        format!(
            "this request is not in payload format 2.0 ({why}): send webhooks to a function URL, or through an HTTP API with that format"
        )
    };
    let payload: Payload = serde_json::from_value(event).map_err(|error| wrong(&error))?;
    let body = payload.body.unwrap_or_default();
    let body = if payload.is_base64_encoded {
        STANDARD.decode(&body).map_err(|error| wrong(&error))?
    } else {
        body.into_bytes()
    };
    let headers = payload.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Ok(Event::Request(Request { method: payload.request_context.http.method, path: payload.raw_path, headers, body }))
}

/// The answer to a request: a status, and nothing that tells more.
pub(super) fn reply(status: StatusCode) -> Value {
    json!({ "statusCode": status.as_u16() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Event, String> {
        super::read(serde_json::from_str(text).unwrap())
    }

    const URL: &str = r#"{"version":"2.0","routeKey":"$default","rawPath":"/hooks/linux","rawQueryString":"",
        "headers":{"X-Gitlab-Token":"s3cret","content-type":"application/json"},
        "requestContext":{"accountId":"anonymous","apiId":"x","domainName":"x.lambda-url.eu-north-1.on.aws","http":
            {"method":"POST","path":"/hooks/linux","protocol":"HTTP/1.1","sourceIp":"192.0.2.1","userAgent":"GitLab"},
            "requestId":"1","routeKey":"$default","stage":"$default","time":"x","timeEpoch":1},
        "body":"eyJhIjoxfQ==","isBase64Encoded":true}"#;

    #[test]
    fn a_request_is_read_with_its_body_as_it_was_sent() {
        let Ok(Event::Request(request)) = read(URL) else { panic!("no request") };
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hooks/linux"));
        assert_eq!(request.headers["x-gitlab-token"], "s3cret");
        assert_eq!(request.body, br#"{"a":1}"#);
        let plain = URL.replace("eyJhIjoxfQ==", "{}").replace(":true", ":false");
        let Ok(Event::Request(request)) = read(&plain) else { panic!("no request") };
        assert_eq!(request.body, b"{}");
    }

    #[test]
    fn anything_else_is_the_schedule() {
        for event in ["{}", "null", "\"text\"", r#"{"source":"aws.scheduler"}"#, r#"["requestContext"]"#] {
            assert_eq!(read(event), Ok(Event::Scheduled), "{event}");
        }
    }

    #[test]
    fn a_request_in_another_format_is_no_schedule() {
        let first = r#"{"httpMethod":"POST","path":"/hooks/a","requestContext":{"stage":"prod"},"body":"{}"}"#;
        for event in [first, &URL.replace("eyJhIjoxfQ==", "*")] {
            let error = read(event).unwrap_err();
            assert!(error.contains("payload format 2.0"), "{error}");
        }
    }
}
