//! A small scripted HTTP server for the tests of this crate and of those above it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::pending,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl ReceivedRequest {
    /// Whether a form-encoded body holds this field.
    pub fn has(&self, field: &str) -> bool {
        self.body.split('&').any(|part| part == field)
    }
}

/// What the server does about a request.
pub enum Answer {
    /// A whole reply.
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A whole reply after which the server closes the connection without having said so.
    ReplyAndClose(u16, &'static str),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// The head of a reply, then nothing.
    HeadOnly,
    /// The connection is reset.
    Reset,
    /// A chunked body of this many MiB.
    Chunks(usize),
}

impl Answer {
    pub fn ok(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Reply(status, Vec::new(), body.into().into_bytes())
    }

    pub fn with(status: u16, header: (&'static str, &str), body: &str) -> Self {
        Self::Reply(status, vec![(header.0, header.1.to_owned())], body.into())
    }
}

type Script = Arc<dyn Fn(&ReceivedRequest, usize) -> Answer + Send + Sync>;

/// Listens on loopback until it is dropped.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<ReceivedRequest>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Answers each request by the script, which is told how many came before.
    pub async fn start(script: impl Fn(&ReceivedRequest, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                for connection in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.spawn(serve(stream, connection, Arc::clone(&script), Arc::clone(&seen)));
                }
            }
        });
        Self { url, seen, task }
    }

    pub fn seen(&self) -> Vec<ReceivedRequest> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn count(&self) -> usize {
        self.seen().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A URL on loopback where nothing listens.
pub async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn serve(stream: TcpStream, connection: usize, script: Script, seen: Arc<Mutex<Vec<ReceivedRequest>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, connection).await {
        let before = {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(request.clone());
            seen.len() - 1
        };
        match script(&request, before) {
            Answer::Reply(status, headers, body) => reply(&mut stream, status, &headers, &body).await,
            Answer::ReplyAndClose(status, body) => {
                reply(&mut stream, status, &[], body.as_bytes()).await;
                return;
            }
            Answer::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Answer::Silence => pending().await,
            Answer::HeadOnly => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
                pending::<()>().await;
            }
            Answer::Reset => {
                stream.get_ref().set_zero_linger().unwrap();
                return;
            }
            Answer::Chunks(megabytes) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
                for _ in 0..megabytes {
                    if stream.write_all(&chunk).await.is_err() {
                        return;
                    }
                }
                let _ = stream.write_all(b"0\r\n\r\n").await;
            }
        }
    }
}

async fn reply(stream: &mut BufReader<TcpStream>, status: u16, headers: &[(&'static str, String)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await;
}

async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<ReceivedRequest> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(ReceivedRequest { method, path, headers, body: String::from_utf8_lossy(&body).into_owned(), connection })
}

/// Short enough for a test to wait for, long enough for a busy machine to answer on loopback.
pub const SOON: Duration = Duration::from_secs(1);

/// Runs one ignored test of the same program in a process of its own, with these variables and nearly no others.
pub async fn rerun(name: &str, variables: &[(&str, &str)]) {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Collects what is written to it.
#[derive(Clone, Default)]
pub struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
