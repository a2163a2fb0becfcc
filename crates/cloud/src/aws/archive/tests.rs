use lightsout_core::{cloud::CloudErrorKind, settings::ObjectStore};
use lightsout_io::testing::{Answer, Server, nowhere};

use super::*;
use crate::aws::tests::towards;

fn entry() -> Entry {
    Entry {
        instance: "i-0123".into(),
        name: "2026-11-26T03-00-00.250Z-decrement".into(),
        unix_ms: 1_795_662_000_250,
        json: r#"{"schema":1,"kind":"departure"}"#.into(),
    }
}

async fn log_group(url: &str) -> LogGroup {
    LogGroup { aws: towards(url).await, group: "/lightsout/records".into() }
}

async fn bucket(url: &str) -> Bucket {
    let store = ObjectStore { bucket: "records".into(), prefix: "ci fleet/".into() };
    Bucket { aws: towards(url).await, store }
}

#[tokio::test]
async fn a_stream_is_made_when_the_first_record_finds_none() {
    let server = Server::start(|_, count| match count {
        0 => Answer::status(
            400,
            r#"{"__type":"ResourceNotFoundException","message":"The specified log stream does not exist."}"#,
        ),
        1 => Answer::status(
            400,
            r#"{"__type":"ResourceAlreadyExistsException","message":"The specified log stream already exists"}"#,
        ),
        _ => Answer::ok("{}"),
    })
    .await;
    log_group(&server.url).await.put(&entry()).await.unwrap();
    let seen = server.seen();
    let targets: Vec<&str> = seen.iter().map(|request| request.headers["x-amz-target"].as_str()).collect();
    let (put, create) = ("Logs_20140328.PutLogEvents", "Logs_20140328.CreateLogStream");
    assert_eq!(targets, [put, create, put]);
    let sent: serde_json::Value = serde_json::from_str(&seen[2].body).unwrap();
    let event = json!({"timestamp": 1_795_662_000_250_i64, "message": r#"{"schema":1,"kind":"departure"}"#});
    let expected = json!({"logGroupName": "/lightsout/records", "logStreamName": "i-0123", "logEvents": [event]});
    assert_eq!(sent, expected);
    let authorization = &seen[2].headers["authorization"];
    assert!(
        authorization.contains("Credential=AKIDTEST/") && authorization.contains("/eu-north-1/logs/aws4_request"),
        "{authorization}"
    );
}

#[tokio::test]
async fn an_object_is_put_below_the_prefix() {
    let server = Server::start(|_, _| Answer::ok("")).await;
    bucket(&server.url).await.put(&entry()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    let request = &seen[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("PUT", "/records/ci%20fleet/i-0123/2026-11-26T03-00-00.250Z-decrement.json")
    );
    assert_eq!(request.body, "{\"schema\":1,\"kind\":\"departure\"}\n");
    assert!(request.headers["authorization"].contains("/eu-north-1/s3/aws4_request"));
    assert_eq!(request.headers["x-amz-content-sha256"].len(), 64);
}

#[tokio::test]
async fn what_aws_refuses_names_the_right_that_is_missing() {
    let denied =
        |body: &'static str, status| async move { Server::start(move |_, _| Answer::status(status, body)).await };
    let logs = denied(r#"{"__type":"AccessDeniedException","Message":"User is not authorized"}"#, 400).await;
    let error = log_group(&logs.url).await.put(&entry()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Denied);
    assert!(error.message.contains("lack the right logs:PutLogEvents"), "{}", error.message);
    let s3 =
        denied("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 403)
            .await;
    let error = bucket(&s3.url).await.put(&entry()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Denied);
    assert!(error.message.contains("lack the right s3:PutObject"), "{}", error.message);
    let none =
        denied(r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#, 400)
            .await;
    let error = log_group(&none.url).await.put(&entry()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::NotFound);
    assert!(error.message.contains("log group does not exist"), "{}", error.message);
    let nobody = nowhere().await;
    assert_eq!(bucket(&nobody).await.put(&entry()).await.unwrap_err().kind, CloudErrorKind::Unreachable);
}

#[test]
fn addresses_are_those_of_the_services() {
    let call = |service, bucket: Option<&str>| Call {
        action: "a",
        service,
        method: "PUT",
        path: "/k".into(),
        bucket: bucket.map(str::to_owned),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let url = |service, bucket, endpoint, region| call(service, bucket).url(endpoint, region);
    assert_eq!(url(Service::LOGS, None, None, "eu-north-1"), "https://logs.eu-north-1.amazonaws.com/k");
    assert_eq!(url(Service::LOGS, None, None, "cn-north-1"), "https://logs.cn-north-1.amazonaws.com.cn/k");
    assert_eq!(url(Service::QUOTAS, None, None, "eu-north-1"), "https://servicequotas.eu-north-1.amazonaws.com/k");
    assert_eq!(url(Service::S3, Some("b-1"), None, "eu-north-1"), "https://b-1.s3.eu-north-1.amazonaws.com/k");
    assert_eq!(url(Service::S3, Some("b.1"), None, "eu-north-1"), "https://s3.eu-north-1.amazonaws.com/b.1/k");
    assert_eq!(url(Service::S3, Some("b"), Some("http://127.0.0.1:1/"), "x"), "http://127.0.0.1:1/b/k");
}

#[tokio::test]
async fn a_log_group_is_read_page_by_page() {
    let server = Server::start(|_, count| match count {
        0 => Answer::ok(r#"{"events":[{"message":"one","timestamp":1}],"nextToken":"more"}"#),
        1 => Answer::ok(r#"{"events":[],"nextToken":"still more"}"#),
        _ => Answer::ok(r#"{"events":[{"message":"two","timestamp":2}]}"#),
    })
    .await;
    let messages = query::read(&towards(&server.url).await, "/lightsout/records", (1000, 2000), None).await.unwrap();
    assert_eq!(messages, ["one", "two"]);
    let seen = server.seen();
    let sent: Vec<serde_json::Value> = seen.iter().map(|it| serde_json::from_str(&it.body).unwrap()).collect();
    assert_eq!(sent[0], json!({"logGroupName": "/lightsout/records", "startTime": 1000, "endTime": 2000}));
    assert_eq!((&sent[1]["nextToken"], &sent[2]["nextToken"]), (&json!("more"), &json!("still more")));
    assert_eq!(seen[0].headers["x-amz-target"], "Logs_20140328.FilterLogEvents");

    let refused =
        Server::start(|_, _| Answer::status(400, r#"{"__type":"AccessDeniedException","Message":"no"}"#)).await;
    let error = query::read(&towards(&refused.url).await, "g", (0, 1), None).await.unwrap_err().to_string();
    assert!(error.contains("logs:FilterLogEvents"), "{error}");
}
