use std::io::Write as _;

use lightsout_core::exchange::{Effect, EffectResult, Program, RunAs, Text};
use lightsout_io::http::{AsRunner, Driver};

use super::*;

fn launch(script: &str) -> Launch {
    Launch {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: vec![("TOKEN".into(), Text::secret("hush"))],
        files: Vec::new(),
        doubts: Vec::new(),
    }
}

#[tokio::test]
async fn a_runner_is_found_again_by_another_agent() {
    let folder = tempfile::tempdir().unwrap();
    let first = RunnerProcess::new(folder.path(), false);
    let process = first.start(&launch("exec sleep 30"), Signal::Term).await.unwrap();
    let second = RunnerProcess::new(folder.path(), false);
    assert_eq!(second.find().await.unwrap().map(|found| found.pid()), Some(process.pid()));
    end(&second, &process).await;
    assert!(RunnerProcess::new(folder.path(), false).find().await.unwrap().is_none(), "a dead runner is not found");
}

#[tokio::test]
async fn somebody_elses_process_is_not_the_runner() {
    let folder = tempfile::tempdir().unwrap();
    let me = Process::open(std::process::id()).unwrap().unwrap();
    let other = format!("{} {} -\n", me.pid(), me.start() + 1);
    fs::write(folder.path().join("runner.pid"), other).unwrap();
    assert!(RunnerProcess::new(folder.path(), false).find().await.unwrap().is_none());
}

/// Many workers overwrite their title and their environment. Only its end makes a runner be gone.
#[tokio::test]
async fn a_runner_that_rewrites_its_environment_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), false);
    let process = runner.start(&launch("exec env -i sleep 30"), Signal::Term).await.unwrap();
    let environment = || fs::read(format!("/proc/{}/environ", process.pid())).unwrap();
    for _ in 0..2_500 {
        if environment().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(environment().is_empty(), "the mark is gone");
    let after_restart = RunnerProcess::new(folder.path(), false);
    for agent in [&runner, &after_restart] {
        assert_eq!(agent.find().await.unwrap().map(|found| found.pid()), Some(process.pid()));
        assert!(!agent.exited_within(Duration::from_millis(50)).await);
    }
    end(&after_restart, &process).await;
}

#[tokio::test]
async fn a_runner_whose_record_is_lost_is_found_by_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), false);
    let process = runner.start(&launch("sleep 30; :"), Signal::Term).await.unwrap();
    fs::remove_file(folder.path().join("runner.pid")).unwrap();
    let next = RunnerProcess::new(folder.path(), false);
    assert_eq!(next.find().await.unwrap().map(|found| found.pid()), Some(process.pid()));
    assert!(folder.path().join("runner.pid").exists(), "it is written down again");
    let _ = process.kill_group();
    process.exited().await;
    fs::remove_file(folder.path().join("runner.pid")).unwrap();
    let error = RunnerProcess::new(folder.path(), false).find().await.unwrap_err();
    assert!(error.contains("runner.pid is lost"), "one that bears no mark any more may run: {error}");
}

#[tokio::test]
async fn what_cannot_be_told_is_no_absence() {
    let folder = tempfile::tempdir().unwrap();
    for damage in ["", "here", "17 18 19 x"] {
        fs::write(folder.path().join("runner.pid"), damage).unwrap();
        let runner = RunnerProcess::new(folder.path(), false);
        if damage.starts_with("17") {
            // What a later version adds does not matter.
            assert!(runner.find().await.unwrap().is_none());
            continue;
        }
        runner.find().await.unwrap_err();
        assert!(matches!(runner.seen(), KnownRunner::Unknown));
        assert!(!runner.exited_within(Duration::from_millis(10)).await, "{damage:?}");
    }
}

/// Two agents that share a state folder, which the lock prevents: what the first one knows is not the second one's.
#[tokio::test]
async fn a_runner_that_another_agent_started_is_not_ended_for_the_one_that_exited() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (RunnerProcess::new(folder.path(), false), RunnerProcess::new(folder.path(), false));
    let proven = others.start(&launch("exec sleep 30"), Signal::Term).await.unwrap();
    assert!(ours.find().await.unwrap().is_some());
    end(&others, &proven).await;
    let serving = others.start(&launch("exec sleep 30"), Signal::Term).await.unwrap();
    ours.signal(Signal::Term).await.unwrap();
    assert!(ours.exited_within(Duration::from_secs(60)).await, "the one that it knew is gone");
    ours.kill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(serving.alive());
    end(&others, &serving).await;
}

#[tokio::test]
async fn no_runner_starts_that_nobody_wrote_down() {
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), false);
    // A folder in the record's place, and one in its draft's: it cannot be written.
    fs::create_dir_all(folder.path().join("runner.pid/x")).unwrap();
    let ran = folder.path().join("ran");
    let script = format!("touch {}; sleep 30", ran.display());
    runner.start(&launch(&script), Signal::Term).await.unwrap_err();
    assert!(!ran.exists());
}

#[tokio::test]
async fn what_a_runner_was_told_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), false);
    let process = runner.start(&launch("exec sleep 30"), Signal::Int).await.unwrap();
    let after_restart = || RunnerProcess::new(folder.path(), false).told(&process);
    assert_eq!((runner.told(&process), after_restart()), (ToldToDrain::No, ToldToDrain::No));
    for told in [ToldToDrain::Maybe, ToldToDrain::Yes, ToldToDrain::No, ToldToDrain::Maybe] {
        runner.note_told(told).unwrap();
        assert_eq!((runner.told(&process), after_restart()), (told, told));
    }
    assert!(process.alive(), "a note is no signal");
    end(&runner, &process).await;
    let next = runner.start(&launch("exec sleep 30"), Signal::Int).await.unwrap();
    assert_eq!(runner.told(&next), ToldToDrain::No, "the next runner serves");
    end(&runner, &next).await;
}

#[tokio::test]
async fn a_note_that_the_disk_does_not_take_is_an_error_and_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), false);
    let process = runner.start(&launch("exec sleep 30"), Signal::Quit).await.unwrap();
    // A folder in the note's place: it cannot be written.
    fs::remove_file(folder.path().join("runner.told")).unwrap();
    fs::create_dir(folder.path().join("runner.told")).unwrap();
    assert!(runner.note_told(ToldToDrain::Maybe).is_err());
    assert_eq!(runner.told(&process), ToldToDrain::Maybe);
    assert_eq!(RunnerProcess::new(folder.path(), false).told(&process), ToldToDrain::Maybe, "unreadable is not no");
    end(&runner, &process).await;
}

async fn end(runner: &RunnerProcess, process: &Process) {
    runner.signal(Signal::Term).await.unwrap();
    assert!(runner.exited_within(Duration::from_secs(60)).await);
    process.exited().await;
}

#[test]
fn systemd_finds_nothing_to_expand() {
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), true);
    let arguments = runner.unit_arguments("u", &launch("echo $HOME"), Signal::Term).unwrap();
    let program = arguments.iter().skip_while(|argument| *argument != "--").skip(1);
    let line = program.map(|argument| argument.replace("$$", "\0")).collect::<Vec<_>>().join(" ");
    assert!(line.contains("echo \0HOME") && !line.contains('$'), "{line}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let argv = vec!["/does/not/exist".into(), "--once=for-its-eyes-only".into()];
    let missing = Launch { argv, env: Vec::new(), files: Vec::new(), doubts: Vec::new() };
    let error = RunnerProcess::new(folder.path(), false).start(&missing, Signal::Term).await.unwrap_err();
    assert!(error.why.contains("/does/not/exist"), "{error:?}");
    // Many read the reason.
    assert!(!format!("{error:?}").contains("eyes-only"), "{error:?}");
}

/// What the script writes to its standard output.
async fn output_of(runner: &RunnerProcess, script: &str) -> String {
    let file = runner.folder().join("output");
    let done = runner.folder().join("done");
    let script = format!("({script}) >{} 2>&1; touch {}; sleep 30", file.display(), done.display());
    let process = runner.start(&launch(&script), Signal::Term).await.unwrap();
    for _ in 0..3_000 {
        if done.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.kill_group().unwrap();
    process.exited().await;
    fs::remove_file(done).unwrap();
    fs::read_to_string(file).unwrap()
}

/// Cargo's own variables stand for secrets in the agent's environment.
#[tokio::test]
async fn a_job_finds_no_variable_of_the_agents_that_nobody_named() {
    assert!(env::var("CARGO_MANIFEST_DIR").is_ok());
    let folder = tempfile::tempdir().unwrap();
    let runner = RunnerProcess::new(folder.path(), false);
    let seen = output_of(&runner, "env").await;
    assert!(!seen.contains("CARGO_"), "{seen}");
    for name in ["PATH=/", "HOME=/", "TOKEN=hush", &*runner.mark()] {
        assert!(seen.lines().any(|line| line.starts_with(name)), "{name} is missing in {seen}");
    }
    let unit = RunnerProcess::new(folder.path(), true);
    unit.unit_arguments("u", &launch("true"), Signal::Term).unwrap();
    let seen = fs::read_to_string(folder.path().join("runner.env")).unwrap();
    assert!(!seen.contains("CARGO_") && seen.contains("PATH=") && seen.contains("TOKEN=\"hush\""), "{seen}");
}

/// A folder that others may pass through, as /var/lib/lightsout is.
fn passable() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// Not `println!`, which is shown for failed tests only.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: {why}");
}

fn nobody_or_skip(test: &str) -> Option<RunnerUser> {
    let wanted = RunnerEnvironment { user: Some("nobody".into()), ..RunnerEnvironment::default() };
    let found = geteuid().is_root().then(|| RunnerUser::on(Path::new("/"), &wanted, 0).ok()).flatten().flatten();
    if found.is_none() {
        skipped(test, "it takes root and the user nobody");
    }
    found
}

fn as_user(runner: RunnerProcess, user: RunnerUser, engine: Option<PathBuf>) -> RunnerProcess {
    RunnerProcess { user: OnceLock::from(Some(user)), engine, ..runner }
}

#[tokio::test]
async fn a_user_that_is_made_after_the_agent_began_is_found() {
    let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(root.path().join("etc")).unwrap();
    let passwd = root.path().join("etc/passwd");
    fs::write(&passwd, "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    let wanted = RunnerEnvironment { user: Some("ci".into()), ..RunnerEnvironment::default() };
    let runner = RunnerProcess { root: root.path().into(), ..RunnerProcess::new(folder.path(), false) };
    let runner = runner.with_environment(wanted, None);
    let argv = vec!["/bin/sleep".to_owned(), "30".to_owned()];
    let launch = Launch { argv, env: Vec::new(), files: Vec::new(), doubts: Vec::new() };
    let refused = runner.start(&launch, Signal::Term).await.unwrap_err();
    assert!(refused.why.contains("no such user"), "never as the agent's own: {refused:?}");
    let own = geteuid().as_raw();
    fs::write(&passwd, format!("ci:x:{own}:{own}::/home/ci:/bin/sh\n")).unwrap();
    assert_eq!(runner.user(), Ok(None), "this test's own user");
    let process = runner.start(&launch, Signal::Term).await.unwrap();
    process.kill_group().unwrap();
    process.exited().await;
}

#[tokio::test]
async fn a_job_runs_as_the_runners_user_and_reads_nothing_of_the_agents() {
    let Some(user) = nobody_or_skip("a_job_runs_as_the_runners_user_and_reads_nothing_of_the_agents") else { return };
    let folder = passable();
    fs::write(folder.path().join("journal.json"), "secret").unwrap();
    fs::set_permissions(folder.path().join("journal.json"), PermissionsExt::from_mode(0o600)).unwrap();
    let uid = user.uid;
    let runner = as_user(RunnerProcess::new(folder.path(), false), user, None);
    let place = folder.path().display();
    let script = format!(
        "id -u; id -G; for file in journal.json runner.pid runner.told; do cat {place}/$file || echo refused; done; \
         touch {place}/forged || echo refused; touch own && echo written; echo $HOME $USER; cat /proc/self/oom_score_adj"
    );
    let seen = output_of(&runner, &script).await;
    let lines: Vec<_> = seen.lines().filter(|line| !line.contains("ermission denied")).collect();
    assert_eq!(lines[0], uid.to_string(), "{seen}");
    assert!(!lines[1].split(' ').any(|group| group == "0"), "no group of root's: {seen}");
    assert_eq!(lines[2..7], ["refused", "refused", "refused", "refused", "written"], "{seen}");
    assert!(lines[7].ends_with(" nobody"), "{seen}");
}

/// Jobs may have written to the runner's program, which is asked for its version before each start.
#[tokio::test]
async fn what_tells_the_runners_version_has_no_right_of_the_agents_and_no_variable() {
    let Some(user) = nobody_or_skip("what_tells_the_runners_version_has_no_right_of_the_agents_and_no_variable") else {
        return;
    };
    let folder = passable();
    let uid = user.uid;
    let runner = as_user(RunnerProcess::new(folder.path(), false), user, None);
    let driver = Driver::new("test").with_runner(AsRunner::new(move |command| runner.run_alike(command)));
    let asked = async |run_as| {
        let argv = ["sh", "-c", "id -u; id -G; env"].map(str::to_owned).to_vec();
        let variables = vec![("ASKED".to_owned(), Text::from("1"))];
        let program = Program { run_as, ..Program::new(argv, variables, Duration::from_secs(30)) };
        let EffectResult::Program(Ok(output)) = driver.perform(Effect::Program(program)).await else {
            panic!("it runs")
        };
        String::from_utf8(output.stdout).unwrap()
    };
    let own = asked(RunAs::Caller).await;
    assert!(own.starts_with("0\n") && own.contains("CARGO_MANIFEST_DIR="), "{own}");
    let alike = asked(RunAs::Runner).await;
    let lines: Vec<_> = alike.lines().collect();
    assert_eq!(lines[0], uid.to_string(), "{alike}");
    assert!(!lines[1].split(' ').any(|group| group == "0"), "no group of root's: {alike}");
    assert!(!alike.contains("CARGO_") && alike.contains("PATH=") && alike.contains("ASKED=1"), "{alike}");
}

/// Whether a job may use the Docker engine is a setting of its own.
#[tokio::test]
async fn docker_build_works_for_a_job_only_where_the_settings_allow_it() {
    let socket = Path::new("/var/run/docker.sock");
    let answers = std::process::Command::new("docker").args(["version"]).output().is_ok_and(|it| it.status.success());
    let test = "docker_build_works_for_a_job_only_where_the_settings_allow_it";
    let Some(user) = nobody_or_skip(test) else { return };
    if !answers {
        return skipped(test, "no Docker engine answers");
    }
    for allowed in [false, true] {
        let folder = passable();
        let engine = allowed.then(|| socket.to_owned());
        let runner = as_user(RunnerProcess::new(folder.path(), false), user.clone(), engine);
        let script = "export HOME=$PWD; mkdir context; printf 'FROM scratch\\nLABEL lightsout.test=build\\n' >context/Dockerfile; \
                      docker build --quiet context && echo built";
        let seen = output_of(&runner, script).await;
        assert_eq!(seen.contains("built"), allowed, "allowed: {allowed}\n{seen}");
        assert_eq!(seen.contains("ermission denied"), !allowed, "allowed: {allowed}\n{seen}");
    }
}
