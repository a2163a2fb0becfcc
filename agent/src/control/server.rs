//! The agent's side of the control socket.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::oneshot,
};

use super::{Request, TIMEOUT};
use crate::input::{Input, Inputs};

/// The longest request, in bytes.
const MAX_REQUEST: u64 = 4096;

/// Listens at `path`, which only its owner and group may use, and hands each request to the loop.
pub(crate) fn listen(path: &Path, inputs: Inputs) -> io::Result<()> {
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
        BufReader::new(reader.take(MAX_REQUEST)).read_line(&mut line).await?;
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => {
                let (sender, receiver) = oneshot::channel();
                let _ = inputs.send(Input::Request(request, sender)).await;
                receiver.await.unwrap_or_else(|_| Err("the agent is exiting".into()))
            }
            Err(error) => Err(format!("this request is not understood: {error}")),
        };
        let text = match answer {
            Ok(value) => serde_json::json!({ "ok": value }),
            Err(error) => serde_json::json!({ "error": error }),
        };
        writer.write_all(format!("{text}\n").as_bytes()).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, answering).await {
        tracing::debug!(%error, "a control connection broke");
    }
}
