//! Settings from text to values: what is read, what is refused, and in which words.

mod agent;
mod buildkite;
mod circleci;
mod github;
mod merging;
mod prices;
mod scaler;
mod spacelift;
mod stackguardian;
mod tags;
mod variables;

use std::{any::Any, sync::Arc};

use lightsout_core::{
    platform::{self, Config, KINDS, QueueConfig, RunnerConfig},
    settings::*,
};

/// All of them, as a message lists them.
fn platform_names() -> String {
    KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

/// The problems of one file `f.toml`, one a line.
fn problems<T>(parsed: Result<T, Problems>) -> Vec<String> {
    match parsed {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn one(text: &str) -> Vec<Fragment> {
    vec![Fragment::new("f.toml", text)]
}

/// A vendor's own settings.
fn queue_of<T: 'static>(platform: &dyn QueueConfig) -> &Config<T> {
    (platform as &dyn Any).downcast_ref().unwrap_or_else(|| panic!("another platform: {platform:?}"))
}

/// A vendor's own settings.
fn runner_of<T: 'static>(platform: &dyn RunnerConfig) -> &Config<T> {
    (platform as &dyn Any).downcast_ref().unwrap_or_else(|| panic!("another platform: {platform:?}"))
}

/// A shell that resolved no secret must not go on with an empty one.
#[test]
fn no_platform_opens_without_the_secrets_that_its_settings_name() {
    for (table, common, scaler, agent) in [
        ("buildkite", "token = { env = 'T' }\nqueue = 'q'\n", "", ""),
        ("circleci", "token = { env = 'T' }\n", "resource_classes = ['a/b']\n", ""),
        ("github", "token = { env = 'T' }\norganization = 'acme'\n", "", ""),
        ("gitlab", "token = { env = 'T' }\nurl = 'https://git.test'\n", "projects = ['a/b']\ntags = ['x']\n", ""),
        (
            "spacelift",
            "url = 'https://a.app.spacelift.io'\napi_key_id = 'K'\napi_key_secret = { env = 'S' }\n\
             worker_pool = '01HXAMPLE0P001D00000000000'\n",
            "",
            "token = { env = 'T' }\nprivate_key = { env = 'P' }\n",
        ),
        (
            "stackguardian",
            "organization = 'o'\nrunner_group = 'g'\napi_key = { env = 'K' }\n",
            "",
            "token = { env = 'T' }\n",
        ),
    ] {
        let text = format!("[[pool]]\ngroup = 'ci'\n[pool.platform.{table}]\n{common}{scaler}");
        let settings = ScalerSettings::parse(&one(&text)).unwrap_or_else(|problems| panic!("{problems}"));
        let error = settings.pools[0].platform.open(None).expect_err(table);
        assert!(error.message.contains("fewer secrets"), "{table}: {error}");
        for empty in ["", " "] {
            assert!(settings.pools[0].platform.open(Some(empty.into())).is_err(), "{table}");
        }
        let text = format!("[platform.{table}]\n{common}{agent}");
        let settings = AgentSettings::parse(&one(&text)).unwrap_or_else(|problems| panic!("{problems}"));
        for short in 0..settings.platform.secrets().len() {
            let secrets = vec!["bGlnaHRzb3V0".into(); short];
            assert!(settings.platform.open(secrets).is_err(), "{table} with {short}");
        }
    }
}

/// Each of two such pools would be raised for every such job.
#[test]
fn on_each_platform_pools_that_count_the_same_jobs_are_told_from_those_that_do_not() {
    let spacelift = "url = 'https://a.app.spacelift.io'\napi_key_id = 'K'\napi_key_secret = { env = 'S' }";
    let gitlab = "token = { env = 'T' }\nurl = 'https://git.test'";
    let every = Some("every job");
    // What both have, what each has, and what stands in a third one that has nothing in common with the first.
    for (table, common, [one, other, apart], shared) in [
        ("buildkite", "token = { env = 'T' }", ["queue = 'q'", "queue = 'q'", "queue = 'r'"], every),
        (
            "circleci",
            "token = { env = 'T' }",
            ["resource_classes = ['a/b', 'a/c']", "resource_classes = ['a/c']", "resource_classes = ['a/d']"],
            every,
        ),
        ("command", "", ["queue = ['depth', 'q']", "queue = ['depth', 'q']", "queue = ['depth', 'r']"], every),
        (
            "github",
            "token = { env = 'T' }",
            ["organization = 'Acme'\nlabels = ['gpu']", "repositories = ['acme/app']", "organization = 'else'"],
            Some("a job that asks for self-hosted alone"),
        ),
        (
            "github",
            "token = { env = 'T' }\norganization = 'acme'",
            ["scale_set = 'a'", "scale_set = 'a'", "scale_set = 'b'"],
            every,
        ),
        (
            "gitlab",
            gitlab,
            [
                "projects = ['a/b']\ntags = ['x', 'y']",
                "group = 'a'\ntags = ['y', 'z']",
                "group = 'a'\ntags = ['z']\nrun_untagged = true",
            ],
            Some("a job that asks for y alone"),
        ),
        (
            "gitlab",
            gitlab,
            [
                "group = 'a'\nrun_untagged = true",
                "projects = ['a/b']\nrun_untagged = true",
                "group = 'b'\nrun_untagged = true",
            ],
            Some("a job without tags"),
        ),
        (
            "spacelift",
            spacelift,
            [
                "worker_pool = '01HXAMPLE0P001D00000000000'",
                "worker_pool = '01HXAMPLE0P001D00000000000'",
                "worker_pool = '01HXAMPLE0P001D00000000001'",
            ],
            every,
        ),
        (
            "stackguardian",
            "organization = 'o'\napi_key = { env = 'K' }",
            ["runner_group = 'g'", "runner_group = 'g'", "runner_group = 'h'"],
            every,
        ),
    ] {
        let pool = |more: &str| format!("[[pool]]\ngroup = '{table}'\n[pool.platform.{table}]\n{common}\n{more}\n");
        let takes = |more: &str| {
            let settings =
                ScalerSettings::parse(&crate::one(&pool(more))).unwrap_or_else(|problems| panic!("{problems}"));
            settings.pools[0]
                .platform
                .job_filter()
                .unwrap_or_else(|| panic!("{table} does not say which jobs it counts"))
        };
        let (one, other, apart) = (takes(one), takes(other), takes(apart));
        assert_eq!(one.shared(&other).as_deref(), shared, "{table}: {one:?} {other:?}");
        assert_eq!(one.shared(&apart), None, "{table}: {one:?} {apart:?}");
    }
}
