mod registration;
mod removal;
mod search;

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret;

use super::{
    GitHubAuth, GitHubRegistration, GitHubRunnerSettings, NAME, UNAUTHORIZED, asked,
    auth::{Authorised, Wallet},
    base,
};
use crate::{
    platform::{
        Drain, ErrorKind, File, Launch, Me, PlatformError, Probe, Ready, Runner, Signal, Talk, Undrain,
        answer::{self, Asked, Remedies, percent_encode},
        mark,
    },
    wire::{Conversation, Text},
};

/// The process that lives exactly as long as a job.
const WORKER: &str = "Runner.Worker";

/// Runs a GitHub Actions runner on the instance.
#[derive(Clone, Debug)]
pub struct GitHubRunner {
    settings: GitHubRunnerSettings,
    wallet: Wallet,
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
        format!("{}/{}/actions/runners{rest}", base(&self.settings.url), self.settings.owner.path())
    }

    /// The list that holds this instance's registration, if there is one.
    fn list(&self) -> String {
        self.runners(&format!("?name={}&per_page=100", percent_encode(&self.name)))
    }

    fn asked(&self, what: &str) -> Asked {
        let remedies = Remedies {
            unauthorized: UNAUTHORIZED,
            forbidden: self.settings.owner.permission(),
            not_found: self.settings.owner.permission(),
        };
        let what = format!("{what} at {}", self.settings.owner.name());
        asked(&self.settings.url, self.auth.secret(), what, remedies)
    }
}

impl GitHubRunner {
    /// A runner with these settings.
    pub fn new(settings: GitHubRunnerSettings) -> Self {
        Self { settings, wallet: Wallet::default(), registered: Registered::default() }
    }

    fn calls(&self, auth: &GitHubAuth, me: &Me) -> Calls {
        Calls {
            settings: self.settings.clone(),
            auth: auth.clone(),
            name: me.instance_id.clone(),
            registered: self.registered.clone(),
        }
    }

    fn authorised<C: Conversation + 'static>(&self, auth: &GitHubAuth, inner: C) -> Talk<C::Output> {
        Box::new(Authorised::new(&self.settings.url, auth, self.wallet.clone(), inner))
    }

    /// Removes the registration, if we may.
    fn removal<T: 'static>(
        &self,
        me: &Me,
        read: impl Fn(removal::Removed) -> Result<T, PlatformError> + Send + 'static,
    ) -> Talk<T> {
        if let Err(error) = self.settings.check() {
            return answer::failed(error);
        }
        match &self.settings.registration {
            GitHubRegistration::Ask(auth) => self.authorised(auth, removal::remove(self.calls(auth, me), read)),
            GitHubRegistration::Jit(_) => answer::failed(PlatformError::new(
                ErrorKind::Refused,
                "this instance has a ready GitHub JIT configuration and no token, so it cannot remove its runner and an idle runner stays; give it                  a token or an App with the permission to change self-hosted runners, or let each instance leave after one job (jobs_per_instance = 1)",
            )),
        }
    }

    fn hooked(&self) -> bool {
        self.settings.program.len() == 1
    }

    /// How to start the runner with this configuration.
    fn launch(&self, me: &Me, jit: &str) -> Launch {
        let mut env = vec![
            ("ACTIONS_RUNNER_INPUT_JITCONFIG".to_owned(), Text::secret(jit)),
            // Else run.sh keeps a signal to itself until the runner has exited (actions/runner, run.sh).
            ("RUNNER_MANUALLY_TRAP_SIG".to_owned(), "1".into()),
            ("RUNNER_ALLOW_RUNASROOT".to_owned(), "1".into()),
        ];
        let mut files = Vec::new();
        if self.hooked() {
            let hook = hook(me);
            env.push(("ACTIONS_RUNNER_HOOK_JOB_STARTED".to_owned(), hook.path.to_string_lossy().into_owned().into()));
            files.push(hook);
        }
        Launch { argv: self.settings.program.clone(), env, files }
    }
}

/// The script that GitHub's runner runs before each job.
fn hook(me: &Me) -> File {
    let folder = mark::quoted(&mark::folder(me));
    let contents = include_str!("runner/job-started.sh").replace("@FOLDER@", &folder);
    File { path: me.runner_dir.join("job-started.sh"), contents: contents.into(), mode: 0o700 }
}

impl Runner for GitHubRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn register(&self, me: &Me) -> Talk<Launch> {
        if let Err(error) = self.settings.check() {
            return answer::failed(error);
        }
        match &self.settings.registration {
            GitHubRegistration::Jit(blob) => Box::new(Ready(self.launch(me, blob.expose_secret()))),
            GitHubRegistration::Ask(auth) => {
                let calls = self.calls(auth, me);
                let (runner, me) = (self.clone(), me.clone());
                self.authorised(auth, registration::register(calls, move |jit| runner.launch(&me, jit)))
            }
        }
    }

    fn drain(&self, me: &Me) -> Drain {
        Drain::Ask(self.removal(me, |removed| Ok(removal::drained(&removed))))
    }

    fn undrain(&self, _: &Me) -> Undrain {
        Undrain::Relaunch
    }

    fn abort(&self) -> Signal {
        Signal::Int
    }

    fn deregister(&self, me: &Me) -> Talk<()> {
        match &self.settings.registration {
            // It removes itself after its job, and GitHub removes what is offline for a day.
            GitHubRegistration::Jit(_) => Box::new(Ready(())),
            GitHubRegistration::Ask(_) => self.removal(me, removal::gone),
        }
    }

    fn probes(&self, me: &Me) -> Vec<Probe> {
        let mut probes = vec![Probe::Children(vec![WORKER.to_owned()])];
        if self.hooked() {
            probes.push(Probe::Files { folder: mark::folder(me) });
        }
        probes
    }
}
