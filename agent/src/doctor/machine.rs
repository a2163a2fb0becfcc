//! Facts about the state of the machine.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use lightsout_core::{
    doctor::facts::{AgentAnswer, Fact, Machine, SettingsFacts, WaysOut},
    space::FileSystem,
};
use serde_json::Value;

use super::root::Root;
use crate::{
    docker::{Engine, EngineInfo},
    space,
};

/// A route that refuses what would go its way (Linux, `include/uapi/linux/route.h`, `RTF_REJECT`).
const REJECT: u32 = 0x200;

/// What can be seen of a machine that runs.
pub(crate) async fn running(
    facts: &SettingsFacts,
    root: &Root,
    status: Result<Value, String>,
    engine: Option<&Engine>,
) -> Machine {
    let settings = facts.settings.as_ref();
    let engine = match engine {
        Some(engine) => Some(engine.version().await),
        None => None,
    };
    Machine {
        engine,
        // Through a proxy there may be a way without a route.
        ways_out: (!has_proxy()).then(|| ways_out(root)),
        needs_ipv4: settings.and_then(|settings| settings.platform.needs().ipv4),
        up_for: Some(crate::clock::uptime()),
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

/// The file systems by which the agent takes jobs, each once; without settings, those of the defaults. The engine's own, where jobs need it, is
/// where the engine says, as to the agent; one that does not answer is looked for by its file.
pub(crate) fn disks(facts: &SettingsFacts, root: &Root, engine: bool, info: &EngineInfo) -> Vec<Fact<FileSystem>> {
    let mut folders = space::folders(facts.settings.as_ref());
    let data = || info.data.clone().unwrap_or_else(|| space::engine_data(&root.at(space::ENGINE_SETTINGS)));
    folders.extend(engine.then(data));
    let mut seen = BTreeSet::new();
    let mut disks = Vec::new();
    for folder in folders {
        let Some(there) = nearest(&root.at(&folder)) else { continue };
        let Ok(device) = fs::metadata(&there).map(|found| found.dev()) else { continue };
        if seen.insert(device) {
            let found = space::file_system(&there).map(|found| FileSystem { folder: folder.clone(), ..found });
            disks.push(
                found.map_err(|error| format!("the file system of {} cannot be looked at: {error}", folder.display())),
            );
        }
    }
    disks
}

/// The path, or the nearest folder above it that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
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
