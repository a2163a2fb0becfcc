//! What is put on a machine before its first boot: what user data would write on a real one, and what stands in for the
//! vendors here.

use std::{ffi::OsString, fs, io, path::Path};

use lightsout_localcloud::{Boot, ci::demo::DemoMachine};

use crate::{
    containers,
    processes::{MACHINE_ENV, ProcessScope},
    up::{
        agent_settings::{self, OwnSettings},
        fleet_config::FleetConfig,
        machine_image::MachineImage,
    },
};

/// Where the machine writes its log for `lightsout logs`.
pub(crate) const LOGS: &str = "/var/log/lightsout-up";
/// What the runner serves, on the machine's own loopback.
const PORT: u16 = 9252;
/// A place for the built-in runner's own files.
const SCRATCH: &str = "/var/tmp/lightsout-up";

/// The files as a tar.
pub(crate) fn archive(config: &FleetConfig, image: &MachineImage, boot: &Boot) -> io::Result<Vec<u8>> {
    let fleet = config.fleet_dir.fleet_name();
    let scope = ProcessScope::machine(&fleet, &boot.id).value();
    let described = DemoMachine {
        dir: Path::new(SCRATCH),
        runner: &config.runner,
        port: PORT,
        slots: config.slots,
        image: config.docker.as_ref().map(|(_, image)| image.as_str()),
        labels: &[(containers::FLEET_LABEL, &fleet), (containers::MACHINE_LABEL, &scope)],
    };
    let of_runner = config.platform.environment(&described);
    let names = of_runner.iter().map(|(name, _)| *name);
    let settings = agent_settings::agent(config, &boot.aws, &described, &OwnSettings::default(), names);
    let to_cloud: [(&str, OsString); 3] = [
        (MACHINE_ENV, scope.into()),
        ("AWS_ENDPOINT_URL", boot.aws.clone().into()),
        ("AWS_REGION", boot.region.clone().into()),
    ];
    let variables = to_cloud.into_iter().chain(of_runner);

    let mut tar = Tar::default();
    tar.directory("etc/lightsout/agent.d", 0o755)?;
    // What the image was built for may be another platform, and an agent has one.
    for of_image in ["10-image.toml", "20-image.toml"] {
        tar.file(&format!("etc/lightsout/agent.d/{of_image}"), 0o644, b"# Replaced by 50-up.toml.\n")?;
    }
    tar.file("etc/lightsout/agent.d/50-up.toml", 0o644, settings.as_bytes())?;
    for (number, more) in config.agent_settings.iter().enumerate() {
        tar.file(&format!("etc/lightsout/agent.d/{}-more.toml", 60 + number), 0o600, &fs::read(more)?)?;
    }
    tar.directory("etc/systemd/system/lightsout-agent.service.d", 0o755)?;
    tar.file("etc/systemd/system/lightsout-agent.service.d/up.conf", 0o644, environment(variables).as_bytes())?;
    tar.directory(&SCRATCH[1..], 0o1777)?;
    tar.unit("lightsout-up-log.service", &log_unit())?;
    if let Some(job_image) = &image.job_image {
        tar.unit("lightsout-up-images.service", &image_unit(job_image))?;
    }
    if let Some(agent) = &config.agent {
        tar.file("usr/bin/lightsout-agent", 0o755, &fs::read(agent)?)?;
        // What it becomes for a diagnosis; the image's may be of another build.
        if let Ok(doctor) = fs::read(agent.with_file_name("lightsout-doctor")) {
            tar.file("usr/lib/lightsout/lightsout-doctor", 0o755, &doctor)?;
        }
    }
    tar.end()
}

/// The drop-in of the agent's unit that leads it to the embedded cloud.
fn environment(variables: impl Iterator<Item = (&'static str, OsString)>) -> String {
    let lines = variables.map(|(name, value)| {
        let value = value.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
        format!("Environment=\"{name}={value}\"\n")
    });
    format!("[Service]\n{}", lines.collect::<String>())
}

/// Passes on what the agent says. It is stopped after the agent, and then writes all of it once more, with the last words that
/// may have come too late for it.
fn log_unit() -> String {
    let read = "journalctl --quiet --output=short-iso-precise --unit=lightsout-agent --unit=lightsout-dead-man";
    format!(
        "[Unit]\n\
         Description=the agent's log, for lightsout logs\n\
         Before=lightsout-agent.service\n\
         [Service]\n\
         ExecStart=/bin/sh -c 'exec {read} --follow --no-tail >{LOGS}/agent.log'\n\
         ExecStopPost=/bin/sh -c 'journalctl --sync; exec {read} >{LOGS}/agent.log'\n"
    )
}

/// The jobs' image, as a real machine's image holds those that jobs often use.
fn image_unit(archive: &Path) -> String {
    format!(
        "[Unit]\n\
         Description=the image of the jobs\n\
         Requires=docker.service\n\
         After=docker.service\n\
         Before=lightsout-agent.service\n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart=docker load --quiet --input \"{}\"\n",
        archive.display()
    )
}

/// A tar of files of root.
#[derive(Default)]
struct Tar(Option<tar::Builder<Vec<u8>>>);

impl Tar {
    fn builder(&mut self) -> &mut tar::Builder<Vec<u8>> {
        self.0.get_or_insert_with(|| tar::Builder::new(Vec::new()))
    }

    fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        self.builder().append_data(&mut header, format!("{path}/"), io::empty())
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        let mut header = header(tar::EntryType::Regular, mode, contents.len() as u64);
        self.builder().append_data(&mut header, path, contents)
    }

    /// A unit that is started at boot.
    fn unit(&mut self, name: &str, text: &str) -> io::Result<()> {
        let path = format!("etc/systemd/system/{name}");
        self.file(&path, 0o644, text.as_bytes())?;
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        let wanted = format!("etc/systemd/system/multi-user.target.wants/{name}");
        self.builder().append_link(&mut header, wanted, format!("/{path}"))
    }

    fn end(mut self) -> io::Result<Vec<u8>> {
        self.builder();
        self.0.map_or_else(|| Ok(Vec::new()), tar::Builder::into_inner)
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
