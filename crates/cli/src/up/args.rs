//! The arguments of `lightsout up`.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use lightsout_io::command_line::{Failure, duration_within};
use lightsout_localcloud::{Fault, NewJobs, PlatformKind};
use serde_json::json;

use super::cloud::CloudKind;
use crate::{
    cost,
    duration::{self, DAY, HOUR, SECOND},
    web::{self, LOOPBACK},
};

/// What an instance of the fleet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InstanceKind {
    /// The agent and what it starts, as processes of this machine.
    #[default]
    Processes,
    /// A container in which systemd is booted, with a network and a Docker engine of its own.
    Machines,
}

/// Run a whole fleet on this machine: it grows, works, and turns its own lights off
#[derive(clap::Args)]
#[command(
    help_template = "\
{about}

An embedded cloud (EC2 Auto Scaling, instance metadata, a CI platform) listens on loopback. The real scaler
raises its group while jobs wait. Each instance is the real agent with a runner of that platform: it takes jobs,
idles out, and ends itself. Jobs run in Docker containers when an engine answers and the platform's runner does
so, else as plain processes. Nothing outside of this machine is asked for anything.

{usage-heading} {usage}

{all-args}{after-help}",
    after_help = "\
Examples:
  lightsout up                       20 jobs on up to 5 instances, until the fleet is at zero again
  lightsout up --jobs 0 --keep       an empty fleet that waits for `lightsout enqueue`
  lightsout up --max 10 --slots 2    a bigger one, two jobs to an instance
  lightsout up --platform github     the same with GitHub Actions instead of GitLab
  lightsout up --cloud azure         the same on a scale set of Azure instead of an Auto Scaling group
  lightsout up --web                 with a live page to look at in a browser; it prints where
  lightsout up --json | tail -1      only the summary, for scripts

While it runs, from a second terminal:
  lightsout ps, enqueue, crash ID, interrupt ID, rebalance ID, scale-in N, refresh, logs ID, down

Exit status: 0 when no job was lost, 1 otherwise, 2 for arguments or settings that cannot work, 130 after Ctrl-C."
)]
pub(crate) struct Args {
    /// How many jobs to start with; 0 waits for `lightsout enqueue`
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Work", value_parser = clap::value_parser!(u32).range(..=100_000))]
    jobs: u32,
    /// How long a job takes; each takes between half and one and a half of it
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = duration_within(Duration::ZERO, DAY), help_heading = "Work")]
    job_duration: Duration,
    /// What --job-duration was
    #[arg(long, hide = true, value_name = "SECONDS", value_parser = duration::seconds, conflicts_with = "job_duration")]
    job_seconds: Option<Duration>,
    /// Where chance starts: the same seed in the same place gives the same jobs and instance ids
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Work")]
    pub(crate) seed: u64,

    #[arg(
        long,
        value_name = "NAME",
        default_value_t = PlatformKind::default(),
        help_heading = "Fleet",
        help = format!("The CI platform: {}", PlatformKind::names())
    )]
    pub(crate) platform: PlatformKind,
    /// The vendor of the embedded cloud
    #[arg(long, value_name = "NAME", value_enum, default_value_t, help_heading = "Fleet")]
    pub(crate) cloud: CloudKind,
    /// What an instance is: a group of processes, or a machine of its own, booted in a container of the machine image
    /// (needs root and a Docker engine)
    #[arg(long, value_name = "KIND", value_enum, default_value_t, help_heading = "Fleet")]
    pub(crate) instances: InstanceKind,
    /// The machine image, with --instances machines [default: the one that packer/README.md builds]
    #[arg(long, value_name = "NAME", help_heading = "Fleet")]
    pub(crate) machine_image: Option<String>,
    /// The group's smallest size
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Fleet")]
    pub(crate) min: u32,
    /// The group's largest size
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Fleet")]
    pub(crate) max: u32,
    /// Jobs that an instance takes at once
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Fleet", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) slots: u32,
    /// From launch to in service
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration_within(Duration::ZERO, HOUR), help_heading = "Fleet")]
    boot: Duration,
    /// What --boot was
    #[arg(long, hide = true, value_name = "SECONDS", value_parser = duration::seconds, conflicts_with = "boot")]
    boot_seconds: Option<Duration>,
    /// How long an instance stays without a job
    #[arg(long, value_name = "DURATION", default_value = "8s", value_parser = duration_within(SECOND, 30 * DAY), help_heading = "Fleet")]
    pub(crate) idle_timeout: Duration,
    /// The pause between two looks of the scaler at the queue; quick for the demo, 10s is the default in production
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration_within(SECOND, HOUR), help_heading = "Fleet")]
    pub(crate) tick: Duration,
    /// Have the platform post its webhook to the scaler, which then looks at once; where it has one
    #[arg(long, help_heading = "Fleet")]
    pub(crate) webhook: bool,
    /// Give the group a launch hook, so that an instance is in service only once its agent is ready for jobs
    #[arg(long, help_heading = "Fleet")]
    pub(crate) launch_hook: bool,
    /// Use the vendor's own runner instead of the small built-in one; where it can be had without its vendor's cloud
    #[arg(long, value_name = "PATH", help_heading = "Fleet")]
    pub(crate) runner: Option<PathBuf>,
    /// More settings for the agents, as user data would write them: a TOML file; may be repeated, later ones win
    #[arg(long, value_name = "PATH", help_heading = "Fleet")]
    pub(crate) agent_settings: Vec<PathBuf>,
    /// Run jobs as plain processes even when a Docker engine answers
    #[arg(long, help_heading = "Fleet")]
    pub(crate) no_docker: bool,

    /// Something that goes wrong; may be given more than once. A fault of the built-in runners by its name, such as
    /// cancel-request or lose-claim, or any fault as JSON, as docs/localcloud.md lists them
    #[arg(long = "fault", value_name = "FAULT", value_parser = parse_fault, help_heading = "Run")]
    pub(crate) faults: Vec<Fault>,
    /// End when all jobs have ended and the fleet is back at its smallest size (the default)
    #[arg(long, conflicts_with = "keep", help_heading = "Run")]
    once: bool,
    /// Keep running until Ctrl-C or `lightsout down`
    #[arg(long, help_heading = "Run")]
    pub(crate) keep: bool,
    /// The embedded cloud's port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0, help_heading = "Run")]
    pub(crate) port: u16,
    /// Serve the live page of the fleet, to be read only: lanes of instances, queue and capacity, decisions, cost, waits. On
    /// loopback at a free port unless ADDR, IP or IP:PORT, says otherwise; elsewhere whoever knows the address may read
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = LOOPBACK, value_parser = web::address, help_heading = "Run")]
    pub(crate) web: Option<SocketAddr>,
    /// What an instance costs in an hour, in your currency: the summary and the live page then say what the run cost
    #[arg(long, value_name = "NUMBER", value_parser = cost::number_per_hour, help_heading = "Run")]
    pub(crate) price: Option<f64>,
    /// The same by each instance's type and by how it was bought: `[prices]` of these settings, files or folders; those of a scaler, or a file of
    /// its own
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "price", help_heading = "Run")]
    pub(crate) prices: Vec<PathBuf>,
    /// Print one JSON object a line; the last is the summary
    #[arg(long, help_heading = "Run")]
    pub(crate) json: bool,

    /// Start this agent instead of the one in this program
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) agent_bin: Option<PathBuf>,
    /// Start this scaler instead of the one in this program
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) scaler_bin: Option<PathBuf>,
}

/// Files of the user's, by paths that hold everywhere.
pub(crate) struct Files {
    pub(crate) runner: Option<PathBuf>,
    pub(crate) agent_settings: Vec<PathBuf>,
}

impl Args {
    /// What the single flags cannot say about themselves.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let (aws, machines) = (self.cloud == CloudKind::Aws, self.instances == InstanceKind::Machines);
        let wrong = [
            (
                self.machine_image.is_some() && !machines,
                "--machine-image is for --instances machines; add that, or leave it out",
            ),
            (!aws && machines, "--cloud azure has instances that are processes alone; leave --instances out"),
            (!aws && self.launch_hook, "--launch-hook is for --cloud aws: a scale set has none; leave it out"),
            (self.max == 0, "--max 0 leaves no room for an instance; use 1 or more"),
            (self.min > self.max, "--min is above --max; lower the one or raise the other"),
        ];
        wrong.iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, why)| Err(Failure::refused(why)))
    }

    /// The files that are named.
    pub(crate) fn files(&self) -> Result<Files, Failure> {
        // The agents have another working directory.
        let absolute = |flag: &str, path: &PathBuf| {
            let found = fs::canonicalize(path);
            found.map_err(|error| {
                Failure::Refused(format!("{flag} {}: {error}; name one that is there", path.display()))
            })
        };
        let settings = self.agent_settings.iter().map(|path| absolute("--agent-settings", path));
        Ok(Files {
            runner: self.runner.as_ref().map(|path| absolute("--runner", path)).transpose()?,
            agent_settings: settings.collect::<Result<_, _>>()?,
        })
    }

    /// From launch to in service.
    pub(crate) fn boot(&self) -> Duration {
        self.boot_seconds.unwrap_or(self.boot)
    }

    /// The first jobs, each with its own length.
    pub(crate) fn first_jobs(&self) -> impl Iterator<Item = NewJobs> {
        let mut chance = SplitMix64(self.seed);
        let seconds = self.job_seconds.unwrap_or(self.job_duration).as_secs_f64();
        (0..self.jobs).map(move |_| NewJobs {
            seconds: (seconds * (0.5 + chance.next()) * 10.0).round() / 10.0,
            ..NewJobs::default()
        })
    }
}

/// A fault as JSON, or the name of one that the runners have.
fn parse_fault(text: &str) -> Result<Fault, String> {
    let fault: Fault = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_json::from_value(json!({ "target": "runner", "effect": text })).map_err(|error| error.to_string())?
    };
    fault.check()?;
    Ok(fault)
}

/// Numbers between 0 and 1 that look random (SplitMix64).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use lightsout_localcloud::Target;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Line::try_parse_from(format!("up {line}").split_whitespace()).unwrap().args
    }

    #[test]
    fn jobs_spread_around_their_length_and_repeat_with_the_seed() {
        let seconds = |line: &str| args(line).first_jobs().map(|job| job.seconds).collect::<Vec<_>>();
        let jobs = seconds("--jobs 200 --job-duration 4s");
        assert_eq!(jobs.len(), 200);
        assert!(jobs.iter().all(|seconds| (2.0..=6.0).contains(seconds)));
        let mean = jobs.iter().sum::<f64>() / 200.0;
        assert!((3.5..4.5).contains(&mean), "{mean}");
        assert_eq!(jobs, seconds("--jobs 200"));
        assert_eq!(jobs, seconds("--jobs 200 --job-seconds 4.0"), "its former name");
        assert_eq!([args("--boot 300ms").boot(), args("--boot-seconds 0.3").boot()], [Duration::from_millis(300); 2]);
        assert_ne!(jobs, seconds("--jobs 200 --seed 2"));
    }

    #[test]
    fn a_fault_is_a_runners_by_its_name_or_any_as_json() {
        let faults = args(r#"--fault cancel-request --fault {"target":"aws","effect":"throttle"}"#).faults;
        assert_eq!(faults[0], parse_fault(r#"{"target":"runner","effect":"cancel-request"}"#).unwrap());
        assert_eq!(faults[1].target, Target::Aws);
        for (wrong, why) in [("cancel", "unknown variant"), ("throttle", "target runner"), ("{", "EOF")] {
            let refused = parse_fault(wrong).unwrap_err();
            assert!(refused.contains(why), "{wrong}: {refused}");
        }
    }

    #[test]
    fn the_page_is_on_loopback_unless_told_otherwise() {
        let at = |line: &str| args(line).web.map(|at| at.to_string());
        assert_eq!(at(""), None);
        assert_eq!(at("--web --jobs 1").as_deref(), Some("127.0.0.1:0"));
        assert_eq!(at("--web 0.0.0.0:8080").as_deref(), Some("0.0.0.0:8080"));
        assert!(Line::try_parse_from(["up", "--web", "elsewhere"]).is_err());
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_starts() {
        for line in ["--machine-image a:1", "--max 0", "--min 6"] {
            assert!(args(line).check().is_err(), "{line}");
        }
        for line in [
            "--job-seconds 1e9",
            "--job-seconds 1 --job-duration 1s",
            "--job-duration 25h",
            "--job-duration 4",
            "--boot-seconds NaN",
            "--boot 2h",
            "--idle-timeout 10ms",
            "--tick 0",
        ] {
            assert!(Line::try_parse_from(format!("up {line}").split_whitespace()).is_err(), "{line}");
        }
        assert!(args("").check().is_ok());
        assert!(args("--jobs 0 --keep --min 2 --max 2").check().is_ok());
    }
}
