//! Keys as data: what the reader knows, what it suggests, and what the documentation lists come from one table.

/// One key of a table of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    /// Whose settings have it.
    pub side: Side,
    /// The type of its value, in words.
    pub kind: &'static str,
    /// What holds when it is absent, as Markdown; `None`: it must be there.
    pub default: Option<&'static str>,
    /// What it is for, as Markdown.
    pub meaning: &'static str,
}

/// Whose settings have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Scaler,
    Agent,
    /// Both have it.
    Both,
}

impl Key {
    /// Whether its value may hold a secret besides what it is for.
    pub(super) fn may_hold_secrets(&self) -> bool {
        self.kind.contains("NAME=value") || self.kind == "TOML text"
    }

    /// A key that must be there, or that depends on others as its meaning says.
    pub const fn required(name: &'static str, side: Side, kind: &'static str, meaning: &'static str) -> Self {
        Self { name, side, kind, default: None, meaning }
    }

    /// A key that has a default.
    pub const fn optional(
        name: &'static str,
        side: Side,
        kind: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, side, kind, default: Some(default), meaning }
    }
}

/// The names of a side's keys.
pub(crate) fn names(keys: &'static [Key], side: Side) -> impl Iterator<Item = &'static str> {
    keys.iter().filter(move |key| key.side == side || key.side == Side::Both).map(|key| key.name)
}
