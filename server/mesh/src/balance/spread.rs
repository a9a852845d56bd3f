//! Where the keys of a consistent hash go: the whole space of keys in runs, each of one instance;
//! what moves when one of them leaves; and the same as arcs that can be drawn. Pure.
//!
//! Read from the tables that calls go by, and exact: a ring is measured over all 2^64 positions, a
//! Maglev table over its slots.

use super::Table;
use std::collections::BTreeMap;

/// Most arcs of a drawing. A ring of more runs is drawn in sectors, in each of which the keys of
/// an instance stand together: a screen has no room for more.
pub(crate) const ARCS_MAX: usize = 240;

/// The space of keys in runs.
#[derive(Debug)]
pub(crate) struct Spread {
    /// The last position of each run; none where each position is a run, as in a Maglev table.
    ends: Option<Vec<u64>>,
    /// Whose each run is, by index.
    owners: Vec<u32>,
    /// Instances there are, those without a key included.
    members: usize,
}

/// A run of positions, the last one excluded, and whose it is.
#[derive(Clone, Copy)]
struct Run {
    begin: u128,
    end: u128,
    owner: u32,
}

/// A stretch of the space of keys, which is 0 to 1, and the instance it is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Whose its keys are, by index.
    pub owner: u32,
}

/// What becomes of the keys when an instance leaves for good. Shares of all keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// Keys that then go elsewhere.
    pub moved: f64,
    /// Of them, those that were its own.
    pub own: f64,
    /// Of them, those of others, which move although their instance is still there.
    pub needless: f64,
    /// Where the moved keys go, by index.
    pub to: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "a share of a space of 2^64, to be read")]
fn share(part: u128, whole: u128) -> f64 {
    part as f64 / whole as f64
}

/// The owners with those that may not be used passed over: the next that may be has their keys.
/// None if nobody may be used.
fn passed_over(mut owners: Vec<u32>, usable: &impl Fn(u32) -> bool) -> Option<Vec<u32>> {
    let mut next = *owners.iter().find(|owner| usable(**owner))?;
    for owner in owners.iter_mut().rev() {
        if usable(*owner) {
            next = *owner;
        }
        *owner = next;
    }
    Some(owners)
}

impl Spread {
    /// Whose the keys are while only some of the members may be used. None if nobody may be.
    pub(crate) fn of(table: &Table, members: usize, usable: impl Fn(u32) -> bool) -> Option<Self> {
        match table {
            Table::Maglev(slots) => {
                let owners = passed_over(slots.clone(), &usable)?;
                Some(Self { ends: None, owners, members })
            }
            Table::Ring(points) => {
                let owners = points.iter().map(|(_, owner)| *owner).collect();
                let owners = passed_over(owners, &usable)?;
                let first = *owners.first()?;
                let places = points.iter().map(|(place, _)| *place).zip(owners);
                // Behind the last point it is the first one's again.
                let (ends, owners) = runs(places.chain([(u64::MAX, first)]));
                Some(Self { ends: Some(ends), owners, members })
            }
        }
    }

    /// Positions there are.
    fn size(&self) -> u128 {
        let last = self.ends.as_ref().map(|ends| ends.last().copied().unwrap_or(u64::MAX));
        last.map_or(self.owners.len() as u128, |last| u128::from(last) + 1)
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        (0..self.owners.len()).map(|at| self.run(at))
    }

    fn run(&self, at: usize) -> Run {
        let begins = |ends: &[u64]| at.checked_sub(1).map_or(0, |last| u128::from(ends[last]) + 1);
        let (begin, end) = match &self.ends {
            None => (at as u128, at as u128 + 1),
            Some(ends) => (begins(ends), u128::from(ends[at]) + 1),
        };
        Run { begin, end, owner: self.owners[at] }
    }

    /// Which run a place is in.
    fn run_at(&self, place: u128) -> usize {
        match &self.ends {
            None => place as usize,
            Some(ends) => ends.partition_point(|end| u128::from(*end) < place),
        }
    }

    /// The share of each member.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let mut amounts = vec![0_u128; self.members];
        for run in self.runs() {
            amounts[run.owner as usize] += run.end - run.begin;
        }
        amounts.into_iter().map(|amount| share(amount, self.size())).collect()
    }

    /// Tells each stretch with its owners here and there, in order. False if the two are not over
    /// the same positions, and nothing can be said.
    fn beside(&self, other: &Self, mut tell: impl FnMut(Run, u32)) -> bool {
        if self.size() != other.size() {
            return false;
        }
        let mut others = other.runs();
        let Some(mut there) = others.next() else { return false };
        for run in self.runs() {
            let mut begin = run.begin;
            while begin < run.end {
                let end = run.end.min(there.end);
                tell(Run { begin, end, owner: run.owner }, there.owner);
                begin = end;
                if begin == there.end
                    && let Some(next) = others.next()
                {
                    there = next;
                }
            }
        }
        true
    }

    /// What moves when this becomes `after`, in which `left` is not any more.
    pub(crate) fn leaving(&self, after: &Self, left: u32) -> Option<Leaving> {
        let (mut own, mut needless) = (0_u128, 0_u128);
        let mut to = vec![0_u128; self.members];
        let told = self.beside(after, |run, owner| {
            if run.owner != owner {
                let amount = run.end - run.begin;
                *if run.owner == left { &mut own } else { &mut needless } += amount;
                to[owner as usize] += amount;
            }
        });
        let of = |amount| share(amount, self.size());
        told.then(|| Leaving {
            moved: of(own + needless),
            own: of(own),
            needless: of(needless),
            to: to.into_iter().map(of).collect(),
        })
    }

    // --- drawing ----------------------------------------------------------------------------

    /// The same as arcs.
    pub(crate) fn arcs(&self) -> Vec<Stretch> {
        let mut drawing = Drawing::new(self);
        self.runs().for_each(|run| drawing.add(run, run.owner));
        drawing.arcs.into_iter().map(|(arc, _)| arc).collect()
    }

    /// The arcs of [`Spread::arcs`], or parts of them, whose keys move when this becomes `after`,
    /// each with who has them then.
    pub(crate) fn moves(&self, after: &Self) -> Vec<Stretch> {
        let mut drawing = Drawing::new(self);
        self.beside(after, |run, owner| drawing.add(run, owner));
        let moved = drawing.arcs.into_iter().filter(|(arc, to)| arc.owner != *to);
        moved.map(|(arc, to)| Stretch { owner: to, ..arc }).collect()
    }

    /// Where on the drawing a hash is: in an arc of its owner.
    pub(crate) fn drawn_at(&self, hash: u64) -> f64 {
        let size = self.size();
        let place = u128::from(hash) % size;
        let Some(sectors) = self.sectors() else { return share(place, size) };
        let sector = place * sectors / size;
        // The first position of a sector, by the same rounding as that of a place's sector.
        let border = |sector: u128| (sector * size).div_ceil(sectors);
        let (from, to) = (border(sector), border(sector + 1));
        let owner = self.owners.get(self.run_at(place)).copied().unwrap_or_default();
        let here = (self.run_at(from)..self.owners.len()).map(|at| self.run(at));
        let before = here.take_while(|run| run.begin < to).map(|run| {
            // Of lower owners all of the sector, of its own what is before it.
            let end = match run.owner.cmp(&owner) {
                std::cmp::Ordering::Less => to,
                std::cmp::Ordering::Equal => place,
                std::cmp::Ordering::Greater => return 0,
            };
            run.end.min(end).saturating_sub(run.begin.max(from))
        });
        share(from + before.sum::<u128>(), size)
    }

    /// In how many sectors it is drawn; none if each run is. The slots of a Maglev table stand
    /// together by their owner, for two that are beside each other have nothing in common.
    fn sectors(&self) -> Option<u128> {
        match &self.ends {
            None => Some(1),
            Some(ends) if ends.len() <= ARCS_MAX => None,
            Some(_) => Some((ARCS_MAX / self.members.max(1)).max(1) as u128),
        }
    }
}

/// Points in order as runs: of several at one place the first has the key, and neighbours of one
/// owner are one run.
fn runs(points: impl Iterator<Item = (u64, u32)>) -> (Vec<u64>, Vec<u32>) {
    let (mut ends, mut owners): (Vec<u64>, Vec<u32>) = (Vec::new(), Vec::new());
    for (place, owner) in points {
        match (ends.last_mut(), owners.last()) {
            (Some(end), _) if *end == place => {}
            (Some(end), Some(last)) if *last == owner => *end = place,
            _ => {
                ends.push(place);
                owners.push(owner);
            }
        }
    }
    (ends, owners)
}

/// Runs, each with its owner here and there, on their way to be arcs.
struct Drawing {
    size: u128,
    sectors: Option<u128>,
    sector: u128,
    /// Where the sector ends.
    border: u128,
    /// What stays with its owner in the sector, by owner: most of it, and of a Maglev table with
    /// each slot.
    kept: Vec<u128>,
    /// What moves in the sector, by its owners here and there.
    moved: BTreeMap<(u32, u32), u128>,
    drawn: u128,
    arcs: Vec<(Stretch, u32)>,
}

impl Drawing {
    fn new(spread: &Spread) -> Self {
        let (size, sectors) = (spread.size(), spread.sectors());
        Self {
            size,
            sectors,
            sector: 0,
            border: size.div_ceil(sectors.unwrap_or(1)),
            kept: vec![0; spread.members],
            moved: BTreeMap::new(),
            drawn: 0,
            arcs: Vec::new(),
        }
    }

    fn add(&mut self, Run { mut begin, end, owner }: Run, there: u32) {
        let Some(sectors) = self.sectors else { return self.draw(end - begin, (owner, there)) };
        while begin < end {
            let stop = end.min(self.border);
            let amount = match owner == there {
                true => &mut self.kept[owner as usize],
                false => self.moved.entry((owner, there)).or_default(),
            };
            *amount += stop - begin;
            begin = stop;
            if begin == self.border {
                self.draw_sector();
                self.border = ((self.sector + 1) * self.size).div_ceil(sectors);
            }
        }
    }

    fn draw_sector(&mut self) {
        self.sector += 1;
        let mut amounts = std::mem::take(&mut self.moved);
        let kept = (0..).zip(&mut self.kept).filter(|(_, amount)| **amount > 0);
        amounts.extend(kept.map(|(owner, amount)| ((owner, owner), std::mem::take(amount))));
        for (owners, amount) in amounts {
            self.draw(amount, owners);
        }
    }

    fn draw(&mut self, amount: u128, (owner, there): (u32, u32)) {
        let from = share(self.drawn, self.size);
        self.drawn += amount;
        let to = share(self.drawn, self.size);
        match self.arcs.last_mut() {
            Some((last, to_last)) if (last.owner, *to_last) == (owner, there) => last.to = to,
            _ => self.arcs.push((Stretch { from, to, owner }, there)),
        }
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
