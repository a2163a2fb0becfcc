//! What surrounds the runner, and so each job, on the instance: as whom it runs, and what it finds in its environment.

use std::collections::BTreeMap;

use super::{SecretSource, Section};
use crate::exchange::Text;

/// The user as whom the runner of an agent that runs as root runs, unless `agent.runner_user` names another.
pub const DEFAULT_RUNNER_USER: &str = "lightsout-runner";

/// What the runner gets of the agent's environment without being asked for: where programs are, the language, the time zone, the way out, and
/// whom to trust there. The agent's environment may hold secrets, so nothing else is handed on.
const HANDED_ON: &[&str] = &[
    "PATH",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// Where the programs are for an agent that does not know it itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As whom the runner runs, and with what.
#[derive(Clone, Debug, Default)]
pub struct RunnerEnvironment {
    /// The user's name; `None`: [`DEFAULT_RUNNER_USER`] where there is one, else the agent's own user.
    pub user: Option<String>,
    /// Whether the runner's user may use the container engine, with which it is as good as root; `None`: where the platform's jobs need it.
    pub engine: Option<bool>,
    /// Variables besides those that every runner gets.
    pub variables: Vec<RunnerVariable>,
    /// The agent's variables that hold the platform's secrets, which are never handed on.
    pub secrets: Vec<String>,
}

/// A variable that `agent.runner_env` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerVariable {
    /// Handed on from the agent's environment, if it is there.
    HandedOn(String),
    /// With this value.
    Set { name: String, value: String },
}

impl RunnerVariable {
    /// The variable's name.
    pub fn name(&self) -> &str {
        match self {
            Self::HandedOn(name) | Self::Set { name, .. } => name,
        }
    }
}

impl RunnerEnvironment {
    /// The runner's whole environment. `own` is the agent's, `user` tells of the runner's user (`HOME` and the like), `launch` is what the platform
    /// asks for; later ones win.
    pub fn environment(
        &self,
        own: impl IntoIterator<Item = (String, String)>,
        user: impl IntoIterator<Item = (String, String)>,
        launch: &[(String, Text)],
    ) -> BTreeMap<String, Text> {
        let own: BTreeMap<String, String> = own.into_iter().collect();
        let mut all = BTreeMap::from([("PATH".to_owned(), Text::from(PATH))]);
        let allowed = own.iter().filter(|(name, _)| self.is_handed_on(name));
        // A proxy's address may hold its password.
        all.extend(allowed.map(|(name, value)| (name.clone(), Text::secret(value.clone()))));
        all.extend(user.into_iter().map(|(name, value)| (name, value.into())));
        for variable in &self.variables {
            let value = match variable {
                RunnerVariable::HandedOn(name) => own.get(name),
                RunnerVariable::Set { value, .. } => Some(value),
            };
            if let Some(value) = value {
                all.insert(variable.name().to_owned(), Text::secret(value.clone()));
            }
        }
        all.extend(launch.iter().cloned());
        all
    }

    fn is_handed_on(&self, name: &str) -> bool {
        (HANDED_ON.contains(&name) || name.starts_with("LC_")) && !self.secrets.iter().any(|secret| secret == name)
    }

    /// Reads the keys of `[agent]` that concern the runner.
    pub(super) fn read(s: &Section<'_>) -> Self {
        let variables = s.texts("runner_env").unwrap_or_default();
        let variables = variables.iter().filter_map(|text| variable(s, text)).collect();
        Self {
            user: s.text("runner_user"),
            engine: s.flag_or("runner_docker", "auto").flatten(),
            variables,
            secrets: Vec::new(),
        }
    }

    /// The same, and no variable that holds one of these secrets.
    pub(super) fn without(self, s: &Section<'_>, secrets: &[&SecretSource]) -> Self {
        let named = secrets.iter().filter_map(|secret| match secret {
            SecretSource::Env(name) => Some(name.clone()),
            SecretSource::Inline(_)
            | SecretSource::File(_)
            | SecretSource::Ssm(_)
            | SecretSource::SecretsManager { .. }
            | SecretSource::KeyVault(_) => None,
        });
        let secrets: Vec<String> = named.collect();
        for name in self.variables.iter().map(RunnerVariable::name).filter(|name| secrets.iter().any(|it| it == name)) {
            s.contradiction(
                "runner_env",
                format!("{name} holds a secret of the platform, which every job could read"),
                format!("leave {name} out, or keep the secret elsewhere, in a file for example"),
            );
        }
        Self { secrets, ..self }
    }
}

fn variable(s: &Section<'_>, text: &str) -> Option<RunnerVariable> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let is_name =
        name.chars().enumerate().all(|(at, c)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit()));
    if name.is_empty() || !is_name || text.contains('\0') {
        s.contradiction(
            "runner_env",
            format!("{text:?} names no variable"),
            "write \"NAME\" to hand a variable of the agent on, or \"NAME=value\"",
        );
        return None;
    }
    let name = name.to_owned();
    Some(match value {
        None => RunnerVariable::HandedOn(name),
        Some(value) => RunnerVariable::Set { name, value: value.to_owned() },
    })
}
