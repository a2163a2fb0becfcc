//! Facts about systemd's units, read from its folders: that works in an image as well, where no systemd runs.

use std::{fs, path::Path, time::Duration};

use lightsout_core::{doctor::facts::Unit, exchange::Program};
use lightsout_io::program;

use super::root::{Root, has_extension};
use crate::runner_process::systemd_runs;

/// Where units are, the first wins (systemd.unit(5)).
const FOLDERS: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A unit as the files tell, and as systemd does where it runs and this is no image: what runs while one is built says nothing of its instances.
pub(crate) async fn unit(root: &Root, name: &str, in_image: bool) -> Unit {
    let found = FOLDERS.iter().map(|folder| format!("{folder}/{name}")).find(|path| root.has(path));
    let masked = found.as_ref().is_some_and(|path| {
        let path = root.at(path);
        let to_nothing = fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null"));
        to_nothing || fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == 0)
    });
    let active = if !in_image && root.is_real() && systemd_runs() { is_active(name).await } else { None };
    Unit {
        name: name.to_owned(),
        installed: found.is_some() && !masked,
        enabled: is_enabled(root, name),
        masked,
        active,
    }
}

/// Whether another unit wants or requires it.
fn is_enabled(root: &Root, name: &str) -> bool {
    FOLDERS.iter().any(|folder| {
        let wanting = root.list(folder).into_iter();
        let mut wanting = wanting.filter(|entry| has_extension(entry, "wants") || has_extension(entry, "requires"));
        wanting.any(|wanting| root.has(format!("{wanting}/{name}")))
    })
}

async fn is_active(name: &str) -> Option<bool> {
    let argv = ["systemctl", "is-active", "--quiet", name].map(str::to_owned).into();
    let asked = Program::new(argv, Vec::new(), Duration::from_secs(10));
    program::run(&asked).await.ok().map(|output| output.status == Some(0))
}
