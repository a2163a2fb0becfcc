//! The scaler as a Lambda function: from the start of its process until it asks for its first invocation, and until the raise. Beside it the smallest
//! function in Go, with the vendor's own library, under the same stand-in of Lambda's runtime API.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    fleet::{Fleet, Programs, milliseconds, unix_ms},
    process,
    report::Report,
    scaler::{Running, call, command, create_group, settings},
};

/// Jobs that wait, for which no instance has the tag.
const JOBS: u32 = 30;
const TAG: &str = "bench-function";
/// The longest that a function may take to ask or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest function.
const GO: &str = "package main\n\nimport \"github.com/aws/aws-lambda-go/lambda\"\n\n\
                  func main() {\n\tlambda.Start(func() (string, error) { return \"hello\", nil })\n}\n";
const GO_MODULE: &str = "module hello\n\ngo 1.21\n\nrequire github.com/aws/aws-lambda-go v1.55.1\n";

pub(crate) fn measure(programs: &Programs, samples: usize, report: &mut Report) -> Result<()> {
    let fleet = Fleet::start(programs, "--max 1 --tick 1h")?;
    let lambda = RuntimeApi::start()?;
    let go = match go(&fleet.dir()) {
        Ok(program) => Some(program),
        Err(error) => {
            eprintln!("function in Go: left out: {error:#}");
            None
        }
    };
    fleet.request("POST", "jobs", &json!({ "count": JOBS, "tags": [TAG] }))?;
    let (mut asks, mut raises, mut memory, mut go_asks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // In turn, so that what else the machine does hits both.
    for sample in 0..samples {
        let group = format!("bench-function-{sample}");
        create_group(&fleet, &group, JOBS)?;
        call(
            &fleet,
            &format!("Action=SuspendProcesses&AutoScalingGroupName={group}&ScalingProcesses.member.1=Launch"),
        )?;
        fs::write(
            fleet.dir().join("bench-scaler.toml"),
            settings(&fleet, &format!("tags = [\"{TAG}\"]"), [group.clone()])?,
        )?;
        let mut scaler = command(&programs.scaler, &fleet);
        scaler
            .envs([
                ("LIGHTSOUT_LOG", "error"),
                ("LIGHTSOUT_SCALER_TICKS", "one"),
                ("LIGHTSOUT_SCALER_CONFIG", "bench-scaler.toml"),
            ])
            .env("LAMBDA_TASK_ROOT", fleet.dir());
        let started = unix_ms(SystemTime::now());
        let run = lambda.run(&mut scaler)?;
        asks.push(run.asked);
        memory.push(run.resident);
        let change = format!("desired capacity 0 -> {JOBS}");
        let events = fleet.events()?;
        let raise = events.iter().find(|it| it.group.as_deref() == Some(&group) && it.what == change);
        raises.push(
            milliseconds(raise.with_context(|| format!("the function raised nothing: {}", run.answer))?.at_ms)
                - started,
        );
        if let Some(go) = &go {
            go_asks.push(lambda.run(Command::new(go).env_clear())?.asked);
        }
    }
    report.add("scaler, function: start of the process -> first invocation asked for", "ms", asks);
    report.add("function in Go (aws-lambda-go, hello world): the same", "ms", go_asks);
    report.add("scaler, function: start of the process -> capacity raised", "ms", raises);
    report.add("scaler, function: resident (RSS)", "MiB", memory);
    Ok(())
}

/// Builds the function in Go.
fn go(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("bench-go");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("main.go"), GO)?;
    fs::write(folder.join("go.mod"), GO_MODULE)?;
    for arguments in
        [&["mod", "tidy"][..], &["build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", "hello", "."]]
    {
        let output = Command::new("go")
            .args(arguments)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .context("Go is not installed")?;
        ensure!(output.status.success(), "go {} failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(folder.join("hello"))
}

/// What a function did with its first invocation.
struct Run {
    /// From its start until it asked, in milliseconds.
    asked: f64,
    /// In MiB, when it had answered.
    resident: f64,
    answer: String,
}

/// Lambda's runtime API, as far as one invocation a process needs it.
struct RuntimeApi {
    address: String,
    seen: Receiver<(Instant, String)>,
}

impl RuntimeApi {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (sender, seen) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(&stream, &sender));
            }
        });
        Ok(Self { address, seen })
    }

    /// Starts a function, has it serve one invocation, and ends it.
    fn run(&self, function: &mut Command) -> Result<Run> {
        function
            .env("AWS_LAMBDA_RUNTIME_API", &self.address)
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // What an earlier one still asked.
        while self.seen.try_recv().is_ok() {}
        let started = Instant::now();
        let running = Running(function.spawn()?);
        let (asked, _) = self.seen.recv_timeout(PATIENCE).context("the function asks for no invocation")?;
        let (_, answer) = self.seen.recv_timeout(PATIENCE).context("the function does not answer")?;
        let resident = process::memory(running.0.id())?.rss;
        Ok(Run { asked: asked.duration_since(started).as_secs_f64() * 1000.0, resident, answer })
    }
}

/// One connection: the first question is answered with an empty event, each answer is taken, and further questions stay open.
fn serve(mut stream: &TcpStream, seen: &Sender<(Instant, String)>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut served = false;
    loop {
        let (mut first, mut length, mut chunked) = (String::new(), 0, false);
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let line = line(&mut reader)?.to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            chunked |= line.starts_with("transfer-encoding: chunked");
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        while chunked {
            let length = usize::from_str_radix(line(&mut reader)?.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(&chunk[..length]);
            chunked = length > 0;
        }
        if first.starts_with("GET ") && served {
            continue;
        }
        seen.send((Instant::now(), String::from_utf8_lossy(&body).into_owned())).ok()?;
        let (status, headers, text) = if first.starts_with("GET ") {
            served = true;
            let deadline = unix_ms(SystemTime::now()) + 60_000.0;
            (
                "200 OK",
                format!(
                    "lambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: {deadline:.0}\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n"
                ),
                "{}",
            )
        } else {
            ("202 Accepted", String::new(), "{\"status\":\"OK\"}")
        };
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    Some(line)
}
