//! A fleet under test.

pub(crate) mod http;
mod leftovers;
mod permit;
mod program;
mod promises;

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use lightsout_core::invariants::Violation;
use lightsout_localcloud::{
    Snapshot,
    fleet::{InstanceView, JobState, JobView},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::program::{ProgramOutput, command as lightsout_command, lightsout};
use self::{leftovers::Traces, permit::FleetPermit};

/// How long anything may take. A machine that is busy with other things must not fail a test, so it is long.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The pause between two polls.
const POLL: Duration = Duration::from_millis(25);
/// Quick enough for a test, slow enough that each phase can be seen.
const FAST_OPTIONS: [(&str, &str); 4] =
    [("--boot", "300ms"), ("--idle-timeout", "3s"), ("--tick", "1s"), ("--job-duration", "2s")];

/// GitLab's runner at its worst, as the genuine one may be: its requests are answered late and cancelled when it is told to
/// stop, it kills no job, it forgets who started it, and its jobs leave processes behind.
pub(crate) const UNKIND: &str = "--fault cancel-request --fault patient-abort --fault rewrite-environment --fault leave-child \
                          --fault {\"target\":\"gitlab\",\"action\":\"jobs/request\",\"effect\":{\"late\":{\"ms\":300}}}";

/// A running `lightsout up`. Dropping it kills all of it.
pub(crate) struct Fleet {
    up: Child,
    home: Home,
    url: String,
    traces: Traces,
    /// Whether its traces are somebody else's to remove.
    abandoned: bool,
    lines: Arc<Mutex<Vec<Value>>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// A directory for one fleet after another. It is kept when the test fails, for the logs in it.
pub(crate) struct Home {
    root: Option<TempDir>,
    permit: FleetPermit,
}

/// A fleet that has ended.
pub(crate) struct Ended {
    /// The exit code of `up`; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed to standard error.
    pub stderr: String,
    /// The JSON lines that it printed.
    pub lines: Vec<Value>,
}

impl Home {
    /// Waits for its permit, so that only a few fleets run at once.
    pub(crate) fn new() -> Self {
        let permit = FleetPermit::take();
        Self { root: Some(Self::temporary()), permit }
    }

    /// A place for one more fleet, under the permit of that one, which must outlive it.
    pub(crate) fn beside(_that: &Self) -> Self {
        Self { root: Some(Self::temporary()), permit: FleetPermit::none() }
    }

    fn temporary() -> TempDir {
        tempfile::Builder::new().prefix("lightsout-").tempdir().expect("a temporary directory")
    }

    /// The fleet's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.root().join("fleet")
    }

    /// A place beside the fleet's directory.
    pub(crate) fn root(&self) -> &Path {
        self.root.as_ref().expect("it is there until the end").path()
    }

    /// Starts a fleet with these arguments, and with test speed where they do not say otherwise.
    pub(crate) fn up(self, arguments: &str) -> Fleet {
        let fast = FAST_OPTIONS.iter().filter(|(name, _)| !arguments.contains(name));
        let fast: Vec<String> = fast.map(|(name, value)| format!("{name} {value}")).collect();
        Fleet::start(self, &format!("{} {arguments}", fast.join(" ")))
    }

    /// The command `lightsout up` in this place.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = program::command(&self.dir(), "up --json");
        // What the fleet starts inherits the variable, and is found by it.
        command.args(arguments.split_whitespace()).env(leftovers::FLEET_ENV, self.dir());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(root) = self.root.take()
        {
            eprintln!("the fleet's files are kept in {}", root.keep().display());
        }
    }
}

impl Fleet {
    /// Starts a fast fleet.
    pub(crate) fn up(arguments: &str) -> Self {
        Home::new().up(arguments)
    }

    /// Starts a fleet with these arguments only.
    pub(crate) fn start(home: Home, arguments: &str) -> Self {
        let stderr = std::fs::File::create(home.root().join("up.err")).expect("a file");
        let mut up = home
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("lightsout starts");
        let lines = Arc::default();
        let reader = read(up.stdout.take().expect("it is piped"), Arc::clone(&lines));
        let traces = Traces::of(&home.dir());
        let mut fleet = Self { up, home, url: String::new(), traces, abandoned: false, lines, reader: Some(reader) };
        fleet.url = fleet.wait("the embedded cloud to listen", |fleet| {
            let ended = fleet.up.try_wait().expect("it is ours");
            assert!(ended.is_none(), "`up` ended at once with {ended:?}: {fleet}");
            fleet.notes().iter().find_map(|note| {
                let (_, rest) = note.split_once("embedded cloud at ")?;
                Some(rest.split_once(',')?.0.to_owned())
            })
        });
        fleet.wait("the scaler to be started", |fleet| fleet.traces.learn());
        fleet
    }

    /// The address of the embedded cloud.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The fleet's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.dir()
    }

    /// An instance's control socket.
    pub(crate) fn socket(&self, id: &str) -> PathBuf {
        self.dir().join("instances").join(id).join("agent.sock")
    }

    /// The fleet as it is now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let answer = self.request("GET", "fleet", &Value::Null).expect("the embedded cloud answers");
        serde_json::from_value(answer).expect("a snapshot")
    }

    /// Waits until this gives something.
    pub(crate) fn until<T>(&mut self, what: &str, mut poll: impl FnMut(&Snapshot) -> Option<T>) -> T {
        self.wait(what, |fleet| poll(&fleet.snapshot()))
    }

    /// Waits for an instance in this phase.
    pub(crate) fn until_phase(&mut self, wanted: &str) -> String {
        self.until(&format!("an instance that is {wanted}"), |fleet| {
            living(fleet).find(|it| phase(it) == wanted).map(|it| it.id.clone())
        })
    }

    /// Waits until this instance has ended.
    pub(crate) fn until_ended(&mut self, id: &str) {
        self.until(&format!("{id} to end"), |fleet| instance(fleet, id).ended_ms);
    }

    /// Waits until the job is in this state.
    pub(crate) fn until_job(&mut self, id: u64, wanted: JobState) -> JobView {
        self.until(&format!("job {id} to be {wanted:?}"), |fleet| {
            let job = fleet.jobs.iter().find(|job| job.id == id)?;
            (job.state == wanted).then(|| job.clone())
        })
    }

    /// Queues jobs that sleep for so many seconds.
    pub(crate) fn enqueue(&self, count: u32, seconds: f64) -> Vec<u64> {
        let answer = self.post("jobs", &json!({ "count": count, "seconds": seconds }));
        answer["ids"].as_array().expect("ids").iter().filter_map(Value::as_u64).collect()
    }

    /// Asks the control API for something.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Asks the control API; an error is its text.
    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        http::json(method, &format!("{}/_lightsout/{path}", self.url), body)
    }

    /// Kills an instance's agent, as soon as it has one.
    pub(crate) fn crash(&mut self, id: &str) {
        let path = format!("instances/{id}/crash");
        self.wait("the agent to be killed", |fleet| fleet.request("POST", &path, &json!({})).ok());
    }

    /// Runs another `lightsout` command in the fleet's place.
    pub(crate) fn lightsout(&self, arguments: &str) -> ProgramOutput {
        lightsout(&self.dir(), arguments)
    }

    /// Runs it and expects success.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        let output = self.lightsout(arguments);
        assert_eq!(output.code, Some(0), "lightsout {arguments}: {output:?}");
        output.out
    }

    /// Sends `up` itself a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.up), signal).expect("it runs");
    }

    /// The lines about the run itself.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").iter().filter_map(|it| Some(it["note"].as_str()?.into())).collect()
    }

    /// Waits until `up` has ended by itself, and checks that nothing of the fleet is left.
    pub(crate) fn ended(self) -> Ended {
        self.ended_in().0
    }

    /// The same, with the place, in which its files are still.
    pub(crate) fn ended_in(mut self) -> (Ended, Home) {
        let code = self.exit();
        self.traces.none_left();
        self.reader.take().into_iter().for_each(|reader| reader.join().expect("it does not panic"));
        let ended = Ended {
            code,
            stderr: std::fs::read_to_string(self.home.root().join("up.err")).expect("it is there"),
            lines: std::mem::take(&mut self.lines.lock().expect("no reader panics")),
        };
        (ended, Home { root: self.home.root.take(), permit: self.home.permit.pass_on() })
    }

    /// How many processes and containers the fleet has.
    pub(crate) fn traces(&self) -> (usize, usize) {
        self.traces.count()
    }

    /// Kills `up` alone with SIGKILL, and gives the place back with all that the fleet leaves in it.
    pub(crate) fn killed(mut self) -> Home {
        self.signal(Signal::KILL);
        assert_eq!(self.exit(), None);
        self.abandoned = true;
        Home { root: self.home.root.take(), permit: self.home.permit.pass_on() }
    }

    fn exit(&mut self) -> Option<i32> {
        self.wait("`up` to end", |fleet| fleet.up.try_wait().expect("it is ours")).code()
    }

    /// Waits until this gives something.
    pub(crate) fn wait<T>(&mut self, what: &str, poll: impl FnMut(&mut Self) -> Option<T>) -> T {
        self.wait_besides(Duration::ZERO, what, poll)
    }

    /// The same, where somebody may have been told to wait for so long.
    pub(crate) fn wait_besides<T>(
        &mut self,
        told: Duration,
        what: &str,
        mut poll: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let (begun, limit) = (Instant::now(), TIMEOUT + told);
        loop {
            if let Some(found) = poll(self) {
                return found;
            }
            assert!(begun.elapsed() < limit, "waited {limit:?} for {what}; the fleet: {self}");
            thread::sleep(POLL);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if thread::panicking() && !self.abandoned {
            eprintln!("{self}");
        }
        let _ = self.up.kill();
        let _ = self.up.wait();
        if !self.abandoned {
            self.traces.clear();
        }
    }
}

impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", std::fs::read_to_string(self.home.root().join("up.err")).unwrap_or_default())?;
        let lines = self.lines.lock().expect("no reader panics");
        let shown = lines.iter().filter(|line| line.get("decision").is_none());
        shown.clone().skip(shown.count().saturating_sub(60)).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Ended {
    /// That it ended well: exit code 0, every job accounted for, and the promises kept that a whole fleet can show. Gives the summary.
    pub(crate) fn well(&self) -> &Value {
        let summary = self.summary();
        assert_eq!(self.code, Some(0), "{summary} {}", self.stderr);
        assert_eq!(summary["jobs"]["lost"], 0, "{}: {summary}", Violation::JobKilled);
        let events: Vec<Value> = self.lines.iter().filter_map(|line| line.get("event")).cloned().collect();
        assert_eq!(promises::broken(&events), [], "{:#?}", self.events());
        summary
    }

    /// That every job is done and no instance is left.
    pub(crate) fn all_done(&self) -> &Value {
        let summary = self.well();
        assert_eq!(summary["jobs"]["done"], summary["jobs"]["total"], "{summary}");
        assert_eq!(summary["instances"]["final"], 0, "{summary}");
        summary
    }

    /// The summary, which is the last line.
    pub(crate) fn summary(&self) -> &Value {
        let last = self.lines.last().unwrap_or_else(|| panic!("no line: {}", self.stderr));
        last.get("summary").unwrap_or_else(|| panic!("the last line is no summary: {last}; {}", self.stderr))
    }

    /// What the events say, as `WHO WHAT`.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.lines.iter().filter_map(|line| line.get("event"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        events.map(|event| format!("{} {}", text(&event["instance"]), text(&event["what"]))).collect()
    }

    /// The desired capacities that the group had, in order.
    pub(crate) fn desired(&self) -> Vec<u32> {
        let number = |event: &String| {
            let (_, change) = event.split_once("desired capacity ")?;
            let (_, to) = change.split_once(" -> ")?;
            to.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        self.events().iter().filter_map(number).collect()
    }
}

/// The instances that have not ended.
pub(crate) fn living(fleet: &Snapshot) -> impl Iterator<Item = &InstanceView> {
    fleet.instances.iter().filter(|instance| instance.ended_ms.is_none())
}

/// How often the faults in force with this effect have hit.
pub(crate) fn hits(fleet: &Fleet, effect: &Value) -> u64 {
    let listed = fleet.request("GET", "faults", &Value::Null).expect("a list");
    let listed = listed["faults"].as_array().expect("a list").iter();
    listed.filter(|fault| fault["effect"] == *effect).filter_map(|fault| fault["hits"].as_u64()).sum()
}

/// Whether a fault with this effect, which was to hit a number of times, has done so: it is in force no more.
pub(crate) fn used_up(fleet: &Fleet, effect: &Value) -> bool {
    let listed = fleet.request("GET", "faults", &Value::Null).expect("a list");
    listed["faults"].as_array().expect("a list").iter().all(|fault| fault["effect"] != *effect)
}

pub(crate) fn instance<'a>(fleet: &'a Snapshot, id: &str) -> &'a InstanceView {
    fleet.instances.iter().find(|instance| instance.id == id).unwrap_or_else(|| panic!("{id} is unknown"))
}

/// The phase that an instance's agent reports; empty before its first word.
pub(crate) fn phase(instance: &InstanceView) -> &str {
    agent_field(instance, "phase")
}

/// Something that an instance's agent reports.
pub(crate) fn agent_field<'a>(instance: &'a InstanceView, key: &str) -> &'a str {
    instance.agent.as_ref().and_then(|agent| agent.0.get(key)?.as_str()).unwrap_or_default()
}

/// True when a Docker engine answers. Else it is said: where nothing may be left out, the run fails of that.
pub(crate) fn engine_or_skip(test: &str) -> bool {
    if leftovers::engine_answers() {
        return true;
    }
    // Not `eprintln!`, which is shown for failed tests only.
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: no Docker engine answers");
    false
}

fn read(stdout: ChildStdout, lines: Arc<Mutex<Vec<Value>>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let value = serde_json::from_str(&line)
                .unwrap_or_else(|error| json!({ "garbage": line, "error": error.to_string() }));
            lines.lock().expect("no reader panics").push(value);
        }
    })
}
