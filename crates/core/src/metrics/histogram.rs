//! How often a value was in which range.

/// The most values that are kept for CloudWatch, which takes no more in one list (EMF specification, "Metric values").
const KEPT: usize = 100;

/// Measured values, counted by ranges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many fell into each range: one more than there are bounds.
    counts: Vec<u64>,
    sum: f64,
    /// The values since the last flush, where somebody wants them.
    pub(super) fresh: Vec<f64>,
}

impl Histogram {
    /// Counts a value; it is kept beside that when `keep`.
    pub(super) fn observe(&mut self, bounds: &[f64], value: f64, keep: bool) {
        self.counts.resize(bounds.len() + 1, 0);
        let range = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        self.counts[range] += 1;
        self.sum += value;
        if keep && self.fresh.len() < KEPT {
            self.fresh.push(value);
        }
    }

    /// How many values in each range: up to each bound, and above the last.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many values in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values added up.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_range_below_it() {
        let mut histogram = Histogram::default();
        for value in [0.5, 1.0, 1.5, 2.0, 9.0] {
            histogram.observe(&[1.0, 2.0], value, false);
        }
        assert_eq!(histogram.counts(), [2, 2, 1]);
        assert_eq!((histogram.count(), histogram.sum()), (5, 14.0));
        assert!(histogram.fresh.is_empty());
    }
}
