use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The CI platforms that can be embedded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum PlatformKind {
    #[default]
    GitLab,
    StackGuardian,
    Spacelift,
    CircleCi,
    GitHub,
    Buildkite,
}

impl PlatformKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::GitLab, Self::StackGuardian, Self::Spacelift, Self::CircleCi, Self::GitHub, Self::Buildkite];

    /// The name in settings, such as `github`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitLab => "gitlab",
            Self::StackGuardian => "stackguardian",
            Self::Spacelift => "spacelift",
            Self::CircleCi => "circleci",
            Self::GitHub => "github",
            Self::Buildkite => "buildkite",
        }
    }
}

impl fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform; it is one of gitlab, stackguardian, spacelift, circleci, github, buildkite")]
pub struct UnknownPlatform(String);

impl FromStr for PlatformKind {
    type Err = UnknownPlatform;

    fn from_str(name: &str) -> Result<Self, UnknownPlatform> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| UnknownPlatform(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_settings_and_in_json() {
        for kind in PlatformKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
        let refusal = "gitlob".parse::<PlatformKind>().expect_err("no such platform").to_string();
        assert!(refusal.contains("\"gitlob\"") && refusal.contains("github"), "{refusal}");
    }
}
