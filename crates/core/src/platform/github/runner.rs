//! A GitHub Actions runner on the instance.

mod registration;
mod removal;
mod search;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::ExposeSecret;

use super::{
    GitHubAuth, GitHubRegistration, GitHubRunnerSettings, NAME, UNAUTHORIZED,
    auth::{Authorised, TokenCache},
    context,
    refusal::refusal,
};
use crate::{
    exchange::{Call, Effect, ErrorKind, Exchange, ExchangeError, Request, Text},
    platform::{
        DrainRules, Drained, File, HostContext, KnownVersions, Launch, Probe, Ready, RegisterFor, RunnerPlatform,
        Versions,
        answer::{self, Remedies, RequestContext, percent_encode},
        job_pid_file,
    },
};

/// GitHub's changelog, "minimum version enforcement for self-hosted runners"; besides, a release must follow a newer one within 30 days
/// (GitHub documentation, "self-hosted runners reference").
const VERSIONS: &KnownVersions = &KnownVersions {
    runner: "the GitHub Actions runner",
    majors: 2..=2,
    at_stake: "a drain counts on the names of its processes and on its hooks",
    oldest: Some(([2, 329, 0], "since March 2026")),
};

impl GitHubRunnerSettings {
    pub(super) fn versions(&self) -> Versions {
        match &self.program[..] {
            // The runner needs no argument, so a script of this name that is not the vendor's may drop `--version` and begin to work. What the
            // vendor's own starts lies below it, and below no other.
            [program] if program.ends_with("/run.sh") => {
                let listener = Path::new(program).with_file_name("bin").join("Runner.Listener");
                Versions::Said { program: listener.to_string_lossy().into_owned(), env: &[], known: VERSIONS }
            }
            _ => Versions::Untold(
                "the runner is started by a program of your own, which may say anything of its version",
            ),
        }
    }
}

/// The process that lives exactly as long as a job.
const WORKER: &str = "Runner.Worker";

/// Runs a GitHub Actions runner on the instance.
#[derive(Clone, Debug)]
pub struct GitHubRunner {
    settings: GitHubRunnerSettings,
    registration: GitHubRegistration,
    token_cache: TokenCache,
    registered: Registered,
}

/// The runner that this process registered last.
#[derive(Clone, Debug, Default)]
struct Registered(Arc<Mutex<Option<u64>>>);

impl Registered {
    fn id(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }
}

/// The calls about one instance's runner.
#[derive(Clone, Debug)]
struct Calls {
    settings: GitHubRunnerSettings,
    auth: GitHubAuth,
    name: String,
    registered: Registered,
}

impl Calls {
    /// The address of the owner's runners with more behind it.
    fn runners(&self, rest: &str) -> String {
        format!("{}/{}/actions/runners{rest}", self.settings.url, self.settings.owner.path())
    }

    /// The list that holds this instance's registration, if there is one.
    fn list(&self) -> String {
        self.runners(&format!("?name={}&per_page=100", percent_encode(&self.name)))
    }

    fn context(&self, what: &str) -> RequestContext {
        let remedies = Remedies {
            unauthorized: UNAUTHORIZED,
            forbidden: self.settings.owner.permission(),
            not_found: self.settings.owner.permission(),
        };
        let what = format!("{what} at {}", self.settings.owner.name());
        context(&self.settings.url, self.auth.secret(), what, remedies)
    }
}

impl GitHubRunner {
    /// A runner with these settings, which comes to its configuration in this way.
    ///
    /// # Errors
    /// When a secret cannot be one of GitHub.
    pub fn new(settings: GitHubRunnerSettings, registration: GitHubRegistration) -> Result<Self, ExchangeError> {
        registration.check()?;
        Ok(Self { settings, registration, token_cache: TokenCache::default(), registered: Registered::default() })
    }

    fn calls(&self, auth: &GitHubAuth, host: &HostContext) -> Calls {
        Calls {
            settings: self.settings.clone(),
            auth: auth.clone(),
            name: host.instance_id.clone(),
            registered: self.registered.clone(),
        }
    }

    fn authorised<C: Exchange + 'static>(&self, auth: &GitHubAuth, inner: C) -> Call<C::Output> {
        Box::new(Authorised::new(self.settings.url.clone(), auth.clone(), self.token_cache.clone(), inner))
    }

    /// Removes the registration, if we may.
    fn removal<T: 'static>(
        &self,
        host: &HostContext,
        read: impl Fn(removal::RemovalResult) -> Result<T, ExchangeError> + Send + 'static,
    ) -> Call<T> {
        match &self.registration {
            GitHubRegistration::Api(auth) => self.authorised(auth, removal::remove(self.calls(auth, host), read)),
            GitHubRegistration::Jit(_) => answer::failed(ExchangeError::new(
                ErrorKind::Refused,
                "this instance has a ready GitHub JIT configuration and no token, so it cannot remove its runner and an idle runner stays; give it a token or an App with the permission to change self-hosted runners, or let each instance leave after one job (jobs_per_instance = 1)",
            )),
        }
    }

    fn hooked(&self) -> bool {
        self.settings.program.len() == 1
    }

    /// How to start the runner with this configuration.
    fn launch(&self, host: &HostContext, jit: &str) -> Launch {
        let mut env = vec![
            ("ACTIONS_RUNNER_INPUT_JITCONFIG".to_owned(), Text::secret(jit)),
            // Else run.sh keeps a signal to itself until the runner has exited (actions/runner, run.sh).
            ("RUNNER_MANUALLY_TRAP_SIG".to_owned(), "1".into()),
            ("RUNNER_ALLOW_RUNASROOT".to_owned(), "1".into()),
        ];
        let mut files = Vec::new();
        if self.hooked() {
            let hook = hook(host);
            env.push(("ACTIONS_RUNNER_HOOK_JOB_STARTED".to_owned(), hook.path.to_string_lossy().into_owned().into()));
            files.push(hook);
        }
        Launch { argv: self.settings.program.to_vec(), env, files, doubts: Vec::new() }
    }
}

/// The script that GitHub's runner runs before each job.
fn hook(host: &HostContext) -> File {
    let folder = job_pid_file::quoted(&job_pid_file::folder(host));
    let contents = include_str!("runner/job-started.sh").replace("@FOLDER@", &folder);
    File { path: host.runner_dir.join("job-started.sh"), contents: contents.into(), mode: 0o700 }
}

impl RunnerPlatform for GitHubRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        self.settings.versions()
    }

    fn registration(&self, host: &HostContext) -> RegisterFor {
        let (runner, host) = (self.clone(), host.clone());
        Box::new(move |_| match &runner.registration {
            GitHubRegistration::Jit(blob) => Box::new(Ready(runner.launch(&host, blob.expose_secret()))),
            GitHubRegistration::Api(auth) => {
                let calls = runner.calls(auth, &host);
                let (launcher, host) = (runner.clone(), host.clone());
                runner.authorised(auth, registration::register(calls, move |jit| launcher.launch(&host, jit)))
            }
        })
    }

    fn drain_rules(&self) -> DrainRules {
        self.settings.drain_rules()
    }

    fn drain_call(&self, host: &HostContext) -> Call<Drained> {
        self.removal(host, |removed| Ok(removal::drained(&removed)))
    }

    fn deregister(&self, host: &HostContext) -> Call<()> {
        match &self.registration {
            // It removes itself after its job, and GitHub removes what is offline for a day.
            GitHubRegistration::Jit(_) => Box::new(Ready(())),
            GitHubRegistration::Api(_) => self.removal(host, removal::gone),
        }
    }

    fn check(&self, host: &HostContext) -> Option<Call<String>> {
        let GitHubRegistration::Api(auth) = &self.registration else { return None };
        let calls = self.calls(auth, host);
        let ask = Effect::Http(Request::get(calls.list()));
        let listing = answer::once(ask, move |result| {
            let context = calls.context("list the runners");
            let reply = context.reply(result)?;
            if reply.status != 200 {
                return Err(refusal(&context, &reply));
            }
            Ok(format!("the runners of {} can be listed", calls.settings.owner.name()))
        });
        Some(self.authorised(auth, listing))
    }

    fn probes(&self, host: &HostContext) -> Vec<Probe> {
        let mut probes = vec![Probe::Children(vec![WORKER.to_owned()])];
        if self.hooked() {
            probes.push(Probe::Files { folder: job_pid_file::folder(host) });
        }
        probes
    }
}
