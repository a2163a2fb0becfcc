use secrecy::SecretString;

use super::{QueueConfig, RunnerConfig};
use crate::platform::{
    Queue, RunnerPlatform,
    buildkite::{BuildkiteQueue, BuildkiteQueueSettings, BuildkiteRunner, BuildkiteRunnerSettings},
    circleci::{CircleCiQueue, CircleCiQueueSettings, CircleCiRunner, CircleCiRunnerSettings},
    command::{CommandQueue, CommandRunner},
    github::{
        GitHubQueue, GitHubQueueSettings, GitHubRegistration, GitHubRunner, GitHubRunnerSettings, GitHubScaleSetQueue,
        GitHubScaleSetSettings,
    },
    gitlab::{GitLabQueue, GitLabQueueSettings, GitLabRunner, GitLabRunnerSettings},
    spacelift::{SpaceliftQueue, SpaceliftQueueSettings, SpaceliftRunner, SpaceliftRunnerSettings},
    stackguardian::{StackGuardianQueue, StackGuardianQueueSettings, StackGuardianRunner, StackGuardianRunnerSettings},
};

impl QueueConfig {
    /// The reader, with the secret that [`Self::token`] names; `None` where it names none.
    pub fn build(&self, token: Option<SecretString>) -> Box<dyn Queue> {
        match self {
            Self::Buildkite { settings, .. } => {
                let token = token.unwrap_or_default();
                Box::new(BuildkiteQueue::new(BuildkiteQueueSettings { token, ..settings.clone() }))
            }
            Self::CircleCi { settings, .. } => {
                let token = token.unwrap_or_default();
                Box::new(CircleCiQueue::new(CircleCiQueueSettings { token, ..settings.clone() }))
            }
            Self::GitHub { settings, .. } => {
                let auth = settings.auth.with_secret(token.unwrap_or_default());
                Box::new(GitHubQueue::new(GitHubQueueSettings { auth, ..settings.clone() }))
            }
            Self::GitHubScaleSet { settings, .. } => {
                let auth = settings.auth.with_secret(token.unwrap_or_default());
                Box::new(GitHubScaleSetQueue::new(GitHubScaleSetSettings { auth, ..settings.clone() }))
            }
            Self::GitLab { settings, .. } => {
                let token = token.unwrap_or_default();
                Box::new(GitLabQueue::new(GitLabQueueSettings { token, ..settings.clone() }))
            }
            Self::Spacelift { settings, .. } => {
                let api_key_secret = token.unwrap_or_default();
                Box::new(SpaceliftQueue::new(SpaceliftQueueSettings { api_key_secret, ..settings.clone() }))
            }
            Self::StackGuardian { settings, .. } => {
                let api_key = token.unwrap_or_default();
                Box::new(StackGuardianQueue::new(StackGuardianQueueSettings { api_key, ..settings.clone() }))
            }
            Self::Command(settings) => Box::new(CommandQueue::new(settings.clone())),
        }
    }
}

impl RunnerConfig {
    /// The runner, with the secrets that [`Self::secrets`] names, in its order.
    pub fn build(&self, secrets: impl IntoIterator<Item = SecretString>) -> Box<dyn RunnerPlatform> {
        let mut secrets = secrets.into_iter();
        let token = secrets.next();
        match self {
            Self::Buildkite { settings, .. } => {
                let token = token.unwrap_or_default();
                Box::new(BuildkiteRunner::new(BuildkiteRunnerSettings { token, ..settings.clone() }))
            }
            Self::CircleCi { settings, .. } => {
                let token = token.unwrap_or_default();
                Box::new(CircleCiRunner::new(CircleCiRunnerSettings { token, ..settings.clone() }))
            }
            Self::GitHub { settings, .. } => {
                let secret = token.unwrap_or_default();
                let registration = match &settings.registration {
                    GitHubRegistration::Api(auth) => GitHubRegistration::Api(auth.with_secret(secret)),
                    GitHubRegistration::Jit(_) => GitHubRegistration::Jit(secret),
                };
                Box::new(GitHubRunner::new(GitHubRunnerSettings { registration, ..settings.clone() }))
            }
            Self::GitLab { settings, .. } => {
                let token = token.unwrap_or_default();
                Box::new(GitLabRunner::new(GitLabRunnerSettings { token, ..settings.clone() }))
            }
            Self::Spacelift { settings, .. } => {
                let (token, private_key) = (token.unwrap_or_default(), secrets.next().unwrap_or_default());
                let secret = secrets.next().unwrap_or_default();
                let api = settings.api.clone().map(|api| SpaceliftQueueSettings { api_key_secret: secret, ..api });
                let settings = settings.clone();
                Box::new(SpaceliftRunner::new(SpaceliftRunnerSettings { token, private_key, api, ..settings }))
            }
            Self::StackGuardian { settings, .. } => {
                let (token, api_key) = (token.unwrap_or_default(), secrets.next());
                let settings = settings.clone();
                Box::new(StackGuardianRunner::new(StackGuardianRunnerSettings { token, api_key, ..settings }))
            }
            Self::Command(settings) => Box::new(CommandRunner::new(settings.clone())),
        }
    }
}
