//! The scaler with one pool and with many: a tick's time, memory, and the size of its program.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    fleet::{Fleet, Programs},
    http, once, process,
    report::Report,
};

/// How many ticks are watched; the first, in which everything is connected and fetched, is told apart.
const TICKS: usize = 4;

pub(crate) fn measure(programs: &Programs, pools: u32, samples: usize, report: &mut Report) -> Result<()> {
    let fleet = Fleet::start(programs, "--max 1 --tick 1h")?;
    for number in 1..=pools {
        create_group(&fleet, &name(number), 5)?;
    }
    for count in [1, pools] {
        watch(&fleet, &programs.scaler, count, report)?;
    }
    once::measure(&fleet, &programs.scaler, samples, report)?;
    size(&programs.scaler, "scaler", report)?;
    package(&programs.scaler, report)?;
    size(&programs.agent, "agent", report)
}

/// Some ticks of `watch` with so many pools.
fn watch(fleet: &Fleet, scaler: &Path, pools: u32, report: &mut Report) -> Result<()> {
    let config = fleet.dir().join(format!("bench-{pools}.toml"));
    fs::write(&config, settings(fleet, "", (1..=pools).map(name))?)?;
    let before = describes(fleet)?;
    let (child, lines) = Running::watch(scaler, fleet, &config, &["--tick", "5s", "--log", "warn"])?;
    let size = usize::try_from(pools)?;
    let mut records = Vec::new();
    for line in lines.take(size * TICKS) {
        records.push(serde_json::from_str::<Value>(&line?)?);
    }
    ensure!(records.len() == size * TICKS, "the scaler ended after {} records", records.len());
    let failed = records.iter().filter(|record| record["result"] == "failed").count();
    let slowest = |tick: &[Value]| tick.iter().filter_map(|record| record["ms"]["total"].as_f64()).fold(0.0, f64::max);
    let ticks: Vec<f64> = records.chunks(size).map(slowest).collect();
    let memory = process::memory(child.0.id())?;
    let calls = describes(fleet)? - before;
    let title = format!("scaler, {pools} pool{}", if pools == 1 { "" } else { "s" });

    report.add(format!("{title}: first tick"), "ms", ticks[..1].to_vec());
    report.add(format!("{title}: later ticks"), "ms", ticks[1..].to_vec());
    report.add(format!("{title}: resident (RSS)"), "MiB", vec![memory.rss]);
    report.add(format!("{title}: peak"), "MiB", process::peak(child.0.id()).into_iter().collect());
    report.add(format!("{title}: describe calls a tick"), "", vec![calls / f64::from(u32::try_from(TICKS)?)]);
    if failed > 0 {
        report.add(
            format!("{title}: FAILED records of {}", records.len()),
            "",
            vec![f64::from(u32::try_from(failed)?)],
        );
    }
    Ok(())
}

/// A scaler that finds the fleet's cloud, and nothing else, in its environment.
pub(crate) fn command(scaler: &Path, fleet: &Fleet) -> Command {
    let mut command = Command::new(scaler);
    command
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("AWS_ENDPOINT_URL", fleet.url())
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIALIGHTSOUTBENCH00")
        .env("AWS_SECRET_ACCESS_KEY", "none")
        .stdin(Stdio::null());
    command
}

/// Ends with its owner.
pub(crate) struct Running(pub Child);

impl Running {
    /// A scaler that watches the fleet's groups, and the lines of its records.
    pub(crate) fn watch(
        scaler: &Path,
        fleet: &Fleet,
        config: &Path,
        args: &[&str],
    ) -> Result<(Self, Lines<BufReader<ChildStdout>>)> {
        let mut watch = command(scaler, fleet);
        watch.args(["watch", "--log-format", "json", "--config"]).arg(config).args(args).stdout(Stdio::piped());
        let mut child = Self(watch.spawn()?);
        let lines = BufReader::new(child.0.stdout.take().context("no standard output")?).lines();
        Ok((child, lines))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn name(number: u32) -> String {
    format!("bench-{number:04}")
}

/// The fleet's own settings of the platform, and these keys, for pools with these groups.
pub(crate) fn settings(fleet: &Fleet, keys: &str, groups: impl IntoIterator<Item = String>) -> Result<String> {
    let own = fs::read_to_string(fleet.dir().join("scaler.toml")).context("the fleet has no settings of its scaler")?;
    let (_, platform) = own.split_once("[pool.platform.gitlab]").context("the fleet's platform is not GitLab")?;
    let mut text = format!("[defaults.platform.gitlab]{platform}\n{keys}\n");
    for group in groups {
        write!(text, "[[pool]]\ngroup = \"{group}\"\n")?;
    }
    Ok(text)
}

/// A group of at most so many instances.
pub(crate) fn create_group(fleet: &Fleet, name: &str, max: u32) -> Result<()> {
    let form = format!(
        "Action=CreateAutoScalingGroup&AutoScalingGroupName={name}&MinSize=0&MaxSize={max}\
         &LaunchTemplate.LaunchTemplateName=lightsout-demo&AvailabilityZones.member.1=eu-central-1a\
         &NewInstancesProtectedFromScaleIn=true"
    );
    call(fleet, &form)
}

/// A call of Auto Scaling: its action and parameters as a form.
pub(crate) fn call(fleet: &Fleet, form: &str) -> Result<()> {
    let form = format!("{form}&Version=2011-01-01");
    let (status, text) = http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form)?;
    ensure!(status == 200, "{form} is refused: {text}");
    Ok(())
}

/// How often groups were described so far.
fn describes(fleet: &Fleet) -> Result<f64> {
    let counters = fleet.snapshot()?.counters.aws;
    let count: u64 = counters.get("DescribeAutoScalingGroups").map_or(0, |callers| callers.values().sum());
    Ok(f64::from(u32::try_from(count)?))
}

/// The package as it is shipped.
fn package(program: &Path, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let zip = folder.path().join("package.zip");
    let packed = Command::new("packer/function").arg(program).arg(&zip).output();
    let packed = packed.context("packer/function cannot be run: run the benchmark at the root of the project")?;
    ensure!(packed.status.success(), "packer/function: {}", String::from_utf8_lossy(&packed.stderr));
    report.add("scaler: package for Lambda".to_owned(), "MiB", vec![mib(fs::metadata(&zip)?.len())]);
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / f64::from(1 << 20)
}

/// A program's size.
fn size(program: &Path, title: &str, report: &mut Report) -> Result<()> {
    report.add(format!("{title}: program, stripped"), "MiB", vec![mib(fs::metadata(program)?.len())]);
    Ok(())
}
