//! One page over HTTP, for whoever watches the runner.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Serves what `page` gives at this address and path for as long as the process lives.
pub(crate) async fn serve(
    address: &str,
    path: &'static str,
    content_type: &'static str,
    page: impl Fn() -> String + Send + Sync + 'static,
) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
    let page = Arc::new(page);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let page = Arc::clone(&page);
            tokio::spawn(async move { answer(stream, path, content_type, &*page).await });
        }
    });
    Ok(())
}

async fn answer(mut stream: TcpStream, path: &str, content_type: &str, page: &(dyn Fn() -> String + Sync)) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") && request.len() < 16 * 1024 {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
    let wanted = request.strip_prefix(b"GET ").is_some_and(|rest| rest.starts_with(path.as_bytes()));
    let (status, body) = if wanted { ("200 OK", page()) } else { ("404 Not Found", String::new()) };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
}
