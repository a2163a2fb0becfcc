//! Finds and reads the files of settings.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lightsout_core::settings::Fragment;

const HOME: &str = "/etc/lightsout";

/// Reads these files and directories in order; without any, the usual places of `program` (`agent`, `scaler`):
/// `/etc/lightsout/PROGRAM.toml`, then `/etc/lightsout/PROGRAM.d/*.toml`.
///
/// # Errors
/// When one cannot be read, or there is none; the text names the file and the remedy.
pub fn read(paths: &[PathBuf], program: &str) -> Result<Vec<Fragment>, String> {
    if paths.is_empty() {
        let fragments = usual(Path::new(HOME), program)?;
        if fragments.is_empty() {
            return Err(format!(
                "there are no settings: write {HOME}/{program}.toml or {HOME}/{program}.d/*.toml, or name them with --config"
            ));
        }
        return Ok(fragments);
    }
    let mut fragments = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = directory(path)?;
            if found.is_empty() {
                return Err(format!("{}: there is no *.toml file in this directory; add one", path.display()));
            }
            fragments.extend(found);
        } else {
            fragments.push(file(path)?);
        }
    }
    Ok(fragments)
}

/// The settings of a program in a directory, as far as they are there: `PROGRAM.toml`, then `PROGRAM.d/*.toml`.
///
/// # Errors
/// When one that is there cannot be read.
pub fn usual(home: &Path, program: &str) -> Result<Vec<Fragment>, String> {
    let (main, more) = (home.join(format!("{program}.toml")), home.join(format!("{program}.d")));
    let mut fragments = Vec::new();
    if exists(&main)? {
        fragments.push(file(&main)?);
    }
    if exists(&more)? {
        fragments.extend(directory(&more)?);
    }
    Ok(fragments)
}

fn exists(path: &Path) -> Result<bool, String> {
    path.try_exists().map_err(|error| unreadable(path, &error))
}

/// The `*.toml` files in order of their names, hidden ones left out.
fn directory(path: &Path) -> Result<Vec<Fragment>, String> {
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut files: Vec<_> =
        entries.map_err(|error| unreadable(path, &error))?.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && file.extension().is_some_and(|extension| extension == "toml")
    });
    files.sort();
    files.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<Fragment, String> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok(Fragment::new(path.display().to_string(), text))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library adds kinds")]
fn unreadable(path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "create it or correct --config",
        io::ErrorKind::PermissionDenied => "make it readable for the user that runs this program",
        _ => "see that it is a readable text file",
    };
    format!("{}: cannot be read ({error}); {remedy}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(fragments: &[Fragment]) -> Vec<&str> {
        fragments.iter().map(|fragment| fragment.path.rsplit('/').next().unwrap_or_default()).collect()
    }

    #[test]
    fn reads_files_and_directories_in_order() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for name in ["20-b.toml", "10-a.toml", ".hidden.toml", "note.txt"] {
            fs::write(at(name), "tick = '5s'").unwrap();
        }
        assert_eq!(paths(&read(&[home.path().into()], "scaler").unwrap()), ["10-a.toml", "20-b.toml"]);
        assert_eq!(paths(&read(&[at("note.txt"), at("10-a.toml")], "scaler").unwrap()), ["note.txt", "10-a.toml"]);
        fs::create_dir(at("scaler.d")).unwrap();
        for name in ["scaler.toml", "scaler.d/20.toml", "scaler.d/10.toml", "agent.toml"] {
            fs::write(at(name), "tick = '5s'").unwrap();
        }
        assert_eq!(paths(&usual(home.path(), "scaler").unwrap()), ["scaler.toml", "10.toml", "20.toml"]);
    }

    #[test]
    fn says_what_is_not_there() {
        let home = tempfile::tempdir().unwrap();
        let (none, dir) = (home.path().join("none.toml"), home.path());
        let shown = none.display();
        assert_eq!(
            read(std::slice::from_ref(&none), "scaler").unwrap_err(),
            format!("{shown}: cannot be read (No such file or directory (os error 2)); create it or correct --config")
        );
        assert_eq!(
            read(&[dir.into()], "scaler").unwrap_err(),
            format!("{}: there is no *.toml file in this directory; add one", dir.display())
        );
        assert_eq!(paths(&usual(dir, "scaler").unwrap()), [""; 0]);
    }
}
