//! An operator's side of the control socket.

use std::path::Path;

use lightsout_core::duration::not_within;

use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{Request, TIMEOUT};
use crate::boot::{self, Part};

/// Makes a request; what the agent says to it.
pub(crate) async fn send(socket: &Path, request: &Request) -> Result<String, String> {
    let answer = round_trip(socket, request).await?;
    Ok(answer.as_str().map_or_else(|| answer.to_string(), str::to_owned))
}

/// The agent's status, as JSON or as a few lines for a person.
pub(crate) async fn status(socket: &Path, json: bool) -> Result<String, String> {
    let status = round_trip(socket, &Request::Status).await?;
    if json {
        return serde_json::to_string_pretty(&status).map_err(|error| error.to_string());
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
    let boot = status.get("boot").and_then(|parts| boot::in_words(&Vec::<Part>::deserialize(parts).ok()?));
    let lines = rows.into_iter().filter_map(|key| Some(format!("{key:>10}  {}", text(key)?)));
    Ok(lines.chain(boot.map(|words| format!("{:>10}  {words}", "boot"))).collect::<Vec<_>>().join("\n"))
}

/// Makes a request; what the agent answers.
pub(crate) async fn round_trip(socket: &Path, request: &Request) -> Result<Value, String> {
    let text = timeout(TIMEOUT, exchange(socket, request)).await.map_err(|_| {
        not_within("the agent did not answer", TIMEOUT, "journalctl -u lightsout-agent has what it does")
    })??;
    let answer: Value =
        serde_json::from_str(&text).map_err(|error| format!("the agent's answer cannot be read: {error}"))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer.get("ok").cloned().unwrap_or_default()),
    }
}

async fn exchange(socket: &Path, request: &Request) -> Result<String, String> {
    let mut stream = UnixStream::connect(socket).await.map_err(|error| {
        format!(
            "no agent answers at {}: is lightsout-agent running (systemctl status lightsout-agent), and may you use \
             its socket? {error}",
            socket.display()
        )
    })?;
    let line = serde_json::to_string(request).map_err(|error| error.to_string())? + "\n";
    let mut text = String::new();
    let transfer = async {
        stream.write_all(line.as_bytes()).await?;
        stream.read_to_string(&mut text).await
    };
    transfer.await.map_err(|error| format!("the connection to the agent broke: {error}"))?;
    Ok(text)
}
