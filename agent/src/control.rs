//! The control socket: one JSON request a connection, one JSON answer. Who may write to the socket may give orders.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::oneshot,
};

use crate::input::{Input, Inputs};

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request, in bytes.
const LONGEST: u64 = 4096;

/// What may be asked of a running agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Request {
    /// The status.
    Status,
    /// Take no more jobs, finish, leave.
    Drain,
    /// Take a drain back.
    Undrain,
    /// Do not leave for idleness or age for this long; 0 ends a hold.
    Hold {
        /// In seconds.
        seconds: u64,
    },
}

/// Listens at `path`, which only its owner and group may use, and hands each request to the loop.
pub fn listen(path: &Path, inputs: Inputs) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, inputs.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, inputs: Inputs) {
    let answering = async {
        let mut line = String::new();
        let (reader, mut writer) = stream.split();
        BufReader::new(reader.take(LONGEST)).read_line(&mut line).await?;
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                let (sender, receiver) = oneshot::channel();
                let _ = inputs.send(Input::Request(request, sender)).await;
                receiver.await.unwrap_or_else(|_| Err("the agent is exiting".into()))
            }
            Err(error) => Err(format!("this order is not understood: {error}")),
        };
        let text = match answer {
            Ok(value) => serde_json::json!({ "ok": value }),
            Err(error) => serde_json::json!({ "error": error }),
        };
        writer.write_all(format!("{text}\n").as_bytes()).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, answering).await {
        tracing::debug!(%error, "a control connection broke");
    }
}

/// Asks the agent behind `socket`.
async fn ask(socket: &Path, request: &Request) -> anyhow::Result<Value> {
    let asking = async {
        let mut stream = UnixStream::connect(socket).await.with_context(|| {
            format!(
                "no agent answers at {}: is lightsout-agent running (systemctl status lightsout-agent), and may you use its socket?",
                socket.display()
            )
        })?;
        stream.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let answer: Value = serde_json::from_str(&text).context("the agent's answer cannot be read")?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            bail!("{error}");
        }
        Ok(answer.get("ok").cloned().unwrap_or_default())
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .with_context(|| format!("the agent did not answer within {PATIENCE:?}"))?
}

/// Gives an order; the agent's words about it.
pub async fn order(socket: &Path, request: &Request) -> anyhow::Result<String> {
    let answer = ask(socket, request).await?;
    Ok(answer.as_str().map_or_else(|| answer.to_string(), str::to_owned))
}

/// The agent's status, as JSON or as a few lines for a person.
pub async fn status(socket: &Path, json: bool) -> anyhow::Result<String> {
    let status = ask(socket, &Request::Status).await?;
    if json {
        return Ok(serde_json::to_string_pretty(&status)?);
    }
    let text = |key: &str| match status.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(items)) if items.is_empty() => None,
        Some(Value::Array(items)) => {
            Some(items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" "))
        }
        Some(other) => Some(other.to_string()),
    };
    let rows = [
        "instance",
        "group",
        "phase",
        "why",
        "jobs",
        "unknown",
        "protected",
        "held",
        "served",
        "note",
        "pid",
        "version",
    ];
    let lines = rows.into_iter().filter_map(|key| Some(format!("{key:>10}  {}", text(key)?)));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
