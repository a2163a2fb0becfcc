//! The machine that figures belong to.

use std::{fmt, fs, process::Command, thread};

use serde::Serialize;

/// What matters for the figures.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    /// The engine's version, if one answers.
    pub docker: Option<String>,
}

pub(crate) fn describe() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |text: &str, key: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([':', ' ', '\t']).to_owned()))
    };
    let kib: u64 = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
    let docker = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output().ok();
    Machine {
        cpu: field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".into()),
        cores: thread::available_parallelism().map_or(0, usize::from),
        memory_gib: kib.div_ceil(1 << 20),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        docker: docker
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, memory_gib, kernel, docker } = self;
        write!(f, "{cores} cores ({cpu}), {memory_gib} GiB of memory, Linux {kernel}, ")?;
        match docker {
            Some(version) => write!(f, "Docker {version}"),
            None => f.write_str("no Docker"),
        }
    }
}
