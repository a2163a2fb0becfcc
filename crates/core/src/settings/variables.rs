//! Variables that the functions of other systems have in their environment, understood as settings of one pool. Each platform lists those of
//! the system whose users are to come over; what becomes of each is said.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fragment, Problem, Problems, ScaleSetId, ScalerSettings, SecretSource,
    problem::SettingLocation,
    reader::Report,
    scaler,
    tree::{Node, Table, Value},
};
use crate::platform::{KINDS, Kind};

/// A variable of another system, and what it means here. One with two meanings stands in its list twice.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// What it means here.
    pub means: VariableMeaning,
}

/// What a variable of another system means here.
#[derive(Clone, Copy, Debug)]
pub enum VariableMeaning {
    Key(VariableSection, &'static str, ValueFormat),
    /// Nothing any more, and why.
    Gone(&'static str),
}

/// Where a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableSection {
    /// Outside of the tables.
    Top,
    /// In the pool's table.
    Pool,
    /// In that of the pool's platform.
    Platform,
}

/// How a value is written as a setting.
#[derive(Clone, Copy, Debug)]
pub enum ValueFormat {
    /// As it is.
    Text,
    /// A whole number.
    Number,
    /// A whole number, of which 0 stands for none.
    NumberAbove0,
    /// True or false, in the words of most languages.
    Flag,
    /// A whole number of minutes.
    Minutes,
    /// The ARN of a group, or its name.
    Group,
    /// The name of an Azure scale set, whose subscription and resource group these other variables hold; or its whole resource id.
    ScaleSet {
        /// The variable of the subscription.
        subscription: &'static str,
        /// The variable of the resource group.
        resource_group: &'static str,
    },
    /// An address, to which we add this end by ourselves.
    AddressWithout(&'static str),
    /// The name of a parameter of Systems Manager that holds the secret.
    Parameter,
    /// The name of a secret of Secrets Manager, which has the secret below this key.
    SecretKey(&'static str),
    /// The same for what is no secret: a list with the one text that stands there.
    StoredIn(&'static str),
}

impl Variable {
    /// A setting at the top.
    pub(crate) const fn top(name: &'static str, key: &'static str, written: ValueFormat) -> Self {
        Self { name, means: VariableMeaning::Key(VariableSection::Top, key, written) }
    }

    /// A setting of the pool.
    pub(crate) const fn pool(name: &'static str, key: &'static str, written: ValueFormat) -> Self {
        Self { name, means: VariableMeaning::Key(VariableSection::Pool, key, written) }
    }

    /// A setting of the platform.
    pub(crate) const fn platform(name: &'static str, key: &'static str, written: ValueFormat) -> Self {
        Self { name, means: VariableMeaning::Key(VariableSection::Platform, key, written) }
    }

    /// It has no meaning any more: why, and what does its work.
    pub(crate) const fn gone(name: &'static str, why: &'static str) -> Self {
        Self { name, means: VariableMeaning::Gone(why) }
    }

    /// The setting that it is, such as `pool.max_step`.
    pub fn key(&self, kind: &Kind) -> Option<String> {
        match self.means {
            VariableMeaning::Key(VariableSection::Top, key, _) => Some(key.to_owned()),
            VariableMeaning::Key(VariableSection::Pool, key, _) => Some(format!("pool.{key}")),
            VariableMeaning::Key(VariableSection::Platform, key, _) => {
                Some(format!("pool.platform.{}.{key}", kind.name))
            }
            VariableMeaning::Gone(_) => None,
        }
    }
}

/// An environment: names and values.
type Environment = BTreeMap<String, String>;

/// A value that a variable does not hold but names.
#[derive(Clone, Debug)]
pub struct StoredValue {
    pub name: &'static str,
    /// Where the value is.
    pub source: SecretSource,
}

/// What has to be fetched before [`from_variables`] can understand this environment.
pub fn stored(environment: &Environment) -> Vec<StoredValue> {
    let Ok(Some(kind)) = system(environment) else { return Vec::new() };
    let named = kind.variables.iter().filter_map(|variable| match variable.means {
        VariableMeaning::Key(_, _, ValueFormat::StoredIn(key)) => {
            let source =
                SecretSource::SecretsManager { id: value(environment, variable.name)?.into(), key: Some(key.into()) };
            Some(StoredValue { name: variable.name, source })
        }
        VariableMeaning::Key(..) | VariableMeaning::Gone(_) => None,
    });
    named.collect()
}

/// Settings of one pool from the variables of another system, and what became of each of them, for the log. `None`: there are no such variables.
/// `fetched` holds what [`stored`] named, by the variables' names.
///
/// # Errors
/// With all problems at once; also when the variables of two systems are there.
pub fn from_variables(
    environment: &Environment,
    fetched: &Environment,
) -> Result<Option<(ScalerSettings, Vec<String>)>, Problems> {
    let Some(kind) = system(environment).map_err(|problem| Problems(vec![problem]))? else { return Ok(None) };
    let report = Report::default();
    let (mut top, mut pool, mut platform, mut said) = (Table::new(), Table::new(), Table::new(), Vec::new());
    for variable in kind.variables {
        let Some(text) = value(environment, variable.name) else { continue };
        let place = SettingLocation::whole(format!("variable {}", variable.name));
        match variable.means {
            VariableMeaning::Gone(why) => said.push(format!("{} has no meaning any more: {why}", variable.name)),
            VariableMeaning::Key(section, key, written) => {
                let text = if matches!(written, ValueFormat::StoredIn(_)) {
                    fetched.get(variable.name).map_or("", String::as_str)
                } else {
                    text
                };
                let value = match written.read(text, &place, environment) {
                    Ok(Some(value)) => value,
                    Ok(None) => continue,
                    Err(missing) => {
                        let wrong =
                            format!("{missing} is not set, and {} = {text:?} says no more than a name", variable.name);
                        let remedy = format!("set {missing}, or {} to the scale set's resource id", variable.name);
                        report.problem(Problem::new(variable.key(kind).unwrap_or_default(), wrong, remedy).at(&place));
                        continue;
                    }
                };
                said.push(format!("{} is understood as {}", variable.name, variable.key(kind).unwrap_or_default()));
                let table = match section {
                    VariableSection::Top => &mut top,
                    VariableSection::Pool => &mut pool,
                    VariableSection::Platform => &mut platform,
                };
                table.insert(key.to_owned(), Node { place, value });
            }
        }
    }
    let place = SettingLocation::whole("environment");
    let node = |value| Node { place: place.clone(), value };
    let platforms = Table::from([(kind.name.to_owned(), node(Value::Table(platform)))]);
    pool.insert("platform".to_owned(), node(Value::Table(platforms)));
    top.insert("pool".to_owned(), node(Value::List(vec![node(Value::Table(pool))])));
    let settings = scaler::read(&report, &top, &[Fragment::new("environment", "")], &|_| None);
    let warnings = report.finish()?;
    Ok(Some((ScalerSettings { warnings, ..settings }, said)))
}

/// The platform most of whose variables are there.
fn system(environment: &Environment) -> Result<Option<&'static Kind>, Problem> {
    let names = |kind: &Kind| -> BTreeSet<&'static str> {
        let names = kind.variables.iter().map(|variable| variable.name);
        names.filter(|name| value(environment, name).is_some()).collect()
    };
    let mut found: Vec<_> =
        KINDS.iter().map(|kind| (names(kind), *kind)).filter(|(names, _)| !names.is_empty()).collect();
    found.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
    if let [(names, kind), (others, other), ..] = &found[..]
        && names.len() == others.len()
    {
        let name = |names: &BTreeSet<&'static str>| names.first().copied().unwrap_or_default();
        let wrong = format!("both {} ({}) and {} ({}) are there", name(names), kind.title, name(others), other.title);
        let remedy = "remove those of one system, or write settings instead";
        return Err(Problem::new("", wrong, remedy).at(&SettingLocation::whole("environment")));
    }
    Ok(found.first().map(|(_, kind)| *kind))
}

/// A variable's value, if it is set and not to nothing.
fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

impl ValueFormat {
    /// `None`: it says that there is none. What does not fit is text, and the reader of the key says what is expected.
    ///
    /// # Errors
    /// With the name of another variable that it needs and that is not there.
    fn read(
        self,
        text: &str,
        place: &SettingLocation,
        environment: &Environment,
    ) -> Result<Option<Value>, &'static str> {
        let number = |text: &str| text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer);
        let node = |value| Node { place: place.clone(), value };
        let secret = |key: &str, value: &str| (key.to_owned(), node(Value::Text(value.to_owned())));
        let other = |name: &'static str| value(environment, name).ok_or(name);
        Ok(Some(match self {
            Self::NumberAbove0 if text == "0" => return Ok(None),
            Self::Number | Self::NumberAbove0 => number(text),
            Self::Text => Value::Text(text.to_owned()),
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Value::Bool(true),
                "false" | "0" | "no" => Value::Bool(false),
                _ => Value::Text(text.to_owned()),
            },
            Self::Minutes => {
                Value::Text(text.parse::<u32>().map_or_else(|_| text.to_owned(), |minutes| format!("{minutes}m")))
            }
            // arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:ID:autoScalingGroupName/NAME
            Self::Group => {
                Value::Text(text.rsplit_once(":autoScalingGroupName/").map_or(text, |(_, name)| name).to_owned())
            }
            Self::ScaleSet { .. } if ScaleSetId::is_meant(text) => Value::Text(text.to_owned()),
            Self::ScaleSet { subscription, resource_group } => {
                let (subscription, resource_group) =
                    (other(subscription)?.to_owned(), other(resource_group)?.to_owned());
                Value::Text(ScaleSetId { subscription, resource_group, name: text.to_owned() }.to_string())
            }
            Self::AddressWithout(end) => Value::Text(text.trim_end_matches('/').trim_end_matches(end).to_owned()),
            Self::Parameter => Value::Table(Table::from([secret("ssm", text)])),
            Self::SecretKey(key) => Value::Table(Table::from([secret("secretsmanager", text), secret("key", key)])),
            Self::StoredIn(_) => Value::List(vec![node(Value::Text(text.to_owned()))]),
        }))
    }
}
