//! What stands for a platform where the settings cannot work: no runner is registered, and whatever may be a job counts as one.

use super::{
    DrainBy, DrainRules, HostContext, Probe, Ready, RegisterFor, RunnerNeeds, RunnerPlatform, RunnerSettings, Secrets,
    Selection, Signal, UndrainBy, Versions, answer,
};
use crate::exchange::{Call, ErrorKind, ExchangeError};

const NAME: &str = "none";

#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPlatform;

impl RunnerSettings for NoPlatform {
    const PLATFORM: &'static str = NAME;

    fn drain_rules(&self) -> DrainRules {
        DrainRules {
            drain: DrainBy::Signal(Signal::Term),
            undrain: UndrainBy::Relaunch,
            abort: Signal::Term,
            quiesce: false,
        }
    }

    fn needs(&self) -> RunnerNeeds {
        RunnerNeeds::default()
    }

    fn versions(&self) -> Versions {
        Versions::Untold("there is no runner")
    }

    fn open(&self, _: Secrets) -> Result<Box<dyn RunnerPlatform>, ExchangeError> {
        Ok(Box::new(Self))
    }
}

impl RunnerPlatform for NoPlatform {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        RunnerSettings::versions(self)
    }

    fn registration(&self, _: &HostContext) -> RegisterFor {
        let why = "the settings name no platform that could be asked";
        Box::new(move |_| answer::failed(ExchangeError::new(ErrorKind::Refused, why)))
    }

    fn drain_rules(&self) -> DrainRules {
        RunnerSettings::drain_rules(self)
    }

    fn deregister(&self, _: &HostContext) -> Call<()> {
        Box::new(Ready(()))
    }

    fn probes(&self, _: &HostContext) -> Vec<Probe> {
        let containers = Probe::Containers(Selection::ALL);
        vec![containers, Probe::Children(Vec::new())]
    }
}
