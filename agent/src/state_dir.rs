//! Which folders may hold the journal of this instance, also for an agent that cannot read where `agent.state_dir` is: agents note it where systemd keeps
//! the service's own state (`StateDirectory=`, systemd.exec(5)), which no setting moves.

use std::{
    collections::BTreeSet,
    env, fs, io,
    path::{Path, PathBuf},
};

use lightsout_io::files::replace;

use crate::journal::Journal;

/// In the service's own folder: every other state folder that an agent of this machine has had, a path a line.
const NOTE: &str = "state-folders";

/// Notes the state folder of an agent that may register a runner.
///
/// # Errors
/// When the note cannot be read or written.
pub(crate) fn note(state_dir: &Path) -> io::Result<()> {
    service_folder().map_or(Ok(()), |own| note_in(&own, state_dir))
}

/// Whether an agent may have begun a registration on this instance, as far as the journals say in every folder that an agent has had here. What
/// cannot be read says nothing, nor does a folder that was noted and has none: a volume may be missing on which the runner's engine has its tasks.
pub(crate) fn may_have_registered(state_dir: &Path, instance: &str) -> bool {
    let own = service_folder();
    let noted = own.as_deref().map_or_else(|| Ok(BTreeSet::new()), noted_in);
    noted.map_or(true, |noted| may_have_registered_in(state_dir, own.as_deref(), &noted, instance))
}

fn may_have_registered_in(state_dir: &Path, own: Option<&Path>, noted: &BTreeSet<PathBuf>, instance: &str) -> bool {
    noted.iter().any(|folder| !Journal::is_in(folder))
        || noted
            .iter()
            .map(PathBuf::as_path)
            .chain(own)
            .chain([state_dir])
            .any(|it| Journal::may_have_registered(it, instance))
}

fn service_folder() -> Option<PathBuf> {
    env::split_paths(&env::var_os("STATE_DIRECTORY")?).next().filter(|folder| folder.is_absolute())
}

fn note_in(own: &Path, state_dir: &Path) -> io::Result<()> {
    let mut noted = noted_in(own)?;
    if state_dir == own || !noted.insert(state_dir.to_owned()) {
        return Ok(());
    }
    let lines: String = noted.iter().map(|it| format!("{}\n", it.display())).collect();
    replace(&own.join(NOTE), lines.as_bytes(), 0o600, true)
}

fn noted_in(own: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let noted = match fs::read_to_string(own.join(NOTE)) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => String::new(),
        Err(error) => return Err(error),
    };
    Ok(noted.lines().map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_state_folder_is_found_again_without_the_settings_that_named_it() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path();
        let all = || noted_in(own).unwrap().into_iter().collect::<Vec<_>>();
        assert!(all().is_empty());
        note_in(own, own).unwrap();
        assert!(!own.join(NOTE).exists(), "nothing to note of the service's own");
        for folder in ["/srv/state", "/srv/other state", "/srv/state"] {
            note_in(own, Path::new(folder)).unwrap();
        }
        assert_eq!(all().len(), 2, "each once, and none is forgotten");
        assert!(all().contains(&PathBuf::from("/srv/state")) && all().contains(&PathBuf::from("/srv/other state")));
        fs::remove_file(own.join(NOTE)).unwrap();
        fs::create_dir(own.join(NOTE)).unwrap();
        noted_in(own).expect_err("what cannot be read is not none");
    }

    /// Where the engine is may stand in that file alone, too, and so nobody can ask it for tasks.
    #[test]
    fn a_state_folder_that_is_not_there_any_more_tells_of_no_instance_without_a_runner() {
        let place = tempfile::tempdir().unwrap();
        let (own, volume) = (place.path().join("own"), place.path().join("volume"));
        fs::create_dir(&own).unwrap();
        let may = || may_have_registered_in(&own, Some(&own), &noted_in(&own).unwrap(), "i-1");
        assert!(!may(), "no agent has begun here");
        note_in(&own, &volume).unwrap();
        assert!(may(), "its volume is missing");
        fs::create_dir(&volume).unwrap();
        assert!(may(), "and something else is in its place");
        Journal::open(&volume, "i-1", Clock::start());
        assert!(!may(), "an agent was there, and registered nothing");
    }
}
