//! Which cloud is meant, and where in it.

use serde::{Deserialize, Serialize};

/// A cloud that settings can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudName {
    /// Amazon Web Services.
    #[default]
    Aws,
    Azure,
    /// One that a program of the user's stands for.
    Program,
}

impl CloudName {
    pub const ALL: [Self; 3] = [Self::Aws, Self::Azure, Self::Program];

    /// The word in settings and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Program => "program",
        }
    }
}

/// Where groups are that are read together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Whose groups they are.
    pub cloud: CloudName,
    /// The region; `None`: the environment's, or the groups' names say it.
    pub region: Option<String>,
    /// The user's program and its first arguments, where one stands for the cloud; else empty.
    pub program: Vec<String>,
}
