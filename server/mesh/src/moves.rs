//! Which requests move when the weights of a rule change: as few as the two splits allow, spread
//! evenly, exact rather than likely.
//!
//! What both splits give one place stays there; the rest flows from places that lose to places that
//! gain. The flows are dealt out to requests by smooth weighted round robin, as the split itself
//! is. It knows nothing of rules or policies.

use crate::{PlaceName, WeightedPlace};

/// A part of the requests: where they are, where they would be.
#[derive(Debug)]
struct Flow {
    from: PlaceName,
    to: PlaceName,
    /// Share of all is this by the sum over all flows.
    part: i128,
    standing: i128,
}

/// The flows between two splits, dealt out one request at a time.
#[derive(Debug)]
pub(crate) struct Moves(Vec<Flow>);

impl Moves {
    /// Between two lists of places; a list without any weight gives nothing a place.
    pub(crate) fn between(old: &[WeightedPlace], new: &[WeightedPlace]) -> Self {
        let (old, new) = (shares(old), shares(new));
        let (old_sum, new_sum) = (sum(&old), sum(&new));
        // One denominator for both, so that shares are whole numbers.
        let mut losing = scaled(old, new_sum);
        let mut gaining = scaled(new, old_sum);
        let mut flows = Vec::new();
        for (name, has) in &mut losing {
            if let Some((_, gets)) = gaining.iter_mut().find(|(other, _)| other == name) {
                let part = (*has).min(*gets);
                (*has, *gets) = (*has - part, *gets - part);
                flows.push(Flow { from: name.clone(), to: name.clone(), part, standing: 0 });
            }
        }
        for (from, has) in &mut losing {
            for (to, gets) in &mut gaining {
                let part = (*has).min(*gets);
                (*has, *gets) = (*has - part, *gets - part);
                flows.push(Flow { from: from.clone(), to: to.clone(), part, standing: 0 });
            }
        }
        flows.retain(|flow| flow.part > 0);
        Self(flows)
    }

    /// The next request: from where to where it moves; none when it stays.
    pub(crate) fn draw(&mut self) -> Option<(PlaceName, PlaceName)> {
        let sum: i128 = self.0.iter().map(|flow| flow.part).sum();
        self.0.iter_mut().for_each(|flow| flow.standing += flow.part);
        // The first of equals, as in the split.
        let next = self.0.iter_mut().rev().max_by_key(|flow| flow.standing)?;
        next.standing -= sum;
        (next.from != next.to).then(|| (next.from.clone(), next.to.clone()))
    }
}

/// The weight of each place, those that are listed twice together.
fn shares(places: &[WeightedPlace]) -> Vec<(PlaceName, i128)> {
    let mut all: Vec<(PlaceName, i128)> = Vec::new();
    for place in places {
        let name = (place.service.clone(), place.subset.clone());
        let weight = i128::from(place.weight);
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += weight,
            None => all.push((name, weight)),
        }
    }
    all
}

fn sum(shares: &[(PlaceName, i128)]) -> i128 {
    shares.iter().map(|(_, weight)| weight).sum()
}

fn scaled(shares: Vec<(PlaceName, i128)>, by: i128) -> Vec<(PlaceName, i128)> {
    shares.into_iter().map(|(name, weight)| (name, weight * by)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(weights: &[(&str, u32)]) -> Vec<WeightedPlace> {
        let place = |&(subset, weight): &(&str, u32)| WeightedPlace {
            service: "payments".into(),
            subset: Some(subset.into()),
            weight,
        };
        weights.iter().map(place).collect()
    }

    fn moved(old: &[(&str, u32)], new: &[(&str, u32)], requests: usize) -> usize {
        let mut moves = Moves::between(&split(old), &split(new));
        (0..requests).filter(|_| moves.draw().is_some()).count()
    }

    #[test]
    fn as_many_requests_move_as_the_weights_say() {
        let old = [("v1", 100), ("v2", 0)];
        for (v2, expected) in [(0, 0), (10, 20), (50, 100), (100, 200)] {
            assert_eq!(moved(&old, &[("v1", 100 - v2), ("v2", v2)], 200), expected);
        }
        let half = [("v1", 50), ("v2", 50)];
        assert_eq!(moved(&half, &[("v1", 80), ("v2", 20)], 200), 60);
        assert_eq!(moved(&half, &[("v1", 90), ("v2", 10)], 200), 80);
        assert_eq!(moved(&half, &[("v2", 1), ("v1", 1)], 200), 0, "the same shares");
        assert_eq!(moved(&half, &[("v3", 1)], 200), 200);
        let three = [("v1", 60), ("v2", 30), ("v3", 10)];
        assert_eq!(moved(&three, &[("v1", 30), ("v2", 30), ("v3", 40)], 100), 30);
    }

    #[test]
    fn those_that_move_go_from_what_loses_to_what_gains_and_are_spread_evenly() {
        let mut moves =
            Moves::between(&split(&[("v1", 100), ("v2", 0)]), &split(&[("v1", 75), ("v2", 25)]));
        for _ in 0..25 {
            let of_four: Vec<_> = (0..4).filter_map(|_| moves.draw()).collect();
            let [(from, to)] = &of_four[..] else { panic!("{of_four:?}") };
            assert_eq!((from.1.as_deref(), to.1.as_deref()), (Some("v1"), Some("v2")));
        }
    }

    #[test]
    fn the_largest_weights_there_are_do_not_overflow() {
        let most = u32::MAX;
        assert_eq!(moved(&[("v1", most), ("v2", most)], &[("v1", most)], 10), 5);
        assert_eq!(moved(&[], &[("v1", 1)], 10), 0);
    }
}
