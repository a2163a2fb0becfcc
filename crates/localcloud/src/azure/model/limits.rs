//! How many calls are answered: token buckets, as Azure documents them for compute resources.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// One limit (Azure documentation, "Throttling limits for virtual machines and virtual machine scale sets").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// As the headers name it.
    pub(crate) name: &'static str,
    /// Calls a minute, in the long run.
    pub(crate) refill: u32,
    /// Calls at once.
    pub(crate) burst: u32,
}

/// The buckets, by what they are about.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    enforced: bool,
    buckets: BTreeMap<(&'static str, String), Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In a sixty-thousandth of a call: one call a minute is one such part in a millisecond.
    parts: u64,
    at: Timestamp,
}

const CALL: u64 = 60_000;

impl Limits {
    pub(crate) fn new(enforced: bool) -> Self {
        Self { enforced, buckets: BTreeMap::new() }
    }

    /// Takes a call about this resource and says how many are left.
    ///
    /// # Errors
    /// In how many seconds there is one again.
    pub(crate) fn take(&mut self, limit: Limit, resource: &str, now: Timestamp) -> Result<u32, u64> {
        let full = u64::from(limit.burst) * CALL;
        if !self.enforced {
            return Ok(limit.burst);
        }
        let key = (limit.name, resource.to_lowercase());
        let bucket = self.buckets.entry(key).or_insert(Bucket { parts: full, at: now });
        let passed = u64::try_from(now.since(bucket.at).as_millis()).unwrap_or(u64::MAX);
        bucket.parts = bucket.parts.saturating_add(passed.saturating_mul(limit.refill.into())).min(full);
        bucket.at = bucket.at.max(now);
        match bucket.parts.checked_sub(CALL) {
            Some(left) => {
                bucket.parts = left;
                Ok(u32::try_from(left / CALL).unwrap_or(u32::MAX))
            }
            None => Err((CALL - bucket.parts).div_ceil(u64::from(limit.refill)).div_ceil(1000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Limit = Limit { name: "PatchVMScaleSet", refill: 4, burst: 12 };

    #[test]
    fn a_burst_is_allowed_and_then_so_many_a_minute() {
        let mut limits = Limits::new(true);
        let start = Timestamp(1_000_000);
        let left: Vec<_> = (0..12).map(|_| limits.take(FOUR, "a", start)).collect();
        assert_eq!((left[0], left[11]), (Ok(11), Ok(0)));
        assert_eq!(limits.take(FOUR, "A", start), Err(15), "a name in another case is the same resource");
        assert_eq!(limits.take(FOUR, "b", start), Ok(11));
        assert_eq!(limits.take(FOUR, "a", Timestamp(1_014_999)), Err(1));
        assert_eq!(limits.take(FOUR, "a", Timestamp(1_015_000)), Ok(0));
    }

    #[test]
    fn nothing_is_refused_where_limits_are_off() {
        let mut limits = Limits::new(false);
        assert!((0..100).all(|_| limits.take(FOUR, "a", Timestamp(0)) == Ok(12)));
    }
}
