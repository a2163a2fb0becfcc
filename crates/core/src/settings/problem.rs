//! What is wrong in the settings: place, key, value and remedy.

use std::{fmt, sync::Arc};

use crate::exchange::{ErrorKind, ExchangeError};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingLocation {
    /// The file's name, or what else holds values.
    pub file: Arc<str>,
    /// The line in it, from 1; `None` when the whole is meant.
    pub line: Option<usize>,
}

impl SettingLocation {
    /// All of what has this name.
    pub(super) fn whole(name: impl Into<Arc<str>>) -> Self {
        Self { file: name.into(), line: None }
    }
}

impl fmt::Display for SettingLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// One thing that is wrong in the settings, or doubtful when it is a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where; `None` when the problem is that there is no file.
    pub place: Option<SettingLocation>,
    /// The full path of the key, such as `pool[linux].slots`.
    pub key: String,
    /// The value as it was written; `None` when there is none or when it may be a secret.
    pub value: Option<String>,
    /// What is wrong and what is expected; without a value it goes on from the key, as in "is missing".
    pub wrong: Box<str>,
    /// What to do.
    pub remedy: Box<str>,
    /// Whether it is that something is not there, which may stand in another file.
    pub missing: bool,
}

impl Problem {
    /// A problem with the value of a key, which the reader of the settings completes with its value and its place.
    pub(crate) fn new(key: impl Into<String>, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (wrong, remedy) = (wrong.into().into(), remedy.into().into());
        Self { place: None, key: key.into(), value: None, wrong, remedy, missing: false }
    }

    /// The same, of what stands there.
    pub(super) fn at(self, place: &SettingLocation) -> Self {
        Self { place: Some(place.clone()), ..self }
    }
}

/// Settings that were not read from a file, and secrets, are refused by what they are for.
impl From<Problem> for ExchangeError {
    fn from(problem: Problem) -> Self {
        Self::new(ErrorKind::Refused, format!("{}; {}", problem.wrong, problem.remedy))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, None) => write!(f, "{key} ")?,
            (key, Some(value)) => write!(f, "{key} = {value}: ")?,
        }
        write!(f, "{}; {}", self.wrong, self.remedy)
    }
}

/// Everything that is wrong in the settings. Never empty; sorted by file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// How many problems are printed; nobody reads a thousand, and the first ones usually explain the rest.
const PRINTED: usize = 20;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the settings have a problem:")?,
            n => write!(f, "the settings have {n} problems:")?,
        }
        for problem in self.0.iter().take(PRINTED) {
            write!(f, "\n  {problem}")?;
        }
        match self.0.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}
