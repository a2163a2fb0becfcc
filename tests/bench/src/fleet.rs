//! A fleet of `lightsout up` whose agents and scaler are the shipped programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use lightsout_localcloud::{
    FleetEvent, Snapshot,
    fleet::{InstanceView, JobState},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(20);

/// The programs under measurement.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The command line that starts the fleet; not measured.
    pub lightsout: PathBuf,
    /// The shipped agent.
    pub agent: PathBuf,
    /// The shipped scaler.
    pub scaler: PathBuf,
}

impl Programs {
    /// Those in a folder.
    ///
    /// # Errors
    /// When one of them is not there.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let program = |name: &str| {
            let path = folder.join(name);
            fs::canonicalize(&path)
                .with_context(|| format!("{} is not there: tests/bench/run builds it first", path.display()))
        };
        Ok(Self {
            lightsout: program("lightsout")?,
            agent: program("lightsout-agent")?,
            scaler: program("lightsout-scaler")?,
        })
    }
}

/// A running fleet. Dropping it ends it.
pub(crate) struct Fleet {
    programs: Programs,
    up: Child,
    home: TempDir,
    url: String,
}

impl Fleet {
    /// Starts one with these arguments of `lightsout up`.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(programs: &Programs, arguments: &str) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("lightsout-bench-").tempdir()?;
        let errors = fs::File::create(home.path().join("up.err"))?;
        let up = Command::new(&programs.lightsout)
            .arg("--dir")
            .arg(home.path().join("fleet"))
            .args(["up", "--json", "--jobs", "0", "--keep", "--agent-bin"])
            .arg(&programs.agent)
            .arg("--scaler-bin")
            .arg(&programs.scaler)
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(fs::File::create(home.path().join("up.out"))?)
            .stderr(errors)
            .spawn()?;
        let mut fleet = Self { programs: programs.clone(), up, home, url: String::new() };
        fleet.url = fleet.until("the embedded cloud to listen", |fleet| {
            ensure!(fleet.up.try_wait()?.is_none(), "lightsout up ended: {}", fleet.read("up.err"));
            let output = fleet.read("up.out");
            let after = output.split_once("embedded cloud at ").and_then(|(_, rest)| rest.split_once(','));
            Ok(after.map(|(url, _)| url.to_owned()))
        })?;
        Ok(fleet)
    }

    /// The embedded cloud's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The process of `lightsout up`.
    pub(crate) fn pid(&self) -> u32 {
        self.up.id()
    }

    /// The fleet's folder.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.path().join("fleet")
    }

    /// The fleet now.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        Ok(serde_json::from_value(self.request("GET", "fleet", &Value::Null)?)?)
    }

    /// Everything that happened so far.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn events(&self) -> Result<Vec<FleetEvent>> {
        let url = format!("{}/_lightsout/events?since=0&follow=false", self.url);
        let (_, text) = http::send("GET", &url, "application/json", "")?;
        // The answer is chunked: its lines of JSON stand between lines that only count bytes.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// A call of the control API.
    ///
    /// # Errors
    /// With its own words when it is refused.
    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        http::json(method, &format!("{}/_lightsout/{path}", self.url), body).map_err(anyhow::Error::msg)
    }

    /// Queues a job that sleeps; its id.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn enqueue(&self, seconds: f64) -> Result<u64> {
        let answer = self.request("POST", "jobs", &json!({ "seconds": seconds }))?;
        answer["ids"][0].as_u64().context("the embedded cloud gave the job no id")
    }

    /// Waits until a look finds something.
    ///
    /// # Errors
    /// With what was waited for when it takes too long, or when the look fails.
    pub(crate) fn until<T>(&mut self, what: &str, mut poll: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = poll(self)? {
                return Ok(found);
            }
            if begun.elapsed() > TIMEOUT {
                bail!("waited {} s in vain for {what}", TIMEOUT.as_secs());
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until exactly so many instances live, all of them idle.
    ///
    /// # Errors
    /// When that takes too long.
    pub(crate) fn until_idle(&mut self, count: usize) -> Result<Vec<InstanceView>> {
        self.until(&format!("{count} idle instances"), |fleet| {
            let living: Vec<_> = living(fleet.snapshot()?).collect();
            let idle = living.iter().filter(|it| phase(it) == "idle").count();
            Ok((idle == count && living.len() == count).then_some(living))
        })
    }

    /// Waits until a job is done.
    ///
    /// # Errors
    /// When that takes too long.
    pub(crate) fn until_done(&mut self, job: u64) -> Result<()> {
        self.until(&format!("job {job} to end"), |fleet| {
            let jobs = fleet.snapshot()?.jobs;
            Ok(jobs.iter().any(|it| it.id == job && it.state == JobState::Done).then_some(()))
        })
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let mut down = Command::new(&self.programs.lightsout);
        down.arg("--dir").arg(self.dir()).arg("down").stdout(Stdio::null()).stderr(Stdio::null());
        if !down.status().is_ok_and(|status| status.success()) {
            let _ = self.up.kill();
        }
        let _ = self.up.wait();
    }
}

/// The instances that have not ended.
pub(crate) fn living(fleet: Snapshot) -> impl Iterator<Item = InstanceView> {
    fleet.instances.into_iter().filter(|instance| instance.ended_ms.is_none())
}

/// What the instance's agent says that it is doing; empty before its first word.
pub(crate) fn phase(instance: &InstanceView) -> &str {
    instance.agent.as_ref().and_then(|agent| agent.0["phase"].as_str()).unwrap_or_default()
}

/// Since when, in milliseconds since the Unix epoch.
pub(crate) fn since_ms(instance: &InstanceView) -> Option<i64> {
    instance.agent.as_ref()?.0["since_ms"].as_i64()
}

/// The agent's process id.
pub(crate) fn pid(instance: &InstanceView) -> Option<u32> {
    instance.agent.as_ref()?.0["pid"].as_u64()?.try_into().ok()
}

/// A moment of the wall's clock, in milliseconds since the Unix epoch.
pub(crate) fn unix_ms(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

/// A moment of the fleet's timeline as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch have room in the 52 bits")]
pub(crate) fn milliseconds(at: i64) -> f64 {
    at as f64
}
