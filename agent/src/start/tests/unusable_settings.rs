//! Settings that cannot work: they end an instance on which nothing was started, and no other.

use std::{fs, time::Duration};

use lightsout_cloud::fake::{FakeHost, HostCall};
use lightsout_io::testing::rerun;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Shell;
use crate::{control::Request, process::Process};

/// It is nobody else's to lower the capacity that this instance counts in, and hides a job in.
#[tokio::test]
async fn settings_that_cannot_work_end_an_instance_on_which_no_runner_was_started() {
    let shell = Shell::start_unusable(tempfile::tempdir().unwrap(), FakeHost::default(), "2s");
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    shell
        .until("the reason is recorded", |shell| {
            let reason = shell.host.state().reason.unwrap_or_default();
            reason.starts_with("broken: ") && reason.contains("10-mine.toml")
        })
        .await;
    assert!(!shell.path("state/runner.pid").exists(), "no runner was started");
    // An agent that crashes meanwhile does not take itself for one that may have had a runner.
    let (folder, host) = shell.crash().await;
    let before = host.calls().len();
    let shell = Shell::start_unusable(folder, host, "1h");
    shell.until("it goes on", |shell| shell.host.calls()[before..].contains(&HostCall::Membership)).await;
    assert_eq!(shell.request(Request::Status).await.unwrap()["why"], "broken");
}

#[tokio::test]
async fn settings_that_cannot_work_end_nothing_beside_a_runner_or_behind_one() {
    let mut shell = Shell::start_busy().await;
    for (job, wanted) in [(true, "may be a runner"), (false, "a runner was registered")] {
        let (folder, host) = shell.crash().await;
        if !job {
            // The runner ends as one that is told, after its job.
            let record = fs::read_to_string(folder.path().join("state/runner.pid")).unwrap();
            let pid = record.split(' ').next().unwrap().parse().unwrap();
            let runner = Process::open(pid).unwrap().unwrap();
            fs::remove_file(folder.path().join("job")).unwrap();
            runner.signal(lightsout_core::platform::Signal::Term).unwrap();
            runner.exited().await;
        }
        let before = host.calls();
        shell = Shell::start_unusable(folder, host, "1s");
        let refused = (&mut shell.task).await.unwrap().unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
        assert_eq!(shell.host.calls(), before, "nothing was asked of the cloud");
        assert_eq!(shell.log() == "start\n", job, "and nothing of the runner: {}", shell.log());
        shell.task = tokio::spawn(async { Ok(()) });
    }
}

/// Which state folder it has cannot be read, but the kernel knows what runs.
#[tokio::test]
async fn settings_that_cannot_work_end_nothing_beside_a_process_of_a_runners_unit() {
    let folder = tempfile::tempdir().unwrap();
    let process = folder.path().join("processes/4711");
    fs::create_dir_all(&process).unwrap();
    fs::write(process.join("cgroup"), "0::/system.slice/lightsout-runner-1764236000000.service\n").unwrap();
    let mut shell = Shell::start_unusable(folder, FakeHost::default(), "1s");
    let refused = (&mut shell.task).await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("process 4711 may be a runner"), "{refused}");
    assert_eq!(shell.host.calls(), [], "nothing was asked of the cloud");
    shell.task = tokio::spawn(async { Ok(()) });
}

#[tokio::test]
async fn settings_that_cannot_work_end_nothing_behind_a_journal_that_cannot_be_read() {
    let mut folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(folder.path().join("state/journal.json"), "{").unwrap();
    // The agent that is started after this one does not know more.
    for _ in 0..2 {
        let mut shell = Shell::start_unusable(folder, FakeHost::default(), "1s");
        let refused = (&mut shell.task).await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("the journal cannot be read"), "{refused}");
        assert_eq!(shell.host.calls(), [], "nothing was asked of the cloud");
        shell.task = tokio::spawn(async { Ok(()) });
        folder = shell.crash().await.0;
    }
}

/// Tasks in containers outlive their runner, and the machine's restart; their platform cannot be asked about them.
#[tokio::test]
async fn settings_that_cannot_work_end_nothing_beside_a_container_or_an_engine_that_does_not_answer() {
    let answers = [
        ("200 OK", r#"[{"Id":"c0ffee","Names":["/ecs-task-1"]}]"#, "container c0ffee may be a job"),
        ("500 Internal Server Error", r#"{"message":"no"}"#, "does not answer"),
    ];
    for (status, listed, wanted) in answers {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let engine = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut request).await {
                    let version = String::from_utf8_lossy(&request[..count]).contains("/version");
                    let (status, body) = if version {
                        ("200 OK", r#"{"ApiVersion":"1.43","MinAPIVersion":"1.24"}"#)
                    } else {
                        (status, listed)
                    };
                    let head = format!(
                        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
                }
            }
        });
        let more = format!("[docker]\nenabled = true\nsocket = {socket:?}\n");
        let mut shell = Shell::start_unusable_with(folder, FakeHost::default(), "1s", &more);
        let ended = tokio::time::timeout(Duration::from_secs(60), &mut shell.task).await.expect("it exits");
        let refused = ended.unwrap().unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
        assert_eq!(shell.host.calls(), [], "nothing was asked of the cloud");
        shell.task = tokio::spawn(async { Ok(()) });
        engine.abort();
    }
}

/// The first agent refuses for a cause that passes, and writes no journal; the next one does not take that for a journal that is lost.
#[tokio::test]
async fn settings_that_cannot_work_end_an_instance_once_what_kept_it_has_passed() {
    let own = tempfile::tempdir().unwrap();
    let name = "start::tests::unusable_settings::kept_by_an_engine_that_is_silent_and_then_gone";
    rerun(name, &[("STATE_DIRECTORY", own.path().to_str().unwrap())]).await;
}

#[tokio::test]
#[ignore = "settings_that_cannot_work_end_an_instance_once_what_kept_it_has_passed runs it with the service's own folder"]
async fn kept_by_an_engine_that_is_silent_and_then_gone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let more = format!("[docker]\nenabled = true\nsocket = {socket:?}\n");
    let mut shell = Shell::start_unusable_with(folder, FakeHost::default(), "1s", &more);
    let refused = (&mut shell.task).await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("does not answer"), "{refused}");
    shell.task = tokio::spawn(async { Ok(()) });
    let (folder, host) = shell.crash().await;
    fs::remove_file(socket).unwrap();
    let shell = Shell::start_unusable_with(folder, host, "1s", &more);
    shell.until("it leaves", |shell| shell.task.is_finished() || shell.leaves() > 0).await;
    assert!(shell.leaves() > 0, "it refused again");
}
