//! Where the particles of an edge are at a moment. Pure.

use super::scene::{EdgeFace, Health};
use contract::live::EdgeKind;

/// Particles of one edge at most.
const COUNT_MAX: u32 = 8;
/// Seconds a particle takes over a fast edge.
const FAST_SECONDS: f64 = 0.8;
/// Seconds a particle takes over a slow edge.
const SLOW_SECONDS: f64 = 4.0;
/// A p95 from here on is as slow as a particle gets, milliseconds.
const SLOWEST_MS: f64 = 2_000.0;

/// One particle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Particle {
    /// Share of the way.
    pub at: f64,
    /// Share of the way its tail ends.
    pub tail: f64,
    /// It stands for failed calls and turns back at the target.
    pub failed: bool,
}

/// How many particles an edge has: one stands for several requests.
#[must_use]
pub fn count(face: &EdgeFace) -> u32 {
    if face.per_second <= 0.0 || matches!(face.health, Health::Open | Health::Idle) {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let more = face.per_second.sqrt().round().min(100.0) as u32;
    (1 + more).min(COUNT_MAX)
}

/// Seconds a particle takes over an edge.
#[must_use]
pub fn seconds(face: &EdgeFace) -> f64 {
    let slowness = (face.p95_ms / SLOWEST_MS).clamp(0.0, 1.0);
    FAST_SECONDS + (SLOW_SECONDS - FAST_SECONDS) * slowness
}

/// A number from 0 to 1 that is always the same for the same two.
fn chance(a: u64, b: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x ^= x >> 32;
    x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = (x >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

/// The particles of an edge at a time in seconds.
pub fn particles(face: &EdgeFace, time: f64) -> impl Iterator<Item = Particle> {
    let (count, seconds, error_share) = (count(face), seconds(face), face.error_share);
    (0..count).map(move |i| {
        // Unequal distances: equal ones look like a conveyor belt.
        let offset = (f64::from(i) + 0.6 * chance(u64::from(i), 7)) / f64::from(count.max(1));
        let way = time / seconds + offset;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of laps"
        )]
        let lap = way.floor().max(0.0) as u64;
        let at = way - way.floor();
        let failed = chance(u64::from(i) + 1, lap) < error_share;
        let (at, tail) = match failed {
            false => (at, at - 0.06),
            true if at < 0.5 => (at * 2.0, at * 2.0 - 0.1),
            true => (2.0 - at * 2.0, 2.0 - at * 2.0 + 0.1),
        };
        Particle { at, tail: tail.clamp(0.0, 1.0), failed }
    })
}

/// How strongly an edge of that kind is drawn in a layer of the map: what the layer is not about is
/// as faint as the style sheet makes its lines.
#[must_use]
pub fn strength(layer: &str, kind: EdgeKind) -> f64 {
    let about = match layer {
        "events" => kind == EdgeKind::Message,
        "2pc" => kind == EdgeKind::Commit,
        "mtls" => kind != EdgeKind::Message,
        _ => true,
    };
    if about { 1.0 } else { FAINT }
}

/// Opacity of what a layer is not about.
const FAINT: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::live::scene::Part;

    fn face(per_second: f64, p95_ms: f64, error_share: f64) -> EdgeFace {
        EdgeFace {
            health: Health::Ok,
            width: 130,
            head: Part { text: String::new(), health: Health::Ok },
            rest: Vec::new(),
            brief: None,
            breaker: None,
            name: String::new(),
            per_second,
            p95_ms,
            error_share,
        }
    }

    #[test]
    fn the_count_follows_the_root_of_the_rate_up_to_eight() {
        let counts = [0.0, 0.1, 1.0, 6.4, 60.0, 900.0].map(|rate| count(&face(rate, 10.0, 0.0)));
        assert_eq!(counts, [0, 1, 2, 4, 8, 8]);
    }

    #[test]
    fn an_open_breaker_has_no_particles() {
        let open = EdgeFace { health: Health::Open, ..face(60.0, 10.0, 1.0) };
        assert_eq!(particles(&open, 1.0).count(), 0);
    }

    #[test]
    fn slow_edges_have_slow_particles_within_limits() {
        assert!((seconds(&face(1.0, 0.0, 0.0)) - 0.8).abs() < 1e-9);
        assert!((seconds(&face(1.0, 9_000.0, 0.0)) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn particles_stay_on_their_edge_and_failed_ones_turn_back() {
        for step in 0..400 {
            for particle in particles(&face(60.0, 48.0, 0.5), f64::from(step) / 30.0) {
                assert!((0.0..=1.0).contains(&particle.at) && (0.0..=1.0).contains(&particle.tail));
            }
        }
        let all = face(60.0, 48.0, 1.0);
        assert!(particles(&all, 0.3).all(|particle| particle.failed));
        assert!(particles(&face(60.0, 48.0, 0.0), 0.3).all(|particle| !particle.failed));
    }

    #[test]
    fn particles_of_what_a_layer_is_not_about_are_as_faint_as_its_lines() {
        let [call, message, commit] = [EdgeKind::Call, EdgeKind::Message, EdgeKind::Commit];
        let shown = |layer| [call, message, commit].map(|kind| strength(layer, kind) > 0.9);
        assert_eq!(shown("traffic"), [true, true, true]);
        assert_eq!(shown("events"), [false, true, false]);
        assert_eq!(shown("2pc"), [false, false, true]);
        assert_eq!(shown("mtls"), [true, false, true]);
    }
}
