use super::{BuildkiteRunnerSettings, NAME, config};
use crate::platform::{Drain, Launch, Me, PlatformError, Probe, Ready, Runner, Signal, Talk, Undrain, answer, mark};

/// Runs Buildkite's agent on the instance.
#[derive(Clone, Debug)]
pub struct BuildkiteRunner {
    settings: BuildkiteRunnerSettings,
}

impl BuildkiteRunner {
    /// A runner with these settings.
    pub fn new(settings: BuildkiteRunnerSettings) -> Self {
        Self { settings }
    }

    fn launch(&self, me: &Me) -> Result<Launch, PlatformError> {
        self.settings.check()?;
        let config = config::config_path(me);
        let argv = [self.settings.program.as_str(), "start", "--config", &config.to_string_lossy()];
        Ok(Launch { argv: argv.map(str::to_owned).into(), env: Vec::new(), files: config::files(&self.settings, me)? })
    }
}

impl Runner for BuildkiteRunner {
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

    fn abort(&self) -> Signal {
        Signal::Quit
    }

    fn deregister(&self, _: &Me) -> Talk<()> {
        Box::new(Ready(()))
    }

    fn probes(&self, me: &Me) -> Vec<Probe> {
        vec![Probe::Files { folder: mark::folder(me) }, Probe::Children(Vec::new())]
    }
}
