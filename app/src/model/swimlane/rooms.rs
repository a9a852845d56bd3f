//! The room in a drawing: how much words take, and what they must not lie over.

use super::{Arrow, Bar, labels::Parts};

/// Middle of the coordinator's lane, pixels from the top.
const FIRST_LANE: f64 = 64.0;
/// From one lane to the next.
const LANE: f64 = 61.0;
/// Height of a state's bar.
pub const BAR: f64 = 18.0;
/// Under the last lane, for its notes.
const BELOW: f64 = 36.0;
/// Left free around a shaft.
const AROUND: f64 = 3.0;

/// Middle of a lane, pixels from the top.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "there are a handful of lanes")]
pub fn lane_y(lane: usize) -> f64 {
    FIRST_LANE + lane as f64 * LANE
}

/// Height of a drawing with so many lanes beside the coordinator's.
#[must_use]
pub fn height(lanes: usize) -> f64 {
    lane_y(lanes) + BELOW
}

/// About how wide a text of 11 pixels is, rather too wide than too narrow.
pub(super) fn text_px(text: &str) -> f64 {
    let wide = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | '\'' | '|' => 3.3,
        'f' | 't' | 'r' | ' ' | '-' | '(' | ')' => 4.6,
        'm' | 'w' | 'M' | 'W' => 10.0,
        'a'..='z' => 6.7,
        _ => 7.6,
    };
    text.chars().map(wide).sum()
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Area {
    /// Whether two have a point in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

impl Arrow {
    /// The ends of its shaft in pixels from the top: it goes from bar to bar.
    #[must_use]
    pub fn ends(&self) -> (f64, f64) {
        let half = BAR / 2.0;
        let (from, to) = (lane_y(self.from.1), lane_y(self.to.1));
        if to > from { (from + half, to - half) } else { (from - half, to + half) }
    }

    /// Where its shaft is at a height, in slots.
    pub(super) fn x_at(&self, y: f64) -> f64 {
        let (y1, y2) = self.ends();
        let share = ((y - y1) / (y2 - y1)).clamp(0.0, 1.0);
        self.from.0 + (self.to.0 - self.from.0) * share
    }
}

/// What labels must not lie over: arrows, breaks and crosses; and where the drawing ends.
pub(super) struct Ground {
    arrows: Vec<Arrow>,
    breaks: Vec<Area>,
    crosses: Vec<Area>,
    slot_px: f64,
    right: f64,
    bottom: f64,
}

impl Ground {
    pub(super) fn new(parts: &Parts<'_>, slot_px: f64) -> Self {
        let bottom = height(parts.lanes);
        let gap = |x: f64| Area {
            left: x * slot_px - 6.0,
            right: x * slot_px + 10.0,
            top: 46.0,
            bottom: bottom - 34.0,
        };
        let cross = |x: f64, y: f64| Area {
            left: x * slot_px - 6.0,
            right: x * slot_px + 6.0,
            top: y - 10.0,
            bottom: y + 8.0,
        };
        let breaks = parts.breaks.iter().map(|b| gap(b.x));
        let outages = parts.marks.iter().filter(|mark| mark.begins_outage());
        let outages = outages.map(|mark| cross(mark.x, lane_y(mark.lane)));
        let refused = parts.arrows.iter().filter(|arrow| arrow.refused);
        let refused = refused.map(|arrow| cross(arrow.to.0, arrow.ends().1 - 2.0));
        Self {
            arrows: parts.arrows.to_vec(),
            breaks: breaks.collect(),
            crosses: outages.chain(refused).collect(),
            slot_px,
            right: parts.width * slot_px,
            bottom,
        }
    }

    /// Where an arrow is between two heights, pixels across.
    fn across(&self, arrow: &Arrow, top: f64, bottom: f64) -> Option<(f64, f64)> {
        let (y1, y2) = arrow.ends();
        let (from, to) = (top.max(y1.min(y2)), bottom.min(y1.max(y2)));
        let (a, b) = (arrow.x_at(from) * self.slot_px, arrow.x_at(to) * self.slot_px);
        (from < to).then(|| (a.min(b) - AROUND, a.max(b) + AROUND))
    }

    /// Whether a label with this room lies inside of the drawing and over nothing but its own
    /// arrow. One with a block of its own may lie over a break: it can be read there.
    pub(super) fn is_free(&self, room: &Area, own: Option<usize>, blocks: bool) -> bool {
        // Shares of a width are not exact.
        let inside = room.left >= -0.1
            && room.right <= self.right + 0.1
            && room.top >= 0.0
            && room.bottom <= self.bottom;
        inside
            && self.crosses.iter().all(|cross| !cross.meets(room))
            && (blocks || self.breaks.iter().all(|gap| !gap.meets(room)))
            && self.arrows.iter().enumerate().all(|(i, arrow)| {
                own == Some(i)
                    || self
                        .across(arrow, room.top, room.bottom)
                        .is_none_or(|(left, right)| right <= room.left || room.right <= left)
            })
    }

    /// The middle of the widest stretch of a bar that nothing crosses: slots, and pixels from
    /// there.
    pub(super) fn widest(&self, bar: &Bar, slot_px: f64) -> (f64, f64) {
        let (top, bottom) = (lane_y(bar.lane) - BAR / 2.0, lane_y(bar.lane) + BAR / 2.0);
        let (from, to) = (bar.from * slot_px, bar.to * slot_px);
        let crossing = self.arrows.iter().filter(|arrow| {
            // One that ends at the bar does not cross it.
            arrow.from.1.abs_diff(arrow.to.1) > 1
        });
        let crossing = crossing.filter_map(|arrow| self.across(arrow, top, bottom));
        let solid = self.breaks.iter().chain(&self.crosses);
        let solid = solid.filter(|solid| solid.top < bottom && top < solid.bottom);
        let solid = solid.map(|solid| (solid.left, solid.right));
        let mut taken: Vec<(f64, f64)> = crossing.chain(solid).collect();
        taken.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut begin = from;
        let mut best = (from, from);
        for (left, right) in taken.into_iter().chain([(to, to)]) {
            if left.min(to) - begin > best.1 - best.0 {
                best = (begin, left.min(to));
            }
            begin = begin.max(right);
        }
        (f64::midpoint(best.0, best.1) / slot_px, 0.0)
    }
}
