//! What sets one instance apart from the others of its group: many that see the same at the same time must not act in step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of an instance's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Jitter(u64);

impl Jitter {
    /// Of an instance that is alone: every share is zero.
    pub const NONE: Self = Self(0);

    /// The instance with this id's. Never [`Jitter::NONE`].
    pub fn of(instance: &str) -> Self {
        // FNV-1a, mixed so that ids which differ in their last digit are far apart.
        let hash = instance
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        Self(mix(hash).max(1))
    }

    /// A part of `span`, from nothing to all of it: for each `turn` another, and on each instance another.
    pub fn within(self, span: Duration, turn: u64) -> Duration {
        if self == Self::NONE {
            return Duration::ZERO;
        }
        let part = u32::try_from(mix(self.0 ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32).unwrap_or(u32::MAX);
        span.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

/// The finaliser of splitmix64: every bit of the input changes about half of the bits of the output.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_herd_is_spread_over_the_whole_span() {
        let span = Duration::from_secs(100);
        let mut shares: Vec<_> = (0..200).map(|n| Jitter::of(&format!("i-{n:017x}")).within(span, 1)).collect();
        shares.sort();
        assert!(shares.iter().all(|share| *share <= span));
        let tenths: Vec<_> = (0..10_u32)
            .map(|tenth| shares.iter().filter(|share| share.as_secs() / 10 == u64::from(tenth)).count())
            .collect();
        assert!(tenths.iter().all(|count| *count >= 8), "{tenths:?}");
    }

    /// The first numbers of splitmix64 from the seed 0, as they are published.
    #[test]
    fn it_is_mixed_as_splitmix64_does() {
        let mixed = [1, 2, 3, 4].map(|n: u64| mix(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let published = [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F, 0xF88B_B8A8_724C_81EC];
        assert_eq!(mixed, published);
    }

    #[test]
    fn each_turn_is_another_share_whatever_the_instances_number() {
        for number in [1, 1 << 63, u64::MAX] {
            let shares: BTreeSet<_> =
                (0..300).map(|turn| Jitter(number).within(Duration::from_secs(3600), turn)).collect();
            assert_eq!(shares.len(), 300, "{number:#x}");
        }
    }

    #[test]
    fn it_is_the_same_for_the_same_instance_and_turn_and_nothing_for_one_that_is_alone() {
        let (jitter, span) = (Jitter::of("i-1"), Duration::from_secs(60));
        assert_eq!(jitter.within(span, 3), Jitter::of("i-1").within(span, 3));
        assert_ne!(jitter.within(span, 3), jitter.within(span, 4));
        assert_ne!(jitter, Jitter::NONE);
        assert_eq!(Jitter::NONE.within(span, 3), Duration::ZERO);
    }
}
