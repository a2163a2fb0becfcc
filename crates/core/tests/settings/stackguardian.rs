//! StackGuardian's settings.

use super::*;

const QUEUE: &str = "[[pool]]\ngroup = 'ci'\n[pool.platform.stackguardian]\n";
const RUNNER: &str = "[platform.stackguardian]\n";
const NAMES: &str = "organization = 'demo-org'\nrunner_group = 'private-runners'\n";

fn queue_problem(more: &str) -> String {
    ScalerSettings::parse(&one(&format!("{QUEUE}{more}"))).expect_err(more).to_string()
}

fn runner_problem(more: &str) -> String {
    AgentSettings::parse(&one(&format!("{RUNNER}{more}"))).expect_err(more).to_string()
}

#[test]
fn a_queue_is_read() {
    let text = format!("{QUEUE}{NAMES}api_key = {{ env = 'K' }}\nurl = 'https://api.us.stackguardian.io/'\n");
    let settings = ScalerSettings::parse(&one(&text)).unwrap();
    let platform = &settings.pools[0].platform;
    assert_eq!((platform.platform(), platform.address()), ("stackguardian", "https://api.us.stackguardian.io"));
    assert_eq!(platform.secret().map(ToString::to_string).as_deref(), Some("the environment variable K"));
    assert_eq!(platform.open(Some("sgu_x".into())).expect("secrets that can be").platform(), "stackguardian");
    let settings = &queue_of::<platform::stackguardian::StackGuardianQueueSettings>(&**platform).settings;
    assert_eq!((settings.organization.as_str(), settings.runner_group.as_str()), ("demo-org", "private-runners"));
}

#[test]
fn a_runner_is_read() {
    let text = format!("{RUNNER}{NAMES}token = {{ env = 'T' }}\n");
    let settings = AgentSettings::parse(&one(&text)).unwrap();
    assert_eq!(settings.platform.secrets().len(), 1);
    let settings = &runner_of::<platform::stackguardian::StackGuardianRunnerSettings>(&*settings.platform).settings;
    assert_eq!((settings.url.as_str(), settings.program.as_str()), ("https://api.app.stackguardian.io", "sg-runner"));
    assert_eq!(settings.introspection.as_ref().map(BaseUrl::as_str), Some("http://localhost:51678"));

    let more = "api_key = 'sgo_x'\nprogram = '/opt/sg'\nregister_timeout = '10m'\nintrospection = 'off'\n";
    let settings = AgentSettings::parse(&one(&format!("{text}{more}"))).unwrap();
    let platform = settings.platform;
    assert_eq!((platform.platform(), platform.secrets().len()), ("stackguardian", 2));
    let built = format!(
        "{:?}",
        platform.open(["t", "sgo_x"].map(Into::into).to_vec()).expect("secrets that can be").platform()
    );
    assert_eq!(built, "\"stackguardian\"");
    let settings = &runner_of::<platform::stackguardian::StackGuardianRunnerSettings>(&*platform).settings;
    assert_eq!((settings.program.as_str(), settings.register_timeout.get()), ("/opt/sg", 600));
    assert_eq!(settings.introspection, None);
}

#[test]
fn each_mistake_names_stackguardians_own_word() {
    let key = "api_key = { env = 'K' }\n";
    for (found, expected) in [
        (
            queue_problem(NAMES),
            "f.toml:3: pool[ci].platform.stackguardian.api_key is missing: an API key of a user (sgu_...) or of the organization (sgo_...); \
             add api_key = { file = \"/path\" }",
        ),
        (
            queue_problem("api_key = { env = 'K' }\nrunner_group = 'x'\n"),
            "f.toml:3: pool[ci].platform.stackguardian.organization is missing: the organization's name; add organization = \"demo-org\"",
        ),
        (
            queue_problem(&format!("{key}organization = 'x'\nrunner_group = '/runnergroups/x'\n")),
            "f.toml:6: pool[ci].platform.stackguardian.runner_group = \"/runnergroups/x\": the StackGuardian runner group is not a name as it \
             stands in StackGuardian's addresses; write only its name, such as private-runners",
        ),
        (
            queue_problem(&format!("{key}{NAMES}url = 'https://app.stackguardian.io'\n")),
            "url = \"https://app.stackguardian.io\": the StackGuardian url is that of the web pages; set it to https://api.app.stackguardian.io",
        ),
        (
            queue_problem(&format!("{NAMES}api_key = 'ghp_hunter2'\n")),
            "f.toml:6: pool[ci].platform.stackguardian.api_key cannot be used: the StackGuardian API key does not start with sgu_ (a user's) or \
             sgo_ (the organization's); create one in StackGuardian's settings",
        ),
        (queue_problem(&format!("{key}{NAMES}org = 'x'\n")), "stackguardian.org is not a setting"),
        (
            runner_problem(NAMES),
            "f.toml:1: platform.stackguardian.token is missing: the runner group's token (sg-runner: --sg-node-token); add token = ",
        ),
        (
            runner_problem(&format!("{NAMES}token = 't'\nintrospection = 'localhost'\n")),
            "f.toml:5: platform.stackguardian.introspection = \"localhost\": expected the address of the ECS agent's introspection, or \"off\"; \
             write for example introspection = \"http://localhost:51678\"",
        ),
        (
            runner_problem(&format!("{NAMES}token = 't'\nregister_timeout = 300\n")),
            "f.toml:5: platform.stackguardian.register_timeout = 300: expected a duration from 1s to 1h",
        ),
    ] {
        assert!(found.contains(expected) && !found.contains("hunter2"), "{found}\nlacks\n{expected}");
    }
}
