//! The clients: certificates, proxies, and a private authority.

use std::io::Write as _;

use super::*;
use crate::testing::{Answer, Server, rerun};

#[tokio::test]
async fn without_certificates() {
    let server = Server::start(|_, _| Answer::ok("plain")).await;
    let absent = "/nonexistent";
    let variables = [("SSL_CERT_FILE", absent), ("SSL_CERT_DIR", absent), ("TEST_URL", server.url.as_str())];
    rerun("http::tests::clients::plain_works_and_tls_says_what_is_missing", &variables).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test]
#[ignore = "without_certificates runs it with the variables set"]
async fn plain_works_and_tls_says_what_is_missing() {
    let url = std::env::var("TEST_URL").unwrap();
    let driver = driver();
    let error = ask_by(&driver, Request::get("https://127.0.0.1:1/")).await.unwrap_err();
    assert!(matches!(&error, Unreachable::Connect(why) if why.contains("package ca-certificates")), "{error}");
    assert_eq!(ask_by(&driver, Request::get(url)).await.unwrap().body, b"plain");
}

#[tokio::test]
async fn proxies_serve_all_but_this_machine() {
    let proxy = Server::start(|_, _| Answer::ok("from the proxy")).await;
    let server = Server::start(|_, _| Answer::ok("direct")).await;
    let variables = [("HTTP_PROXY", proxy.url.as_str()), ("http_proxy", &proxy.url), ("TEST_URL", &server.url)];
    rerun("http::tests::clients::by_a_proxy", &variables).await;
    assert_eq!(server.count(), 1);
    let seen = proxy.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "http://ci.invalid/api");
}

#[tokio::test]
#[ignore = "proxies_serve_all_but_this_machine runs it with the variables set"]
async fn by_a_proxy() {
    let url = std::env::var("TEST_URL").unwrap();
    let driver = driver();
    assert_eq!(ask_by(&driver, Request::get(url)).await.unwrap().body, b"direct");
    assert_eq!(ask_by(&driver, Request::get("http://ci.invalid/api")).await.unwrap().body, b"from the proxy");
}

/// A server whose certificate a private CA has signed: its address, and the CA's file. Nothing without openssl.
async fn private() -> Option<(tempfile::TempDir, tokio::process::Child, String)> {
    let folder = tempfile::tempdir().unwrap();
    let script = "exec >/dev/null 2>&1; openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2 && \
                  openssl req -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem -subj /CN=server && \
                  echo subjectAltName=IP:127.0.0.1 >ext && \
                  openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -days 2 -out cert.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder.path()).status().await.unwrap();
    if !made.success() {
        // Not `println!`, which is shown for failed tests only.
        let _ = writeln!(std::io::stderr(), "SKIPPED: what a private CA has signed: openssl is not installed");
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new("openssl")
        .args([
            "s_server",
            "-www",
            "-quiet",
            "-key",
            "key.pem",
            "-cert",
            "cert.pem",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ])
        .current_dir(folder.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for _ in 0..6_000 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Some((folder, server, format!("https://127.0.0.1:{port}")))
}

const SERVER: &str = "TEST_SERVER";

/// As far as the head of a reply comes.
async fn head_of(clients: Clients) -> Result<u16, Unreachable> {
    let url = Url::parse(&std::env::var(SERVER).unwrap()).unwrap();
    Ok(clients.send(clients.for_url(&url)?.get(url)).await?.status().as_u16())
}

#[tokio::test]
async fn a_private_ca_is_trusted_where_a_variable_names_it_and_else_the_remedy_is_named() {
    let Some((folder, _server, url)) = private().await else { return };
    let ca = folder.path().join("ca.pem");
    let (ca, missing) = (ca.to_str().unwrap(), "/does/not/exist");
    rerun("http::tests::clients::trusts", &[(SERVER, &url), ("SSL_CERT_FILE", ca)]).await;
    rerun("http::tests::clients::trusts", &[(SERVER, &url), ("TEST_CA_BUNDLE", ca)]).await;
    rerun("http::tests::clients::trusts_nobody", &[(SERVER, &url)]).await;
    rerun("http::tests::clients::says_which_variable_is_wrong", &[(SERVER, &url), ("TEST_CA_BUNDLE", missing)]).await;
}

fn trusting() -> Clients {
    Clients::new(Limits::default(), None).trusting_also("TEST_CA_BUNDLE")
}

#[tokio::test]
#[ignore = "a_private_ca_is_trusted_where_a_variable_names_it_and_else_the_remedy_is_named runs it"]
async fn trusts() {
    assert_eq!(head_of(trusting()).await, Ok(200));
}

#[tokio::test]
#[ignore = "a_private_ca_is_trusted_where_a_variable_names_it_and_else_the_remedy_is_named runs it"]
async fn trusts_nobody() {
    let error = head_of(trusting()).await.unwrap_err();
    assert!(matches!(&error, Unreachable::Untrusted(_)), "{error:?}");
    assert!(error.remedy().contains("SSL_CERT_FILE"), "{error}: {}", error.remedy());
}

#[tokio::test]
#[ignore = "a_private_ca_is_trusted_where_a_variable_names_it_and_else_the_remedy_is_named runs it"]
async fn says_which_variable_is_wrong() {
    let error = head_of(trusting()).await.unwrap_err().to_string();
    assert!(error.contains("TEST_CA_BUNDLE = /does/not/exist"), "{error}");
}
