//! The permits to run a fleet: a few at once, whether the tests are threads of one process or processes of their own.

use std::{fs::File, path::Path, thread, time::Duration};

/// How many fleets run at once.
const MAX_FLEETS: usize = 2;

/// Held while a fleet runs.
pub(super) struct FleetPermit(Option<File>);

impl FleetPermit {
    /// Waits for one.
    pub(super) fn take() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(folder).expect("cargo's own folder");
        loop {
            for n in 0..MAX_FLEETS {
                let file = File::create(folder.join(format!("fleet-{n}.lock"))).expect("a lock file");
                if file.try_lock().is_ok() {
                    return Self(Some(file));
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// That of somebody else covers it.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Hands it on.
    pub(super) fn pass_on(&mut self) -> Self {
        Self(self.0.take())
    }
}
