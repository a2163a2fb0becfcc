//! GitHub's settings.

use std::num::NonZeroU64;

use super::*;
use lightsout_core::platform::github::{
    GitHubIdentity, GitHubOwner, GitHubQueueSettings, GitHubRegistrationBy, GitHubRunnerSettings,
    GitHubScaleSetSettings, GitHubScope,
};

const QUEUE: &str = "[[pool]]\ngroup = 'ci'\n[pool.platform.github]\n";
const RUNNER: &str = "[platform.github]\n";
const APP: &str = "app_id = '123'\ninstallation_id = 77\nprivate_key = { ssm = '/ci/key' }\n";
const TOKEN: &str = "token = { env = 'T' }\n";

type Listing = (GitHubQueueSettings, GitHubIdentity);
type Runner = (GitHubRunnerSettings, GitHubRegistrationBy);

fn queue(more: &str) -> Arc<dyn QueueConfig> {
    let settings =
        ScalerSettings::parse(&one(&format!("{QUEUE}{more}"))).unwrap_or_else(|problems| panic!("{problems}"));
    settings.pools[0].platform.clone()
}

fn queue_problem(more: &str) -> String {
    ScalerSettings::parse(&one(&format!("{QUEUE}{more}"))).expect_err(more).to_string()
}

fn runner_problem(more: &str) -> String {
    AgentSettings::parse(&one(&format!("{RUNNER}{more}"))).expect_err(more).to_string()
}

#[test]
fn a_queue_is_read() {
    let platform = queue(&format!("{TOKEN}repositories = ['acme/app']\nlabels = ['linux']\nrunner_group_id = 3\n"));
    assert_eq!((platform.platform(), platform.address()), ("github", "https://api.github.com"));
    assert_eq!(platform.open(Some("t".into())).expect("secrets that can be").platform(), "github");
    let Config { settings: (settings, identity), secrets } = queue_of::<Listing>(&*platform);
    assert_eq!((identity, secrets[0].to_string().as_str()), (&GitHubIdentity::Token, "the environment variable T"));
    let GitHubScope::Repositories(names) = &settings.scope else { panic!("{:?}", settings.scope) };
    assert_eq!((names.len(), names[0].as_str()), (1, "acme/app"));
    assert_eq!((settings.labels.len(), settings.runner_group_id.map(NonZeroU64::get)), (1, Some(3)));
    let platform = queue(APP);
    let Config { settings: (settings, identity), secrets } = queue_of::<Listing>(&*platform);
    assert_eq!(
        (settings.scope.clone(), secrets[0].to_string().as_str()),
        (GitHubScope::Installation, "the SSM parameter /ci/key")
    );
    let GitHubIdentity::App(app) = identity else { panic!("no App") };
    assert_eq!((app.app_id.as_str(), app.installation_id.get()), ("123", 77));
}

#[test]
fn a_scale_set_is_read() {
    let platform = queue(&format!(
        "{APP}organization = 'acme'\nscale_set = 'linux'\nmax_jobs = 40\nurl = 'https://git.test/api/v3/'\n"
    ));
    assert_eq!((platform.platform(), platform.address()), ("github", "https://git.test/api/v3"));
    assert_eq!(
        platform.open(Some("-----BEGIN RSA PRIVATE KEY-----".into())).expect("secrets that can be").platform(),
        "github"
    );
    let settings = &queue_of::<(GitHubScaleSetSettings, GitHubIdentity)>(&*platform).settings.0;
    assert_eq!(settings.owner, GitHubOwner::Organization("acme".parse().unwrap()));
    assert_eq!(
        (settings.scale_set.as_str(), settings.runner_group_id.get(), settings.max_jobs.get()),
        ("linux", 1, 40)
    );
}

#[test]
fn a_runner_of_a_scale_set_is_read() {
    let problem = runner_problem(&format!("{TOKEN}organization = 'acme'\nscale_set = 'linux'\nlabels = ['a']\n"));
    assert!(problem.contains("a scale set has its own labels"), "{problem}");
    let text = format!("{RUNNER}{TOKEN}organization = 'acme'\nscale_set = 'linux'\nrunner_group_id = 3\n");
    let settings = AgentSettings::parse(&one(&text)).unwrap_or_else(|problems| panic!("{problems}"));
    let (settings, _) = &runner_of::<Runner>(&*settings.platform).settings;
    assert_eq!((settings.scale_set.as_deref(), settings.runner_group_id.get()), (Some("linux"), 3));
}

#[test]
fn a_runner_is_read() {
    let parse = |more: &str| {
        AgentSettings::parse(&one(&format!("{RUNNER}{more}"))).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let settings =
        parse(&format!("{TOKEN}repository = 'acme/app'\nlabels = ['linux']\nprogram = ['sudo', '-E', '/r/run.sh']\n"));
    assert_eq!(settings.platform.open(vec!["t".into()]).expect("secrets that can be").platform(), "github");
    let (settings, _) = &runner_of::<Runner>(&*settings.platform).settings;
    assert_eq!(settings.owner, GitHubOwner::Repository("acme/app".parse().unwrap()));
    assert_eq!(
        (settings.runner_group_id.get(), settings.work_folder.as_str(), settings.program.len()),
        (1, "_work", 3)
    );
    let settings = parse("jit_config = { file = '/jit' }\norganization = 'acme'\n[agent]\njobs_per_instance = 1\n");
    let Config { settings: (settings, registration), secrets } = runner_of::<Runner>(&*settings.platform);
    assert_eq!((registration, secrets[0].to_string().as_str()), (&GitHubRegistrationBy::Jit, "the file /jit"));
    assert_eq!(settings.program[..], ["/opt/actions-runner/run.sh"]);
}

#[test]
fn each_mistake_names_githubs_own_word() {
    for (found, expected) in [
        (
            queue_problem("organization = 'acme'\n"),
            "f.toml:3: pool[ci].platform.github.token is missing: a personal access token with the permission actions: read, or a GitHub App; \
             add token = ",
        ),
        (
            queue_problem("app_id = '123'\nprivate_key = { env = 'K' }\n"),
            "f.toml:3: pool[ci].platform.github.installation_id is missing: the installation ID of the GitHub App; add installation_id = 12345678",
        ),
        (
            queue_problem(&APP.replace("'123'", "'my app'")),
            "f.toml:4: pool[ci].platform.github.app_id = \"my app\": the GitHub App ID is no App ID; use the number",
        ),
        (
            queue_problem(&format!("{APP}{TOKEN}")),
            "pool[ci].platform.github.token cannot be given beside a GitHub App; keep token, or app_id",
        ),
        (
            queue_problem(TOKEN),
            "pool[ci].platform.github.organization is missing: whose jobs to read; add organization = \"acme\", or repositories",
        ),
        (
            queue_problem(&format!("{TOKEN}repositories = ['app']\n")),
            "\"app\" is no GitHub repository; write it as OWNER/REPO, such as acme/app",
        ),
        (
            queue_problem(&format!("{TOKEN}repositories = ['a/b']\norganization = 'acme'\n")),
            "repositories and organization cannot both be given",
        ),
        (
            queue_problem(&format!("{TOKEN}organization = 'acme'\nurl = 'https://github.com'\n")),
            "the GitHub url is that of the web pages, not of the API; set it to https://api.github.com",
        ),
        (queue_problem(&format!("{TOKEN}organization = 'acme'\nmax_jobs = 3\n")), "max_jobs goes with scale_set only"),
        (
            queue_problem(&format!("{TOKEN}organization = 'acme'\nscale_set = 'x'\nlabels = ['a']\n")),
            "a scale set has its own labels",
        ),
        (queue_problem(&format!("{APP}scale_set = 'x'\n")), "organization is missing: whose jobs to read"),
        (queue_problem(&format!("{TOKEN}organization = 'acme'\nlabel = ['a']\n")), "did you mean labels?"),
        (runner_problem(TOKEN), "f.toml:1: platform.github.organization is missing: whose runner it is"),
        (
            runner_problem(&format!("{TOKEN}repository = 'acme/app'\nrunner_group_id = 3\n")),
            "platform.github.runner_group_id = 3: a repository has one GitHub runner group only: set runner_group_id to 1",
        ),
        (
            runner_problem("jit_config = { env = 'J' }\norganization = 'acme'\n"),
            "platform.github.jit_config is good for one job, and the instance would wait for ever after it; set jobs_per_instance = 1",
        ),
        (
            runner_problem(&format!("{TOKEN}organization = 'acme'\nprogram = ['run.sh']\n")),
            "the GitHub runner program is no absolute path; write for example /opt/actions-runner/run.sh",
        ),
    ] {
        assert!(found.contains(expected), "{found}\nlacks\n{expected}");
    }
}

#[test]
fn a_webhook_is_read_from_the_pool_or_the_defaults() {
    let pool = |name: &str, more: &str| format!("[[pool]]\ngroup = '{name}'\nplatform.command.queue = ['q']\n{more}\n");
    let own = "webhook = { kind = 'buildkite', secret = { env = 'B' } }";
    let text = format!(
        "[defaults]\nwebhook = {{ kind = 'github', secret = {{ env = 'W' }}, path = 'org' }}\n{}{}",
        pool("a", ""),
        pool("b", own)
    );
    let settings = ScalerSettings::parse(&one(&text)).unwrap_or_else(|problems| panic!("{problems}"));
    let hooks: Vec<_> = settings
        .pools
        .iter()
        .filter_map(|pool| pool.webhook.as_ref())
        .map(|hook| (hook.kind.platform, hook.path.as_str()))
        .collect();
    assert_eq!(hooks, [("github", "org"), ("buildkite", "org")]);
    let alone = ScalerSettings::parse(&one(&pool("a", own))).unwrap();
    assert_eq!(alone.pools[0].webhook.as_ref().unwrap().path, "a");
    for (more, expected) in [
        (
            "webhook = { secret = { env = 'W' } }",
            "webhook.kind is missing: whose webhook it is; add kind = one of \"buildkite\", \"github\", \"gitlab\"",
        ),
        ("webhook = { kind = 'github' }", "webhook.secret is missing: the secret that is set at the platform, too"),
        ("webhook = { kind = 'svn', secret = 'hunter2' }", "expected \"buildkite\" or \"github\" or \"gitlab\""),
        ("webhook = { kind = 'github', secret = 'hunter2', path = 'a/b' }", "letters, digits, -, _ and . only"),
        ("webhook = { kind = 'github', secret = 'hunter2', token = 'x' }", "webhook.token is not a setting"),
        ("webhook = 'github'", "webhook = \"github\": expected a table"),
    ] {
        let found = ScalerSettings::parse(&one(&pool("a", more))).expect_err(more).to_string();
        assert!(found.contains(expected) && !found.contains("hunter2"), "{found}\nlacks\n{expected}");
    }
}

#[test]
fn an_apps_key_on_an_instance_is_a_warning() {
    let warnings = |auth: &str| {
        let settings = AgentSettings::parse(&one(&format!("{RUNNER}{auth}organization = 'acme'\n")));
        let settings = settings.unwrap_or_else(|problems| panic!("{problems}"));
        settings.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let found = warnings(APP);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("private_key") && found[0].contains("on every instance"), "{found:?}");
    assert_eq!(warnings(TOKEN), [""; 0]);
}
