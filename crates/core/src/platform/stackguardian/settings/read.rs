//! StackGuardian's keys in the settings, read into what its codecs need.

use std::sync::Arc;

use super::{
    OrganizationName, RunnerGroupName, StackGuardianQueueSettings, StackGuardianRunnerSettings, VERSIONS, base_url,
    check_api_key, introspection_url,
};
use crate::{
    exchange::ExchangeError,
    platform::{
        Config, DrainBy, DrainRules, JobFilter, Jobs, Queue, QueueConfig, QueueSettings, RunnerConfig, RunnerNeeds,
        RunnerPlatform, RunnerSettings, Secrets, Signal, UndrainBy, Versions,
        stackguardian::{EU, NAME, StackGuardianQueue, StackGuardianRunner},
    },
    settings::{NonBlank, SecretSource, Section, WholeSeconds},
};

/// Where Amazon's ECS agent puts tasks with version 2 of control groups (aws/amazon-ecs-agent, agent/config, `DefaultTaskCgroupV2Prefix`).
const TASKS: &str = "ecstasks.slice";

impl QueueSettings for StackGuardianQueueSettings {
    const PLATFORM: &'static str = NAME;

    fn address(&self) -> &str {
        self.url.as_str()
    }

    fn job_filter(&self) -> Option<JobFilter> {
        Some(JobFilter { sources: vec![format!("{}/{}", self.organization, self.runner_group)], jobs: Jobs::All })
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn Queue>, ExchangeError> {
        Ok(Box::new(StackGuardianQueue::new(self.clone(), secrets.required()?)?))
    }
}

impl RunnerSettings for StackGuardianRunnerSettings {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        // SIGTERM ends the tasks first, so that the ECS agent can tell that they stopped.
        DrainRules { drain: DrainBy::Call, undrain: UndrainBy::Call, abort: Signal::Term, quiesce: false }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds {
            program: Some(self.program.to_string()),
            address: Some(self.url.as_str().to_owned()),
            slice: Some(TASKS),
            ..RunnerNeeds::default()
        }
    }

    fn versions(&self) -> Versions {
        VERSIONS
    }

    fn uses_engine(&self) -> bool {
        true
    }

    fn needs_metadata(&self) -> Option<&'static str> {
        Some("it registers as the instance that the metadata service names")
    }

    fn open(&self, mut secrets: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        Ok(Box::new(StackGuardianRunner::new(self.clone(), secrets.required()?, secrets.optional())?))
    }
}

pub(crate) fn queue(s: Section<'_>) -> Option<Arc<dyn QueueConfig>> {
    let url = s.url_or(EU, base_url);
    let api_key = s.required_secret("api_key", "an API key of a user (sgu_...) or of the organization (sgo_...)");
    check_inline(&s, api_key.as_ref());
    let (organization, runner_group) = names(&s);
    s.finish();
    let settings = StackGuardianQueueSettings { url: url?, organization: organization?, runner_group: runner_group? };
    Some(Arc::new(Config { settings, secrets: vec![api_key?] }))
}

pub(crate) fn runner(s: Section<'_>, _: bool) -> Option<Arc<dyn RunnerConfig>> {
    let url = s.url_or(EU, base_url);
    let token = s.required_secret("token", "the runner group's token (sg-runner: --sg-node-token)");
    let api_key = s.secret("api_key");
    check_inline(&s, api_key.as_ref());
    let (organization, runner_group) = names(&s);
    let program = s.non_blank("program").unwrap_or_else(|| NonBlank::of("sg-runner"));
    let register_timeout = s.whole_seconds("register_timeout", 1..=3600).unwrap_or(WholeSeconds::of(300));
    let introspection = s.text("introspection").unwrap_or_else(|| "http://localhost:51678".to_owned());
    let introspection = match introspection.as_str() {
        "off" => Some(None),
        url => s.valid("introspection", introspection_url(url)).map(Some),
    };
    s.finish();
    let settings = StackGuardianRunnerSettings {
        url: url?,
        organization: organization?,
        runner_group: runner_group?,
        program,
        register_timeout,
        introspection: introspection?,
    };
    Some(Arc::new(Config { settings, secrets: [token?].into_iter().chain(api_key).collect() }))
}

fn names(s: &Section<'_>) -> (Option<OrganizationName>, Option<RunnerGroupName>) {
    let organization = s.required("organization", "the organization's name", "demo-org");
    (organization, s.required("runner_group", "the runner group's name", "private-runners"))
}

/// A key that stands in the settings themselves can be looked at.
fn check_inline(s: &Section<'_>, api_key: Option<&SecretSource>) {
    if let Some(SecretSource::Inline(api_key)) = api_key {
        s.valid_secret("api_key", check_api_key(api_key));
    }
}
