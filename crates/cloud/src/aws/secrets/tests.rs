use lightsout_io::testing::{Answer, Server};
use secrecy::ExposeSecret;

use super::*;
use crate::aws::tests::towards;

async fn remote(source: SecretSource, answer: fn() -> Answer) -> (Result<String, SecretError>, Server) {
    let server = Server::start(move |_, _| answer()).await;
    let secret = AwsSecrets { aws: towards(&server.url).await }
        .resolve(&source)
        .await
        .map(|secret| secret.expose_secret().to_owned());
    (secret, server)
}

#[tokio::test]
async fn from_systems_manager() {
    let source = || SecretSource::Ssm("/ci/token".into());
    let (secret, server) =
        remote(source(), || Answer::ok(r#"{"Parameter":{"Name":"/ci/token","Type":"SecureString","Value":"glrt-2"}}"#))
            .await;
    assert_eq!(secret.unwrap(), "glrt-2");
    let seen = server.seen();
    assert_eq!(seen[0].headers["x-amz-target"], "AmazonSSM.GetParameter");
    let sent: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(sent, serde_json::json!({"Name": "/ci/token", "WithDecryption": true}));

    let (secret, _) = remote(source(), || Answer::status(400, r#"{"__type":"ParameterNotFound","message":""}"#)).await;
    let error = secret.unwrap_err();
    assert!(error.to_string().contains("the SSM parameter /ci/token") && !error.transient, "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");

    let (secret, _) =
        remote(source(), || Answer::status(400, r#"{"__type":"AccessDeniedException","Message":"no"}"#)).await;
    assert!(secret.unwrap_err().to_string().contains("lack the right ssm:GetParameter"));

    let (secret, server) =
        remote(source(), || Answer::status(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#)).await;
    assert!(secret.unwrap_err().transient);
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn from_secrets_manager() {
    let source = |key: Option<&str>| SecretSource::SecretsManager { id: "ci".into(), key: key.map(str::to_owned) };
    let object = || Answer::ok(r#"{"Name":"ci","SecretString":"{\"token\":\"glrt-3\",\"port\":7}"}"#);

    let (secret, server) = remote(source(None), || Answer::ok(r#"{"SecretString":"glrt-3\n"}"#)).await;
    assert_eq!(secret.unwrap(), "glrt-3");
    assert_eq!(server.seen()[0].headers["x-amz-target"], "secretsmanager.GetSecretValue");

    assert_eq!(remote(source(Some("token")), object).await.0.unwrap(), "glrt-3");
    for (key, why) in [("absent", "no such key"), ("port", "not a text")] {
        let error = remote(source(Some(key)), object).await.0.unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(key) && !error.contains("glrt"), "{error}");
    }

    let error = remote(source(Some("token")), || Answer::ok(r#"{"SecretString":"glrt-3"}"#)).await.0.unwrap_err();
    assert!(error.to_string().contains("not a JSON object") && !error.to_string().contains("glrt"), "{error}");

    let error = remote(source(None), || Answer::ok(r#"{"SecretBinary":"AAEC"}"#)).await.0.unwrap_err();
    assert!(error.to_string().contains("store it as text"), "{error}");
}

#[tokio::test]
async fn what_needs_no_cloud_needs_none_here() {
    let secrets = AwsSecrets::default();
    let inline = SecretSource::Inline("s".to_owned().into());
    assert_eq!(secrets.resolve(&inline).await.unwrap().expose_secret(), "s");
    let absent = SecretSource::Env("LIGHTSOUT_NO_SUCH_VARIABLE".into());
    assert!(secrets.resolve(&absent).await.unwrap_err().to_string().contains("it is not set"));
}
