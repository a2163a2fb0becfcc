//! How a section of the settings is read: one method for each type of value, which notes a problem instead of failing.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{Section, wrong};
use crate::{
    duration::{format_duration, parse_duration},
    settings::{
        AbsolutePath, Argv, BaseUrl, NonBlank, NonEmpty, Problem, SecretSource, WholeSeconds,
        tree::{Node, Table, Value},
    },
};

/// One method for each type of value. Each gives `None` when the key is absent or, after noting the problem, wrong.
impl<'a> Section<'a> {
    /// A whole number in a range.
    pub(crate) fn integer<T>(&self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let (path, node) = self.find(key)?;
        let number = match &node.value {
            Value::Integer(number) => T::try_from(*number).ok().filter(|number| range.contains(number)),
            Value::Text(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
        };
        if number.is_none() {
            let above = matches!(&node.value, Value::Integer(number) if *number > 0);
            let example = if above { range.end() } else { range.start() };
            let remedy = numeral(key, node, |text| text.parse::<i64>().is_ok(), example);
            self.report.problem(wrong(
                &path,
                node,
                format!("expected a whole number from {} to {}", range.start(), range.end()),
                remedy,
            ));
        }
        number
    }

    /// A number in a range, with or without a point.
    pub(in crate::settings) fn number(&self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let (path, node) = self.find(key)?;
        let read = |text: &str| text.replace('_', "").parse().ok().filter(|number| range.contains(number));
        let number = match &node.value {
            Value::Integer(number) => read(&number.to_string()),
            Value::Other(text) => read(text),
            Value::Text(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) => None,
        };
        if number.is_none() {
            let remedy = numeral(key, node, |text| read(text).is_some(), &"0.1008");
            let expected = format!("expected a number from {} to {}", range.start(), range.end());
            self.report.problem(wrong(&path, node, expected, remedy));
        }
        number
    }

    /// A duration in a range.
    pub(crate) fn duration(&self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.duration_or(key, range, None).flatten()
    }

    /// A duration in a range, or a word that stands for none: `Some(None)`.
    #[expect(clippy::option_option, reason = "a key is absent, holds the word, or holds a value")]
    pub(crate) fn duration_or(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
        word: Option<&str>,
    ) -> Option<Option<Duration>> {
        let (path, node) = self.find(key)?;
        let read = match &node.value {
            Value::Text(text) if Some(text.as_str()) == word => return Some(None),
            Value::Text(text) => parse_duration(text).ok(),
            Value::Integer(0) => Some(Duration::ZERO),
            Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
        };
        if let Some(duration) = read.filter(|duration| range.contains(duration)) {
            return Some(Some(duration));
        }
        let or = word.map(|word| format!(" or {word:?}")).unwrap_or_default();
        let expected = format!(
            "expected a duration from {} to {}{or}",
            format_duration(*range.start()),
            format_duration(*range.end())
        );
        let remedy = match (&node.value, read) {
            (Value::Integer(number), _) if *number > 0 => {
                format!("a bare number hides its unit: write {key} = \"{number}s\" if seconds are meant")
            }
            (_, Some(read)) => {
                format!("write for example {key} = \"{}\"", format_duration(read.clamp(*range.start(), *range.end())))
            }
            (_, None) => format!("write a number with its unit, such as {key} = \"90s\", \"10m\" or \"2h30m\""),
        };
        self.report.problem(wrong(&path, node, expected, remedy));
        None
    }

    /// A duration in a range, in seconds, that has no smaller parts.
    pub(crate) fn whole_seconds(&self, key: &str, range: RangeInclusive<u64>) -> Option<WholeSeconds> {
        let duration = self.duration(key, Duration::from_secs(*range.start())..=Duration::from_secs(*range.end()))?;
        let whole = WholeSeconds::exactly(duration);
        if whole.is_none() {
            let next = format_duration(Duration::from_secs(duration.as_secs() + 1));
            let remedy = format!("write for example {key} = \"{next}\"");
            self.contradiction(key, "expected a number of whole seconds", remedy);
        }
        whole
    }

    /// Text that is not empty.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.non_blank(key).map(|text| text.to_string())
    }

    /// The same, which its type says.
    pub(crate) fn non_blank(&self, key: &str) -> Option<NonBlank> {
        let (path, node) = self.find(key)?;
        if let Value::Text(text) = &node.value
            && let Ok(text) = text.parse()
        {
            return Some(text);
        }
        self.report.problem(wrong(
            &path,
            node,
            "expected text that is not empty",
            format!("write it in quotes: {key} = \"...\""),
        ));
        None
    }

    /// Text of a type of its own.
    pub(crate) fn parsed<T: FromStr<Err = Problem>>(&self, key: &str) -> Option<T> {
        self.valid(key, self.text(key)?.parse())
    }

    /// A list of such texts.
    pub(crate) fn parsed_list<T: FromStr<Err = Problem>>(&self, key: &str) -> Option<Vec<T>> {
        self.valid(key, self.texts(key)?.iter().map(|text| text.parse()).collect())
    }

    /// The same with one at least; `remedy` says how to write them.
    pub(crate) fn one_or_more<T: FromStr<Err = Problem>>(&self, key: &str, remedy: &str) -> Option<NonEmpty<T>> {
        let list = NonEmpty::new(self.parsed_list(key)?);
        self.valid(key, list.ok_or_else(|| Problem::new(key, "expected one at least", remedy)))
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let (path, node) = self.find(key)?;
        let found = match &node.value {
            Value::Text(text) => words.iter().find(|(word, _)| word == text),
            Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
        };
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let remedy = format!("write for example {key} = {:?}", words[0].0);
            self.report.problem(wrong(&path, node, format!("expected {}", all.join(" or ")), remedy));
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let (path, node) = self.find(key)?;
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        self.report.problem(wrong(&path, node, "expected true or false", format!("write without quotes {key} = true")));
        None
    }

    /// True, false, or a word that stands for neither: `Some(None)`.
    #[expect(clippy::option_option, reason = "a key is absent, holds the word, or holds a value")]
    pub(crate) fn flag_or(&self, key: &str, word: &str) -> Option<Option<bool>> {
        let (path, node) = self.find(key)?;
        match &node.value {
            Value::Bool(flag) => Some(Some(*flag)),
            Value::Text(text) if text == word => Some(None),
            Value::Text(_) | Value::Integer(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => {
                let expected = format!("expected true, false or {word:?}");
                self.report.problem(wrong(&path, node, expected, format!("write for example {key} = {word:?}")));
                None
            }
        }
    }

    /// A list of texts, none of them empty.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let (path, node) = self.find(key)?;
        let item = |item: &Node| match &item.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Bool(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Other(_) => None,
        };
        let texts: Option<Vec<_>> = match &node.value {
            Value::List(items) => items.iter().map(item).collect(),
            Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::Table(_) | Value::Other(_) => None,
        };
        if texts.is_none() {
            let example = if let Value::Text(text) = &node.value { text.as_str() } else { "..." };
            let remedy = format!("write it with brackets and quotes: {key} = [{example:?}]");
            self.report.problem(wrong(&path, node, "expected a list of texts, none of them empty", remedy));
        }
        texts
    }

    /// A program and its arguments.
    pub(crate) fn program(&self, key: &str) -> Option<Argv> {
        self.valid(key, self.texts(key)?.try_into())
    }

    /// An absolute path.
    pub(crate) fn absolute(&self, key: &str) -> Option<AbsolutePath> {
        let text = self.text(key)?;
        let path = text.parse();
        if path.is_err() {
            let remedy = format!("begin it with a slash: {key} = \"/{text}\"");
            self.contradiction(key, "expected an absolute path", remedy);
        }
        path.ok()
    }

    /// The tables of a list such as `[[pool]]`. None at all is a problem.
    pub(in crate::settings) fn tables(&self, key: &str) -> Vec<(&'a Node, &'a Table)> {
        let Some((path, node)) = self.find(key) else {
            self.missing(key, "there is nothing to do without one", format!("add a table [[{key}]]"));
            return Vec::new();
        };
        let table = |node: &'a Node| match &node.value {
            Value::Table(table) => Some((node, table)),
            Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Other(_) => None,
        };
        let tables: Option<Vec<_>> = match &node.value {
            Value::List(items) if !items.is_empty() => items.iter().map(table).collect(),
            Value::List(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Bool(_)
            | Value::Table(_)
            | Value::Other(_) => None,
        };
        if tables.is_none() {
            let remedy = format!("begin each with a line of its own, with two brackets: [[{key}]]");
            self.report.problem(wrong(&path, node, "expected one or more tables", remedy));
        }
        tables.unwrap_or_default()
    }

    /// Where a secret comes from.
    pub(crate) fn secret(&self, key: &str) -> Option<SecretSource> {
        let (path, node) = self.find(key)?;
        let source = match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(SecretSource::Inline(text.trim().into())),
            Value::Table(table) => match secret_source(table) {
                Ok(source) => Some(source),
                // What stands there may be the secret itself.
                Err(hint) => return self.refuse_secret(&path, node, &hint),
            },
            Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Other(_) => None,
        };
        if source.is_none() {
            return self.refuse_secret(&path, node, "is neither text nor a table that says where it is");
        }
        source
    }

    fn refuse_secret(&self, path: &str, node: &Node, what: &str) -> Option<SecretSource> {
        let remedy = "write the text itself in quotes, or one of { file = \"/path\" }, { env = \"NAME\" }, { ssm = \"/name\" }, \
                      { secretsmanager = \"name\", key = \"name in it\" }, { keyvault = \"https://VAULT.vault.azure.net/secrets/NAME\" }";
        self.report.problem(Problem { value: None, ..wrong(path, node, what, remedy) });
        None
    }
}

/// What to write where a number is expected: what stands there, where it lacks nothing but is text.
fn numeral(key: &str, node: &Node, reads: impl Fn(&str) -> bool, example: &dyn Display) -> String {
    match &node.value {
        Value::Text(text) if reads(text.trim()) => format!("leave out the quotes: {key} = {}", text.trim()),
        Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => {
            format!("write for example {key} = {example}")
        }
    }
}

fn secret_source(table: &Table) -> Result<SecretSource, String> {
    const PLACES: [&str; 5] = ["file", "env", "ssm", "secretsmanager", "keyvault"];
    let mut key = None;
    let mut places = Vec::new();
    for (name, node) in table {
        let Some(place) = PLACES.into_iter().chain(["key"]).find(|known| known == name) else {
            return Err(format!("has {name}, which is no place for a secret"));
        };
        let text = match &node.value {
            Value::Text(text) if !text.trim().is_empty() => text.trim().to_owned(),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Bool(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Other(_) => return Err(format!("needs text that is not empty for {name}")),
        };
        if place == "key" { key = Some(text) } else { places.push((place, text)) }
    }
    let [(place, text)] = &places[..] else {
        let key_alone = places.is_empty() && key.is_some();
        return Err(match (places.is_empty(), key_alone) {
            (true, true) => "has key, which goes with secretsmanager only".into(),
            (true, false) => "names no place".into(),
            (false, _) => "names more than one place".into(),
        });
    };
    let text = text.clone();
    match (*place, key) {
        ("secretsmanager", key) => Ok(SecretSource::SecretsManager { id: text, key }),
        (_, Some(_)) => Err("has key, which goes with secretsmanager only".into()),
        ("file", None) => Ok(SecretSource::File(text.into())),
        ("env", None) => Ok(SecretSource::Env(text)),
        ("ssm", None) => Ok(SecretSource::Ssm(text)),
        (_, None) if is_key_vault(&text) => Ok(SecretSource::KeyVault(text)),
        (_, None) => {
            Err("has a keyvault that is no identifier such as https://VAULT.vault.azure.net/secrets/NAME".into())
        }
    }
}

/// Whether it is a secret's identifier (Azure Key Vault, "Objects, identifiers, and versioning"): its host, `secrets`, a name, perhaps a version.
/// On a machine's own address it may be without TLS.
fn is_key_vault(text: &str) -> bool {
    let url = BaseUrl::parse(text).ok().filter(|url| url.hides_tokens() && url.as_str() == text.trim_end_matches('/'));
    let parts: Vec<&str> = url.as_ref().map_or("", BaseUrl::path).split('/').collect();
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match parts[..] {
        ["", "secrets", name] => plain(name),
        ["", "secrets", name, version] => plain(name) && plain(version),
        _ => false,
    }
}
