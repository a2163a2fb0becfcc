//! The fields of a call, with lists and structures flattened as the query protocol does.

use std::{collections::BTreeMap, collections::BTreeSet, ops::RangeInclusive};

use super::error::AwsError;

/// The service that a call is for. Each has its own way to write lists and to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    AutoScaling,
    Ec2,
    Sts,
    Iam,
}

impl Service {
    /// The service that a call is for, by its version.
    pub(crate) fn of(fields: &BTreeMap<String, String>) -> Option<Self> {
        let version = fields.get("Version")?;
        [Self::AutoScaling, Self::Ec2, Self::Sts, Self::Iam].into_iter().find(|service| service.version() == version)
    }

    /// The version of its API.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::AutoScaling => "2011-01-01",
            Self::Ec2 => "2016-11-15",
            Self::Sts => "2011-06-15",
            Self::Iam => "2010-05-08",
        }
    }
}

/// The fields of a call, or of one structure within it.
#[derive(Clone, Debug)]
pub(crate) struct Form<'a> {
    fields: &'a BTreeMap<String, String>,
    service: Service,
    /// Ends with a dot unless empty.
    prefix: String,
}

impl<'a> Form<'a> {
    pub(crate) fn new(fields: &'a BTreeMap<String, String>, service: Service) -> Self {
        Self { fields, service, prefix: String::new() }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.fields.get(&format!("{}{name}", self.prefix)).map(String::as_str)
    }

    pub(crate) fn need(&self, name: &str) -> Result<&'a str, AwsError> {
        self.text(name).filter(|value| !value.is_empty()).ok_or_else(|| self.missing(name))
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, AwsError> {
        match self.text(name) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(self.malformed(name, value)),
        }
    }

    pub(crate) fn need_flag(&self, name: &str) -> Result<bool, AwsError> {
        self.flag(name)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number within limits.
    pub(crate) fn number(&self, name: &str, limits: RangeInclusive<u32>) -> Result<Option<u32>, AwsError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let number: i64 = value.parse().map_err(|_| self.malformed(name, value))?;
        let limit = match u32::try_from(number) {
            Ok(number) if limits.contains(&number) => return Ok(Some(number)),
            Ok(number) if number > *limits.end() => format!("less than or equal to {}", limits.end()),
            Err(_) if number > 0 => format!("less than or equal to {}", limits.end()),
            Ok(_) | Err(_) => format!("greater than or equal to {}", limits.start()),
        };
        Err(match self.service {
            Service::AutoScaling | Service::Sts | Service::Iam => AwsError::validation(format!(
                "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: Member must have \
                 value {limit}",
                camel(name)
            )),
            Service::Ec2 => self.malformed(name, value),
        })
    }

    pub(crate) fn need_number(&self, name: &str, limits: RangeInclusive<u32>) -> Result<u32, AwsError> {
        self.number(name, limits)?.ok_or_else(|| self.missing(name))
    }

    /// A list of plain values.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a str> {
        let start = self.list_start(name);
        let values = self.indices(&start).into_iter().map(|index| self.fields.get(&format!("{start}{index}")));
        values.flatten().map(String::as_str).collect()
    }

    /// Like [`Form::list`], with one value at least.
    pub(crate) fn need_list(&self, name: &str) -> Result<Vec<&'a str>, AwsError> {
        let values = self.list(name);
        if values.is_empty() { Err(self.missing(name)) } else { Ok(values) }
    }

    /// Like [`Form::list`], but no longer than the API allows.
    pub(crate) fn list_up_to(&self, name: &str, limit: usize) -> Result<Vec<&'a str>, AwsError> {
        let values = self.list(name);
        if values.len() <= limit {
            return Ok(values);
        }
        Err(AwsError::validation(format!(
            "1 validation error detected: Value '[{}]' at '{}' failed to satisfy constraint: Member must have length \
             less than or equal to {limit}",
            values.join(", "),
            camel(name)
        )))
    }

    /// A list of structures.
    pub(crate) fn structures(&self, name: &str) -> Vec<Form<'a>> {
        let start = self.list_start(name);
        self.indices(&start).into_iter().map(|index| self.within(format!("{start}{index}."))).collect()
    }

    /// A structure; without any field when it is absent.
    pub(crate) fn part(&self, name: &str) -> Form<'a> {
        self.within(format!("{}{name}.", self.prefix))
    }

    /// Whether any field of a structure is there.
    pub(crate) fn is_empty(&self) -> bool {
        !self.fields.range(self.prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(&self.prefix))
    }

    pub(crate) fn missing(&self, name: &str) -> AwsError {
        match self.service {
            Service::AutoScaling | Service::Sts | Service::Iam => AwsError::validation(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
                camel(&format!("{}{name}", self.prefix))
            )),
            Service::Ec2 => {
                let name = format!("{}{name}", self.prefix);
                AwsError::new("MissingParameter", format!("The request must contain the parameter {name}"))
            }
        }
    }

    fn malformed(&self, name: &str, value: &str) -> AwsError {
        match self.service {
            Service::AutoScaling | Service::Sts | Service::Iam => {
                AwsError::new("MalformedInput", format!("Value '{value}' at '{}' is malformed", camel(name)))
            }
            Service::Ec2 => {
                AwsError::new("InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
            }
        }
    }

    fn within(&self, prefix: String) -> Form<'a> {
        Form { fields: self.fields, service: self.service, prefix }
    }

    fn list_start(&self, name: &str) -> String {
        match self.service {
            Service::AutoScaling | Service::Sts | Service::Iam => format!("{}{name}.member.", self.prefix),
            Service::Ec2 => format!("{}{name}.", self.prefix),
        }
    }

    fn indices(&self, start: &str) -> BTreeSet<u32> {
        let keys = self.fields.range(start.to_owned()..).map_while(|(key, _)| key.strip_prefix(start));
        keys.filter_map(|rest| rest.split('.').next()?.parse().ok()).collect()
    }
}

/// `InstanceIds` as `instanceIds`, as the validation messages name fields.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_lowercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn lists_come_in_the_order_of_their_numbers() {
        let fields =
            fields(&[("Ids.member.10", "j"), ("Ids.member.2", "b"), ("Ids.member.1", "a"), ("IdsX.member.1", "no")]);
        assert_eq!(Form::new(&fields, Service::AutoScaling).list("Ids"), ["a", "b", "j"]);
    }

    #[test]
    fn structures_see_only_their_own_fields() {
        let fields = fields(&[("Filter.1.Name", "tag:a"), ("Filter.1.Value.1", "x"), ("Filter.2.Name", "tag:b")]);
        let filters = Form::new(&fields, Service::Ec2).structures("Filter");
        assert_eq!(filters.len(), 2);
        assert_eq!(filters[0].list("Value"), ["x"]);
        assert!(filters[1].list("Value").is_empty());
    }

    #[test]
    fn says_which_field_is_missing_or_out_of_range() {
        let fields = fields(&[("DesiredCapacity", "-1"), ("MaxRecords", "101")]);
        let form = Form::new(&fields, Service::AutoScaling);
        assert_eq!(
            form.number("DesiredCapacity", 0..=u32::MAX).unwrap_err().message,
            "1 validation error detected: Value '-1' at 'desiredCapacity' failed to satisfy constraint: Member must \
             have value greater than or equal to 0"
        );
        assert!(form.number("MaxRecords", 1..=100).unwrap_err().message.ends_with("less than or equal to 100"));
        assert_eq!(
            form.need_flag("ShouldDecrementDesiredCapacity").unwrap_err().message,
            "1 validation error detected: Value null at 'shouldDecrementDesiredCapacity' failed to satisfy constraint: \
             Member must not be null"
        );
    }
}
