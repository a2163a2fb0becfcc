//! A cloud in memory, for the tests of agent and scaler: it does what is asked, remembers it, and fails where the test
//! says so.

mod groups;
mod host;
mod notices;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, HookRules, ProtectionSupport};

use crate::{CloudFuture, SecretError, Secrets, local};

pub use groups::{FakeGroups, GroupsCall};
pub use host::{FakeHost, HostCall, HostState};
pub use notices::FakeNotices;

/// What this cloud can do unless a test wants it otherwise: everything that helps.
pub const CAPABILITIES: Capabilities = Capabilities {
    protection: ProtectionSupport::AtLaunch,
    termination_hook: Some(HookRules { time_outs: 100, longest: Duration::from_secs(48 * 3600) }),
    leaving_lowers_capacity: false,
    replaces_unhealthy: true,
    power_off_ends_billing: true,
    conditional_raise: false,
    longest_notice: Duration::from_secs(120),
};

/// What befalls one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this, and has no effect.
    Refused(CloudError),
    /// Its answer is lost, after it took effect or without.
    Lost {
        /// Whether it took effect.
        applied: bool,
    },
    /// It takes effect and is answered after so long.
    Slow(Duration),
}

/// Secrets that need no cloud.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeSecrets;

impl Secrets for FakeSecrets {
    fn resolve<'a>(
        &'a self,
        source: &'a lightsout_core::settings::SecretSource,
    ) -> CloudFuture<'a, secrecy::SecretString, SecretError> {
        Box::pin(local(source))
    }

    fn forget(&self) {}
}

/// A state, the calls that it saw, and the faults that wait for some.
#[derive(Debug)]
struct Scripted<S, C> {
    state: S,
    calls: Vec<C>,
    faults: Vec<(C, Fault)>,
    broken: Option<CloudError>,
}

/// Shared by all clones.
#[derive(Debug)]
struct Script<S, C>(Arc<Mutex<Scripted<S, C>>>);

impl<S, C> Clone for Script<S, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Send, C: Clone + PartialEq + Send> Script<S, C> {
    fn new(state: S) -> Self {
        Self(Arc::new(Mutex::new(Scripted { state, calls: Vec::new(), faults: Vec::new(), broken: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Scripted<S, C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inject(&self, call: C, fault: Fault) {
        self.lock().faults.push((call, fault));
    }

    fn calls(&self) -> Vec<C> {
        self.lock().calls.clone()
    }

    /// Records a call and carries it out, unless a fault waits for it.
    async fn call<T>(
        &self,
        call: C,
        effect: impl FnOnce(&mut S) -> Result<T, CloudError> + Send,
    ) -> Result<T, CloudError> {
        let fault = {
            let mut script = self.lock();
            script.calls.push(call.clone());
            if let Some(error) = &script.broken {
                return Err(error.clone());
            }
            let waiting = script.faults.iter().position(|(at, _)| *at == call);
            waiting.map(|index| script.faults.remove(index).1)
        };
        match fault {
            None => effect(&mut self.lock().state),
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::Lost { applied }) => {
                if applied {
                    let _ = effect(&mut self.lock().state);
                }
                Err(CloudError::new(CloudErrorKind::Timeout, "the answer was lost"))
            }
            Some(Fault::Slow(wait)) => {
                tokio::time::sleep(wait).await;
                effect(&mut self.lock().state)
            }
        }
    }
}
