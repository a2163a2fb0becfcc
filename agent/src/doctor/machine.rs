//! Facts about the state of the machine.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use lightsout_core::doctor::facts::{AgentAnswer, Disk, Fact, Machine, SettingsFacts, WaysOut};
use rustix::fs::statvfs;
use serde_json::Value;

use super::root::Root;
use crate::docker::Engine;

/// Where the engine keeps images and containers, unless it was told otherwise.
const ENGINE_STORE: &str = "/var/lib/docker";
/// A route that refuses what would go its way (Linux, `include/uapi/linux/route.h`, `RTF_REJECT`).
const REJECT: u32 = 0x200;

/// What can be seen of a machine that runs.
pub(crate) async fn running(facts: &SettingsFacts, root: &Root, status: Result<Value, String>) -> Machine {
    let settings = facts.settings.as_ref();
    let docker = settings.map(|settings| &settings.docker).filter(|docker| docker.enabled);
    let engine = match docker {
        Some(docker) => Some(Engine::new(&docker.socket).version().await),
        None => None,
    };
    Machine {
        engine,
        // Through a proxy there may be a way without a route.
        ways_out: (!has_proxy()).then(|| ways_out(root)),
        needs_ipv4: settings.and_then(|settings| settings.platform.needs().ipv4),
        up_for: crate::clock::uptime(),
        agent: Some(status.map(|status| answer(&status))),
        version: env!("CARGO_PKG_VERSION"),
        ..Machine::default()
    }
}

fn answer(status: &Value) -> AgentAnswer {
    let text = |key: &str| status.get(key).and_then(Value::as_str).map(str::to_owned);
    AgentAnswer {
        version: text("version").unwrap_or_default(),
        phase: text("phase").unwrap_or_default(),
        note: text("note"),
    }
}

fn has_proxy() -> bool {
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].iter().any(|name| env::var_os(name).is_some())
}

/// The file systems that the agent, the engine and jobs write to, each once.
pub(crate) fn disks(facts: &SettingsFacts, root: &Root) -> Vec<Fact<Disk>> {
    let state = facts.settings.as_ref().map_or_else(|| "/var/lib/lightsout".into(), |found| found.state_dir.clone());
    let mut seen = BTreeSet::new();
    let mut disks = Vec::new();
    for path in [state, ENGINE_STORE.into(), "/tmp".into()] {
        let Some(there) = nearest(&root.at(&path)) else { continue };
        let Ok(device) = fs::metadata(&there).map(|found| found.dev()) else { continue };
        if seen.insert(device) {
            disks.push(disk(path, &there));
        }
    }
    disks
}

/// The path, or the nearest folder above it that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
}

fn disk(path: PathBuf, there: &Path) -> Fact<Disk> {
    let found = statvfs(there)
        .map_err(|error| format!("the file system of {} cannot be looked at: {error}", path.display()))?;
    Ok(Disk {
        path,
        free: found.f_bavail.saturating_mul(found.f_frsize),
        size: found.f_blocks.saturating_mul(found.f_frsize),
        free_files: found.f_favail,
        files: found.f_files,
    })
}

/// The default routes, as proc(5) and the kernel's sources tell them.
pub(super) fn ways_out(root: &Root) -> Fact<WaysOut> {
    let ipv4 = root.text("/proc/net/route")?.unwrap_or_default();
    let ipv6 = root.text("/proc/net/ipv6_route")?.unwrap_or_default();
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ipv4 = ipv4.lines().skip(1).map(fields).any(|route| {
        let at = |index: usize| route.get(index).map_or("", String::as_str);
        at(1) == "00000000" && at(7) == "00000000" && !rejects(at(3))
    });
    let ipv6 = ipv6.lines().map(fields).any(|route| {
        let at = |index: usize| route.get(index).map_or("", String::as_str);
        at(0).bytes().all(|digit| digit == b'0') && at(1) == "00" && at(9) != "lo" && !rejects(at(8))
    });
    Ok(WaysOut { ipv4, ipv6 })
}

fn rejects(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & REJECT != 0)
}
