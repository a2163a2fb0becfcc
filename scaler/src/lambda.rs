//! The scaler as a function of AWS Lambda (`provided.al2023`): the same program, which sees by its environment who started it.
//!
//! An invocation by a schedule ticks as `watch` does, for as long as its time-out allows; one by a function URL is a webhook.
//! What the pools remember between two ticks they remember between two invocations, and may lose at any time.

mod event;
mod panics;

use std::{
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use lightsout_core::settings::CloudName;
use serde_json::Value;
use tokio::sync::Mutex;

use self::event::Event;
use crate::function::{self, FunctionError, Opened, SettingsSource};

/// The variable that holds the address of Lambda's runtime API, and is there in a function alone.
pub(crate) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

const HOME: SettingsSource = SettingsSource {
    cloud: CloudName::Aws,
    package: "LAMBDA_TASK_ROOT",
    remedy: "put scaler.toml beside bootstrap, or set LIGHTSOUT_SCALER_CONFIG_SSM, LIGHTSOUT_SCALER_CONFIG_S3 or LIGHTSOUT_SCALER_CONFIG_TOML",
};

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.kind.to_owned(), error_message: error.message }
    }
}

/// Serves invocations until Lambda ends the process.
pub(crate) fn main(address: &str) -> ExitCode {
    panics::report_to(address);
    function::run(serve())
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let opened = Rc::new(Mutex::new(Opened::start(&HOME).await));
    let answer = move |event: LambdaEvent<Value>| {
        let opened = Rc::clone(&opened);
        async move {
            panics::during(Some(&event.context.request_id));
            // They come one by one.
            let mut opened = opened.lock().await;
            let answer = answer(&mut opened, event).await;
            panics::during(None);
            answer
        }
    };
    Runtime::new(service_fn(answer)).run().await
}

async fn answer(opened: &mut Opened, event: LambdaEvent<Value>) -> Result<Value, FunctionError> {
    #[cfg(debug_assertions)]
    if let Some(text) = event.payload.get("panic") {
        panic!("asked for by an event, which only a build for tests heeds: {text}");
    }
    let until = Instant::now() + left(event.context.deadline);
    match event::read(event.payload) {
        Ok(Event::Scheduled) => {
            let answer = match opened.ready().await {
                Ok(function) => function.scheduled(until).await,
                Err(error) => Err(error),
            };
            answer.inspect_err(|error| tracing::error!(error = error.message, "the invocation failed"))
        }
        Ok(Event::Request(request)) => Ok(event::reply(opened.request(&request, until).await)),
        Err(why) => {
            opened.unreadable(&why);
            Err(FunctionError::new("Event", why))
        }
    }
}

/// How long it is until this time, in milliseconds since 1970.
fn left(until: u64) -> Duration {
    let until = i64::try_from(until).ok().and_then(|until| Timestamp::from_millisecond(until).ok());
    until.and_then(|until| Duration::try_from(until.duration_since(Timestamp::now())).ok()).unwrap_or_default()
}
