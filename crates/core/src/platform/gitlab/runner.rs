//! GitLab Runner on the instance.

use std::fmt::Write as _;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Executor, GitLabRunnerSettings, NAME, config, context, metrics, settings::check_runner_token};
use crate::{
    exchange::{
        Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Method, Reply, Request,
    },
    platform::{
        DrainRules, HostContext, KnownVersions, Launch, Probe, RegisterFor, RunnerPlatform, RunnerSettings, Selection,
        Versions,
        answer::{self, Remedies, RequestContext},
    },
};

pub(super) const VERSIONS: &KnownVersions = &KnownVersions {
    runner: "gitlab-runner",
    majors: 16..=19,
    at_stake: "a drain counts on how it reads its configuration again and on the names of its metrics",
    oldest: None,
};

const TOKEN_INVALID: &str = "the runner token is not valid (was its runner deleted, or did it expire?); create a runner in GitLab under Settings > \
                             CI/CD > Runners and put its glrt- token into the secret that the instances read";

const REMEDIES: Remedies = Remedies {
    unauthorized: TOKEN_INVALID,
    forbidden: TOKEN_INVALID,
    not_found: "there is no runner API there; check the url (GitLab 16 or later is needed)",
};

/// Runs a GitLab runner on the instance.
#[derive(Clone, Debug)]
pub struct GitLabRunner {
    settings: GitLabRunnerSettings,
    token: SecretString,
}

impl GitLabRunner {
    /// A runner with these settings and the runner authentication token (`glrt-...`) that all instances of the pool
    /// share.
    ///
    /// # Errors
    /// When the token cannot be one of GitLab.
    pub fn new(settings: GitLabRunnerSettings, token: SecretString) -> Result<Self, ExchangeError> {
        check_runner_token(&token)?;
        Ok(Self { settings, token })
    }

    fn request(&self, method: Method, path: &str, host: &HostContext) -> Effect {
        let url = format!("{}/api/v4/runners/{path}", self.settings.url);
        let body = json!({ "token": self.token.expose_secret(), "system_id": system_id(&host.instance_id) });
        Effect::Http(Request::new(method, url).header("accept", "application/json").json(&body, true))
    }

    fn verify(&self, host: &HostContext) -> Effect {
        self.request(Method::Post, "verify", host)
    }

    fn context(&self, what: &str) -> RequestContext {
        context(&self.settings.url, &self.token, what.to_owned(), REMEDIES)
    }

    fn launch(&self, host: &HostContext, runner_id: u64) -> Launch {
        let config = host.runner_dir.join("config.toml");
        let argv = [
            &self.settings.program,
            "run",
            "--config",
            &config.to_string_lossy(),
            "--working-directory",
            &host.runner_dir.to_string_lossy(),
        ];
        Launch {
            argv: argv.map(str::to_owned).into(),
            env: Vec::new(),
            files: config::files(&self.settings, &self.token, host, runner_id, &system_id(&host.instance_id)),
            doubts: Vec::new(),
        }
    }
}

/// The name under which GitLab knows this instance's runner manager: `r_` and 12 hex digits made from the instance's
/// id.
///
/// GitLab Runner accepts `[sr]_` and 12 letters or digits in `.runner_system_id` (its source, `common/system_id_state.go`)
/// and makes up another when the file holds anything else.
pub fn system_id(instance_id: &str) -> String {
    Sha256::digest(instance_id.as_bytes()).iter().take(6).fold("r_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

impl RunnerPlatform for GitLabRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        self.settings.versions()
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |_| {
            let (runner, host) = (runner.clone(), host.clone());
            answer::once(runner.verify(&host), move |result| {
                let context = runner.context("register this machine's runner");
                let reply = context.reply(result)?;
                let runner_id = verified(&context, &reply)?;
                Ok(runner.launch(&host, runner_id))
            })
        })
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn deregister(&self, host: &HostContext) -> Call<()> {
        Box::new(Deregister {
            delete: self.request(Method::Delete, "managers", host),
            verify: self.verify(host),
            context: self.context("remove this machine's runner manager"),
            stage: Stage::Delete,
        })
    }

    /// As a registration begins: the machine's entry in the runner's list is made, or renewed.
    fn check(&self, host: &HostContext) -> Option<Call<String>> {
        let context = self.context("verify the runner token");
        Some(answer::once(self.verify(host), move |result| {
            let reply = context.reply(result)?;
            Ok(format!("the token is that of runner {}", verified(&context, &reply)?))
        }))
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        let label = |name: &str| format!("com.gitlab.gitlab-runner.{name}");
        let mut probes = vec![Probe::Containers(Selection {
            labels: vec![
                (label("managed"), Some("true".to_owned())),
                (label("runner.system_id"), Some(system_id(&host.instance_id))),
            ],
            except: Vec::new(),
            job_label: Some(label("job.id")),
        })];
        probes.extend(host.metrics.as_deref().map(|address| Probe::Runner(metrics::probe(address))));
        if self.settings.executor == Executor::Shell {
            probes.push(Probe::Children(Vec::new()));
        }
        probes
    }
}

/// The runner's id, when the token is good.
fn verified(context: &RequestContext, reply: &Reply) -> Result<u64, ExchangeError> {
    match reply.status {
        200 => context.json(reply)?.root().key("id")?.number(),
        // GitLab answers 403 to a token that it does not know (lib/api/ci/runner.rb).
        403 => Err(ExchangeError { kind: ErrorKind::Unauthorized, ..context.refusal(reply) }),
        _ => Err(context.refusal(reply)),
    }
}

/// Deletes this machine's manager. A 403 may mean a bad token or, behind some front ends, a manager that is gone; the
/// token tells. Verifying it makes GitLab create the manager again, so the deletion is repeated after it.
struct Deregister {
    delete: Effect,
    verify: Effect,
    context: RequestContext,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Delete,
    Verify,
    DeleteAgain,
}

impl Exchange for Deregister {
    type Output = ();

    fn start(&mut self) -> ExchangeStep<()> {
        self.stage = Stage::Delete;
        ExchangeStep::perform(self.delete.clone())
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<()> {
        let reply = match self.context.reply(result) {
            Ok(reply) => reply,
            Err(error) => return ExchangeStep::Done(Err(error)),
        };
        match (self.stage, reply.status) {
            (Stage::Delete | Stage::DeleteAgain, 204 | 404) | (Stage::DeleteAgain, 403) => ExchangeStep::Done(Ok(())),
            (Stage::Delete, 403) => {
                self.stage = Stage::Verify;
                ExchangeStep::perform(self.verify.clone())
            }
            (Stage::Verify, _) => match verified(&self.context, &reply) {
                Ok(_) => {
                    self.stage = Stage::DeleteAgain;
                    ExchangeStep::perform(self.delete.clone())
                }
                Err(error) => ExchangeStep::Done(Err(error)),
            },
            (Stage::Delete | Stage::DeleteAgain, _) => ExchangeStep::Done(Err(self.context.refusal(&reply))),
        }
    }
}
