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
    limit: Limit,
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
        if !self.enforced {
            return Ok(limit.burst);
        }
        let key = (limit.name, resource.to_lowercase());
        if !self.buckets.contains_key(&key) {
            // One that is full says nothing: its resource may be gone.
            self.buckets.retain(|_, bucket| bucket.parts_at(now) < bucket.limit.full());
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { parts: limit.full(), at: now, limit });
        bucket.parts = bucket.parts_at(now);
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

impl Limit {
    fn full(self) -> u64 {
        u64::from(self.burst) * CALL
    }
}

impl Bucket {
    fn parts_at(&self, now: Timestamp) -> u64 {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.parts.saturating_add(passed.saturating_mul(self.limit.refill.into())).min(self.limit.full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_is_left_alone_is_forgotten() {
        let mut limits = Limits::new(true);
        for n in 0..1_000 {
            limits.take(FOUR, &format!("machine-{n}"), Timestamp(n * 5_000)).unwrap();
        }
        assert!(limits.buckets.len() < 10, "a call is made good after 15 s: {}", limits.buckets.len());
    }

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
