//! The container that a machine is: created once, started and stopped as a machine is switched on and off.

use std::{io, time::Duration};

use bollard::{
    Docker, body_full,
    container::LogOutput,
    errors::Error,
    exec::{StartExecOptions, StartExecResults},
    models::{ContainerCreateBody, ExecConfig, HostConfig, HostConfigCgroupnsModeEnum, Mount, MountType},
    query_parameters::{
        CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions, StartContainerOptions,
        StopContainerOptions, UploadToContainerOptions, WaitContainerOptions,
    },
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use lightsout_localcloud::{Boot, machine::Ran};

use super::{files::LOGS, log_dir};
use crate::{
    containers::{BOOTED_LABEL, MACHINE_LABEL},
    processes::ProcessScope,
    up::{fleet_config::FleetConfig, machine_image::MachineImage},
};

/// Waits for the network, as firmware would not but a real machine's is there before, and hands over to systemd. It needs its
/// control groups writable.
const BOOT: &str =
    "for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw \"$mount\" 2>/dev/null || true; done
until grep -q '^eth0' /proc/net/route; do sleep 0.05; done
exec /sbin/init";

/// What systemd and a Docker engine need beyond the usual. Not `--privileged`, which asks for what the engine itself may not
/// have.
const CAPABILITIES: [&str; 3] = ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"];

/// The directories of engines, which cannot lie on the file system of a container.
const ENGINE_DIRS: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

/// The name of an instance's container.
pub(crate) fn name(config: &FleetConfig, id: &str) -> String {
    format!("lightsout-{}-{id}", config.fleet_dir.fleet_name())
}

/// Whether it was created already.
pub(crate) async fn exists(docker: &Docker, name: &str) -> io::Result<bool> {
    match docker.inspect_container(name, None::<InspectContainerOptions>).await {
        Ok(_) => Ok(true),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Creates it with these files, which are a tar.
pub(crate) async fn create(config: &FleetConfig, image: &MachineImage, boot: &Boot, files: Vec<u8>) -> io::Result<()> {
    let fleet = config.fleet_dir.fleet_name();
    let labels = [
        (BOOTED_LABEL.to_owned(), fleet.clone()),
        (MACHINE_LABEL.to_owned(), ProcessScope::machine(&fleet, &boot.id).value()),
    ];
    let read_only = [&config.program, &image.shared, &config.runner].map(|path| path.display().to_string());
    let mut binds: Vec<String> = read_only.iter().map(|path| format!("{path}:{path}:ro")).collect();
    if config.runner.starts_with(&image.shared) {
        binds.pop();
    }
    binds.push(format!("{}:{LOGS}", log_dir(config, &boot.id).display()));
    let disks =
        ENGINE_DIRS.map(|dir| Mount { target: Some(dir.to_owned()), typ: Some(MountType::VOLUME), ..Mount::default() });
    let body = ContainerCreateBody {
        image: Some(image.name.clone()),
        hostname: Some(boot.id.clone()),
        entrypoint: Some(["/bin/sh", "-c"].map(str::to_owned).to_vec()),
        cmd: Some(vec![BOOT.to_owned()]),
        // As a power button does: `systemctl poweroff`.
        stop_signal: Some("SIGRTMIN+3".to_owned()),
        // Its console.
        tty: Some(true),
        labels: Some(labels.into()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(["seccomp=unconfined", "apparmor=unconfined"].map(str::to_owned).to_vec()),
            masked_paths: Some(Vec::new()),
            readonly_paths: Some(Vec::new()),
            device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            tmpfs: Some(["/run", "/run/lock"].map(|dir| (dir.to_owned(), String::new())).into()),
            binds: Some(binds),
            mounts: Some(disks.to_vec()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let name = name(config, &boot.id);
    let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
    image.docker.create_container(Some(options), body).await.map_err(io::Error::other)?;
    let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
    let uploaded = image.docker.upload_to_container(&name, Some(options), body_full(Bytes::from(files))).await;
    uploaded.map_err(io::Error::other)
}

/// Switches it on. Gives the number of its first process.
pub(crate) async fn start(docker: &Docker, name: &str) -> io::Result<u32> {
    docker.start_container(name, None::<StartContainerOptions>).await.map_err(io::Error::other)?;
    let found = docker.inspect_container(name, None::<InspectContainerOptions>).await.map_err(io::Error::other)?;
    let pid = found.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    pid.ok_or_else(|| io::Error::other("it ended at once"))
}

/// Presses its power button, and cuts the power when that has not helped in this time.
pub(crate) async fn stop(docker: &Docker, name: &str, grace: Duration) -> Result<(), Error> {
    let t = i32::try_from(grace.as_secs()).ok();
    match docker.stop_container(name, Some(StopContainerOptions { t, ..StopContainerOptions::default() })).await {
        // 304: it is off; 404: it is gone.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 304 | 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Resolves when it is off.
pub(crate) async fn until_off(docker: &Docker, name: &str) {
    loop {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        match docker.wait_container(name, Some(options)).next().await {
            Some(
                Ok(_)
                | Err(Error::DockerContainerWaitError { .. } | Error::DockerResponseServerError { status_code: 404, .. }),
            ) => return,
            Some(Err(error)) => tracing::warn!(machine = name, %error, "it is not known whether a machine is off"),
            None => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Runs a script in it, as root.
pub(crate) async fn run(docker: &Docker, name: &str, script: &str) -> io::Result<Ran> {
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
        ..ExecConfig::default()
    };
    let exec = docker.create_exec(name, config).await.map_err(io::Error::other)?.id;
    let mut ran = Ran::default();
    if let StartExecResults::Attached { mut output, .. } =
        docker.start_exec(&exec, None::<StartExecOptions>).await.map_err(io::Error::other)?
    {
        while let Some(piece) = output.try_next().await.map_err(io::Error::other)? {
            match piece {
                LogOutput::StdErr { message } => ran.err.push_str(&String::from_utf8_lossy(&message)),
                LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                    ran.out.push_str(&String::from_utf8_lossy(&message));
                }
            }
        }
    }
    let ended = docker.inspect_exec(&exec).await.map_err(io::Error::other)?.exit_code;
    ran.code = ended.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
    Ok(ran)
}

/// A file of it, whether it is on or off.
pub(crate) async fn read(docker: &Docker, name: &str, path: &str) -> Option<Vec<u8>> {
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let pieces: Vec<Bytes> = docker.download_from_container(name, Some(options)).try_collect().await.ok()?;
    let tar = pieces.concat();
    let mut archive = tar::Archive::new(&tar[..]);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    let mut contents = Vec::new();
    io::Read::read_to_end(&mut entry, &mut contents).ok()?;
    Some(contents)
}
