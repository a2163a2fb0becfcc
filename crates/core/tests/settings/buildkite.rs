//! Buildkite's settings.

use super::*;

const QUEUE: &str = "[[pool]]\ngroup = 'ci'\n[pool.platform.buildkite]\n";
const RUNNER: &str = "[platform.buildkite]\n";
const TOKEN: &str = "token = { env = 'T' }\n";

fn queue_problem(more: &str) -> String {
    ScalerSettings::parse(&one(&format!("{QUEUE}{more}"))).expect_err(more).to_string()
}

fn runner_problem(more: &str) -> String {
    AgentSettings::parse(&one(&format!("{RUNNER}{more}"))).expect_err(more).to_string()
}

#[test]
fn a_queue_is_read() {
    for (more, waiting) in [("", false), ("include_waiting = true\n", true)] {
        let settings = ScalerSettings::parse(&one(&format!("{QUEUE}{TOKEN}queue = 'linux'\n{more}"))).unwrap();
        let platform = &settings.pools[0].platform;
        assert_eq!((platform.platform(), platform.address()), ("buildkite", "https://agent.buildkite.com"));
        assert!(platform.secret().is_some());
        let settings = &queue_of::<platform::buildkite::BuildkiteQueueSettings>(&**platform).settings;
        assert_eq!((settings.queue.as_str(), settings.include_waiting), ("linux", waiting));
        assert_eq!(platform.open(Some("t".into())).expect("secrets that can be").platform(), "buildkite");
    }
}

#[test]
fn a_runner_is_read() {
    let text = "queue = 'linux'\ntags = ['os=linux']\nprogram = '/opt/buildkite-agent'\ncancel_grace_period = '1m'\nbuild_path = '/srv/b'\n\
                hooks_path = '/srv/h'\nurl = 'http://127.0.0.1:1/'\n";
    for (more, single) in [("", false), ("[agent]\njobs_per_instance = 1", true)] {
        let settings = AgentSettings::parse(&one(&format!("{RUNNER}{TOKEN}{text}{more}"))).unwrap();
        assert_eq!(
            (
                settings.platform.platform(),
                settings.platform.open(vec!["t".into()]).expect("secrets that can be").platform()
            ),
            ("buildkite", "buildkite")
        );
        let settings = &runner_of::<platform::buildkite::BuildkiteRunnerSettings>(&*settings.platform).settings;
        assert_eq!((settings.disconnect_after_job, settings.cancel_grace_period.get()), (single, 60));
        assert_eq!((settings.url.as_str(), settings.queue.as_str()), ("http://127.0.0.1:1", "linux"));
        assert_eq!((settings.tags[0].as_str(), settings.program.as_str()), ("os=linux", "/opt/buildkite-agent"));
        assert_eq!((settings.build_path.as_deref(), settings.hooks_path.as_str()), (Some("/srv/b"), "/srv/h"));
    }
}

#[test]
fn each_mistake_names_buildkites_own_word() {
    for (found, expected) in [
        (
            queue_problem("queue = 'linux'\n"),
            "f.toml:3: pool[ci].platform.buildkite.token is missing: an agent token of the queue's cluster; add token = ",
        ),
        (
            queue_problem(TOKEN),
            "f.toml:3: pool[ci].platform.buildkite.queue is missing: the queue's key; add queue = \"default\", as it stands at Buildkite under",
        ),
        (
            queue_problem(&format!("{TOKEN}queue = 'queue=linux'\n")),
            "f.toml:5: pool[ci].platform.buildkite.queue = \"queue=linux\": the Buildkite queue \"queue=linux\" is not a queue's key; write the key \
             alone",
        ),
        (
            queue_problem(&format!("{TOKEN}queue = 'linux'\nurl = 'https://api.buildkite.com'\n")),
            "url = \"https://api.buildkite.com\": the Buildkite url is that of the REST API; the agent API is needed, https://agent.buildkite.com",
        ),
        (
            queue_problem(&format!("{TOKEN}queues = 'linux'\n")),
            "buildkite.queues is not a setting; did you mean queue?",
        ),
        (
            runner_problem("queue = 'linux'\n"),
            "platform.buildkite.token is missing: an agent token of the queue's cluster",
        ),
        (
            runner_problem(&format!("{TOKEN}queue = 'linux'\ntags = ['linux']\n")),
            "f.toml:4: platform.buildkite.tags = [...]: the Buildkite tag \"linux\" is not of the form key=value; write for example os=linux",
        ),
        (
            runner_problem(&format!("{TOKEN}queue = 'linux'\ncancel_grace_period = '1500ms'\n")),
            "cancel_grace_period = \"1500ms\": expected a number of whole seconds; write for example cancel_grace_period = \"2s\"",
        ),
        // Until now nothing said so before the runner was to register.
        (
            runner_problem(&format!("{TOKEN}queue = 'linux'\nbuild_path = '/srv/my builds'\n")),
            "platform.buildkite.build_path = \"/srv/my builds\": expected an absolute path of letters, digits and -_./:=,@+[], since \
             buildkite-agent.cfg knows no escapes; write for example /var/lib/buildkite-agent",
        ),
        (
            runner_problem(&format!("{TOKEN}queue = 'linux'\nprogram = 'a b'\n")),
            "set it to buildkite-agent or its path",
        ),
    ] {
        assert!(found.contains(expected), "{found}\nlacks\n{expected}");
    }
}
