//! The script that lives as long as the ECS agent, run by a real shell with stand-ins for `docker`, `systemctl` and
//! `sg-runner`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use lightsout_core::{
    exchange::{EffectId, EffectResult, ExchangeStep},
    platform::{
        HostContext, RunnerPlatform,
        stackguardian::{StackGuardianRunner, StackGuardianRunnerSettings},
    },
    settings::WholeSeconds,
};

use crate::exchange::{host, output, read_as, url};

/// The container `ecs-agent` runs as long as the file `running` is there. Each call is noted.
const DOCKER: &str = r#"#!/bin/sh
echo "docker $*" >>calls
case $1 in
inspect) test -e running && echo true ;;
rm) rm -f running ;;
ps) cat tasks 2>/dev/null ;;
logs) echo refused ;;
wait) while [ -e running ]; do sleep 0.05; done ;;
esac
"#;

const SYSTEMCTL: &str = "#!/bin/sh\necho \"systemctl $*\" >>calls\nrm -f running\n";

/// As the vendor's script: bash, guarded against being sourced from elsewhere. Notes the arguments that any user could
/// read.
const SG_RUNNER: &str = r#"#!/bin/bash
if [[ "${BASH_SOURCE[0]}" == "${0}" ]]; then
  tr '\0' ' ' </proc/$$/cmdline >>seen
  echo "$@" >>given
  [ -e fail ] && exit 3
  echo 'ECS_INSTANCE_ATTRIBUTES={"sg_organization": "demo-org","sg_runner_id": "r-1", "sg_runner_group_id": "rg-1"}' >ecs.config
  touch running
fi
"#;

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str, sg_runner: &str) -> Self {
        let path = env::temp_dir().join(format!("lightsout-supervisor-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        for (name, text) in [("docker", DOCKER), ("systemctl", SYSTEMCTL), ("sg-runner", sg_runner)] {
            fs::write(path.join(name), text).expect("a stand-in");
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).expect("executable");
        }
        Self(path)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// Launches what the codec says, in this folder.
    fn launch(&self) -> Child {
        self.launch_within(WholeSeconds::of(20))
    }

    /// The same, with so much time for the registration.
    fn launch_within(&self, register_timeout: WholeSeconds) -> Child {
        let host = HostContext { runner_dir: self.0.clone(), ..host() };
        let settings = StackGuardianRunnerSettings {
            url: url("http://127.0.0.1:1"),
            organization: read_as("demo-org"),
            runner_group: read_as("private"),
            program: read_as("sg-runner"),
            register_timeout,
            introspection: None,
        };
        let runner = StackGuardianRunner::new(settings, "hush-token".into(), None).expect("settings that can work");
        let mut call = runner.register(&host);
        let ExchangeStep::Perform(_, _) = call.start() else { panic!("the journal is read first") };
        let ExchangeStep::Done(Ok(launch)) =
            call.resume(EffectId::default(), EffectResult::Program(Ok(output(0, &self.read("registration"), ""))))
        else {
            panic!("not launched: {}", self.read("registration"))
        };
        for file in &launch.files {
            fs::write(&file.path, file.contents.expose()).expect("written");
        }
        let path = format!("{}:{}", self.0.display(), env::var("PATH").unwrap_or_default());
        Command::new(&launch.argv[0])
            .args(&launch.argv[1..])
            .envs(launch.env.iter().map(|(name, value)| (name, value.expose())))
            .env("PATH", path)
            .env("ECS_CONFIG_DIR", &self.0)
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started")
    }

    fn await_text(&self, name: &str, part: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.read(name).contains(part) {
            assert!(Instant::now() < until, "{part} never came into {name}: {}", self.read(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn terminate(child: &mut Child) -> ExitStatus {
    let pid = child.id().to_string();
    assert!(Command::new("/bin/sh").args(["-c", "kill -TERM \"$1\"", "sh", &pid]).status().expect("kill").success());
    child.wait().expect("waited for")
}

fn has_bash() -> bool {
    Path::new("/bin/bash").exists()
}

#[test]
fn a_registration_that_does_not_end_names_the_setting_that_gives_it_longer() {
    let folder = Folder::new("hangs", "#!/bin/sh\nexec sleep 600\n");
    let mut child = folder.launch_within(WholeSeconds::of(1));
    assert!(!child.wait().expect("it ends").success());
    let told = folder.read("registration");
    for said in ["did not end within 1 s", "see what it waits for", "register_timeout gives it longer"] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

#[test]
fn it_registers_once_lives_with_the_agent_and_ends_tasks_before_the_agent() {
    if !has_bash() {
        return;
    }
    let folder = Folder::new("whole", SG_RUNNER);
    fs::write(folder.0.join("running"), "").expect("left behind by the image");
    let mut child = folder.launch();
    folder.await_text("registration", "\nregistered\n");
    assert!(folder.read("registration").starts_with("begin i-0abc\nECS_INSTANCE_ATTRIBUTES={"));
    assert_eq!(
        folder.read("given"),
        "register --organization demo-org --runner-group private --sg-node-token hush-token\n"
    );
    assert!(!folder.read("seen").is_empty() && !folder.read("seen").contains("hush-token"), "{}", folder.read("seen"));
    folder.await_text("calls", "docker wait ecs-agent");
    assert!(!folder.0.join("token").exists(), "once it is registered, the token is in no file");
    let environment = fs::read(format!("/proc/{}/environ", child.id())).expect("a process of ours");
    assert!(!String::from_utf8_lossy(&environment).contains("hush-token"), "nor in the environment of what goes on");
    let calls = folder.read("calls");
    assert!(calls.contains("docker rm --force ecs-agent"), "what the image left behind goes: {calls}");

    folder.await_text("calls", "docker wait ecs-agent");
    fs::write(folder.0.join("tasks"), "t1\nt2\n").expect("tasks");
    assert!(terminate(&mut child).success());
    let calls = folder.read("calls");
    let (stop, agent) = (calls.find("docker stop -t 120 t1 t2"), calls.rfind("systemctl stop ecs"));
    assert!(stop.is_some() && stop < agent, "{calls}");
    assert!(folder.read("registration").ends_with("gone\n"));
}

#[test]
fn a_second_launch_adopts_the_agent() {
    if !has_bash() {
        return;
    }
    let folder = Folder::new("adopt", SG_RUNNER);
    let mut first = folder.launch();
    folder.await_text("registration", "registered");
    first.kill().expect("killed");
    first.wait().expect("waited for");
    fs::write(folder.0.join("calls"), "").expect("emptied");
    let mut second = folder.launch();
    folder.await_text("calls", "docker wait ecs-agent");
    assert_eq!(folder.read("given").lines().count(), 1, "registered once");
    assert!(terminate(&mut second).success());
}

#[test]
fn a_failure_is_noted_and_ends_it() {
    if !has_bash() {
        return;
    }
    let folder = Folder::new("fail", SG_RUNNER);
    fs::write(folder.0.join("fail"), "").expect("told to fail");
    assert!(!folder.launch().wait().expect("waited for").success());
    assert_eq!(folder.read("registration"), "begin i-0abc\nfailed sg-runner register ended with status 3\n");
    assert!(!folder.0.join("token").exists());
}

#[test]
fn a_program_that_is_no_bash_script_finds_the_token_in_its_environment() {
    let folder = Folder::new("other", "#!/bin/sh\necho \"$* $SG_NODE_TOKEN $SG_BASE_API\" >given\n");
    assert!(!folder.launch().wait().expect("waited for").success());
    assert_eq!(
        folder.read("given"),
        "register --organization demo-org --runner-group private hush-token http://127.0.0.1:1/api/v1\n"
    );
    assert!(
        folder
            .read("registration")
            .contains("failed sg-runner register said that it is done, but no ecs-agent container runs")
    );
}

#[test]
fn what_the_ecs_agent_said_last_is_passed_on_when_it_is_gone() {
    let folder = Folder::new("gone", "#!/bin/sh\n");
    let ended = folder.launch().wait_with_output().expect("waited for");
    assert!(!ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "refused\n");
}

/// A job may be on its way to it: to register anew would end it with that.
#[test]
fn an_ecs_agent_that_is_started_anew_right_after_its_registration_is_waited_for() {
    let folder = Folder::new("anew", "#!/bin/sh\n(sleep 0.5; touch running) >/dev/null 2>&1 &\n");
    let mut child = folder.launch();
    folder.await_text("registration", "\nregistered\n");
    terminate(&mut child);
}
