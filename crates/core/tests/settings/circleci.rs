//! CircleCI's settings.

use std::num::NonZeroU32;

use super::*;

const QUEUE: &str = "[[pool]]\ngroup = 'ci'\n[pool.platform.circleci]\n";
const RUNNER: &str = "[platform.circleci]\n";

fn queue_problem(more: &str) -> String {
    ScalerSettings::parse(&one(&format!("{QUEUE}{more}"))).expect_err(more).to_string()
}

fn runner_problem(more: &str) -> String {
    AgentSettings::parse(&one(&format!("{RUNNER}{more}"))).expect_err(more).to_string()
}

#[test]
fn a_queue_is_read() {
    let text = "token = { env = 'T' }\nresource_classes = ['acme/linux', 'acme/arm']\nmax_concurrency = 30\nurl = 'https://ci.test/'\n";
    let settings = ScalerSettings::parse(&one(&format!("{QUEUE}{text}"))).unwrap();
    let platform = &settings.pools[0].platform;
    assert_eq!((platform.platform(), platform.address()), ("circleci", "https://ci.test"));
    assert!(platform.secret().is_some());
    let settings = &queue_of::<platform::circleci::CircleCiQueueSettings>(&**platform).settings;
    let classes: Vec<&str> = settings.resource_classes.iter().map(platform::circleci::ResourceClass::as_str).collect();
    assert_eq!(classes, ["acme/linux", "acme/arm"]);
    assert_eq!(settings.max_concurrency.map(NonZeroU32::get), Some(30));
    assert_eq!(platform.open(Some("t".into())).expect("secrets that can be").platform(), "circleci");
}

#[test]
fn a_runner_is_read() {
    let text = "token = { env = 'T' }\nmax_run_time = '1h'\nworking_directory = '/srv/w'\ntask_agent_directory = '/srv/a'\n\
                cleanup_working_directory = false\ncommand_prefix = ['sudo', '--']\nprogram = '/opt/circleci-runner'\n";
    for (more, single) in
        [("", false), ("[agent]\njobs_per_instance = 1", true), ("[agent]\njobs_per_instance = 2", false)]
    {
        let settings = AgentSettings::parse(&one(&format!("{RUNNER}{text}{more}"))).unwrap();
        assert_eq!(
            (
                settings.platform.platform(),
                settings.platform.open(vec!["t".into()]).expect("secrets that can be").platform()
            ),
            ("circleci", "circleci")
        );
        let settings = &runner_of::<platform::circleci::CircleCiRunnerSettings>(&*settings.platform).settings;
        assert_eq!((settings.single_task, settings.max_run_time.get()), (single, 3600));
        assert_eq!(settings.url.as_str(), "https://runner.circleci.com");
        assert_eq!(settings.working_directory.as_deref(), Some("/srv/w".as_ref()));
        assert_eq!(settings.task_agent_directory.as_deref(), Some("/srv/a".as_ref()));
        let prefix: Vec<&str> = settings.command_prefix.iter().map(platform::circleci::PrefixWord::as_str).collect();
        assert_eq!(prefix, ["sudo", "--"]);
        assert_eq!((settings.program.as_str(), settings.cleanup_working_directory), ("/opt/circleci-runner", false));
    }
}

/// The runner may read its configuration again, so that the token stays where the runner's user reads it.
#[test]
fn a_token_that_tasks_can_read_is_called_broad() {
    let broad = |more: &str| {
        let settings = AgentSettings::parse(&one(&format!("{RUNNER}token = {{ env = 'T' }}\n{more}"))).unwrap();
        settings.platform.needs().broad_secret
    };
    assert!(broad("").unwrap().contains("command_prefix"));
    let as_another =
        "command_prefix = ['sudo', '-u', 'ci', '--']\nworking_directory = '/srv/w'\ntask_agent_directory = '/srv/a'\n";
    assert_eq!(broad(as_another), None);
}

#[test]
fn each_mistake_names_circlecis_own_word() {
    let token = "token = { env = 'T' }\n";
    for (found, expected) in [
        (
            queue_problem("resource_classes = ['acme/linux']\n"),
            "f.toml:3: pool[ci].platform.circleci.token is missing: a personal API token (a resource class token cannot read the queue); \
             add token = ",
        ),
        (
            queue_problem(token),
            "f.toml:3: pool[ci].platform.circleci.resource_classes is missing: whose tasks to count; add resource_classes = \
             [\"namespace/resource-class\"]",
        ),
        (
            queue_problem(&format!("{token}resource_classes = ['linux']\n")),
            "f.toml:5: pool[ci].platform.circleci.resource_classes = [...]: the CircleCI resource class \"linux\" is not of the form \
             namespace/resource-class; write for example acme/linux",
        ),
        (
            queue_problem(&format!("{token}resource_classes = ['a/b']\nmax_concurrency = 0\n")),
            "f.toml:6: pool[ci].platform.circleci.max_concurrency = 0: expected a whole number from 1",
        ),
        (
            queue_problem(&format!("{token}resource_classes = ['a/b']\nurl = 'https://runner.circleci.com/api/v3'\n")),
            "url = \"https://runner.circleci.com/api/v3\": the CircleCI url holds /api, which is added by itself; write for example https://",
        ),
        (
            queue_problem(&format!("{token}resource_class = 'a/b'\n")),
            "f.toml:5: pool[ci].platform.circleci.resource_class is not a setting; did you mean resource_classes?",
        ),
        (
            runner_problem(""),
            "platform.circleci.token is missing: the resource class token that the pool shares; add token = ",
        ),
        (
            runner_problem(&format!("{token}max_run_time = '1500ms'\n")),
            "max_run_time = \"1500ms\": expected a number of whole seconds; write for example max_run_time = \"2s\"",
        ),
        (
            runner_problem(&format!("{token}command_prefix = ['sudo', '--']\n")),
            "who cannot reach the agent's folder: set working_directory too",
        ),
        (
            runner_problem(&format!("{token}command_prefix = ['sudo', '--']\nworking_directory = '/w'\n")),
            "who cannot reach the agent's folder: set task_agent_directory too",
        ),
        (
            queue_problem(&format!("{token}resource_classes = []\n")),
            "resource_classes = []: expected one at least; name each as namespace/resource-class, such as acme/linux",
        ),
        (
            runner_problem(&format!("{token}working_directory = 'work'\n")),
            "f.toml:3: platform.circleci.working_directory = \"work\"",
        ),
    ] {
        assert!(found.contains(expected), "{found}\nlacks\n{expected}");
    }
}

#[test]
fn a_password_in_the_address_is_not_shown() {
    let found = runner_problem("token = { env = 'T' }\nurl = 'https://me:hunter2@circleci.com'\n");
    assert!(
        found.contains("platform.circleci.url holds a user name or a password") && !found.contains("hunter2"),
        "{found}"
    );
}
