use std::time::Instant;

use lightsout_core::exchange::Text;

use super::*;

fn shell(script: &str, timeout: Duration) -> Program {
    Program::new(vec!["sh".into(), "-c".into(), script.into()], Vec::new(), timeout)
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn output_and_status() {
    let output = run(&shell("echo out; echo err >&2; exit 3", LONG)).await.unwrap();
    assert_eq!(output, Output { status: Some(3), stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() });
}

#[tokio::test]
async fn variables_are_added_and_input_is_empty() {
    let mut program = shell("cat; printf %s \"$TOKEN:${PATH:+path}\"", LONG);
    program.env.push(("TOKEN".into(), Text::secret("s3cret")));
    assert_eq!(run(&program).await.unwrap().stdout, b"s3cret:path");
    assert!(!format!("{program:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_signal_leaves_no_status() {
    assert_eq!(run(&shell("kill -9 $$", LONG)).await.unwrap().status, None);
}

#[tokio::test]
async fn too_much_output_is_dropped_and_does_not_block() {
    let output = run(&shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo $?", LONG)).await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len(), output.status), (STDOUT, STDERR, Some(0)));
}

#[tokio::test]
async fn a_timeout_kills_the_whole_group() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!("sleep 300 & echo $! > {}; wait", pid.display());
    // On a busy machine a program may need long to begin.
    for seconds in [1, 10, 50] {
        let error = run(&shell(&script, Duration::from_secs(seconds))).await.unwrap_err();
        assert!(error.started, "it may have had effects");
        let error = error.why;
        assert!(error.contains(&format!("did not end within {seconds}s")), "{error}");
        if std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            break;
        }
    }
    let grandchild: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let gone = || {
        std::fs::read_to_string(format!("/proc/{grandchild}/stat"))
            .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
    };
    let deadline = Instant::now() + LONG;
    while !gone() {
        assert!(Instant::now() < deadline, "the grandchild {grandchild} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_stays_behind_does_not_hold_us_up() {
    let output = run(&shell("sleep 300 & echo $!", LONG)).await.unwrap();
    assert_eq!(output.status, Some(0));
    let behind = String::from_utf8(output.stdout).unwrap();
    let behind = Pid::from_raw(behind.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(behind, Signal::KILL).expect("it still runs");
}

#[tokio::test]
async fn failures_to_start_say_what_to_do() {
    let start = async |argv: Vec<String>| {
        let error = run(&Program::new(argv, Vec::new(), LONG)).await.unwrap_err();
        assert!(!error.started, "nothing can have come of it");
        error.why
    };
    assert_eq!(
        start(vec!["no-such-program-here".into()]).await,
        "cannot start no-such-program-here: there is no such program in PATH"
    );
    assert_eq!(start(vec!["/etc/passwd".into()]).await, "cannot start /etc/passwd: it is not executable");
    assert!(start(Vec::new()).await.contains("empty"));
}
