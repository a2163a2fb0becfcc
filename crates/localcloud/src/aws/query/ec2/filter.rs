//! Filters of describes.

use crate::aws::query::{error::AwsError, form::Form};

/// A filter of a describe: a name and the values that match, any of them.
pub(crate) struct Filter<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: Vec<&'a str>,
}

impl Filter<'_> {
    /// Whether a value matches; `*` stands for any text, `?` for any letter.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        self.values.iter().any(|pattern| wildcard(pattern.as_bytes(), value.as_bytes()))
    }

    pub(crate) fn unknown(&self) -> AwsError {
        AwsError::new("InvalidParameterValue", format!("The filter '{}' is invalid", self.name))
    }
}

pub(crate) fn filters<'a>(form: &Form<'a>) -> Result<Vec<Filter<'a>>, AwsError> {
    let filters = form.structures("Filter");
    filters.iter().map(|filter| Ok(Filter { name: filter.need("Name")?, values: filter.list("Value") })).collect()
}

fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skip| wildcard(rest, &text[skip..])),
        (Some((b'?', rest)), Some((_, text))) => wildcard(rest, text),
        (Some((letter, rest)), Some((first, text))) => letter == first && wildcard(rest, text),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn wildcards_match_as_documented() {
        assert!(wildcard(b"a*c", b"abbbc"));
        assert!(wildcard(b"*", b""));
        assert!(wildcard(b"a?c", b"abc"));
        assert!(!wildcard(b"a?c", b"ac"));
        assert!(!wildcard(b"abc", b"abcd"));
    }
}
