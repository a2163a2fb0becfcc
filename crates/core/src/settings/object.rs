//! Places in an object store.

use std::fmt;

use thiserror::Error;

/// The address of one object: `s3://BUCKET/KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAddress {
    /// The bucket; not empty.
    pub bucket: String,
    /// The object's whole name in it; not empty.
    pub key: String,
}

/// A text that is no address of an object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no address of an object: write s3://BUCKET/KEY")]
pub struct NoObjectAddress(String);

impl ObjectAddress {
    /// Reads an address. Whether the store has such an object, or could, only the store knows.
    ///
    /// # Errors
    /// When it does not begin with `s3://`, or has no bucket or no key.
    pub fn parse(text: &str) -> Result<Self, NoObjectAddress> {
        match split(text) {
            Some((bucket, key)) if !key.is_empty() => Ok(Self { bucket: bucket.into(), key: key.into() }),
            Some(_) | None => Err(NoObjectAddress(text.into())),
        }
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What many objects' addresses begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStore {
    pub bucket: String,
    /// What the objects' names begin with; empty, or with a slash at its end.
    pub prefix: String,
}

impl ObjectStore {
    /// Reads `s3://BUCKET` or `s3://BUCKET/PREFIX`; `None` for what S3 takes for no bucket (S3 User Guide, "General purpose bucket naming rules"),
    /// or a prefix that leaves no room for names.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (bucket, prefix) = split(text)?;
        let fine = (3..=63).contains(&bucket.len())
            && bucket.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
            && prefix.len() <= 512
            && !prefix.chars().any(char::is_control);
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        fine.then(|| Self { bucket: bucket.into(), prefix })
    }
}

/// The bucket, and what stands behind its slash, if anything does.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("s3://")?;
    let (bucket, behind) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bucket_and_a_key() {
        let address = ObjectAddress::parse("s3://acme/ci fleet/scaler.toml").unwrap();
        assert_eq!((address.bucket.as_str(), address.key.as_str()), ("acme", "ci fleet/scaler.toml"));
        assert_eq!(address.to_string(), "s3://acme/ci fleet/scaler.toml");
        for text in ["", "acme/x", "s3://acme", "s3://acme/", "s3:///x", "https://acme/x"] {
            let error = ObjectAddress::parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} is no address of an object: write s3://BUCKET/KEY"));
        }
    }

    #[test]
    fn a_store_has_a_bucket_and_perhaps_a_prefix() {
        let store = |text| ObjectStore::parse(text).map(|store| (store.bucket, store.prefix));
        for (text, prefix) in
            [("s3://acme", ""), ("s3://acme/", ""), ("s3://acme/a/b", "a/b/"), ("s3://acme//a/", "a/")]
        {
            assert_eq!(store(text), Some(("acme".into(), prefix.into())), "{text}");
        }
        let long = format!("s3://acme/{}", "x".repeat(513));
        for text in ["acme", "s3://", "s3://ab", "s3://Acme", "s3://ac_me/x", "s3://acme/\u{7}", &long] {
            assert_eq!(store(text), None, "{text}");
        }
    }
}
