//! Spacelift's settings.

use super::*;
use lightsout_core::platform::spacelift::{SpaceliftQueueSettings, SpaceliftRunnerSettings};

const QUEUE: &str = "[[pool]]\ngroup = 'ci'\n[pool.platform.spacelift]\n";
const RUNNER: &str = "[platform.spacelift]\n";
const SECRETS: &str = "token = { env = 'T' }\nprivate_key = { env = 'P' }\n";
const API: &str = "url = 'https://acme.app.spacelift.io/'\napi_key_id = 'K1'\napi_key_secret = { env = 'S' }\n";
const POOL: &str = "worker_pool = '01HXAMPLE0P001D00000000000'\n";

type Runner = (SpaceliftRunnerSettings, Option<SpaceliftQueueSettings>);

fn queue_problem(more: &str) -> String {
    ScalerSettings::parse(&one(&format!("{QUEUE}{more}"))).expect_err(more).to_string()
}

fn runner_problem(more: &str) -> String {
    AgentSettings::parse(&one(&format!("{RUNNER}{more}"))).expect_err(more).to_string()
}

#[test]
fn a_queue_is_read() {
    let settings = ScalerSettings::parse(&one(&format!("{QUEUE}{API}{POOL}"))).unwrap();
    let platform = &settings.pools[0].platform;
    assert_eq!((platform.platform(), platform.address()), ("spacelift", "https://acme.app.spacelift.io"));
    assert_eq!(platform.secret().map(ToString::to_string).as_deref(), Some("the environment variable S"));
    assert_eq!(platform.open(Some("s".into())).expect("secrets that can be").platform(), "spacelift");
    let settings = &queue_of::<SpaceliftQueueSettings>(&**platform).settings;
    assert_eq!((settings.api_key_id.as_str(), settings.worker_pool.as_str()), ("K1", "01HXAMPLE0P001D00000000000"));
}

#[test]
fn a_runner_is_read_with_and_without_an_api_key() {
    let settings = AgentSettings::parse(&one(&format!("{RUNNER}{SECRETS}"))).unwrap();
    let sources =
        |platform: &Arc<dyn RunnerConfig>| platform.secrets().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(sources(&settings.platform), ["the environment variable T", "the environment variable P"]);
    let (config, api) = &runner_of::<Runner>(&*settings.platform).settings;
    assert_eq!((config.program.as_str(), api.is_none()), ("spacelift-launcher", true));

    let more = "program = '/opt/launcher'\nignore_containers = ['datadog']\nenv = ['SPACELIFT_LAUNCHER_RUN_TIMEOUT=30m', 'A=b=c']\n";
    let settings = AgentSettings::parse(&one(&format!("{RUNNER}{SECRETS}{API}{POOL}{more}"))).unwrap();
    assert_eq!(sources(&settings.platform)[2..], ["the environment variable S"]);
    let built = settings.platform.open(["eyJ9", "LS0t", "s"].map(Into::into).to_vec()).expect("secrets that can be");
    assert_eq!((settings.platform.platform(), built.platform()), ("spacelift", "spacelift"));
    let (settings, api) = &runner_of::<Runner>(&*settings.platform).settings;
    assert_eq!((settings.program.as_str(), settings.ignore_containers[0].as_str()), ("/opt/launcher", "datadog"));
    assert_eq!(settings.env[&"A".parse().unwrap()], "b=c");
    assert_eq!(api.as_ref().map(|api| api.url.as_str()), Some("https://acme.app.spacelift.io"));
}

#[test]
fn each_mistake_names_spacelifts_own_word() {
    for (found, expected) in [
        (
            queue_problem(POOL),
            "f.toml:3: pool[ci].platform.spacelift.url is missing: your account's address; add url = \"https://ACCOUNT.app.spacelift.io\"",
        ),
        (
            queue_problem(API),
            "spacelift.worker_pool is missing: the worker pool's id; add worker_pool = \"01HXAMPLE0P001D00000000000\"",
        ),
        (
            queue_problem(&format!("{API}worker_pool = 'my-pool'\n")),
            "f.toml:7: pool[ci].platform.spacelift.worker_pool = \"my-pool\": the Spacelift worker pool is no id of 26 letters and digits; take \
             the last part of the pool's address in Spacelift",
        ),
        (
            queue_problem(&format!(
                "{POOL}api_key_id = 'K1'\napi_key_secret = 's'\nurl = 'https://acme.app.spacelift.io/graphql'\n"
            )),
            "f.toml:7: pool[ci].platform.spacelift.url = \"https://acme.app.spacelift.io/graphql\": the Spacelift url ends in /graphql, which is \
             added by itself; set it to your account's address",
        ),
        (
            queue_problem(&format!(
                "{POOL}api_key_id = 'K1'\napi_key_secret = 's'\nurl = 'https://me:hunter2@acme.app.spacelift.io'\n"
            )),
            "spacelift.url holds a user name or a password",
        ),
        (queue_problem(&format!("{API}{POOL}pool = 'x'\n")), "spacelift.pool is not a setting"),
        (
            runner_problem("token = { env = 'T' }\n"),
            "f.toml:1: platform.spacelift.private_key is missing: the worker pool's private key in base64 (SPACELIFT_POOL_PRIVATE_KEY); add ",
        ),
        (
            runner_problem(&format!("{SECRETS}{POOL}")),
            "f.toml:1: platform.spacelift.api_key_secret is missing: the API key's secret",
        ),
        (
            runner_problem(&format!("{SECRETS}env = ['hunter2']\n")),
            "f.toml:4: platform.spacelift.env has an entry that is not NAME=value; write for example env = [\"SPACELIFT_LAUNCHER_RUN_TIMEOUT=30m\"]",
        ),
        (
            runner_problem(&format!("{SECRETS}env = ['SPACELIFT_TOKEN=hunter2']\n")),
            "env holds \"SPACELIFT_TOKEN\", which is no name of a variable or is set from the other settings",
        ),
    ] {
        assert!(found.contains(expected) && !found.contains("hunter2"), "{found}\nlacks\n{expected}");
    }
}
