//! Load balancing in words, and the ring of a consistent hash as paths. Pure.

use super::format;
use contract::balance::{
    ArcView, HashView, InstancePhase, InstanceView, KeyView, LeavingView, PICKS_SECONDS, PoolView,
    RING_LENGTH, Untold,
};
use std::{f64::consts::TAU, fmt::Write};

/// Half the side of the drawing.
pub const MIDDLE: f64 = 120.0;
/// Inner and outer radius of the ring.
pub const RING: (f64, f64) = (66.0, 92.0);
/// The same of what moves, around it.
pub const MOVES: (f64, f64) = (96.0, 108.0);
/// Textures there are; further instances begin with the first again, and have their number.
pub const TEXTURES: usize = 8;
/// An arc has room for a number from this share on.
const LABELLED: u32 = RING_LENGTH / 25;

// --- the ring -----------------------------------------------------------------------------------

/// A place on the drawing: so many millionths clockwise from the top, so far from the middle.
#[must_use]
pub fn place(at: u32, radius: f64) -> (f64, f64) {
    let angle = f64::from(at) / f64::from(RING_LENGTH) * TAU;
    (MIDDLE + radius * angle.sin(), MIDDLE - radius * angle.cos())
}

/// One path for the arcs of each instance, between two radii. Those of an instance without an arc
/// are empty.
#[must_use]
pub fn paths(arcs: &[ArcView], instances: usize, radii: (f64, f64)) -> Vec<String> {
    let mut paths = vec![String::new(); instances];
    for arc in arcs {
        let Some(path) = paths.get_mut(arc.owner) else { continue };
        // A path of a whole circle would end where it begins, and be nothing.
        let most = RING_LENGTH / 2;
        let mut from = arc.from;
        while from < arc.to {
            let to = arc.to.min(from + most);
            sector(path, from, to, radii);
            from = to;
        }
    }
    paths
}

fn sector(path: &mut String, from: u32, to: u32, (inner, outer): (f64, f64)) {
    let corners = [(from, outer), (to, outer), (to, inner), (from, inner)];
    let [a, b, c, d] = corners.map(|(at, radius)| place(at, radius));
    // Writing to a text does not fail.
    let _ = write!(
        path,
        "M{:.1} {:.1}A{outer} {outer} 0 0 1 {:.1} {:.1}L{:.1} {:.1}A{inner} {inner} 0 0 0 {:.1} \
         {:.1}Z",
        a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1,
    );
}

/// Where arcs that have room for it say the number of their instance.
#[must_use]
pub fn labels(arcs: &[ArcView]) -> Vec<(f64, f64, usize)> {
    let wide = arcs.iter().filter(|arc| arc.to - arc.from >= LABELLED);
    let label = |arc: &ArcView| {
        let (x, y) = place(arc.from + (arc.to - arc.from) / 2, f64::midpoint(RING.0, RING.1));
        (x, y, arc.owner + 1)
    };
    wide.map(label).collect()
}

/// The whole drawing in words: "catalog-v1-1 has 49.8% of the keys, catalog-v1-2 50.2%".
#[must_use]
pub fn ring_text(pool: &PoolView) -> String {
    let has = |one: &InstanceView| {
        let out = if one.in_pool { "" } else { " (out of the pool)" };
        format!("{}{out} has {} of the keys", one.instance, format::share(one.configured))
    };
    pool.instances.iter().map(has).collect::<Vec<_>>().join(", ")
}

// --- the policy ---------------------------------------------------------------------------------

/// The fields of the policy as they are written: `loadBalancer.simple: ROUND_ROBIN`.
#[must_use]
pub fn fields(pool: &PoolView) -> Vec<String> {
    let policy = &pool.policy;
    let mut fields = match &policy.hash {
        None => vec![format!("simple: {}", policy.name)],
        Some(hash) => hash_fields(hash),
    };
    if let Some(warmup) = &policy.warmup {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a window, to be read")]
        let seconds = warmup.duration_ms as f64 / 1_000.0;
        let minimum = warmup.minimum_percent;
        let mut text = format!("warmup: duration {seconds} s, minimumPercent {minimum}");
        if (warmup.aggression - 1.0).abs() > f64::EPSILON {
            let _ = write!(text, ", aggression {}", warmup.aggression);
        }
        fields.push(text);
    }
    fields
}

fn hash_fields(hash: &HashView) -> Vec<String> {
    let key = match hash.name.as_str() {
        "" => format!("consistentHash.{}: true", hash.field),
        name => format!("consistentHash.{}: {name}", hash.field),
    };
    let table = if hash.table == "MAGLEV" { "maglev" } else { "ringHash" };
    vec![key, format!("{table}.{}: {}", hash.size_field, hash.size)]
}

/// What the policy does, one sentence or two.
#[must_use]
pub fn policy_text(pool: &PoolView) -> String {
    let does = match (pool.policy.name.as_str(), &pool.policy.hash) {
        (_, Some(hash)) => hash_text(hash),
        ("RANDOM", _) => "Any instance, each as likely.".to_owned(),
        (name, _) => simple_text(name, pool.policy.warmup.is_some()),
    };
    match pool.policy.default {
        true => format!("No policy is written: this is Istio's default. {does}"),
        false => does,
    }
}

/// Of the policies that go by the weights of new instances.
fn simple_text(name: &str, warmup: bool) -> String {
    let (full, new) = match name {
        "ROUND_ROBIN" => (
            "One instance after the other, each as often.",
            "turns are shared out by weight (smooth weighted round robin)",
        ),
        _ => (
            "Two instances are drawn at random; the one with fewer requests under way gets it. The \
             configured share is what each gets while all are equally busy.",
            "one is drawn at random instead, by its weight over its requests under way plus one",
        ),
    };
    match warmup {
        true => format!("{full} While an instance is new, {new}."),
        false => full.to_owned(),
    }
}

/// What is hashed, in a sentence: "header x-user-id".
#[must_use]
pub fn hashed(hash: &HashView) -> String {
    match hash.field.as_str() {
        "httpHeaderName" => format!("header {}", hash.name),
        "httpCookie" => format!("cookie {}", hash.name),
        "httpQueryParameterName" => format!("query parameter {}", hash.name),
        _ => "source address".to_owned(),
    }
}

fn hash_text(hash: &HashView) -> String {
    let positions = format::count(hash.positions);
    let table = match hash.table.as_str() {
        "MAGLEV" => format!("a Maglev table of {positions} slots"),
        _ => format!("a ring of {positions} points"),
    };
    let without = match hash.field.as_str() {
        "useSourceIp" => "Between services the caller is the source.".to_owned(),
        _ => format!("Requests without that {} go to any instance.", kind(hash)),
    };
    let sent = match hash.field.as_str() {
        "httpQueryParameterName" => " It is hashed as it is sent, not decoded.",
        _ => "",
    };
    format!(
        "The same {} goes to the same instance, found by its hash in {table}.{sent} {without}",
        hashed(hash)
    )
}

fn kind(hash: &HashView) -> &'static str {
    match hash.field.as_str() {
        "httpHeaderName" => "header",
        "httpCookie" => "cookie",
        _ => "parameter",
    }
}

// --- instances ----------------------------------------------------------------------------------

/// How an instance stands: its words, and whether that is a deviation.
#[must_use]
pub fn standing(one: &InstanceView) -> (&'static str, bool) {
    match (one.phase, one.ejected_until_us.is_some(), one.in_pool) {
        (InstancePhase::Killed, true, false) => ("killed, ejected", true),
        (InstancePhase::Killed, ..) => ("killed, still picked", true),
        (InstancePhase::Paused, true, false) => ("paused, ejected", true),
        (InstancePhase::Paused, ..) => ("paused, still picked", true),
        (InstancePhase::Ready, true, false) => ("ejected", true),
        (InstancePhase::Ready, true, true) => ("ejected, used all the same", true),
        (InstancePhase::Ready, false, _) if one.warm < 1.0 => ("in the pool, warming up", false),
        (InstancePhase::Ready, false, _) => ("in the pool", false),
    }
}

/// "If catalog-v1-2 left, 33.4% of keys would move, all of them its own."
#[must_use]
pub fn leaving_text(instance: &str, leaving: &LeavingView) -> String {
    if leaving.moved <= 0.0 {
        return format!("If {instance} left, no key would move: it has none while it is out.");
    }
    let moved = format::share(leaving.moved);
    let whose = match (leaving.own > 0.0, leaving.needless > 0.0) {
        (_, false) => ", all of them its own".to_owned(),
        (false, true) => ", all of them of instances that stay".to_owned(),
        (true, true) => format!(
            ": {} its own, {} of instances that stay",
            format::share(leaving.own),
            format::share(leaving.needless),
        ),
    };
    let to = leaving.to.iter().map(|(to, share)| format!("{to} ({})", format::share(*share)));
    let to = to.collect::<Vec<_>>().join(", ");
    format!("If {instance} left, {moved} of keys would move{whose}. They would go to {to}.")
}

/// Where a key goes, and why there.
#[must_use]
pub fn key_text(key: &KeyView, pool: &PoolView, left: Option<&str>) -> String {
    let Some(instance) = &key.instance else {
        return "It goes nowhere: no instance is in the pool.".to_owned();
    };
    let mut text = format!("goes to {instance}");
    let of = |name: &str| pool.instances.iter().find(|one| one.instance == name);
    if let Some(due) = key.due.as_ref().filter(|due| *due != instance) {
        let _ = write!(text, ", in place of {due}, which is ejected");
    }
    if of(instance).is_some_and(|one| one.phase != InstancePhase::Ready) {
        let (is, does) = match of(instance).map(|one| one.phase) {
            Some(InstancePhase::Paused) => ("paused", "hangs"),
            _ => ("killed", "fails"),
        };
        let until = match pool.outlier {
            true => "until outlier detection ejects it",
            false => "and nothing takes it out: there is no outlierDetection",
        };
        let _ = write!(text, ". It is {is}, so the request {does} {until}");
    }
    match (left, &key.after) {
        (Some(left), Some(after)) if after == instance => {
            let _ = write!(text, ". After {left} has left it stays there");
        }
        (Some(left), Some(after)) => {
            let _ = write!(text, ". After {left} has left it goes to {after}");
        }
        (Some(left), None) => {
            let _ = write!(text, ". After {left} has left nobody is there");
        }
        (None, _) => {}
    }
    text.push('.');
    text
}

/// "120 picks in the last 60 s, 20 of them without the key."
#[must_use]
pub fn picks_text(pool: &PoolView) -> String {
    let picks = match pool.picked {
        0 => return format!("No request in the last {PICKS_SECONDS} s."),
        picked => format::plural(picked, "pick", "picks"),
    };
    let unkeyed = match pool.unkeyed {
        0 => String::new(),
        all if all >= pool.picked => ", all without the key".to_owned(),
        some => format!(", {} of them without the key", format::count(some)),
    };
    format!("{picks} in the last {PICKS_SECONDS} s{unkeyed}.")
}

/// Why keys of instances that stay move, too.
#[must_use]
pub fn needless_text(pool: &PoolView, leaving: &LeavingView) -> Option<&'static str> {
    let hash = pool.policy.hash.as_ref().filter(|_| leaving.needless > 0.0)?;
    Some(match hash.table.as_str() {
        "MAGLEV" => "Maglev fills its table anew, which moves a few keys of the others, too.",
        _ => {
            "The fewer there are, the more points each has to reach minimumRingSize: here twice as \
             many, which moves keys of the others, too."
        }
    })
}

/// What is worth saying of the pool as a whole.
#[must_use]
pub fn remark(pool: &PoolView) -> Option<String> {
    match pool.instances.as_slice() {
        [] => Some("There is no instance in it: requests are answered with 503.".to_owned()),
        [only] => Some(format!("Nothing to balance: {} is the only instance.", only.instance)),
        all if all.iter().all(|one| !one.in_pool) => {
            Some("All instances are ejected: requests are answered with 503.".to_owned())
        }
        _ if pool.panic => {
            let text = "So many are ejected that ejection is ignored (minHealthPercent).";
            Some(text.to_owned())
        }
        _ => pool.untold.map(|untold| untold_text(untold).to_owned()),
    }
}

const fn untold_text(untold: Untold) -> &'static str {
    match untold {
        Untold::Leaving => {
            "Its tables are too large to work out what moves when an instance leaves."
        }
        Untold::Shares => "Its table is too large to be worked out: the shares are even ones.",
    }
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
