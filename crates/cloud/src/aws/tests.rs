use std::{collections::BTreeSet, time::Duration};

use aws_sdk_autoscaling::config::Credentials;

use super::*;
use lightsout_io::testing::{Answer, Server, nowhere, rerun};

use super::groups::AwsGroups;

/// The usual configuration, but towards this server.
pub(super) async fn towards(url: &str) -> Aws {
    towards_within(url, ATTEMPT_TIMEOUT).await
}

/// The same, with another time for one attempt.
pub(super) async fn towards_within(url: &str, attempt: Duration) -> Aws {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).build();
    let config = loader()
        .region(Region::new("eu-north-1"))
        .endpoint_url(url)
        .timeout_config(timeouts)
        .credentials_provider(Credentials::new("AKIDTEST", "sEcReT", None, None, "test"))
        .load()
        .await;
    Aws::with_config(config)
}

/// An error as the query protocol sends it.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    Answer::status(
        status,
        format!(
            "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
        ),
    )
}

async fn describe(aws: Aws) -> AwsError {
    AwsGroups::with(aws).read(&BTreeSet::from(["g".into()])).await.unwrap_err()
}

#[tokio::test]
async fn nothing_listens() {
    let error = describe(towards(&nowhere().await).await).await;
    assert_eq!(error.kind, AwsErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_it_open_whether_the_call_was_applied() {
    let server = Server::start(|_, _| Answer::Reset).await;
    let error = describe(towards(&server.url).await).await;
    assert_eq!(error.kind, AwsErrorKind::Timeout, "{error}");
    assert_eq!(server.count(), 3, "a read is tried again");
}

#[tokio::test]
async fn an_answer_that_is_no_xml() {
    let server = Server::start(|_, _| Answer::ok("<html>proxy")).await;
    let error = describe(towards(&server.url).await).await;
    assert_eq!(error.kind, AwsErrorKind::Timeout, "{error}");

    let server = Server::start(|_, _| Answer::status(403, "<html>proxy</html>")).await;
    let error = describe(towards(&server.url).await).await;
    assert_eq!(error.kind, AwsErrorKind::Other, "{error}");
    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn without_credentials() {
    let server = Server::start(|_, _| Answer::ok("")).await;
    let config = loader().region(Region::new("eu-north-1")).endpoint_url(&server.url);
    let nobody = aws_config::profile::ProfileFileCredentialsProvider::builder()
        .configure(&aws_config::provider_config::ProviderConfig::without_region().with_http_client(http::client()))
        .profile_name("nobody-of-that-name")
        .build();
    let error = describe(Aws::with_config(config.credentials_provider(nobody).load().await)).await;
    assert_eq!(error.kind, AwsErrorKind::Credentials, "{error:?}");
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn the_missing_right_is_named() {
    let server = Server::start(|_, _| refusal(403, "AccessDenied", "not authorized")).await;
    let error = describe(towards(&server.url).await).await;
    assert_eq!(error.kind, AwsErrorKind::Denied);
    assert!(error.to_string().contains("lack the right autoscaling:DescribeAutoScalingGroups"), "{error}");
    assert_eq!(server.count(), 1, "not tried again");
}

#[tokio::test]
async fn throttling_is_waited_out_a_little() {
    let server = Server::start(|_, _| refusal(400, "Throttling", "Rate exceeded")).await;
    let error = describe(towards(&server.url).await).await;
    assert_eq!(error.kind, AwsErrorKind::Throttled);
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn forgetting_makes_the_configuration_anew() {
    let aws = Aws::new(Some("eu-north-1".into()));
    assert_eq!(aws.config().await.region().unwrap().as_ref(), "eu-north-1");
    aws.forget();
    assert!(!aws.config.lock().unwrap().initialized());
    assert_eq!(aws.config().await.region().unwrap().as_ref(), "eu-north-1");
}

#[tokio::test]
async fn without_a_region_nothing_is_sent() {
    let server = Server::start(|_, _| Answer::ok("")).await;
    let config = loader()
        .region(None::<Region>)
        .endpoint_url(&server.url)
        .credentials_provider(Credentials::new("AKIDTEST", "sEcReT", None, None, "test"));
    let error = describe(Aws::with_config(config.load().await)).await;
    assert_eq!(error.kind, AwsErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("check the region"), "{error}");
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn credentials_are_not_shown() {
    let aws = towards("http://127.0.0.1:1").await;
    assert!(!format!("{aws:?}").contains("sEcReT"));
}

#[tokio::test]
async fn the_usual_variables_lead_the_way() {
    let server = Server::start(|_, _| refusal(400, "Throttling", "Rate exceeded")).await;
    for endpoint in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_AUTO_SCALING"] {
        let before = server.count();
        rerun(
            "aws::tests::by_the_usual_variables",
            &[
                (endpoint, server.url.as_str()),
                ("AWS_REGION", "ap-south-2"),
                ("AWS_ACCESS_KEY_ID", "AKIDENV"),
                ("AWS_SECRET_ACCESS_KEY", "x"),
                ("HTTP_PROXY", nowhere().await.as_str()),
            ],
        )
        .await;
        assert_eq!(server.count() - before, 3, "{endpoint}");
        let authorization = &server.seen()[before].headers["authorization"];
        assert!(
            authorization.contains("AKIDENV/") && authorization.contains("/ap-south-2/autoscaling/"),
            "{authorization}"
        );
    }
}

#[tokio::test]
#[ignore = "the_usual_variables_lead_the_way runs it with the variables set"]
async fn by_the_usual_variables() {
    assert_eq!(describe(Aws::new(None)).await.kind, AwsErrorKind::Throttled);
}

#[tokio::test]
async fn credentials_come_from_the_instances_role() {
    let aws = Server::start(|_, _| refusal(400, "Throttling", "Rate exceeded")).await;
    let imds = Server::start(|seen, _| match (seen.method.as_str(), seen.path.trim_end_matches('/')) {
        ("PUT", "/latest/api/token") => Answer::with(200, ("x-aws-ec2-metadata-token-ttl-seconds", "21600"), "t"),
        ("GET", "/latest/meta-data/iam/security-credentials") => Answer::ok("runner"),
        ("GET", "/latest/meta-data/iam/security-credentials/runner") => Answer::ok(
            r#"{"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAROLE",
                "SecretAccessKey":"x","Token":"session","Expiration":"2099-01-01T00:00:00Z"}"#,
        ),
        _ => Answer::status(404, ""),
    })
    .await;
    let variables = [
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url),
        ("AWS_REGION", "ap-south-2"),
    ];
    rerun("aws::tests::by_the_usual_variables", &variables).await;
    let headers = &aws.seen()[0].headers;
    assert!(headers["authorization"].contains("ASIAROLE/"), "{headers:?}");
    assert_eq!(headers["x-amz-security-token"], "session");
    let tokens = imds.seen().iter().filter(|request| request.method == "PUT").count();
    assert_eq!(tokens, 1, "one credential lookup serves all calls");
}

#[tokio::test]
async fn an_unreachable_metadata_service_means_no_credentials() {
    let aws = Server::start(|_, _| Answer::ok("")).await;
    let nowhere = nowhere().await;
    let variables = [
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &nowhere),
        ("AWS_REGION", "ap-south-2"),
    ];
    rerun("aws::tests::by_nobody", &variables).await;
    assert_eq!(aws.count(), 0);
}

#[tokio::test]
#[ignore = "an_unreachable_metadata_service_means_no_credentials runs it with the variables set"]
async fn by_nobody() {
    let error = describe(Aws::new(None)).await;
    assert_eq!(error.kind, AwsErrorKind::Credentials, "{error}");
    assert!(error.to_string().contains("there are no credentials"), "{error}");
}
