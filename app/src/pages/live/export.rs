//! The service map as a file: an SVG that stands alone, drawn from the same plan and the same faces
//! as the page. On the server only; the numbers as JSON are the server's.

use super::{
    badges_model::{self, BadgeKind},
    inside::caller_name,
    layout::{self, Anchor, EdgeShape, NodeKind, NodeShape, Rect, Stack},
    scene::{self, EdgeFace, EdgeKey, NodeFace, Part},
    versions,
};
use crate::{
    model::format,
    widget::{BreakerMark, Icon, service_class},
};
use contract::{
    live::{EdgeKind, LiveSnapshot},
    service,
};
use std::fmt::Write;

/// Where every colour is written.
const TOKENS: &str = include_str!("../../../../style/tokens.css");
/// Above the map: its title and the time.
const HEAD: f64 = 40.0;

/// Which colours a drawing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As whoever shows it prefers.
    Auto,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// Both values of a colour of the dashboard: light and dark.
fn token(name: &str) -> Option<[&'static str; 2]> {
    let start = format!("--{name}: light-dark(");
    let (_, rest) = TOKENS.split_once(&start)?;
    let (pair, _) = rest.split_once(')')?;
    let (light, dark) = pair.split_once(", ")?;
    Some([light, dark])
}

/// What is painted how: selector, property, token.
const PAINT: [(&str, &str, &str); 36] = [
    (".ground", "fill", "sunken"),
    ("text", "fill", "t1"),
    (".t2", "fill", "t2"),
    (".t3,.health-idle", "fill", "t3"),
    (".label", "stroke", "sunken"),
    (".box,.badge rect", "fill", "panel"),
    (".box,.badge rect,.track", "stroke", "line2"),
    (".down>.box", "stroke", "error"),
    (".edge path", "stroke", "line2"),
    (".edge.health-ok path", "stroke", "ok"),
    (".edge.health-warn path", "stroke", "warn"),
    (".edge.health-error path", "stroke", "error"),
    (".edge.health-open path", "stroke", "open"),
    (".edge .core", "stroke", "sunken"),
    (".breaker circle", "fill", "panel"),
    (".breaker circle,.breaker path", "stroke", "t3"),
    (".breaker-half circle,.breaker-half path", "stroke", "half"),
    (".breaker-open circle,.breaker-open path", "stroke", "open"),
    ("text .health-warn,text.health-warn", "fill", "warn"),
    ("text .health-error,text.health-error", "fill", "error"),
    ("text.health-open", "fill", "open"),
    (".fault rect", "fill", "warn-bg"),
    (".fault rect,.fault path", "stroke", "warn"),
    (".fault text", "fill", "warn"),
    (".code text", "fill", "inv"),
    (".svc .hue", "fill", "t2"),
    (".svc-gateway .hue", "fill", "svc-gateway"),
    (".svc-catalog .hue", "fill", "svc-catalog"),
    (".svc-users .hue", "fill", "svc-users"),
    (".svc-orders .hue", "fill", "svc-orders"),
    (".svc-inventory .hue", "fill", "svc-inventory"),
    (".svc-payments .hue", "fill", "svc-payments"),
    (".svc-recommendations .hue", "fill", "svc-recommendations"),
    (".svc-bus .hue", "fill", "svc-bus"),
    (".svc-bank-customer .hue", "fill", "svc-bank-customer"),
    (".svc-bank-merchant .hue", "fill", "svc-bank-merchant"),
];

/// What is the same in both themes.
const SHAPES: &str = "text{font:400 12px Inter,system-ui,sans-serif}\
    .b{font-weight:600;font-size:13px}.title{font-weight:600;font-size:15px}\
    .code text{font:600 10px Inter,system-ui,sans-serif;text-anchor:middle}\
    .label{paint-order:stroke;stroke-width:5px;stroke-linejoin:round}\
    .middle{text-anchor:middle}.end{text-anchor:end}\
    .edge path{fill:none}.message path,.health-open .line{stroke-dasharray:4 4}\
    .breaker path{fill:none;stroke-width:1.5}.fault path{fill:none;stroke-width:1.8}\
    .track{fill:none}";

fn styles(theme: Theme) -> String {
    let rules = |dark: usize| {
        let mut out = String::new();
        for (selector, property, name) in PAINT {
            if let Some(pair) = token(name) {
                let _ = write!(out, "{selector}{{{property}:{}}}", pair[dark]);
            }
        }
        out
    };
    match theme {
        Theme::Light => format!("{SHAPES}{}", rules(0)),
        Theme::Dark => format!("{SHAPES}{}", rules(1)),
        Theme::Auto => {
            format!("{SHAPES}{}@media(prefers-color-scheme:dark){{{}}}", rules(0), rules(1))
        }
    }
}

/// Text as XML has it; what XML 1.0 has no room for becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            other if other.is_control() => out.push('?'),
            other => out.push(other),
        }
    }
    out
}

/// The map of a snapshot. Clocks are so many minutes east of UTC.
#[must_use]
pub fn svg(snapshot: &LiveSnapshot, theme: Theme, zone_minutes: i32) -> String {
    let (map, mesh, layout) = (&snapshot.map, &snapshot.mesh, layout::wide());
    // A file has no drawer to unfold what is folded.
    let all: Vec<_> = map.edges.iter().map(|edge| (edge.from.clone(), edge.to.clone())).collect();
    let nodes = versions::whole(scene::nodes(&layout, map), mesh);
    let edges = versions::split(scene::edges(&layout, map, &all), &nodes, map, mesh);
    let (w, h) = (layout.width, layout.height + HEAD);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" \
         height=\"{h}\" role=\"img\"><title>Service map of Vitrine</title>"
    );
    let when = format::iso(snapshot.at_us);
    let said = format!("over {} s before {when}, r{}", map.window_seconds, mesh.revision);
    let _ = write!(
        out,
        "<desc>Rates {}</desc><style>{}</style><rect class=\"ground\" width=\"{w}\" \
         height=\"{h}\"/><text class=\"title\" x=\"16\" y=\"26\">Service map</text>\
         <text class=\"t3\" x=\"118\" y=\"26\">{}</text><g transform=\"translate(0 {HEAD})\">",
        escaped(&said),
        styles(theme),
        escaped(&said),
    );
    let faces: Vec<_> = edges
        .iter()
        .map(|shape| scene::edge_face(map, &key_of(shape), snapshot.at_us, zone_minutes))
        .collect();
    edges.iter().zip(&faces).for_each(|(shape, face)| edge_line(&mut out, shape, face));
    for node in &nodes {
        let face = scene::node_face(map, mesh, snapshot.load, &node.name, zone_minutes);
        node_box(&mut out, node, &face, snapshot);
    }
    edges.iter().zip(&faces).for_each(|(shape, face)| edge_label(&mut out, shape, face));
    for badge in badges_model::badges(&nodes, &edges, &snapshot.faults, mesh, false) {
        badge_box(&mut out, &badge);
    }
    out.push_str("</g></svg>\n");
    out
}

fn key_of(shape: &EdgeShape) -> EdgeKey {
    EdgeKey {
        from: shape.from.clone(),
        to: shape.to.clone(),
        kind: shape.kind,
        subset: shape.subset.clone(),
    }
}

const fn kind_word(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Call => "call",
        EdgeKind::Message => "message",
        EdgeKind::Commit => "commit",
    }
}

fn edge_line(out: &mut String, shape: &EdgeShape, face: &EdgeFace) {
    let (kind, path) = (kind_word(shape.kind), shape.curve.path());
    let width = if shape.kind == EdgeKind::Commit { 5.4 } else { f64::from(face.width) / 100.0 };
    let _ = write!(
        out,
        "<g class=\"edge {kind} {}\" data-from=\"{}\" data-to=\"{}\" data-kind=\"{kind}\" \
         data-subset=\"{}\"><title>{}</title><path class=\"line\" d=\"{path}\" \
         stroke-width=\"{width:.2}\"/>",
        face.health.class(),
        escaped(&shape.from),
        escaped(&shape.to),
        escaped(shape.subset.as_deref().unwrap_or_default()),
        escaped(&face.name),
    );
    if shape.kind == EdgeKind::Commit {
        let _ = write!(out, "<path class=\"core\" d=\"{path}\" stroke-width=\"2.4\"/>");
    }
    out.push_str("</g>");
}

fn parts(parts: &[Part]) -> String {
    let part = |part: &Part| {
        format!("<tspan class=\"{}\">{}</tspan>", part.health.class(), escaped(&part.text))
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" · ")
}

fn edge_label(out: &mut String, shape: &EdgeShape, face: &EdgeFace) {
    let side = match shape.anchor {
        Anchor::Start => "",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let (x, y) = (shape.label.x, shape.label.y);
    if !face.head.text.is_empty() {
        let (health, text) = (face.head.health.class(), escaped(&face.head.text));
        let _ = write!(
            out,
            "<text class=\"label b {side} {health}\" x=\"{x}\" y=\"{y}\">{text}</text>\
             <text class=\"label t2 {side}\" x=\"{x}\" y=\"{}\">{}</text>",
            y + 14.0,
            parts(&face.rest),
        );
    }
    if let Some(mark) = face.breaker {
        let sits = shape.curve.point(shape.breaker);
        breaker(out, mark, sits.x, sits.y);
    }
}

fn breaker(out: &mut String, mark: BreakerMark, x: f64, y: f64) {
    let _ = write!(
        out,
        "<g class=\"{}\" transform=\"translate({x:.1} {y:.1})\"><title>breaker {}</title>\
         <circle r=\"10.5\"/><path d=\"{}\"/></g>",
        mark.class(),
        mark.word(),
        mark.path(),
    );
}

fn node_box(out: &mut String, node: &NodeShape, face: &NodeFace, snapshot: &LiveSnapshot) {
    let Rect { x, y, w, h } = node.rect;
    let down = if face.down() { " down" } else { "" };
    let _ = write!(
        out,
        "<g class=\"node {}{down}\" data-node=\"{}\" transform=\"translate({x} {y})\">\
         <title>{}</title><rect class=\"box\" width=\"{w}\" height=\"{h}\" rx=\"9\"/>",
        service_class(&node.name),
        escaped(&node.name),
        escaped(&face.name),
    );
    let count = &face.count;
    match node.kind {
        NodeKind::Caller => {
            text(out, "b", 11.0, 22.0, &caller_name(&node.name, w));
            // Of a service outside its instances.
            text(out, "t2", 11.0, 40.0, if count.is_empty() { &face.note } else { count });
        }
        NodeKind::Bus => {
            let map = &snapshot.map;
            title(out, &node.name, "Event bus", 12.0, 8.0);
            text(out, "t2", 116.0, 20.5, &format::rate(map.bus_per_second));
            let letters = format::plural(map.bus_dead_letters, "dead letter", "dead letters");
            text(out, "t2", 232.0, 20.5, &letters);
            let lag = map.bus_lag_p95_ms.map(format::duration_ms);
            let lag = lag.map(|lag| format!("lag p95 {lag}")).unwrap_or_default();
            text(out, "t2 end", w - 12.0, 20.5, &lag);
        }
        NodeKind::Service => {
            let line = h.min(layout::PLAIN_H) - 15.0;
            title(out, &node.name, &node.name, 11.0, 10.0);
            text(out, "t2", 11.0, line, count);
            text(out, "t2 end", w - 11.0, line, &face.note);
        }
        NodeKind::Group(stack) => {
            title(out, &node.name, &node.name, 11.0, 10.0);
            match stack {
                Stack::Tall => text(out, "t2", 13.0, 45.0, &face.note),
                Stack::Columns => text(out, "t2", 11.0, 42.0, count),
                Stack::Rows | Stack::Sheet => {}
            }
        }
    }
    out.push_str("</g>");
    for version in versions::nodes(std::slice::from_ref(node), &snapshot.mesh) {
        version_box(out, &version, snapshot);
    }
}

fn version_box(out: &mut String, node: &NodeShape, snapshot: &LiveSnapshot) {
    let subset = node.subset.as_deref().unwrap_or_default();
    let Some(face) = versions::face(&snapshot.mesh, &node.name, subset) else { return };
    let Rect { x, y, w, h } = node.rect;
    let _ = write!(
        out,
        "<g class=\"version {}\" data-node=\"{}\" data-subset=\"{}\" \
         transform=\"translate({x} {y})\"><title>{}</title>\
         <rect class=\"box\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>",
        service_class(&node.name),
        escaped(&node.name),
        escaped(subset),
        escaped(&face.name),
    );
    let tall = h > 40.0;
    let (inset, line) = if tall { (10.0, 19.0) } else { (6.0, 14.0) };
    text(out, "b", inset, line, subset);
    text(out, "b end", w - inset, line, &face.weight);
    if tall {
        text(out, "t2", inset, 40.0, &face.count);
        text(out, "t2 end", w - inset, 40.0, &face.rate);
    }
    // As on the page: the track is the configured share, the fill the observed one.
    let (room, y) = (w - 2.0 * inset, h - 6.0);
    let _ = write!(
        out,
        "<rect class=\"track\" x=\"{inset}\" y=\"{y}\" width=\"{:.1}\" height=\"4\" rx=\"2\"/>\
         <rect class=\"hue\" x=\"{inset}\" y=\"{}\" width=\"{:.1}\" height=\"2\"/></g>",
        room * face.configured,
        y + 1.0,
        room * face.observed,
    );
}

/// Code and name of a service, the code's top left corner at the point.
fn title(out: &mut String, name: &str, label: &str, x: f64, y: f64) {
    let _ = write!(
        out,
        "<g class=\"code\"><rect class=\"hue\" x=\"{x}\" y=\"{y}\" width=\"21\" height=\"16\" \
         rx=\"4\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
        x + 10.5,
        y + 11.6,
        escaped(&service::code(name)),
    );
    text(out, "b", x + 28.0, y + 12.4, label);
}

fn text(out: &mut String, class: &str, x: f64, y: f64, said: &str) {
    if !said.is_empty() {
        let said = escaped(said);
        let _ = write!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{said}</text>");
    }
}

fn badge_box(out: &mut String, badge: &badges_model::BadgeFace) {
    let Rect { x, y, w, h } = badge.rect;
    let fault = badge.kind == BadgeKind::Fault;
    let _ = write!(
        out,
        "<g class=\"badge{}\" transform=\"translate({x:.1} {y:.1})\"><title>{}</title>\
         <rect width=\"{w:.1}\" height=\"{h}\" rx=\"4\"/>",
        if fault { " fault" } else { "" },
        escaped(&badge.name),
    );
    if fault {
        let path = Icon::Bolt.path();
        let _ = write!(out, "<path d=\"{path}\" transform=\"translate(4 3) scale(0.7)\"/>");
    }
    text(out, "t2", if fault { 17.0 } else { 6.0 }, 12.5, &badge.text);
    out.push_str("</g>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_of_a_file_is_one_of_the_dashboard_in_both_themes() {
        for (selector, _, name) in PAINT {
            let [light, dark] = token(name).unwrap_or_else(|| panic!("{selector}: no {name}"));
            for colour in [light, dark] {
                assert!(colour.starts_with('#') && colour.len() == 7, "{name}: {colour}");
            }
        }
        assert_eq!(token("ok"), Some(["#0e7a4f", "#46c08a"]));
        let (light, dark, both) = (styles(Theme::Light), styles(Theme::Dark), styles(Theme::Auto));
        assert!(light.contains("#0e7a4f") && !light.contains("#46c08a"));
        assert!(dark.contains("#46c08a") && !dark.contains("#0e7a4f"));
        assert!(both.contains("#0e7a4f") && both.contains("@media(prefers-color-scheme:dark)"));
    }

    #[test]
    fn a_name_is_text_whatever_is_in_it() {
        assert_eq!(escaped("<a href=\"x\">&\u{1}\u{ffff}"), "&lt;a href=&quot;x&quot;&gt;&amp;??");
    }
}
