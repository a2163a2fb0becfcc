//! Where `lightsout-doctor` is, the program that `lightsout-agent doctor` becomes.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

const NAME: &str = "lightsout-doctor";
/// Where the package puts it.
const FOLDER: &str = "/usr/lib/lightsout";

/// Goes on as the doctor, with these arguments; what hinders that, with what to do.
///
/// Which one is beside the agent comes first: it is of the same build.
pub(crate) fn become_it(args: &[OsString]) -> String {
    let own = env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let places: Vec<PathBuf> = own.into_iter().chain([FOLDER.into()]).map(|folder| folder.join(NAME)).collect();
    for place in &places {
        // It returns only when it failed.
        let error = Command::new(place).args(args).exec();
        if error.kind() != io::ErrorKind::NotFound {
            return format!(
                "{} cannot be started: {error}; install the package lightsout-agent again",
                place.display()
            );
        }
    }
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    format!(
        "the program {NAME} is at none of {}: install the package lightsout-agent again, or put the one that was built with this agent there",
        places.join(", ")
    )
}
