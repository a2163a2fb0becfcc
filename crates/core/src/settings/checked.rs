//! Texts, paths, times and calls whose type says what was made sure of where they were read.

use std::{
    fmt,
    num::NonZeroU32,
    ops::Deref,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::Problem;

/// A text of its own type, which exists only once a check has let it pass.
macro_rules! checked_text {
    ($(#[$about:meta])* $name:ident, $check:path) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl std::str::FromStr for $name {
            type Err = $crate::settings::Problem;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
pub(crate) use checked_text;

checked_text! {
    /// Text that is more than white space.
    NonBlank, check_blank
}

fn check_blank(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::new("", "expected text that is not empty", "write it in quotes"));
    }
    Ok(())
}

impl NonBlank {
    /// A default.
    pub(crate) fn of(text: &'static str) -> Self {
        debug_assert!(check_blank(text).is_ok());
        Self(text.to_owned())
    }
}

/// An absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsolutePath(PathBuf);

impl FromStr for AbsolutePath {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if !Path::new(text).is_absolute() {
            return Err(Problem::new("", "expected an absolute path", "begin it with a slash"));
        }
        Ok(Self(text.into()))
    }
}

impl Deref for AbsolutePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl From<AbsolutePath> for PathBuf {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}

/// A time of whole seconds, as other programs take it; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WholeSeconds(NonZeroU32);

impl WholeSeconds {
    /// So many; one for none.
    pub const fn of(seconds: u32) -> Self {
        match NonZeroU32::new(seconds) {
            Some(seconds) => Self(seconds),
            None => Self(NonZeroU32::MIN),
        }
    }

    /// This time, unless it has smaller parts or is none at all.
    pub(crate) fn exactly(time: Duration) -> Option<Self> {
        u32::try_from(time.as_secs()).ok().and_then(NonZeroU32::new).filter(|_| time.subsec_nanos() == 0).map(Self)
    }

    /// How many.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A list of one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonEmpty<T>(Vec<T>);

impl<T> NonEmpty<T> {
    /// The list, if there is something in it.
    pub fn new(list: Vec<T>) -> Option<Self> {
        (!list.is_empty()).then_some(Self(list))
    }
}

impl<T> Deref for NonEmpty<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Argv(Vec<String>);

impl Argv {
    /// A default.
    pub(crate) fn of(program: &'static str, arguments: &[&'static str]) -> Self {
        Self([program].iter().chain(arguments).map(|&word| word.to_owned()).collect())
    }

    /// The program: by its path, or by a name that is looked up in `PATH`.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// What stands behind it.
    pub fn arguments(&self) -> &[String] {
        self.0.get(1..).unwrap_or_default()
    }
}

impl TryFrom<Vec<String>> for Argv {
    type Error = Problem;

    fn try_from(argv: Vec<String>) -> Result<Self, Problem> {
        if argv.first().is_none_or(|program| program.trim().is_empty()) {
            let remedy = "write at least the program: [\"/path/to/program\"]";
            return Err(Problem::new("", "expected a program and its arguments", remedy));
        }
        Ok(Self(argv))
    }
}

impl Deref for Argv {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl From<Argv> for Vec<String> {
    fn from(argv: Argv) -> Self {
        argv.0
    }
}

impl fmt::Display for Argv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}
