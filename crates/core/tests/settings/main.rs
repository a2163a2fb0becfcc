//! Settings from text to values: what is read, what is refused, and in which words.

mod agent;
mod buildkite;
mod circleci;
mod github;
mod merging;
mod scaler;
mod spacelift;
mod stackguardian;
mod tags;
mod variables;

use std::{any::Any, sync::Arc};

use lightsout_core::{
    platform::{self, Config, QueueConfig, RunnerConfig},
    settings::*,
};

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
