//! Which folders may hold the journal of this instance, also for an agent that cannot read where `agent.state_dir` is: agents note it where systemd keeps
//! the service's own state (`StateDirectory=`, systemd.exec(5)), which no setting moves.

use std::{
    collections::BTreeSet,
    env, fs, io,
    path::{Path, PathBuf},
};

use lightsout_io::files::replace;

/// In the service's own folder: every other state folder that an agent of this machine has had, a path a line.
const NOTE: &str = "state-folders";

/// Notes the state folder of an agent that may register a runner.
///
/// # Errors
/// When the note cannot be read or written.
pub(crate) fn note(state_dir: &Path) -> io::Result<()> {
    service_folder().map_or(Ok(()), |own| note_in(&own, state_dir))
}

/// Every folder that may hold the journal of this instance: this one, the service's own, and those that were noted there.
///
/// # Errors
/// When the note is there and cannot be read.
pub(crate) fn all(state_dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut all = match service_folder() {
        Some(own) => all_in(&own)?,
        None => BTreeSet::new(),
    };
    all.insert(state_dir.to_owned());
    Ok(all)
}

fn service_folder() -> Option<PathBuf> {
    env::split_paths(&env::var_os("STATE_DIRECTORY")?).next().filter(|folder| folder.is_absolute())
}

fn note_in(own: &Path, state_dir: &Path) -> io::Result<()> {
    let mut all = all_in(own)?;
    if !all.insert(state_dir.to_owned()) {
        return Ok(());
    }
    let lines: String = all.iter().filter(|folder| *folder != own).map(|it| format!("{}\n", it.display())).collect();
    replace(&own.join(NOTE), lines.as_bytes(), 0o600, true)
}

fn all_in(own: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let noted = match fs::read_to_string(own.join(NOTE)) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => String::new(),
        Err(error) => return Err(error),
    };
    Ok(noted.lines().map(PathBuf::from).chain([own.to_owned()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_is_found_again_without_the_settings_that_named_it() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path();
        let all = || all_in(own).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(all(), [own]);
        note_in(own, own).unwrap();
        assert!(!own.join(NOTE).exists(), "nothing to note of the service's own");
        for folder in ["/srv/state", "/srv/other state", "/srv/state"] {
            note_in(own, Path::new(folder)).unwrap();
        }
        assert_eq!(all().len(), 3, "each once, and none is forgotten");
        assert!(all().contains(&PathBuf::from("/srv/state")) && all().contains(&PathBuf::from("/srv/other state")));
        fs::remove_file(own.join(NOTE)).unwrap();
        fs::create_dir(own.join(NOTE)).unwrap();
        all_in(own).expect_err("what cannot be read is not none");
    }
}
