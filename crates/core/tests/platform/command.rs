//! Programs of the user's.

use std::{collections::BTreeSet, time::Duration};

use lightsout_core::{
    activity::{Activity, JobId},
    exchange::{Call, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Output, Program},
    platform::{
        Demand, DrainBy, Drained, HostContext, Probe, Queue, Reading, RunnerPlatform, Selection, Signal, UndrainBy,
        command::{CommandQueue, CommandQueueSettings, CommandRunner, CommandRunnerSettings},
    },
    settings::Argv,
};
use proptest::prelude::*;

use crate::exchange::{argv, host, output, reply, run};

const TIMEOUT: Duration = Duration::from_secs(20);

fn queue() -> CommandQueue {
    CommandQueue::new(CommandQueueSettings { queue: argv(&["/opt/ci/queue", "--pool", "a b"]), timeout: TIMEOUT })
}

fn demand(ended: Output) -> Result<Reading, ExchangeError> {
    run(&mut queue(), Ok(ended)).1
}

#[test]
fn the_queue_is_what_the_program_prints() {
    for (stdout, queued, running, poll_after) in [
        (r#"{"queued":3,"running":1,"poll_after_s":30}"#, 3, Some(1), Some(30)),
        (r#"{"queued":3}"#, 3, None, None),
        (r#"{"queued":0,"running":null,"poll_after_s":null}"#, 0, None, None),
        ("\n  {\n \"queued\": 3,\n \"running\": 0,\n \"comment\": \"x\"\n}\n", 3, Some(0), None),
        ("7", 7, None, None),
        ("  7\t\r\nwhatever else", 7, None, None),
        ("0\n", 0, None, None),
        ("4294967295", u32::MAX, None, None),
    ] {
        let expected = Demand { queued, running, poll_after: poll_after.map(Duration::from_secs) }.into();
        assert_eq!(demand(output(0, stdout, "a warning")), Ok(expected), "{stdout}");
    }
    let (program, _) = run(&mut queue(), Ok(output(0, "0", "")));
    assert_eq!(program.argv, ["/opt/ci/queue", "--pool", "a b"]);
    assert_eq!(program.timeout, TIMEOUT);
    assert_eq!(queue().platform(), "command");
}

#[test]
fn what_is_not_understood_is_never_zero() {
    for stdout in [
        "",
        "\n",
        "none",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "3 jobs",
        "4294967296",
        "null",
        "[]",
        "[3]",
        "\"3\"",
        "{}",
        "{",
        "{\"queued\":3} x",
        r#"{"queued":null}"#,
        r#"{"queued":"3"}"#,
        r#"{"queued":-1}"#,
        r#"{"queued":3.0}"#,
        r#"{"queued":4294967296}"#,
        r#"{"queued":3,"running":"1"}"#,
        r#"{"queued":3,"running":-1}"#,
        r#"{"queued":3,"poll_after_s":"30"}"#,
        r#"{"Queued":3}"#,
        r#"{"queued":3,"running":"#,
        "<html>",
    ] {
        let error = demand(output(0, stdout, "")).expect_err(stdout);
        assert_eq!(error.kind, ErrorKind::Malformed, "{stdout}");
        assert!(error.message.contains("queue program"), "{error}");
    }
    let not_text = Output { stdout: b"3\xff".to_vec(), ..output(0, "", "") };
    assert_eq!(demand(not_text).expect_err("not text").kind, ErrorKind::Malformed);
    let error = demand(output(0, r#"{"queued":"3"}"#, "")).expect_err("mistyped");
    assert!(error.message.contains("queued is a text, expected a whole number"), "{error}");
}

#[test]
fn a_queue_program_that_fails_says_why() {
    for (ended, parts) in [
        (output(1, "5", "\n  cannot log in: \u{1b}[31mbad key\nmore"), ["status 1", "cannot log in: [31mbad key"]),
        (output(10, "5", ""), ["status 10", "wrote nothing"]),
        (output(None, "5", "x"), ["by a signal", "it said: x"]),
    ] {
        let error = demand(ended).expect_err("failed");
        assert_eq!(error.kind, ErrorKind::Server);
        assert!(parts.iter().all(|part| error.message.contains(part)), "{error}");
        assert!(!error.message.contains("more"));
    }
    let error = run(&mut queue(), Err("no such file".to_owned())).1.expect_err("did not run");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.is_transient() && error.message.contains("no such file"), "{error}");
    let ExchangeStep::Done(Err(error)) =
        queue().resume(EffectId::default(), EffectResult::Http(Ok(reply(200, &[], "3"))))
    else {
        panic!("taken as an answer")
    };
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[test]
fn a_call_names_its_program() {
    for words in [&[][..], &["", "x"], &[" ", "x"]] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Argv::try_from(words).expect_err("nothing to run");
    }
    assert_eq!((argv(&["r", "x"]).program(), argv(&["r", "x"]).to_string().as_str()), ("r", "r x"));
}

/// A runner with a program for everything.
fn full() -> CommandRunner {
    let program = |name: &str| Some(argv(&[name, "now"]));
    CommandRunner::new(CommandRunnerSettings {
        register: program("register"),
        busy: program("busy"),
        drain: program("drain"),
        undrain: program("undrain"),
        deregister: program("deregister"),
        containers: Some(vec![("ci".to_owned(), None)]),
        timeout: TIMEOUT,
        ..CommandRunnerSettings::new(argv(&["runner", "serve"]))
    })
}

fn assert_environment(env: &[(String, lightsout_core::exchange::Text)]) {
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let expected = [
        ("LIGHTSOUT_INSTANCE_ID", "i-0abc"),
        ("LIGHTSOUT_GROUP", "runners"),
        ("LIGHTSOUT_RUNNER_DIR", "/var/lib/lightsout/runner"),
        ("LIGHTSOUT_SLOTS", "4"),
    ];
    assert_eq!(env, expected);
}

fn program<T>(mut call: Call<T>) -> Program {
    run(&mut *call, Ok(output(0, "", ""))).0
}

#[test]
fn every_program_knows_where_it_is() {
    let busy = |probes: Vec<Probe>| {
        probes.into_iter().find_map(|probe| match probe {
            Probe::Call(call) => Some(call),
            Probe::Containers(_) | Probe::Children(_) | Probe::Files { .. } | Probe::Runner(_) => None,
        })
    };
    let runner = full();
    let drain = runner.drain_call(&host());
    let undrain = runner.undrain_call(&host());
    for (name, program) in [
        ("register", program(runner.register(&host()))),
        ("drain", program(drain)),
        ("undrain", program(undrain)),
        ("deregister", program(runner.deregister(&host()))),
        ("busy", program(busy(runner.probes(&host())).expect("a busy probe"))),
    ] {
        assert_eq!(program.argv, [name, "now"]);
        assert_eq!(program.timeout, TIMEOUT);
        assert_environment(&program.env);
    }
    let launch = run(&mut *runner.register(&host()), Ok(output(0, "", ""))).1.expect("registered");
    assert_eq!(launch.argv, ["runner", "serve"]);
    assert_environment(&launch.env);
    assert!(launch.files.is_empty());
    // Without a group the variable is there all the same, so that nothing stale is inherited.
    let alone = HostContext { group: None, ..host() };
    let launch = run(&mut *runner.register(&alone), Ok(output(0, "", ""))).1.expect("registered");
    assert_eq!((launch.env[1].0.as_str(), launch.env[1].1.expose()), ("LIGHTSOUT_GROUP", ""));
}

#[test]
fn without_programs_there_are_signals() {
    let settings = CommandRunnerSettings {
        drain_signal: Signal::Int,
        abort_signal: Signal::Quit,
        ..CommandRunnerSettings::new(argv(&["runner"]))
    };
    let runner = CommandRunner::new(settings);
    assert_eq!(runner.platform(), "command");
    assert_eq!(runner.drain_rules().drain, DrainBy::Signal(Signal::Int));
    assert_eq!(runner.drain_rules().undrain, UndrainBy::Relaunch);
    assert_eq!(runner.drain_rules().abort, Signal::Quit);
    assert!(matches!(runner.deregister(&host()).start(), ExchangeStep::Done(Ok(()))));
    assert!(matches!(runner.register(&host()).start(), ExchangeStep::Done(Ok(launch)) if launch.argv == ["runner"]));
    let defaults = CommandRunner::new(CommandRunnerSettings::new(argv(&["runner"])));
    assert_eq!(defaults.drain_rules().drain, DrainBy::Signal(Signal::Term));
    assert_eq!(defaults.drain_rules().abort, Signal::Term);
}

#[test]
fn a_step_that_fails_is_an_error() {
    for ended in [output(1, "", "no licence"), output(10, "", "no licence"), output(None, "", "no licence")] {
        let error = run(&mut *full().register(&host()), Ok(ended.clone())).1.expect_err("failed");
        assert!(error.message.contains("register program") && error.message.contains("no licence"), "{error}");
        let error = run(&mut *full().deregister(&host()), Ok(ended)).1.expect_err("failed");
        assert!(error.message.contains("deregister program"), "{error}");
    }
}

fn drained(ended: Result<Output, String>) -> Result<Drained, ExchangeError> {
    let mut call = full().drain_call(&host());
    run(&mut *call, ended).1
}

#[test]
fn a_drain_answers_by_its_exit() {
    assert_eq!(drained(Ok(output(0, "", ""))), Ok(Drained::Empty));
    assert_eq!(drained(Ok(output(10, "", ""))), Ok(Drained::StillBusy));
    assert_eq!(drained(Ok(output(11, "", ""))), Ok(Drained::Refused));
    for ended in [Ok(output(1, "", "x")), Ok(output(None, "", "x")), Err("it did not end in 20s".to_owned())] {
        assert!(drained(ended).is_err());
    }
}

fn busy(ended: Result<Output, String>) -> Activity {
    let probes = full().probes(&host());
    let Some(Probe::Call(mut call)) = probes.into_iter().next_back() else { panic!("no busy probe") };
    run(&mut *call, ended).1.expect("a probe answers what it sees")
}

#[test]
fn busy_answers_by_its_exit() {
    assert_eq!(busy(Ok(output(0, "ignored", ""))), Activity::Quiet);
    let jobs = BTreeSet::from(["build 1", "build 2"].map(|job| JobId(job.to_owned())));
    assert_eq!(busy(Ok(output(10, "build 1\n\n build 2 \r\nbuild 1\n", ""))), Activity::Busy(jobs));
    assert_eq!(busy(Ok(output(10, "\n", ""))), Activity::busy("a job without a name"));
    for ended in [
        Ok(output(1, "", "cannot ask")),
        Ok(output(11, "", "")),
        Ok(output(None, "", "")),
        Err("no such file".to_owned()),
    ] {
        assert!(matches!(busy(ended), Activity::Unknown(why) if why.contains("busy program")));
    }
}

#[test]
fn the_probes_are_those_that_were_asked_for() {
    let probes = full().probes(&host());
    let [Probe::Containers(Selection { labels, except, job_label: None }), Probe::Children(names), Probe::Call(_)] =
        &probes[..]
    else {
        panic!("other probes")
    };
    assert!(labels == &[("ci".to_owned(), None)] && except.is_empty() && names.is_empty());
}

proptest! {
    #[test]
    fn arbitrary_output_is_never_zero_nor_quiet(status in prop::option::of(any::<i32>()), stdout: Vec<u8>, stderr: Vec<u8>) {
        let ended = Output { status, stdout: stdout.clone(), stderr };
        if status != Some(0) {
            prop_assert!(demand(ended.clone()).is_err());
            prop_assert_ne!(busy(Ok(ended.clone())), Activity::Quiet);
            prop_assert_ne!(drained(Ok(ended)).ok(), Some(Drained::Empty));
        } else if let Ok(found) = demand(ended) {
            let first = String::from_utf8_lossy(&stdout).trim_start().lines().next().map(|line| line.trim().parse::<u32>());
            prop_assert_eq!(first, Some(Ok(found.demand.queued)), "arbitrary bytes that are a number after all");
        }
    }

    #[test]
    fn any_counts_are_read_back(queued: u32, running: Option<u32>, poll: Option<u32>) {
        let text = serde_json::json!({"queued": queued, "running": running, "poll_after_s": poll}).to_string();
        let expected = Demand { queued, running, poll_after: poll.map(|s| Duration::from_secs(s.into())) }.into();
        prop_assert_eq!(demand(output(0, &text, "")), Ok(expected));
        // Cut anywhere it is not understood.
        for cut in 0..text.len() {
            prop_assert!(demand(output(0, &text[..cut], "")).is_err());
        }
    }
}
