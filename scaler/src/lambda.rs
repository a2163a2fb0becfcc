//! The scaler as a function of AWS Lambda (`provided.al2023`): the same program, which sees by its environment who started it.
//!
//! An invocation by a schedule ticks as `watch` does, for as long as its time-out allows; one by a function URL is a webhook.
//! What the pools remember between two ticks they remember between two invocations, and may lose at any time.

mod event;
mod function;
mod panics;
mod settings;

use std::{
    collections::BTreeMap,
    env,
    fmt::Display,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use lightsout_cloud::provider;
use lightsout_core::settings::CloudName;
use lightsout_io::{http::Driver, log};
use serde_json::Value;
use tokio::sync::Mutex;

use self::{
    event::Event,
    function::{Function, Ticks},
};
use crate::{groups, pool::TickContext, tokens};

/// The variable that holds the address of Lambda's runtime API, and is there in a function alone.
pub(crate) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

type Variables = BTreeMap<String, String>;

/// Why an invocation fails.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FunctionError {
    kind: &'static str,
    message: String,
}

impl FunctionError {
    fn new(kind: &'static str, message: impl Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.kind.to_owned(), error_message: error.message }
    }
}

/// Serves invocations until Lambda ends the process.
pub(crate) fn main(address: &str) -> ExitCode {
    panics::report_to(address);
    let failed = |error: &dyn Display| {
        eprintln!("lightsout-scaler: {error}");
        ExitCode::FAILURE
    };
    if let Err(error) = log::init(log::Format::Json, None) {
        return failed(&error);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    match runtime.block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// An invocation fails while the settings cannot be had, and each tries them anew.
async fn serve() -> Result<(), lambda_runtime::Error> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables: Rc<Variables> = Rc::new(env::vars_os().filter_map(text).collect());
    settings::compare_versions(&variables);
    let function = Rc::new(Mutex::new(open(&variables).await));
    let answer = move |event: LambdaEvent<Value>| {
        let (variables, function) = (Rc::clone(&variables), Rc::clone(&function));
        async move {
            panics::during(Some(&event.context.request_id));
            // They come one by one.
            let mut function = function.lock().await;
            if function.is_err() {
                *function = open(&variables).await;
            }
            let answer = match &mut *function {
                Ok(function) => answer(function, event).await,
                Err(error) => Err(FunctionError::new("Settings", error)),
            };
            if let Err(error) = &answer {
                tracing::error!(error = error.message, "the invocation failed");
            }
            panics::during(None);
            answer
        }
    };
    Runtime::new(service_fn(answer)).run().await
}

async fn answer(function: &mut Function, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
    #[cfg(debug_assertions)]
    if let Some(text) = event.payload.get("panic") {
        panic!("asked for by an event, which only a build for tests heeds: {text}");
    }
    let until = Instant::now() + left(event.context.deadline);
    match event::read(event.payload) {
        Ok(Event::Scheduled) => function.scheduled(until).await,
        Ok(Event::Request(request)) => Ok(event::reply(function.request(&request, until).await)),
        Err(why) => Err(FunctionError::new("Event", why)),
    }
}

/// How long it is until this time, in milliseconds since 1970.
fn left(until: u64) -> Duration {
    let until = i64::try_from(until).ok().and_then(|until| Timestamp::from_millisecond(until).ok());
    until.and_then(|until| Duration::try_from(until.duration_since(Timestamp::now())).ok()).unwrap_or_default()
}

/// Reads the settings and makes the function of them; no call but for settings that are elsewhere.
async fn open(variables: &Variables) -> Result<Function, String> {
    let ticks = Ticks::read(variables)?;
    let settings = settings::read(variables, provider(CloudName::Aws)).await?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (scaler)"));
    let context = TickContext::new(driver, tokens(), &settings, groups);
    Ok(Function::new(context, settings, ticks))
}

#[cfg(test)]
mod tests;
