//! How the process of a function begins, and where it gets its pools.

use std::{
    env,
    fmt::Display,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use hyper::StatusCode;
use lightsout_core::settings::CloudName;
use lightsout_io::{
    command_line::{self, Failure, runtime},
    http::Driver,
    log,
};

use super::{Function, FunctionError, Request, Ticks, Variables, settings};
use crate::{NAME, groups, listener::LogLimiter, pool::TickContext, tokens};

/// How often those who send webhooks make it look for its settings again: a schedule does so each time, and is nobody's but the operator's.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What differs from cloud to cloud in where settings are.
#[derive(Debug)]
pub(crate) struct SettingsSource {
    /// Whose stores may hold them.
    pub(crate) cloud: CloudName,
    /// The variable that holds the folder of the unpacked package; the working directory, where it is not set.
    pub(crate) package: &'static str,
    /// What to do where there are none.
    pub(crate) remedy: &'static str,
}

/// The function of this process, as soon as its settings can be had.
pub(crate) struct Opened {
    home: &'static SettingsSource,
    variables: Rc<Variables>,
    function: Result<Function, String>,
    /// When it was tried last.
    tried: Instant,
    /// What a stranger can cause to be said while there is none.
    troubles: LogLimiter,
}

impl Opened {
    /// Tries to open it with what the environment says. What fails is told by the first invocation.
    pub(crate) async fn start(home: &'static SettingsSource) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables: Variables = env::vars_os().filter_map(text).collect();
        settings::compare_versions(&variables);
        Self::with(variables, home).await
    }

    /// The same, in this environment.
    pub(super) async fn with(variables: Variables, home: &'static SettingsSource) -> Self {
        let tried = Instant::now();
        let function = open(&variables, home).await;
        Self { home, variables: Rc::new(variables), function, tried, troubles: LogLimiter::new(tried) }
    }

    /// The function. Each call tries anew as long as there is none.
    ///
    /// # Errors
    /// While the settings cannot be had.
    pub(crate) async fn ready(&mut self) -> Result<&mut Function, FunctionError> {
        if self.function.is_err() {
            self.tried = Instant::now();
            self.function = open(&self.variables, self.home).await;
        }
        self.function.as_mut().map_err(|error| FunctionError::new("Settings", error))
    }

    /// Takes a webhook, with the ticks that it asks for. While there is no function whoever sends one, a stranger too, costs little.
    pub(crate) async fn request(&mut self, request: &Request, until: Instant) -> StatusCode {
        if self.function.is_err() && self.tried.elapsed() >= LOOK_AGAIN {
            let _ = self.ready().await;
        }
        match &mut self.function {
            Ok(function) => function.request(request, until).await,
            Err(error) => {
                self.troubles.line(|withheld| tracing::error!(error, withheld, "webhooks cannot be taken"));
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Says, in few lines, why an invocation that anybody may cause is none.
    pub(crate) fn unreadable(&self, why: &str) {
        self.troubles.line(|withheld| tracing::error!(error = why, withheld, "the invocation failed"));
    }
}

/// Runs a function's server until it ends, with records and log as JSON.
pub(crate) fn run<E: Display>(serve: impl Future<Output = Result<(), E>>) -> ExitCode {
    let serve = || {
        log::init(log::Format::Json, None).map_err(Failure::refused)?;
        runtime()?.block_on(serve).map(|()| ExitCode::SUCCESS).map_err(Failure::failed)
    };
    command_line::exit_code(NAME, serve())
}

/// Reads the settings and makes the function of them; no call but for settings that are elsewhere.
async fn open(variables: &Variables, home: &SettingsSource) -> Result<Function, String> {
    let ticks = Ticks::read(variables)?;
    let settings = settings::read(variables, home).await?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (scaler)"));
    let context = TickContext::new(driver, tokens(), &settings, groups);
    Ok(Function::new(context, settings, ticks))
}
