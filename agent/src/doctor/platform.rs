//! Facts for `doctor` that the CI platform gives: whether it takes the secret, and lets it do what the agent does.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use lightsout_cloud::{Identity, Secrets};
use lightsout_core::{
    doctor::facts::{Fact, PlatformFacts, Refusal},
    duration::not_within,
    exchange::{Effect, EffectResult, Request},
    platform::HostContext,
    settings::AgentSettings,
};
use lightsout_io::http::Driver;
use secrecy::SecretString;
use tokio::time::timeout;

/// How long the platform may take to answer at all.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one secret may take.
const SECRET: Duration = Duration::from_secs(20);
/// How long a harmless question may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks it.
pub(crate) async fn look(
    settings: &AgentSettings,
    identity: Option<&Identity>,
    secrets: &dyn Secrets,
    driver: &Driver,
) -> PlatformFacts {
    let mut facts = PlatformFacts::default();
    if let Some(address) = settings.platform.needs().address {
        let (reachable, ahead) = reach(driver, address).await;
        (facts.reachable, facts.clock_ahead) = (Some(reachable), ahead.map(Ok));
    }
    let mut found = Vec::new();
    for source in settings.platform.secrets() {
        let fetched = match timeout(SECRET, secrets.resolve(source)).await {
            Ok(Ok(secret)) => {
                found.push(secret);
                Ok(())
            }
            Ok(Err(error)) => Err(lasting(error.to_string())),
            Err(_) => {
                let remedy = "check that the network and the instance's role lead there";
                Err(lasting(not_within(format!("no secret from {source}"), SECRET, remedy)))
            }
        };
        facts.secrets.push((source.to_string(), fetched));
    }
    if found.len() == facts.secrets.len()
        && let Some(identity) = identity
    {
        facts.token = ask(settings, identity, found, driver).await;
    }
    facts
}

/// What an instance cannot have, it cannot work with, for whatever reason.
fn lasting(why: String) -> Refusal {
    Refusal { why, transient: false }
}

/// Whether anything answers there, and by how much our clock is ahead of its. Whatever it says to somebody without a token will do.
async fn reach(driver: &Driver, address: String) -> (Fact<String>, Option<SignedDuration>) {
    let result = driver.perform(Effect::Http(Request::get(&address).within(REACH_TIMEOUT))).await;
    match result {
        EffectResult::Http(Ok(reply)) => {
            let date = reply.header("date").and_then(|date| rfc2822::parse(date).ok());
            let ahead = date.map(|date| Timestamp::now().duration_since(date.timestamp()));
            (Ok(format!("{address} answers")), ahead)
        }
        EffectResult::Http(Err(why)) => (Err(format!("{address}: {why}; {}", why.remedy())), None),
        EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
            (Err(format!("{address}: something else came instead of an HTTP reply")), None)
        }
    }
}

async fn ask(
    settings: &AgentSettings,
    identity: &Identity,
    found: Vec<SecretString>,
    driver: &Driver,
) -> Option<Result<String, Refusal>> {
    let context = HostContext {
        instance_id: identity.instance.clone(),
        group: identity.group.clone(),
        runner_dir: settings.state_dir.join("runner"),
        slots: settings.slots,
        metrics: settings.metrics.clone(),
    };
    let answer = match settings.platform.open(found) {
        Ok(platform) => driver.complete(platform.check(&context)?.as_mut(), CHECK_TIMEOUT).await,
        Err(error) => Err(error),
    };
    Some(answer.map_err(|error| Refusal { transient: error.is_transient(), why: error.to_string() }))
}
