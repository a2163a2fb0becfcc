//! The agent's settings: defaults, limits, doubts, and what each mistake says.

use std::time::Duration;

use super::*;
use lightsout_core::{
    agent::policy::{AgentPolicy, Protection},
    exchange::Text,
    platform::Signal,
    settings::RunnerVariable,
    space::{MinimumFree, SpaceNeeds},
};

fn parse(text: &str) -> AgentSettings {
    AgentSettings::parse(&one(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A valid platform below these lines.
fn agent(lines: &str) -> String {
    format!("[agent]\n{lines}\n[platform.command]\nrun = ['worker']\n")
}

/// The agent of an instance whose settings cannot work must still find its state, its cloud and its last way out.
#[test]
fn what_is_right_of_settings_that_cannot_work_is_used_to_end_the_instance() {
    let right = "[agent]\nstate_dir = '/s'\ncloud = ['/c']\nboot_deadline = '3m'\nidle_timeout = 'soon'\nbefore_register = ['/b']\n\
                 clean = ['/r']\nslots = 0\n[platform.command]\nrun = ['worker']\n";
    let fragments = [Fragment::new("broken.toml", "[agent\nhook = 'x'"), Fragment::new("right.toml", right)];
    let settings = AgentSettings::salvaged(&fragments, "it is wrong");
    assert_eq!((settings.state_dir.to_str(), &*settings.cloud), (Some("/s"), &["/c".to_owned()][..]));
    assert_eq!(settings.policy.boot_deadline, Duration::from_secs(180));
    assert_eq!((settings.policy.idle_timeout, settings.slots), (AgentPolicy::default().idle_timeout, 1), "defaults");
    assert_eq!((settings.hook, settings.unusable.as_deref()), (None, Some("it is wrong")));
    assert_eq!((settings.policy.before_register, settings.before_register, settings.clean), (None, None, None));
    assert_eq!(settings.space, SpaceNeeds { disk: None, inodes: None, memory: None });
    assert_eq!((settings.platform.platform(), settings.platform.secrets().len()), ("none", 0), "nobody is asked");
    let nothing = AgentSettings::salvaged(&[], "there are none");
    assert_eq!((nothing.policy, nothing.state_dir.to_str()), (AgentPolicy::default(), Some("/var/lib/lightsout")));
    assert_eq!(parse(&agent("")).unusable, None);
}

#[test]
fn an_agent_needs_a_platform_only() {
    let settings = parse("[platform.gitlab]\nurl = 'https://git.test'\ntoken = { file = '/run/token' }\n");
    assert_eq!(settings.policy, AgentPolicy::default());
    assert_eq!(settings.state_dir.to_str(), Some("/var/lib/lightsout"));
    assert_eq!(settings.socket.to_str(), Some("/run/lightsout/agent.sock"));
    assert_eq!((settings.slots, settings.metrics.as_deref(), settings.hook), (1, Some("127.0.0.1:9252"), None));
    assert_eq!(settings.power_off[..], ["systemctl", "poweroff"]);
    assert_eq!(settings.runner_unit, RunnerUnit::Auto);
    assert_eq!((settings.docker, settings.imds), (DockerSettings::default(), ImdsSettings::default()));
    let Config { settings, secrets } = runner_of::<platform::gitlab::GitLabRunnerSettings>(&*settings.platform);
    assert_eq!(secrets[0].to_string(), "the file /run/token");
    assert_eq!(
        (settings.program.as_str(), settings.executor.as_str(), settings.check_interval.get()),
        ("gitlab-runner", "docker", 3)
    );
}

#[test]
fn everything_can_be_set() {
    let settings = parse(
        "[agent]\nbefore_register = ['/opt/setup', '-v']\nbefore_register_timeout = '2m'\nboot_deadline = '5m'\nidle_timeout = 'never'\nconfirm = '7s'\nmax_age = '12h'\njobs_per_instance = 1\nabort_margin = '40s'\n\
         unknown_limit = '20m'\nprotection = 'while-busy'\nleave_on_rebalance = false\nleave_on_runner_expiry = false\nrebalance_after = '1h'\nfloor_retry = '30s'\nrung_patience = '5m'\n\
         state_dir = '/s'\nsocket = '/r/a.sock'\nslots = 4\nmetrics = 'off'\nhook = 'drain'\nlaunch_hook = 'boot'\ndisk_free = '3GiB'\ninodes_free = '10000'\nmemory_free = '10%'\ndisk_paths = ['/builds']\nclean = ['/opt/clean', '-a']\nclean_timeout = '1m'\npower_off = ['true']\nrunner_unit = false\n\
         runner_user = 'ci'\nrunner_docker = false\nrunner_env = ['A', 'B=1=2', 'C=']\n\
         [docker]\nenabled = false\nsocket = '/d.sock'\n[imds]\nspot = '500ms'\ntarget = '1s'\nrebalance = '2s'\nmaintenance = '3s'\n\
         [platform.command]\nrun = ['worker', '-v']\nbusy = ['busy']\ndrain = ['drain']\nundrain = ['undrain']\nabort_signal = 'QUIT'\n\
         containers = ['job', 'kind=ci']\nchildren = false\ntimeout = '5s'\n",
    );
    let expected = AgentPolicy {
        before_register: Some(Duration::from_secs(120)),
        launch_hook: true,
        boot_deadline: Duration::from_secs(300),
        idle_timeout: None,
        confirm: Duration::from_secs(7),
        max_age: Some(Duration::from_secs(43_200)),
        jobs_per_instance: Some(1),
        abort_margin: Duration::from_secs(40),
        unknown_limit: Duration::from_secs(1200),
        clean_timeout: Duration::from_secs(60),
        protection: Protection::WhileBusy,
        leave_on_rebalance: false,
        leave_on_runner_expiry: false,
        rebalance_after: Duration::from_secs(3600),
        floor_retry: Duration::from_secs(30),
        rung_patience: Duration::from_secs(300),
    };
    assert_eq!(settings.policy, expected);
    assert_eq!((settings.slots, settings.metrics, settings.hook.as_deref()), (4, None, Some("drain")));
    assert_eq!(settings.launch_hook.as_deref(), Some("boot"));
    let least = |text: &str, sizes| Some(MinimumFree::parse(text, sizes).unwrap());
    let needs = SpaceNeeds { disk: least("3GiB", true), inodes: least("10000", false), memory: least("10%", true) };
    assert_eq!(settings.space, needs);
    assert_eq!(settings.disk_paths, ["/builds"].map(std::path::PathBuf::from));
    assert_eq!(settings.clean.as_deref(), Some(&["/opt/clean".to_owned(), "-a".into()][..]));
    assert_eq!(settings.before_register.as_deref(), Some(&["/opt/setup".to_owned(), "-v".into()][..]));
    assert_eq!((settings.runner_unit, settings.docker.enabled), (RunnerUnit::Never, false));
    let runner_environment = &settings.runner_environment;
    assert_eq!((runner_environment.user.as_deref(), runner_environment.engine), (Some("ci"), Some(false)));
    let set = |name: &str, value: &str| RunnerVariable::Set { name: name.into(), value: value.into() };
    assert_eq!(runner_environment.variables, [RunnerVariable::HandedOn("A".into()), set("B", "1=2"), set("C", "")]);
    assert_eq!((settings.imds.spot, settings.imds.maintenance), (Duration::from_millis(500), Duration::from_secs(3)));
    let command = &runner_of::<platform::command::CommandRunnerSettings>(&*settings.platform).settings;
    assert_eq!(command.run[..], ["worker", "-v"]);
    assert_eq!(
        (command.abort_signal, command.children, command.timeout),
        (Signal::Quit, false, Duration::from_secs(5))
    );
    assert_eq!(command.containers, Some(vec![("job".into(), None), ("kind".into(), Some("ci".into()))]));
}

#[test]
fn a_short_idle_timeout_is_a_warning_and_shortens_the_confirmation() {
    let settings = parse(&agent("idle_timeout = '4s'"));
    assert_eq!(settings.policy.confirm, Duration::from_secs(2));
    let shown: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "f.toml:2: agent.idle_timeout = \"4s\": shorter than three ticks of the scaler at its usual 10s: instances may leave just before \
          the next job comes; write at least \"30s\" outside of tests"
        ]
    );
    assert!(parse(&agent("idle_timeout = '30s'")).warnings.is_empty());
}

#[test]
fn every_class_of_mistake_has_its_message() {
    for (text, expected) in [
        (agent("idle_timeuot = '5m'"), "f.toml:2: agent.idle_timeuot is not a setting; did you mean idle_timeout?"),
        (
            agent("idle_timeout = 600"),
            "f.toml:2: agent.idle_timeout = 600: expected a duration from 1s to 30d or \"never\"; a bare number hides its unit: write \
             idle_timeout = \"600s\" if seconds are meant",
        ),
        (
            agent("abort_margin = '5m'"),
            "f.toml:2: agent.abort_margin = \"5m\": expected a duration from 1s to 1m50s; write for example abort_margin = \"1m50s\"",
        ),
        (
            agent("idle_timeout = '1m'\nconfirm = '2m'"),
            "f.toml:3: agent.confirm = \"2m\": the confirmation is the last part of the idle time, which is 1m; make confirm shorter or \
             idle_timeout longer",
        ),
        (
            agent("protection = 'sometimes'"),
            "f.toml:2: agent.protection = \"sometimes\": expected \"always\" or \"while-busy\"; write for example protection = \"always\"",
        ),
        (
            agent("metrics = '9252'"),
            "f.toml:2: agent.metrics = \"9252\": expected an address with its port, or \"off\"; write for example metrics = \"127.0.0.1:9252\"",
        ),
        (
            agent("state_dir = 'var'"),
            "f.toml:2: agent.state_dir = \"var\": expected an absolute path; begin it with a slash: state_dir = \"/var\"",
        ),
        (
            agent("power_off = []"),
            "f.toml:2: agent.power_off = []: expected a program and its arguments; write at least the program: [\"/path/to/program\"]",
        ),
        (
            agent("runner_unit = 'yes'"),
            "f.toml:2: agent.runner_unit = \"yes\": expected true, false or \"auto\"; write for example runner_unit = \"auto\"",
        ),
        (
            agent("runner_env = ['A B']"),
            "f.toml:2: agent.runner_env = [...]: \"A B\" names no variable; write \"NAME\" to hand a variable of the agent on, or \
             \"NAME=value\"",
        ),
        (
            "[agent]\nrunner_env = ['RUNNER_TOKEN']\n[platform.gitlab]\nurl = 'https://g'\ntoken = { env = 'RUNNER_TOKEN' }\n".into(),
            "f.toml:2: agent.runner_env = [...]: RUNNER_TOKEN holds a secret of the platform, which every job could read; leave \
             RUNNER_TOKEN out, or keep the secret elsewhere, in a file for example",
        ),
        (
            String::new(),
            "f.toml: platform is missing: no CI platform is named; add a table such as [platform.buildkite]; the \
             platforms are {platforms}",
        ),
        (
            "[platform.command]\n".into(),
            "f.toml:1: platform.command.run is missing: the runner: one program that keeps running; add run = [\"/path/to/program\", \
             \"argument\"]",
        ),
        (
            agent("") + "drain = ['x']\ndrain_signal = 'INT'",
            "f.toml:6: platform.command.drain_signal = \"INT\": drain and drain_signal cannot both be given; keep the one that makes the \
             runner take no more jobs",
        ),
        (
            agent("") + "undrain = ['x']",
            "f.toml:5: platform.command.undrain = [...]: undrain goes with drain only; add drain, or leave undrain out: the runner is then \
             started anew",
        ),
        (
            agent("") + "children = false",
            "f.toml:5: platform.command.children = false: nothing tells whether jobs run, so the instance would never be idle; set busy, \
             containers, or children to true",
        ),
        (
            "[platform.gitlab]\nurl = 'https://git.test'\ntoken = 'glpat-hunter2'".into(),
            "f.toml:3: platform.gitlab.token is no runner authentication token; create a runner at GitLab and use its token, which begins \
             with glrt-",
        ),
        (
            "[platform.gitlab]\nurl = 'https://git.test'\ntoken = { env = 'T' }\ncheck_interval = '1500ms'".into(),
            "f.toml:4: platform.gitlab.check_interval = \"1500ms\": expected a number of whole seconds; write for example \
             check_interval = \"2s\"",
        ),
    ] {
        let expected = expected.replace("{platforms}", &platform_names());
        assert_eq!(problems(AgentSettings::parse(&one(&text))), [expected], "{text}");
    }
}

#[test]
fn wrong_lines_for_the_runner_are_found_and_not_shown() {
    let text = "[platform.gitlab]\nurl = 'https://git.test'\ntoken = { env = 'T' }\nextra = 'secret_key = hunter2'\n";
    let shown = problems(AgentSettings::parse(&one(text)));
    assert_eq!(shown.len(), 1);
    assert!(
        shown[0].starts_with("f.toml:4: platform.gitlab.extra cannot be used: ") && !shown[0].contains("hunter2"),
        "{shown:?}"
    );
}

/// A secret in the agent's environment is the agent's.
#[test]
fn the_runner_gets_a_deliberate_environment_and_no_secret() {
    let settings = parse(
        "[agent]\nrunner_env = ['EXTRA', 'SET=1', 'HOME=/elsewhere', 'ABSENT']\n[platform.gitlab]\nurl = 'https://g'\n\
         token = { env = 'LC_TOKEN' }\n",
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let own = [
        "LC_TOKEN=glrt-hush",
        "AWS_SECRET_ACCESS_KEY=hush",
        "NOTIFY_SOCKET=/n",
        "LC_ALL=C",
        "https_proxy=p",
        "EXTRA=e",
        "SSL_CERT_FILE=/c",
    ];
    let own = own.iter().map(|text| text.split_once('=').unwrap()).map(|(name, value)| pair(name, value));
    let user = [pair("HOME", "/home/ci"), pair("USER", "ci")];
    let launch = [("TOKEN".to_owned(), Text::secret("for the runner"))];
    let all = settings.runner_environment.environment(own, user, &launch);
    let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected = [
        ("EXTRA", "e"),
        ("HOME", "/elsewhere"),
        ("LC_ALL", "C"),
        ("PATH", path),
        ("SET", "1"),
        ("SSL_CERT_FILE", "/c"),
        ("TOKEN", "for the runner"),
        ("USER", "ci"),
        ("https_proxy", "p"),
    ];
    assert_eq!(all, expected);
}

#[test]
fn the_runner_may_use_the_engine_only_where_its_jobs_are_containers() {
    let uses = |platform: &str| parse(platform).platform.uses_engine();
    assert!(uses("[platform.gitlab]\nurl = 'https://g'\ntoken = 'glrt-0123456789abcdefghij'\n"));
    assert!(!uses("[platform.gitlab]\nurl = 'https://g'\ntoken = 'glrt-0123456789abcdefghij'\nexecutor = 'shell'\n"));
    assert!(!uses("[platform.command]\nrun = ['a']\n"));
    assert!(uses("[platform.command]\nrun = ['a']\ncontainers = ['job']\n"));
}

#[test]
fn the_runners_user_is_kept_from_metadata_unless_only_its_own_process_needs_them() {
    const GITLAB: &str = "[platform.gitlab]\nurl = 'https://g'\ntoken = 'glrt-0123456789abcdefghij'\n";
    const CACHE: &str = "extra = \"[cache]\\nType = 's3'\\n[cache.s3]\\nBucketName = 'b'\\n\"\n";
    const KEYED: &str = "extra = \"[cache]\\nType = 's3'\\n[cache.s3]\\nAccessKey = 'k'\\n\"\n";
    for (guard, platform, kept, doubt) in [
        ("auto", GITLAB.to_owned(), true, None),
        ("auto", format!("{GITLAB}{CACHE}"), false, None),
        ("auto", format!("{GITLAB}{KEYED}"), true, None),
        ("auto", format!("{GITLAB}{CACHE}executor = 'shell'\n"), true, Some("it signs its cache in S3")),
        ("containers", GITLAB.to_owned(), false, None),
        ("containers", format!("{GITLAB}executor = 'shell'\n"), false, Some("jobs run as the runner's user")),
        ("off", GITLAB.to_owned(), false, Some("end the group's other instances")),
    ] {
        let settings = parse(&format!("agent.metadata_guard = '{guard}'\n{platform}"));
        assert_eq!(settings.keeps_user_from_metadata(), kept, "{guard} {platform}");
        let warnings = settings.warnings.iter().map(ToString::to_string).collect::<String>();
        assert!(doubt.map_or(warnings.is_empty(), |text| warnings.contains(text)), "{guard} {platform}: {warnings}");
    }
}

#[test]
fn what_must_be_free_is_a_size_or_a_share_and_can_be_switched_off() {
    assert_eq!(parse(&agent("")).space, SpaceNeeds::default());
    let off = parse(&agent("disk_free = 'off'\ninodes_free = 'off'\nmemory_free = 'off'"));
    assert_eq!(off.space, SpaceNeeds { disk: None, inodes: None, memory: None });
    for (line, key) in [
        ("disk_free = '2GB'", "agent.disk_free"),
        ("disk_free = '100%'", "agent.disk_free"),
        ("inodes_free = '1GiB'", "agent.inodes_free"),
        ("memory_free = 'some'", "agent.memory_free"),
        ("disk_paths = ['builds']", "agent.disk_paths"),
    ] {
        let fragments = [Fragment::new("agent.toml", agent(line))];
        let problems = AgentSettings::parse(&fragments).unwrap_err().to_string();
        assert!(problems.contains(key) && problems.contains("write") | problems.contains("begin"), "{problems}");
    }
}

#[test]
fn records_go_where_they_are_told_and_each_mistake_says_what_to_write() {
    let records = |lines: &str| agent("").replace("[agent]", &format!("[records]\n{lines}\n[agent]"));
    let url = "https://a.ingest.monitor.azure.com/dataCollectionRules/dcr-1/streams/Custom-Lightsout_CL";
    let settings = parse(&records(&format!("log_group = '/ci'\nlog_analytics = '{url}'"))).records;
    assert_eq!(settings.log_group.as_deref(), Some("/ci"));
    let unserved = |served: &[&str]| settings.unserved(served).collect::<Vec<_>>();
    assert_eq!(unserved(&["log_group", "object_store"]), ["log_analytics"], "where nothing serves it, it is said");
    assert_eq!(unserved(&["log_analytics"]), ["log_group"]);
    assert_eq!(settings.log_analytics.map(|stream| stream.to_string()).as_deref(), Some(url));
    assert_eq!(parse(&agent("")).records, RecordsSettings::default());
    for (line, wrong) in [
        ("log_group = 'arn:aws:logs'", "a log group's name has up to 512"),
        ("object_store = '/var/records'", "expected s3://"),
        ("log_analytics = 'dcr-1'", "begins with https://"),
        ("log_analytics = 'https://a.test/dataCollectionRules/ci/streams/Custom-A_CL'", "\"ci\" is no immutable id"),
    ] {
        let said = problems(AgentSettings::parse(&one(&records(line))));
        let key = line.split(' ').next().unwrap();
        let remedy = said[0].contains("write ");
        assert!(
            said.len() == 1 && said[0].contains(&format!("records.{key}")) && said[0].contains(wrong) && remedy,
            "{said:?}"
        );
    }
}
