//! The service map as a file: an SVG that stands alone, and every number of it as JSON.

use super::Edge;
use app::pages::live::{
    badges_model::{self, BadgeFace},
    export,
    export::Theme,
    layout,
    scene::{self, Health},
};
use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use contract::{
    live::{EdgeView, LiveSnapshot},
    service::GATEWAY,
};
use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shop::problem::Problem;
use telemetry::EdgeRates;

/// A drawing styles itself and loads nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

fn badge(face: &BadgeFace) -> Value {
    json!({ "text": face.text, "meaning": face.name, "href": face.href })
}

/// `/map.svg` and `/map.json`.
pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/map.svg", get(drawing)).route("/map.json", get(numbers))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colours {
    #[default]
    Auto,
    Dark,
    Light,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// `dark` or `light`; without it as whoever shows the drawing prefers.
    theme: Colours,
}

fn named(mut answer: Response, file: &'static str) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(file));
    answer
}

async fn drawing(
    State(edge): State<Edge>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted?;
    let theme = match wanted.theme {
        Colours::Auto => Theme::Auto,
        Colours::Dark => Theme::Dark,
        Colours::Light => Theme::Light,
    };
    let svg = export::svg(&edge.live.snapshot(0, GATEWAY), theme, 0);
    let content: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "image/svg+xml"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    Ok(named((content, svg).into_response(), "inline; filename=\"vitrine-map.svg\""))
}

async fn numbers(_: super::control::NoQuery, State(edge): State<Edge>) -> Response {
    let (snapshot, rates) = edge.live.measured();
    let answer = Json(document(&snapshot, &rates)).into_response();
    named(answer, "inline; filename=\"vitrine-map.json\"")
}

/// A value as JSON; nothing of what is drawn fails to be.
fn value(of: impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// Every number of the map at one moment, and what its badges say.
fn document(snapshot: &LiveSnapshot, rates: &[EdgeRates]) -> Value {
    let (map, mesh) = (&snapshot.map, &snapshot.mesh);
    let layout = layout::wide();
    let nodes = scene::nodes(&layout, map);
    let shapes = scene::edges(&layout, map, &[]);
    let badges = badges_model::badges(&nodes, &shapes, &snapshot.faults, mesh, false);
    let services: Vec<Value> = map.nodes.iter().map(|node| service(node, snapshot)).collect();
    let edges: Vec<Value> = map.edges.iter().map(|edge| measured(edge, rates)).collect();
    json!({
        "at": app::model::format::iso(snapshot.at_us),
        "at_us": snapshot.at_us,
        "run_id": snapshot.run_id,
        "revision": mesh.revision,
        "window_seconds": map.window_seconds,
        "load_per_second": snapshot.load.per_second,
        "nodes": services,
        "edges": edges,
        "silent": map.silent,
        "deliveries": map.deliveries,
        "bus": {
            "per_second": map.bus_per_second,
            "lag_p95_ms": map.bus_lag_p95_ms,
            "dead_letters": map.bus_dead_letters,
        },
        "badges": badges.iter().map(badge).collect::<Vec<_>>(),
        "faults": snapshot.faults.active,
        "breakers": snapshot.breakers,
    })
}

fn service(node: &contract::live::NodeView, snapshot: &LiveSnapshot) -> Value {
    let (name, mesh) = (&node.service, &snapshot.mesh);
    let host = mesh.hosts.iter().find(|host| host.service == *name);
    let endpoints: Vec<_> = mesh.endpoints.iter().filter(|line| line.service == *name).collect();
    let mut out = value(node);
    if let Value::Object(fields) = &mut out {
        let received = scene::received(&snapshot.map, name);
        fields.insert("received_per_second".into(), received.into());
        // Configured and observed weight, rate, errors and p95 of each version.
        fields.insert("versions".into(), value(host.map(|h| &*h.lanes).unwrap_or_default()));
        fields.insert("mirror_percent".into(), value(host.and_then(|h| h.mirror_percent)));
        fields.insert("endpoints".into(), value(endpoints));
    }
    out
}

/// An edge with its health and all three quantiles, its own and those of each version.
fn measured(edge: &EdgeView, rates: &[EdgeRates]) -> Value {
    let same = |r: &&EdgeRates| r.from == edge.from && r.to == edge.to && r.kind == edge.kind;
    let found = rates.iter().find(same);
    let quantiles = |fields: &mut Map<String, Value>, of: Option<[Option<f64>; 2]>| {
        let [p50, p99] = of.unwrap_or_default();
        fields.insert("p50_ms".into(), value(p50));
        fields.insert("p99_ms".into(), value(p99));
    };
    let mut out = value(edge);
    if let Value::Object(fields) = &mut out {
        quantiles(fields, found.map(|rates| rates.p50_p99_ms));
        fields.insert("health".into(), word(scene::health(edge)).into());
        for part in fields.get_mut("subsets").and_then(Value::as_array_mut).into_iter().flatten() {
            let Value::Object(part) = part else { continue };
            let name = part.get("subset").and_then(Value::as_str).unwrap_or_default();
            let of = found.and_then(|rates| rates.subsets.iter().find(|s| s.subset == name));
            let of = of.map(|subset| subset.p50_p99_ms);
            quantiles(part, of);
        }
    }
    out
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::Idle => "idle",
        Health::Ok => "ok",
        Health::Warn => "warn",
        Health::Error => "error",
        Health::Open => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        live::{EdgeKind, MapView, NodeView, OrderTally, SubsetEdge},
        resilience::FaultsView,
        shop::LoadView,
        traffic::{HostMesh, LaneView, MeshView},
    };
    use telemetry::SubsetRates;

    fn part(subset: &str) -> SubsetEdge {
        SubsetEdge {
            subset: subset.into(),
            per_second: 1.25,
            error_share: 0.5,
            p95_ms: Some(8.5),
            calls: 75,
            breaker: None,
        }
    }

    fn snapshot() -> LiveSnapshot {
        let edge = |from: &str, to: &str, kind, subsets: &[&str]| EdgeView {
            from: from.into(),
            to: to.into(),
            kind,
            per_second: 2.5,
            error_share: 0.25,
            p95_ms: Some(8.5),
            calls: 150,
            breaker: None,
            subsets: subsets.iter().map(|subset| part(subset)).collect(),
            fallback: None,
        };
        let node = |service: &str| NodeView {
            service: service.into(),
            ready: 2,
            instances: 3,
            spark: vec![1.0, 2.0],
            note: Some("2PC, 0 in doubt".into()),
        };
        let lane = |subset: &str, configured| LaneView {
            subset: subset.into(),
            configured,
            observed: Some(0.25),
            per_second: 2.5,
            calls: 150,
            error_share: 0.0,
            p95_ms: None,
            ready: 1,
            instances: 1,
            spark: Vec::new(),
        };
        let host = HostMesh {
            service: "payments".into(),
            lanes: vec![lane("v1", 0.75), lane("v2", 0.25)],
            mirror_percent: Some(20.0),
            ..HostMesh::default()
        };
        LiveSnapshot {
            seq: 7,
            at_us: 1_772_375_660_000_000,
            run_id: "run".into(),
            started_us: 0,
            map: MapView {
                window_seconds: 60,
                nodes: vec![node("payments"), node("gateway"), node("<odd & new>")],
                edges: vec![
                    edge("gateway", "payments", EdgeKind::Call, &["v1", "v2"]),
                    edge("payments", "bank-customer", EdgeKind::Commit, &[]),
                    edge("gateway", "<odd & new>", EdgeKind::Call, &[]),
                    edge("load", "inventory", EdgeKind::Call, &[]),
                    edge("orders", "payments", EdgeKind::Message, &[]),
                ],
                ..MapView::default()
            },
            orders: Vec::new(),
            tally: OrderTally::default(),
            red: Vec::new(),
            load: LoadView::steady(2.0),
            changes: Vec::new(),
            faults: FaultsView::default(),
            breakers: Vec::new(),
            mesh: MeshView { revision: 3, hosts: vec![host], ..MeshView::default() },
            build: String::new(),
        }
    }

    fn rates() -> Vec<EdgeRates> {
        let subset = |name: &str, p50| SubsetRates {
            subset: name.into(),
            per_second: 1.25,
            error_share: 0.5,
            p95_ms: Some(8.5),
            p50_p99_ms: [Some(p50), Some(9.5)],
            calls: 75,
        };
        vec![EdgeRates {
            from: "gateway".into(),
            to: "payments".into(),
            kind: EdgeKind::Call,
            per_second: 2.5,
            error_share: 0.25,
            p95_ms: Some(8.5),
            p50_p99_ms: [Some(4.5), Some(9.5)],
            calls: 150,
            subsets: vec![subset("v1", 4.25), subset("v2", 4.75)],
        }]
    }

    /// Fails where a document is not well-formed: tags nest, and text holds no markup.
    fn well_formed(svg: &str) -> Vec<&str> {
        let (mut open, mut tags) = (Vec::new(), Vec::new());
        for piece in svg.trim_end().split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag that ends");
            let amps = tag.matches('&').count() + text.matches('&').count();
            let named = ["&amp;", "&lt;", "&gt;", "&quot;"];
            let entities: usize = named.iter().map(|entity| piece.matches(entity).count()).sum();
            assert_eq!(amps, entities, "{piece}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{piece}");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
            tags.push(tag);
        }
        assert!(open.is_empty(), "{open:?}");
        tags
    }

    #[test]
    fn the_drawing_is_well_formed_stands_alone_and_has_every_node_and_edge() {
        let snapshot = snapshot();
        let svg = export::svg(&snapshot, Theme::Auto, 0);
        let tags = well_formed(&svg);
        assert!(!svg.contains("url(") && !svg.contains("href") && !svg.contains("var("), "{svg}");
        let has = |what: &str| tags.iter().any(|tag| tag.contains(what));
        for name in layout::wide().nodes.iter().map(|node| node.name.as_str()) {
            assert!(has(&format!("data-node=\"{name}\"")), "{name}");
        }
        assert!(has("data-node=\"&lt;odd &amp; new&gt;\""));
        for (from, to, subset) in [
            ("gateway", "payments", "v1"),
            ("gateway", "payments", "v2"),
            ("payments", "bank-customer", ""),
            ("gateway", "&lt;odd &amp; new&gt;", ""),
            ("load", "inventory", ""),
        ] {
            let ends = format!("data-from=\"{from}\" data-to=\"{to}\"");
            let subset = format!("data-subset=\"{subset}\"");
            let found = tags.iter().any(|tag| tag.contains(&ends) && tag.contains(&subset));
            assert!(found, "{from} to {to} {subset}");
        }
        assert!(has("data-from=\"orders\" data-to=\"bus\" data-kind=\"message\""));
        assert!(svg.contains("2026-03-01T14:34:20"), "the time of the snapshot");
    }

    #[test]
    fn every_number_of_the_document_is_the_snapshot_s() {
        let snapshot = snapshot();
        let document = document(&snapshot, &rates());
        assert_eq!(document["at_us"], snapshot.at_us);
        assert_eq!(document["revision"], 3);
        for (edge, told) in snapshot.map.edges.iter().zip(document["edges"].as_array().unwrap()) {
            let Value::Object(fields) = value(edge) else { panic!("an object") };
            let plain = fields.iter().filter(|(name, _)| *name != "subsets");
            plain.for_each(|(name, value)| assert_eq!(told[name], *value, "{name}"));
        }
        let first = &document["edges"][0];
        assert_eq!((&first["p50_ms"], &first["p99_ms"]), (&json!(4.5), &json!(9.5)));
        let medians: Vec<_> = (0..2).map(|n| first["subsets"][n]["p50_ms"].as_f64()).collect();
        assert_eq!(medians, [Some(4.25), Some(4.75)]);
        assert_eq!(first["health"], "error");
        let payments = &document["nodes"][0];
        let versions = payments["versions"].as_array().unwrap().iter();
        let told: Vec<_> = versions.map(|v| (&v["subset"], &v["configured"])).collect();
        assert_eq!(told, [(&json!("v1"), &json!(0.75)), (&json!("v2"), &json!(0.25))]);
        assert_eq!(payments["versions"][0]["observed"], 0.25);
        let badges = document["badges"].as_array().unwrap().iter();
        let texts: Vec<_> = badges.map(|badge| &badge["text"]).collect();
        assert_eq!(texts, ["75/25", "mirror 20%"]);
    }
}
