//! The way to the CI platform: its token, fetched at first use and again after it was refused, its exchanges and
//! its probes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lightsout_cloud::Secrets;
use lightsout_core::{
    activity::Activity,
    agent::{
        draining,
        host::{PlatformAnswer, PlatformCall},
    },
    duration::not_within,
    exchange::{Effect, EffectResult, ErrorKind, ExchangeError, Request},
    platform::{HostContext, JobSigns, Launch, Quiesce, Requests, RunnerPlatform},
    settings::AgentSettings,
};
use lightsout_io::http::{AsRunner, Driver};
use secrecy::SecretString;
use tokio::time::{Instant, timeout};

use crate::{docker::Engine, jobs::Jobs, probe::Prober, runner_process::RunnerProcess};

/// How long fetching the platform's secrets may take.
const SECRETS: Duration = Duration::from_secs(20);
/// How long a snapshot may wait for the platform's secrets: what is not known by then is not known now.
const SNAPSHOT: Duration = Duration::from_secs(5);

/// How long counting the runner's requests may take: it is asked on this machine.
const REQUESTS: Duration = Duration::from_secs(2);

pub(crate) struct PlatformAccess {
    settings: Arc<AgentSettings>,
    context: HostContext,
    secrets: Box<dyn Secrets>,
    driver: Arc<Driver>,
    engine: Option<Arc<Engine>>,
    runner: Arc<RunnerProcess>,
    opened: Mutex<Option<Opened>>,
    /// The last one that was made, also after its token was dropped: what jobs are does not depend on that.
    last_prober: Mutex<Option<Arc<Prober>>>,
}

/// What was made with one token.
#[derive(Clone)]
struct Opened {
    platform: Arc<dyn RunnerPlatform>,
    prober: Arc<Prober>,
}

impl PlatformAccess {
    pub(crate) fn new(
        settings: Arc<AgentSettings>,
        context: HostContext,
        secrets: Box<dyn Secrets>,
        engine: Option<Arc<Engine>>,
        runner: Arc<RunnerProcess>,
    ) -> Self {
        let alike = Arc::clone(&runner);
        let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (agent)"))
            .with_runner(AsRunner::new(move |command| alike.run_alike(command)));
        Self {
            settings,
            context,
            secrets,
            driver: Arc::new(driver),
            engine,
            runner,
            opened: Mutex::new(None),
            last_prober: Mutex::new(None),
        }
    }

    /// Fetches the token, unless it is held.
    pub(crate) async fn open(&self) -> Result<Arc<dyn RunnerPlatform>, ExchangeError> {
        self.opened().await.map(|opened| opened.platform)
    }

    async fn opened(&self) -> Result<Opened, ExchangeError> {
        if let Some(opened) = self.held() {
            return Ok(opened);
        }
        let found = match timeout(SECRETS, self.resolve()).await {
            Ok(found) => found?,
            Err(_) => return Err(silent("the source of the platform's secrets", SECRETS)),
        };
        let platform: Arc<dyn RunnerPlatform> = Arc::from(self.settings.platform.open(found)?);
        let (engine, runner, driver) = (self.engine.clone(), Arc::clone(&self.runner), Arc::clone(&self.driver));
        let prober = Arc::new(Prober::new(engine, runner, driver, platform.probes(&self.context)));
        if let Ok(mut last) = self.last_prober.lock() {
            *last = Some(Arc::clone(&prober));
        }
        let opened = Opened { platform, prober };
        if let Ok(mut held) = self.opened.lock() {
            *held = Some(opened.clone());
        }
        Ok(opened)
    }

    async fn resolve(&self) -> Result<Vec<SecretString>, ExchangeError> {
        let mut found = Vec::new();
        for secret in self.settings.platform.secrets() {
            found.push(self.secrets.resolve(secret).await.map_err(|error| {
                let kind = if error.transient { ErrorKind::Unreachable } else { ErrorKind::Unauthorized };
                ExchangeError::new(kind, error.to_string())
            })?);
        }
        Ok(found)
    }

    fn held(&self) -> Option<Opened> {
        self.opened.lock().ok()?.clone()
    }

    /// Has one exchange with the platform; `within` covers all of it, the secrets included.
    pub(crate) async fn call(
        &self,
        call: PlatformCall,
        within: Duration,
        launch: &Mutex<Option<Launch>>,
    ) -> Result<PlatformAnswer, ExchangeError> {
        let begun = Instant::now();
        let Ok(opened) = timeout(within, self.open()).await else {
            return Err(silent("the source of the platform's secrets", within));
        };
        let platform = opened?;
        let within = within.saturating_sub(begun.elapsed());
        match call {
            PlatformCall::Check => self.check(&*platform, within).await?,
            PlatformCall::Register => {
                let registered = self.driver.complete(platform.register(&self.context).as_mut(), within).await?;
                for doubt in &registered.doubts {
                    tracing::warn!("{doubt}");
                }
                if let Ok(mut launch) = launch.lock() {
                    *launch = Some(registered);
                }
            }
            PlatformCall::Drain => {
                return self.driver.complete(draining::drain(&*platform, &self.context).as_mut(), within).await;
            }
            PlatformCall::Undrain => {
                return self.driver.complete(draining::undrain(&*platform, &self.context).as_mut(), within).await;
            }
            PlatformCall::Deregister => {
                self.driver.complete(platform.deregister(&self.context).as_mut(), within).await?;
            }
        }
        Ok(PlatformAnswer::Done)
    }

    /// Asks something harmless, with the token where the platform has such a question.
    async fn check(&self, platform: &dyn RunnerPlatform, within: Duration) -> Result<(), ExchangeError> {
        if let Some(mut question) = platform.check(&self.context) {
            return self.driver.complete(question.as_mut(), within).await.map(|_| ());
        }
        let Some(address) = self.settings.platform.needs().address else { return Ok(()) };
        // Whatever it says to somebody without a token will do.
        match self.driver.perform(Effect::Http(Request::get(&address).within(within))).await {
            EffectResult::Http(Err(why)) => {
                Err(ExchangeError::new(ErrorKind::Unreachable, format!("{address}: {why}; {}", why.remedy())))
            }
            EffectResult::Http(Ok(_)) | EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                Ok(())
            }
        }
    }

    /// The runner's program, as the settings name it.
    pub(crate) fn program(&self) -> Option<String> {
        self.settings.platform.needs().program
    }

    /// How the runner is made to ask for no more jobs.
    pub(crate) fn quiesce(&self) -> Option<Quiesce> {
        self.settings.platform.quiesce(&self.context)
    }

    /// Counts the runner's requests for jobs.
    pub(crate) async fn requests(&self) -> Result<Requests, String> {
        let Some(mut counting) = self.settings.platform.requests(&self.context) else {
            return Err("its metrics are off (agent.metrics)".into());
        };
        self.driver.complete(counting.as_mut(), REQUESTS).await.map_err(|error| error.to_string())
    }

    /// What the jobs run in now; nothing before the platform's token was there for the first time.
    pub(crate) async fn jobs(&self) -> Jobs {
        let last = self.last_prober.lock().ok().and_then(|prober| prober.clone());
        match last {
            Some(prober) => prober.jobs().await,
            None => Jobs::default(),
        }
    }

    /// One snapshot of all probes, begun after the call, and whether the platform refused the token of one.
    pub(crate) async fn snapshot(&self) -> (Activity, bool) {
        match timeout(SNAPSHOT, self.opened()).await {
            Ok(Ok(opened)) => opened.prober.snapshot().await,
            Ok(Err(error)) => (Activity::Unknown(error.to_string()), error.kind == ErrorKind::Unauthorized),
            Err(_) => (Activity::Unknown(silent("the source of the platform's secrets", SNAPSHOT).to_string()), false),
        }
    }

    /// What the platform's probes mean, once its token is there.
    pub(crate) async fn signs(&self) -> Option<JobSigns> {
        Some(self.opened().await.ok()?.prober.signs().clone())
    }

    /// Drops the token and what was made with it.
    pub(crate) fn forget_token(&self) {
        tracing::info!("the platform refuses the token; it is fetched anew");
        if let Ok(mut held) = self.opened.lock() {
            *held = None;
        }
    }

    /// Lets go of what fetching a token took.
    pub(crate) fn forget_clients(&self) {
        self.secrets.forget();
    }
}

fn silent(who: &str, within: Duration) -> ExchangeError {
    let remedy = "check that the network and the instance's role lead there";
    ExchangeError::new(ErrorKind::Unreachable, not_within(format!("{who} did not answer"), within, remedy))
}
