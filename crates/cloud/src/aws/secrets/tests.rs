use std::{io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

use secrecy::ExposeSecret;

use lightsout_io::testing::{Answer, Server, Sink};

use super::*;
use crate::aws::tests::towards;

async fn local(source: SecretSource) -> Result<String, SecretError> {
    resolve(&source, &Aws::default()).await.map(|secret| secret.expose_secret().to_owned())
}

fn write(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("token");
    let mut options = std::fs::OpenOptions::new();
    options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    path
}

#[tokio::test]
async fn inline() {
    assert_eq!(local(SecretSource::Inline("s".to_owned().into())).await.unwrap(), "s");
}

#[tokio::test]
async fn from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    for (text, secret) in
        [("glrt-1\n", "glrt-1"), ("glrt-1\r\n", "glrt-1"), ("a b", "a b"), ("two\nlines\n", "two\nlines")]
    {
        assert_eq!(local(SecretSource::File(write(&directory, text))).await.unwrap(), secret);
    }
    for empty in ["", "\n", " \n"] {
        let error = local(SecretSource::File(write(&directory, empty))).await.unwrap_err();
        assert!(error.to_string().contains("is empty"), "{error}");
        assert!(!error.transient);
    }
    let error = local(SecretSource::File(directory.path().join("absent"))).await.unwrap_err();
    assert!(error.to_string().contains("absent") && error.to_string().contains("create it"), "{error}");
}

#[tokio::test]
async fn from_the_environment() {
    // Cargo sets this one for every test.
    assert_eq!(local(SecretSource::Env("CARGO_PKG_NAME".into())).await.unwrap(), "lightsout-cloud");
    let error = local(SecretSource::Env("LIGHTSOUT_NO_SUCH_VARIABLE".into())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no secret from the environment variable LIGHTSOUT_NO_SUCH_VARIABLE: it is not set (or no text): set it where the \
         program is started"
    );
}

async fn remote(source: SecretSource, answer: fn() -> Answer) -> (Result<String, SecretError>, Server) {
    let server = Server::start(move |_, _| answer()).await;
    let secret = resolve(&source, &towards(&server.url).await).await.map(|secret| secret.expose_secret().to_owned());
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
async fn a_file_for_all_eyes_is_worth_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "glrt-4");
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    local(SecretSource::File(path.clone())).await.unwrap();
    assert_eq!(sink.text(), "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    local(SecretSource::File(path)).await.unwrap();
    let text = sink.text();
    assert!(text.contains("WARN") && text.contains("0644") && text.contains("chmod 600"), "{text}");
    assert!(!text.contains("glrt-4"), "{text}");
}
