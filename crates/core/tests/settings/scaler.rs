//! The scaler's settings: pools, defaults, webhooks, and what each mistake says.

mod clouds;

use std::{collections::BTreeSet, time::Duration};

use super::*;
use lightsout_core::{
    platform::gitlab::Scope,
    scaling::{ScalerPolicy, Schedule, Zone},
};

fn parse(text: &str) -> ScalerSettings {
    ScalerSettings::parse(&one(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A pool with a valid platform and more lines.
fn pool(more: &str) -> String {
    format!("[[pool]]\ngroup = 'ci'\nplatform.command.queue = ['depth']\n{more}\n")
}

/// A pool of GitLab's with these lines from line 5 on.
fn gitlab(more: &str) -> String {
    format!("[[pool]]\ngroup = 'ci'\n\n[pool.platform.gitlab]\n{more}\n")
}

#[test]
fn a_pool_needs_little() {
    let settings = parse(&pool(""));
    assert_eq!((settings.tick, settings.deadline), (Duration::from_secs(10), Duration::from_secs(8)));
    let only = &settings.pools[0];
    assert_eq!((only.name.as_str(), only.group.as_str(), &only.region), ("ci", "ci", &None));
    assert_eq!(only.policy, ScalerPolicy::default());
    assert_eq!((only.platform.platform(), only.platform.address()), ("command", "depth"));
    assert!(settings.warnings.is_empty());
}

#[test]
fn everything_can_be_set() {
    let settings = parse(
        "tick = '5s'\ndeadline = '3s'\n\n[[pool]]\nname = 'linux'\ngroup = 'ci-linux'\nregion = 'eu-west-1'\nslots = 4\nspare = 1\nschedule = ['mon-fri 08:00-18:00 spare 3', 'sat spare 2']\nzone = 'CET-1CEST,M3.5.0,M10.5.0/3'\nmin = 2\n\
         max = 9\ncount_running = false\nmax_step = 3\nthreshold = 2\ncooldown = '1m'\nsilent_after = '40m'\nutilisation = 80\n\n[pool.platform.gitlab]\n\
         url = 'https://git.test/'\ntoken = { secretsmanager = 'ci', key = 'gitlab' }\nprojects = ['a/b', '7']\ntags = ['x', 'y']\n\
         run_untagged = true\nrunner_id = 42\n",
    );
    assert_eq!((settings.tick, settings.deadline), (Duration::from_secs(5), Duration::from_secs(3)));
    let PoolSettings { name, cloud, group, region, policy, schedule, platform, webhook, program } = &settings.pools[0];
    assert!(program.is_empty());
    let linux = ("linux", CloudName::Aws, "ci-linux", Some("eu-west-1"));
    assert_eq!((name.as_str(), *cloud, group.as_str(), region.as_deref()), linux);
    let expected = ScalerPolicy {
        slots: 4,
        spare: 1,
        entry: None,
        min: Some(2),
        max: Some(9),
        count_running: false,
        utilisation: 80,
        threshold: 2,
        max_step: Some(3),
        cooldown: Duration::from_secs(60),
        silent_after: Duration::from_secs(40 * 60),
    };
    assert_eq!(*policy, expected);
    let zone = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3", &|_| None).unwrap();
    let entries = ["mon-fri 08:00-18:00 spare 3", "sat spare 2"].map(|text| text.parse().unwrap());
    assert_eq!(*schedule, Schedule::new(entries.to_vec(), zone));
    let friday = settings.pools[0].policy_at("2026-11-27T09:00:00Z".parse().unwrap()).into_owned();
    assert_eq!(friday, ScalerPolicy { spare: 3, entry: Some("mon-fri 08:00-18:00 spare 3".into()), ..expected });
    assert!(webhook.is_none());
    let Config { settings, secrets } = queue_of::<platform::gitlab::GitLabQueueSettings>(&**platform);
    assert_eq!(settings.url.as_str(), "https://git.test");
    let Scope::Projects(projects) = &settings.scope else { panic!("{:?}", settings.scope) };
    assert_eq!((projects.len(), projects[0].as_str(), projects[1].as_str()), (2, "a/b", "7"));
    assert_eq!(settings.tags, BTreeSet::from(["x".into(), "y".into()]));
    assert_eq!((settings.run_untagged, settings.runner_id), (true, Some(42)));
    assert_eq!(secrets[0].to_string(), "the key gitlab of the Secrets Manager secret ci");
}

#[test]
fn defaults_and_named_platforms_stand_below_a_pools_own_keys() {
    let settings = parse(
        "[defaults]\nslots = 4\nregion = 'eu-west-1'\nplatform = 'main'\n[platforms.main.gitlab]\nurl = 'https://git.test'\ntoken = { env = 'T' }\n\
         group = 'all'\ntags = ['linux']\n[[pool]]\ngroup = 'a'\n[[pool]]\ngroup = 'b'\nslots = 1\n[pool.platform.gitlab]\ntags = ['arm']\n\
         [[pool]]\ngroup = 'c'\nplatform.command.queue = ['depth', 'c']\n",
    );
    let seen: Vec<_> = settings
        .pools
        .iter()
        .map(|pool| {
            let tags = if pool.platform.platform() == "gitlab" {
                let gitlab = queue_of::<platform::gitlab::GitLabQueueSettings>(&*pool.platform);
                gitlab.settings.tags.iter().cloned().collect::<Vec<_>>().join(",")
            } else {
                queue_of::<platform::command::CommandQueueSettings>(&*pool.platform).settings.queue.join(" ")
            };
            (pool.name.as_str(), pool.policy.slots, pool.region.as_deref().unwrap_or_default(), tags)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("a", 4, "eu-west-1", "linux".to_owned()),
            ("b", 1, "eu-west-1", "arm".to_owned()),
            ("c", 4, "eu-west-1", "depth c".to_owned())
        ]
    );
}

#[test]
fn a_platform_can_be_named_beside_own_keys() {
    let text = "[platforms.main.gitlab]\nurl = 'https://git.test'\ntoken = { env = 'T' }\ngroup = 'all'\n[[pool]]\ngroup = 'a'\n\
                platform = { from = 'main', gitlab = { tags = ['x'] } }\n";
    assert_eq!(parse(text).pools[0].platform.address(), "https://git.test");
}

#[test]
fn every_class_of_mistake_has_its_message() {
    for (text, expected) in [
        (pool("slto = 2"), "f.toml:4: pool[ci].slto is not a setting; did you mean slots?"),
        (
            pool("hue = 'red'"),
            "f.toml:4: pool[ci].hue is not a setting; what can stand here: cloud, cooldown, count_running, group, max, max_step, min, name, \
             platform, region, schedule, silent_after, slots, spare, threshold, utilisation, webhook, zone",
        ),
        (
            pool("slots = 'four'"),
            "f.toml:4: pool[ci].slots = \"four\": expected a whole number from 1 to 1000; write for example slots = 1",
        ),
        (
            pool("slots = '4'"),
            "f.toml:4: pool[ci].slots = \"4\": expected a whole number from 1 to 1000; leave out the quotes: slots = 4",
        ),
        (
            pool("utilisation = 120"),
            "f.toml:4: pool[ci].utilisation = 120: expected a whole number from 1 to 100; write for example utilisation = 100",
        ),
        (
            pool("cooldown = 300"),
            "f.toml:4: pool[ci].cooldown = 300: expected a duration from 0s to 1d; a bare number hides its unit: write cooldown = \"300s\" \
             if seconds are meant",
        ),
        (
            pool("cooldown = '5 minutes'"),
            "f.toml:4: pool[ci].cooldown = \"5 minutes\": expected a duration from 0s to 1d; write a number with its unit, such as cooldown = \
             \"90s\", \"10m\" or \"2h30m\"",
        ),
        (
            pool("cooldown = '3d'"),
            "f.toml:4: pool[ci].cooldown = \"3d\": expected a duration from 0s to 1d; write for example cooldown = \"1d\"",
        ),
        (
            pool("count_running = 'no'"),
            "f.toml:4: pool[ci].count_running = \"no\": expected true or false; write without quotes count_running = true",
        ),
        (pool("min = 5\nmax = 2"), "f.toml:4: pool[ci].min = 5: min is above max, which is 2; lower min or raise max"),
        (
            pool("schedule = ['spare 1', 'weekdays spare 1']\nzone = 'UTC'"),
            "f.toml:4: pool[ci].schedule = [...]: \"weekdays spare 1\" has \"weekdays\" where one of mon, tue, wed, thu, fri, sat, sun is \
             expected; write for example schedule = [\"mon-fri 07:30-18:00 spare 4\"]",
        ),
        (
            pool("schedule = ['spare 1']"),
            "f.toml:1: pool[ci].zone is missing: whose clock the schedule goes by; add zone = \"UTC\", or a rule such as zone = \
             \"CET-1CEST,M3.5.0,M10.5.0/3\"",
        ),
        (
            pool("zone = 'Europe/Berlin'"),
            "f.toml:4: pool[ci].zone = \"Europe/Berlin\": is no rule of a time zone, and this system has no zone of that name in \
             /usr/share/zoneinfo; write the rule itself, such as \"CET-1CEST,M3.5.0,M10.5.0/3\": `tail -n1 /usr/share/zoneinfo/NAME` \
             prints it on a system that has the zone",
        ),
        (
            pool("schedule = ['spare 3']\nzone = 'UTC'\nmax = 2"),
            "f.toml:4: pool[ci].schedule = [...]: an entry has spare 3, which is above max, 2: it could never be kept; lower it or raise max",
        ),
        (
            pool("spare = 5\nmax = 2"),
            "f.toml:4: pool[ci].spare = 5: spare is above max, which is 2: it could never be kept; lower spare or raise max",
        ),
        (
            "[[pool]]\nplatform.command.queue = ['depth']".into(),
            "f.toml:1: pool[#1].group is missing: the name of the Auto Scaling group, the resource id of the scale set, or the name that your own program knows; add group = \"my-group\"",
        ),
        (
            "[[pool]]\ngroup = ''\nplatform.command.queue = ['depth']".into(),
            "f.toml:2: pool[#1].group = \"\": expected text that is not empty; write it in quotes: group = \"...\"",
        ),
        (
            "[[pool]]\ngroup = 'ci'".into(),
            "f.toml:1: pool[ci].platform is missing: no CI platform is named; add a table such as [pool.platform.buildkite]; \
             the platforms are {platforms}",
        ),
        (
            "[[pool]]\ngroup = 'ci'\nplatform = 'main'\n[platforms.other.command]\nqueue = ['q']".into(),
            "f.toml:3: pool[ci].platform = \"main\": there is no such platform; add a table such as \
             [platforms.main.buildkite], or name one of: other",
        ),
        (
            pool("platform.gitlab.url = 'https://git.test'"),
            "f.toml:4: pool[ci].platform.gitlab = {...}: more than one platform is named; keep exactly one of {platforms}",
        ),
        (
            "[[pool]]\ngroup = 'ci'\nplatform.command.queue = 'depth'".into(),
            "f.toml:3: pool[ci].platform.command.queue = \"depth\": expected a list of texts, none of them empty; write it with brackets and \
             quotes: queue = [\"depth\"]",
        ),
        (
            pool("") + "\n[[pool]]\nname = 'ci'\ngroup = 'other'\nplatform.command.queue = ['depth']",
            "f.toml:6: pool[ci] has the same name as the pool at f.toml:1; give each pool a name of its own: name = \"...\"",
        ),
        (
            pool("") + "\n[[pool]]\nname = 'two'\ngroup = 'ci'\nplatform.command.queue = ['depth']",
            "f.toml:6: pool[two] has the same group as the pool at f.toml:1; give each pool a group of its own, or join the two pools: they \
             would not see each other's jobs",
        ),
        ("tick = '10s'".into(), "f.toml: pool is missing: there is nothing to do without one; add a table [[pool]]"),
        (
            "[pool]\ngroup = 'ci'".into(),
            "f.toml:1: pool = {...}: expected one or more tables; begin each with a line of its own, with two brackets: [[pool]]",
        ),
        (
            pool("") + "[defaults]\ngroup = 'x'",
            "f.toml:6: defaults.group = \"x\": each pool has a different one, so that there can be no default; write it below [[pool]]",
        ),
        (
            "defaults = 3\n".to_owned() + &pool(""),
            "f.toml:1: defaults = 3: expected a table; write its keys below a line [defaults]",
        ),
        (
            "tick = \n".into(),
            "f.toml:1: this is not valid TOML: string values must be quoted, expected literal string; correct this line",
        ),
    ] {
        let expected = expected.replace("{platforms}", &platform_names());
        assert_eq!(problems(ScalerSettings::parse(&one(&text))), [expected], "{text}");
    }
}

#[test]
fn every_mistake_about_gitlab_has_its_message() {
    const SOURCES: &str = "write the text itself in quotes, or one of { file = \"/path\" }, { env = \"NAME\" }, { ssm = \"/name\" }, \
                           { secretsmanager = \"name\", key = \"name in it\" }, \
                           { keyvault = \"https://VAULT.vault.azure.net/secrets/NAME\" }";
    let good = ["url = 'https://git.test'", "token = { env = 'T' }", "projects = ['a/b']", "tags = ['x']"];
    for (line, instead, expected) in [
        (0, "", "f.toml:4: pool[ci].platform.gitlab.url is missing: GitLab's address; add url = \"https://gitlab.example.com\"".into()),
        (
            0,
            "url = 'git.test'",
            "f.toml:5: pool[ci].platform.gitlab.url = \"git.test\": expected an address that begins with https:// or http://; write for \
             example url = \"https://gitlab.example.com\""
                .into(),
        ),
        (
            0,
            "url = 'https://git.test/api/v4'",
            "f.toml:5: pool[ci].platform.gitlab.url = \"https://git.test/api/v4\": expected GitLab's own address; leave out /api and what \
             follows: lightsout adds it"
                .into(),
        ),
        (
            0,
            "url = 'https://me:hunter2@git.test'",
            "f.toml:5: pool[ci].platform.gitlab.url holds a user name or a password; leave out what stands before the @ and give the token in \
             token"
                .into(),
        ),
        (
            1,
            "",
            "f.toml:4: pool[ci].platform.gitlab.token is missing: an access token with the scope read_api; add token = { file = \"/path\" }, \
             or { env = \"NAME\" }, { ssm = \"/name\" }, { secretsmanager = \"name\" }"
                .into(),
        ),
        (1, "token = 7", format!("f.toml:6: pool[ci].platform.gitlab.token is neither text nor a table that says where it is; {SOURCES}")),
        (1, "token = { fil = '/x' }", format!("f.toml:6: pool[ci].platform.gitlab.token has fil, which is no place for a secret; {SOURCES}")),
        (1, "token = { env = '' }", format!("f.toml:6: pool[ci].platform.gitlab.token needs text that is not empty for env; {SOURCES}")),
        (
            1,
            "token = { env = 'T', file = '/x' }",
            format!("f.toml:6: pool[ci].platform.gitlab.token names more than one place; {SOURCES}"),
        ),
        (
            1,
            "token = { ssm = '/x', key = 'y' }",
            format!("f.toml:6: pool[ci].platform.gitlab.token has key, which goes with secretsmanager only; {SOURCES}"),
        ),
        (
            2,
            "",
            "f.toml:4: pool[ci].platform.gitlab.projects is missing: whose jobs to read; add projects = [\"group/project\"], or group = \
             \"name\" for all below it"
                .into(),
        ),
        (
            2,
            "projects = ['a']\ngroup = 'b'",
            "f.toml:8: pool[ci].platform.gitlab.group = \"b\": projects and group cannot both be given; keep projects for a few, or group \
             for all below it"
                .into(),
        ),
        (
            2,
            "projects = []",
            "f.toml:7: pool[ci].platform.gitlab.projects = []: expected one at least; list each as an id or as \"group/project\"".into(),
        ),
        (
            3,
            "",
            "f.toml:4: pool[ci].platform.gitlab.tags is missing: without tags and without run_untagged no job is for this pool; give the \
             runner's tags, tags = [\"linux\"], or run_untagged = true, as they are set at GitLab"
                .into(),
        ),
    ] {
        let mut lines = good;
        lines[line] = instead;
        assert_eq!(problems(ScalerSettings::parse(&one(&gitlab(&lines.join("\n"))))), [expected], "{instead}");
    }
}

#[test]
fn secrets_are_in_no_message_and_no_debug_output() {
    let text = gitlab("url = 'https://git.test'\ntoken = 'glpat-hunter2'\nprojects = ['a']\ntags = ['x']");
    let shown = format!("{:?}", parse(&text));
    assert!(!shown.contains("hunter2"), "{shown}");
    for text in [
        gitlab("url = 'https://git.test'\ntokn = 'glpat-hunter2'"),
        gitlab("url = 'https://git.test'\ntoken = ['glpat-hunter2']"),
        gitlab("token = glpat-hunter2"),
        gitlab("token = 'glpat-hunter2"),
        gitlab("token = { fiel = 'glpat-hunter2' }"),
    ] {
        let shown = ScalerSettings::parse(&one(&text)).unwrap_err().to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_platform_that_nobody_uses_is_a_warning() {
    let settings = parse(&(pool("") + "[platforms.main.gitlab]\nurl = 'x'\n"));
    let shown: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["f.toml:5: platforms.main is used by no pool; write platform = \"main\" below a [[pool]], or remove it"]
    );
}

#[test]
fn a_thousand_pools_with_one_wrong_default_are_one_problem() {
    let pool = |number| format!("[[pool]]\ngroup = 'ci-{number}'\nplatform.command.queue = ['depth']\n");
    let pools: Vec<String> = (0..1000).map(pool).collect();
    let text = format!("[defaults]\nslots = 0\n{}", pools.concat());
    assert_eq!(
        ScalerSettings::parse(&one(&text)).unwrap_err().to_string(),
        "the settings have a problem:\n  f.toml:2: defaults.slots = 0: expected a whole number from 1 to 1000; write for example slots = 1"
    );
}

#[test]
fn a_thousand_problems_are_cut_short() {
    let pools: Vec<_> = (0..1000).map(|number| format!("[[pool]]\ngroup = 'ci-{number}'\n")).collect();
    let shown = ScalerSettings::parse(&one(&pools.concat())).unwrap_err().to_string();
    assert!(
        shown.starts_with("the settings have 1000 problems:\n  f.toml:1: pool[ci-0].platform is missing"),
        "{shown}"
    );
    assert!(shown.ends_with("\n  and 980 more"), "{shown}");
    assert_eq!(shown.lines().count(), 22);
}
