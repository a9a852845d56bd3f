//! The weighted split: smooth weighted round robin, exact rather than likely.
//!
//! Each draw raises every destination by its weight, takes the highest and lowers it by the sum.
//! Of any run of sum-of-weights draws each destination gets exactly its weight; nothing is random.

use parking_lot::Mutex;

/// A split and where it stands.
#[derive(Debug)]
pub(crate) struct Split {
    weights: Vec<u32>,
    standing: Mutex<Vec<i64>>,
}

impl Split {
    /// With these weights; their sum is not zero.
    pub(crate) fn new(weights: Vec<u32>) -> Self {
        let standing = Mutex::new(vec![0; weights.len()]);
        Self { weights, standing }
    }

    /// The index of the destination that is due.
    pub(crate) fn draw(&self) -> usize {
        let mut standing = self.standing.lock();
        let mut sum = 0;
        let mut due = 0;
        for (at, weight) in self.weights.iter().enumerate() {
            standing[at] += i64::from(*weight);
            sum += i64::from(*weight);
            // The first of equals, so that a run always goes the same way.
            if standing[at] > standing[due] {
                due = at;
            }
        }
        standing[due] -= sum;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], draws: usize) -> Vec<usize> {
        let split = Split::new(weights.to_vec());
        let mut counts = vec![0; weights.len()];
        for _ in 0..draws {
            counts[split.draw()] += 1;
        }
        counts
    }

    #[test]
    fn ninety_to_ten_is_exact_at_every_ten() {
        for tens in 1..=20 {
            assert_eq!(counts(&[90, 10], tens * 10), [tens * 9, tens]);
        }
    }

    #[test]
    fn no_prefix_is_off_by_more_than_one_request() {
        for weights in [[90, 10], [50, 50], [1, 99], [33, 67], [3, 7]] {
            for draws in 1..=400_u32 {
                let got = counts(&weights, draws as usize)[0];
                let due =
                    f64::from(draws) * f64::from(weights[0]) / f64::from(weights[0] + weights[1]);
                assert!((got as f64 - due).abs() <= 1.0, "{weights:?} after {draws}: {got}");
            }
        }
    }

    #[test]
    fn weight_zero_gets_nothing_and_three_ways_are_exact_too() {
        assert_eq!(counts(&[0, 5, 0, 1], 600), [0, 500, 0, 100]);
        assert_eq!(counts(&[5, 1, 1], 7), [5, 1, 1]);
    }
}
