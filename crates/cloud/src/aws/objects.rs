//! Objects of S3, read by their address `s3://BUCKET/KEY`.

use lightsout_core::settings::ObjectAddress;

use super::{
    Aws, AwsError, AwsErrorKind,
    request::{Call, Service, encoded_path},
};
use crate::CloudFuture;

const ACTION: &str = "s3:GetObject";

/// The text of one object; the region is the one of its bucket.
pub(super) fn text(region: Option<String>, address: String) -> CloudFuture<'static, String> {
    Box::pin(async move {
        let aws = Aws::new(region);
        aws.call(read(&aws, &address)).await
    })
}

async fn read(aws: &Aws, address: &str) -> Result<String, AwsError> {
    let failed = |why: String| AwsError::without_code(AwsErrorKind::Other, ACTION, why);
    let ObjectAddress { bucket, key } = ObjectAddress::parse(address).map_err(|error| failed(error.to_string()))?;
    let call = Call {
        action: ACTION,
        service: Service::S3,
        method: "GET",
        path: format!("/{}", encoded_path(&key)),
        bucket: Some(bucket),
        headers: Vec::new(),
        body: Vec::new(),
    };
    String::from_utf8(call.send(aws).await?).map_err(|_| failed(format!("{address} is not text")))
}

#[cfg(test)]
mod tests {
    use lightsout_io::testing::{Answer, Server};

    use super::*;
    use crate::aws::tests::towards;

    #[tokio::test]
    async fn an_object_is_read_and_a_refusal_names_the_right() {
        let server = Server::start(|seen, _| match seen.path.as_str() {
            "/acme/ci%20fleet/scaler.toml" => Answer::ok("tick = '5s'"),
            "/acme/bytes" => Answer::Reply(200, Vec::new(), vec![0xff]),
            "/acme/secret" => {
                Answer::status(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
            }
            _ => Answer::status(
                404,
                "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>",
            ),
        })
        .await;
        let aws = towards(&server.url).await;
        assert_eq!(read(&aws, "s3://acme/ci fleet/scaler.toml").await.unwrap(), "tick = '5s'");
        let request = server.seen().remove(0);
        assert_eq!(request.method, "GET");
        assert!(request.headers["authorization"].contains("/eu-north-1/s3/aws4_request"), "{:?}", request.headers);
        let refused = async |address: &str| read(&aws, address).await.unwrap_err().to_string();
        let denied = refused("s3://acme/secret").await;
        assert!(denied.contains("s3:GetObject"), "{denied}");
        assert!(refused("s3://acme/none").await.contains("The specified key does not exist."));
        assert!(refused("s3://acme/bytes").await.contains("s3://acme/bytes is not text"));
        assert!(refused("s3://acme").await.contains("write s3://BUCKET/KEY"));
    }
}
