//! What the fleet's processes have written.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::fleet_dir::FleetDir;

/// Prints a log; with `follow`, goes on until the reader has enough or the fleet has ended.
pub(super) async fn print(fleet_dir: &FleetDir, id: &str, follow: bool, json: bool) -> Result<()> {
    let (name, path) = find(fleet_dir, id)?;
    let mut file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut out = std::io::stdout().lock();
    let mut unfinished = Vec::new();
    loop {
        let ended = fleet_dir.running().is_err();
        let mut piece = Vec::new();
        file.read_to_end(&mut piece)?;
        if json {
            unfinished.append(&mut piece);
            while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unfinished.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]);
                piece.extend_from_slice(format!("{}\n", json!({ "log": name, "line": line })).as_bytes());
            }
        }
        if out.write_all(&piece).and_then(|()| out.flush()).is_err() || !follow || ended {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The log's full name and its file. Logs stay until the next fleet starts in this directory; of the instances that have
/// ended, those of the last hundred.
fn find(fleet_dir: &FleetDir, id: &str) -> Result<(String, PathBuf)> {
    if id == "scaler" || id == "up" {
        return Ok((id.to_owned(), fleet_dir.path().join(format!("{id}.log"))));
    }
    let names: Vec<String> = fs::read_dir(fleet_dir.instances())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(id) || name.strip_prefix("i-").is_some_and(|name| name.starts_with(id)))
        .collect();
    match &names[..] {
        [name] => Ok((name.clone(), fleet_dir.instances().join(name).join("agent.log"))),
        [] => bail!("no log of `{id}` in {}; `lightsout ps` lists the instances", fleet_dir.path().display()),
        [..] => bail!("`{id}` could be {}; write more of it", names.join(" or ")),
    }
}
