use std::{io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

use lightsout_io::testing::Sink;
use secrecy::ExposeSecret;

use super::*;

async fn local(source: SecretSource) -> Result<String, SecretError> {
    super::local(&source).await.map(|secret| secret.expose_secret().to_owned())
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

#[tokio::test]
async fn another_clouds_store_is_refused() {
    for source in [SecretSource::Ssm("/ci".into()), SecretSource::SecretsManager { id: "ci".into(), key: None }] {
        let error = local(source).await.unwrap_err();
        assert!(error.to_string().contains("no such store") && !error.transient, "{error}");
    }
}
