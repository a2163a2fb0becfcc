//! What went wrong, as one of few words: the values of a metric's label must be bounded.

use crate::{cloud::CloudErrorKind, exchange::ErrorKind};

/// The word for a CI platform's error; `None` when it is none: somebody else reads, as they should.
pub fn platform_reason(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Unauthorized => Some("unauthorized"),
        ErrorKind::Forbidden => Some("forbidden"),
        ErrorKind::NotFound | ErrorKind::NoRunner => Some("not_found"),
        ErrorKind::Occupied(_) => None,
        ErrorKind::Throttled(_) => Some("throttled"),
        ErrorKind::Server => Some("server"),
        ErrorKind::Unreachable => Some("unreachable"),
        ErrorKind::TimeOver => Some("timeout"),
        ErrorKind::Malformed => Some("malformed"),
        ErrorKind::Refused => Some("refused"),
    }
}

/// The word for a cloud's error; `None` when it is an answer that must be expected.
pub fn cloud_reason(kind: CloudErrorKind) -> Option<&'static str> {
    match kind {
        CloudErrorKind::AtFloor | CloudErrorKind::InProgress | CloudErrorKind::NothingHeld => None,
        CloudErrorKind::OutOfBounds => Some("refused"),
        CloudErrorKind::NotFound => Some("not_found"),
        CloudErrorKind::Denied => Some("forbidden"),
        CloudErrorKind::Credentials => Some("unauthorized"),
        CloudErrorKind::Throttled => Some("throttled"),
        CloudErrorKind::Timeout => Some("timeout"),
        CloudErrorKind::Unreachable => Some("unreachable"),
        CloudErrorKind::Other => Some("other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Id, Program, Registry, metric};

    #[test]
    fn every_word_is_in_the_table() {
        let platform = [
            ErrorKind::Unauthorized,
            ErrorKind::Forbidden,
            ErrorKind::NotFound,
            ErrorKind::NoRunner,
            ErrorKind::Throttled(None),
            ErrorKind::Server,
            ErrorKind::Unreachable,
            ErrorKind::TimeOver,
            ErrorKind::Malformed,
            ErrorKind::Refused,
        ];
        let cloud = [
            CloudErrorKind::OutOfBounds,
            CloudErrorKind::NotFound,
            CloudErrorKind::Denied,
            CloudErrorKind::Credentials,
            CloudErrorKind::Throttled,
            CloudErrorKind::Timeout,
            CloudErrorKind::Unreachable,
            CloudErrorKind::Other,
        ];
        let words = platform.into_iter().filter_map(platform_reason).chain(cloud.into_iter().filter_map(cloud_reason));
        let mut registry = Registry::new(Program::Scaler, false);
        let count = words.map(|word| registry.add(Id::Errors, "ci", &["cloud", word], 1.0)).count();
        let counted: f64 = registry
            .samples(metric(Id::Errors), None)
            .map(|sample| if let crate::metrics::Value::Number(number) = sample.value { number } else { 0.0 })
            .sum();
        assert_eq!((count, counted), (18, 18.0));
    }
}
