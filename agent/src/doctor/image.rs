//! What must not be left in a machine image.

use std::fs;

use lightsout_core::doctor::facts::Leftovers;

use super::root::{Root, has_extension};

/// What systemd writes into a machine id that is to be made at the first boot (machine-id(5)).
const NO_ID: [&str; 2] = ["", "uninitialized"];

/// What signs in without asking anybody, in a home.
const CREDENTIALS: [&str; 6] =
    [".aws", ".azure", ".config/gcloud", ".docker/config.json", ".git-credentials", ".netrc"];

/// Looks for all of it.
pub(crate) fn leftovers(root: &Root) -> Leftovers {
    let homes: Vec<String> = ["/root".to_owned()].into_iter().chain(root.list("/home")).collect();
    let credentials = homes.iter().flat_map(|home| {
        let known = CREDENTIALS.iter().map(move |name| format!("{home}/{name}"));
        known.chain(root.list(&format!("{home}/.ssh")).into_iter().filter(|path| is_private_key(path)))
    });
    let histories = homes.iter().flat_map(|home| root.list(home)).filter(|path| is_history(path));
    let host_keys = root
        .list("/etc/ssh")
        .into_iter()
        .filter(|path| name(path).starts_with("ssh_host_") && name(path).ends_with("_key"));
    let ids = ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().filter(|path| {
        // A link to the other one is no id of its own.
        let link = fs::symlink_metadata(root.at(path)).is_ok_and(|found| found.is_symlink());
        !link && root.text(path).ok().flatten().is_some_and(|text| !NO_ID.contains(&text.trim()))
    });
    let state = root.list("/var/lib/lightsout").into_iter();
    let logs = root.list("/var/log/journal").into_iter().flat_map(|folder| root.list(&folder));
    let first_boot = ["/var/lib/cloud/instance", "/var/lib/cloud/instances", "/var/lib/cloud/data"];
    Leftovers {
        host_keys: host_keys.collect(),
        machine_id: ids.map(str::to_owned).collect(),
        agent: state.chain(logs).collect(),
        credentials: credentials.filter(|path| holds_something(root, path)).collect(),
        history: histories.filter(|path| holds_something(root, path)).collect(),
        first_boot: first_boot.into_iter().filter(|path| holds_something(root, path)).map(str::to_owned).collect(),
    }
}

/// Whether it is a file that is not empty, or a folder with something in it.
fn holds_something(root: &Root, path: &str) -> bool {
    fs::metadata(root.at(path))
        .is_ok_and(|found| if found.is_dir() { !root.list(path).is_empty() } else { found.len() > 0 })
}

/// Whatever its kind (ssh-keygen(1)); the public part is no secret.
fn is_private_key(path: &str) -> bool {
    name(path).starts_with("id_") && !has_extension(path, "pub")
}

/// Of a shell, an interpreter or a database's client.
fn is_history(path: &str) -> bool {
    let name = name(path);
    (name.starts_with('.') && name.ends_with("_history")) || name == ".lesshst"
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
