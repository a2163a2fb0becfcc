use super::{CircleCiRunnerSettings, NAME, config};
use crate::platform::{
    Drain, Launch, Me, PlatformError, Probe, Ready, Runner, Signal, Talk, Undrain,
    answer::{self, refuse},
    mark,
};

/// Runs CircleCI's machine runner on the instance.
#[derive(Clone, Debug)]
pub struct CircleCiRunner {
    settings: CircleCiRunnerSettings,
}

impl CircleCiRunner {
    /// A runner with these settings.
    pub fn new(settings: CircleCiRunnerSettings) -> Self {
        Self { settings }
    }

    fn launch(&self, me: &Me) -> Result<Launch, PlatformError> {
        self.settings.check()?;
        if me.slots > 1 {
            return refuse(format!(
                "CircleCI's machine runner takes one task at a time, but {} slots are set; set slots to 1",
                me.slots
            ));
        }
        if me.instance_id.is_empty()
            || !me.instance_id.chars().all(|c| c.is_ascii_alphanumeric() || ".()-_".contains(c))
        {
            return refuse(format!(
                "the instance's id {:?} cannot be a CircleCI runner's name: only letters, digits and .()-_ can stand in one",
                me.instance_id
            ));
        }
        let config = config::config_path(me);
        let argv = [self.settings.program.as_str(), "machine", "--config", &config.to_string_lossy()];
        Ok(Launch { argv: argv.map(str::to_owned).into(), env: Vec::new(), files: config::files(&self.settings, me)? })
    }
}

impl Runner for CircleCiRunner {
    fn platform(&self) -> &'static str {
        NAME
    }

    fn register(&self, me: &Me) -> Talk<Launch> {
        match self.launch(me) {
            Ok(launch) => Box::new(Ready(launch)),
            Err(error) => answer::failed(error),
        }
    }

    fn drain(&self, _: &Me) -> Drain {
        Drain::Signal(Signal::Term)
    }

    fn undrain(&self, _: &Me) -> Undrain {
        Undrain::Relaunch
    }

    /// The second one: the first was the drain.
    fn abort(&self) -> Signal {
        Signal::Term
    }

    fn deregister(&self, _: &Me) -> Talk<()> {
        Box::new(Ready(()))
    }

    fn probes(&self, me: &Me) -> Vec<Probe> {
        vec![Probe::Files { folder: mark::folder(me) }, Probe::Children(Vec::new())]
    }
}
