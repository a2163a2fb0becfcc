//! Finds and reads the files of settings, and replaces files of the programs' own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, fchown},
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

/// The TZif file of a time zone (RFC 9636), such as `Europe/Berlin`, where this system has one of that name.
pub fn zone(name: &str) -> Option<Vec<u8>> {
    zone_in(Path::new("/usr/share/zoneinfo"), name)
}

/// A name is a path of plain words below the folder, and leads nowhere else.
fn zone_in(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(plain);
    if !name.split('/').all(is_word) {
        return None;
    }
    fs::read(folder.join(name)).ok()
}

/// Replaces a file as a whole: whoever reads it finds the old one or the new one. With `durable`, after a crash of the
/// machine as well. For one writer at a time.
///
/// # Errors
/// When it cannot be written, by a folder that is missing or read-only or a disk that is full; the old file is still there then.
pub fn replace(path: &Path, contents: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    replace_for(None, path, contents, mode, durable)
}

/// The same, with a file that belongs to this user and group. It does so before it has its name, where nobody could put another file.
///
/// # Errors
/// As [`replace`], and when it cannot be given away.
pub fn replace_for(
    owner: Option<(u32, u32)>,
    path: &Path,
    contents: &[u8],
    mode: u32,
    durable: bool,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // One name for ever: what a writer left that was killed half way is taken away by the next, and cannot add up.
    let draft = path.with_file_name(format!(".{name}.draft"));
    // Made anew, so that its mode is the one asked for, and a link of this name that somebody has put there is not followed.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_anew(&draft, owner, contents, mode, durable).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may hold a secret.
        let _ = fs::remove_file(&draft);
    }
    written?;
    if durable && let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn write_anew(path: &Path, owner: Option<(u32, u32)>, contents: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(contents)?;
    if durable { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_zone_is_a_file_below_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("zones/Europe")).unwrap();
        fs::write(folder.path().join("zones/Europe/Berlin"), "TZif").unwrap();
        fs::write(folder.path().join("secret"), "no zone").unwrap();
        let zone = |name| zone_in(&folder.path().join("zones"), name);
        assert_eq!(zone("Europe/Berlin"), Some(b"TZif".to_vec()));
        for name in ["Europe/Paris", "Europe", "../secret", "/etc/hostname", "", "Europe//Berlin", "./Europe/Berlin"] {
            assert_eq!(zone(name), None, "{name}");
        }
    }

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
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let (path, other) = (home.path().join("state.json"), home.path().join("other"));
        fs::write(&other, "untouched").unwrap();
        // A writer was killed half way, or somebody put a link there.
        symlink(&other, home.path().join(".state.json.draft")).unwrap();
        for (contents, durable) in [("one", false), ("two", true)] {
            replace(&path, contents.as_bytes(), 0o600, durable).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
        let names = || fs::read_dir(home.path()).unwrap().count();
        assert_eq!(names(), 2);
        fs::create_dir(home.path().join("folder")).unwrap();
        replace(&home.path().join("folder"), b"three", 0o600, true).unwrap_err();
        assert_eq!(names(), 3, "no draft is left of what could not be written");
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
