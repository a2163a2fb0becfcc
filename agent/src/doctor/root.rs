//! Where the machine's files are: at `/`, but for tests.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder that stands for `/`.
#[derive(Clone, Debug)]
pub(crate) struct Root(pub(crate) PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self("/".into())
    }
}

impl Root {
    /// Whether this is the machine itself.
    pub(crate) fn is_real(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where a path of the machine is.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if path.starts_with(&self.0) { path.to_owned() } else { self.0.join(path.strip_prefix("/").unwrap_or(path)) }
    }

    /// The text of a file; `None` when there is none.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, String> {
        match fs::read_to_string(self.at(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{path} cannot be read: {error}")),
        }
    }

    /// Whether something is there, be it a link to nothing.
    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// What is in a folder, as paths of the machine, in order; empty when there is none.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let mut found: Vec<_> =
            entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())).collect();
        found.sort();
        found
    }
}

/// Whether a path ends so, behind a dot.
pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}
