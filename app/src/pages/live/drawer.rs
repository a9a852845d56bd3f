//! The drawer: numbers of the node or edge that was chosen on the map.

use super::{
    Chosen, Selection, badges_model,
    node_logs::node_logs,
    scene::{self, health},
};
use crate::{
    frame::{
        lazily::{Body, Lazily},
        range::in_range,
        use_keys, use_range,
    },
    live::use_live,
    model::{breaker, format, tone::Tone},
    widget::{Badge, BreakerMark, Icon, ServiceCode, Sparkline, icon, use_zone},
};
use contract::{
    live::{BreakerView, EdgeKind, EdgeView, MapView, SubsetEdge},
    resilience::{EndpointLine, EndpointState},
    service,
};
use leptos::prelude::*;

/// The drawer; nothing while nothing is chosen.
#[component]
pub(super) fn Drawer() -> impl IntoView {
    let Chosen { now, choose } = expect_context::<Chosen>();
    use_keys(move |key, _| {
        let taken = key == "Escape" && now.with_untracked(Option::is_some);
        if taken {
            choose.run(None);
        }
        taken
    });
    move || {
        let selection = now.get()?;
        let (kind, title) = match &selection {
            Selection::Node(name) => ("Service", name.clone()),
            Selection::Edge(from, to) => ("Edge", format!("{from} → {to}")),
        };
        let label = title.clone();
        Some(view! {
            <aside class="drawer" aria-label=label>
                <header>
                    <span class="hint">{kind}</span>
                    <h2 class="grow">{title}</h2>
                    <button
                        type="button" class="button ghost square" aria-label="Close" title="Esc"
                        on:click=move |_| choose.run(None)
                    >
                        {icon(Icon::Cross)}
                    </button>
                </header>
                <Lazily body=Body::Drawer(selection)/>
            </aside>
        })
    }
}

/// What the drawer shows of a node or an edge.
pub fn body(selection: Selection) -> AnyView {
    match selection {
        Selection::Node(name) => node_body(name),
        Selection::Edge(from, to) => edge_body(from, to),
    }
}

/// Label and value.
type Fact = (&'static str, String);

fn facts(rows: impl Fn() -> Vec<Fact> + Send + Sync + 'static) -> AnyView {
    let rows = Memo::new(move |_| rows());
    view! {
        <dl class="facts">
            {move || rows.get().into_iter().map(|(label, value)| view! {
                <div>
                    <dt>{label}</dt>
                    <dd>{value}</dd>
                </div>
            }).collect_view()}
        </dl>
    }
    .into_any()
}

fn red_facts(map: &MapView, name: &str) -> Vec<Fact> {
    let calls = || map.edges.iter().filter(|e| e.to == name && e.kind != EdgeKind::Message);
    let rate: f64 = calls().map(|edge| edge.per_second).sum();
    let failed: f64 = calls().map(|edge| edge.per_second * edge.error_share).sum();
    let slowest = calls()
        .filter_map(|edge| edge.p95_ms)
        .fold(None, |a: Option<f64>, b| Some(a.map_or(b, |a| a.max(b))));
    let (sent, read) = scene::events_of(map, name);
    let mut rows = vec![("Calls to it, refused ones too", format::rate(rate))];
    if rate > 0.0 {
        rows.push(("Failed (5xx or unanswered)", format::share(failed / rate)));
    }
    if let Some(slowest) = slowest {
        rows.push(("Slowest caller's p95", format::duration_ms(slowest)));
    }
    if sent + read > 0.0 {
        rows.push(("Events sent", format::rate(sent)));
        rows.push(("Events read", format::rate(read)));
    }
    rows
}

fn node_body(name: String) -> AnyView {
    let live = use_live();
    let (map, mesh, zone) = (live.map(), live.mesh(), use_zone());
    let range = use_range().minutes();
    let of = name.clone();
    let rows = move || {
        map.with(|map| {
            let (load, zone) = (live.load().get(), zone.get());
            let face = mesh.with(|mesh| scene::node_face(map, mesh, load, &of, zone));
            let mut rows = red_facts(map, &of);
            if let Some((ready, all)) = face.instances {
                rows.push(("Instances up", format!("{ready} of {all}")));
            }
            if !face.note.is_empty() {
                rows.push(("State", face.note));
            }
            rows.extend(face.silent.map(|silent| ("Calls", silent)));
            rows
        })
    };
    let traces = format!("/traces?service={name}");
    let traces = move || in_range(&traces, range.get());
    view! {
        <div class="drawer-body">
            <p class="hint">"Over the last minute"</p>
            {facts(rows)}
            {faults_of(name.clone())}
            {received(name.clone())}
            {instances(name.clone())}
            {neighbours(name.clone())}
            {(!outside(&name)).then(|| node_logs(name.clone()))}
            <div class="actions">
                <a class="button" href=traces>
                    {icon(Icon::Spans)} <span>"Traces of " {name.clone()}</span>
                </a>
                {mesh_links(&name)}
            </div>
        </div>
    }
    .into_any()
}

/// Callers that are no services of the shop and write no log.
fn outside(name: &str) -> bool {
    name == service::BROWSER || name == service::LOAD
}

/// What is injected into it, each with the way to it.
fn faults_of(name: String) -> AnyView {
    let faults = use_live().faults();
    let mine = Memo::new(move |_| {
        faults.with(|faults| {
            let mine = faults.active.iter().filter(|fault| fault.to == name);
            mine.map(|fault| (fault.id.clone(), fault.what.clone())).collect::<Vec<_>>()
        })
    });
    let row = |(id, what): (String, String)| {
        let href = format!("/resilience?fault={id}#faults");
        view! { <div><dt>{what}</dt><dd class="tone-warn"><a href=href>{id}</a></dd></div> }
    };
    let rows = move || mine.get().into_iter().map(row).collect_view();
    view! { <dl class="facts">{rows}</dl> }.into_any()
}

/// Calls received, second by second.
fn received(name: String) -> AnyView {
    let map = use_live().map();
    let values = Memo::new(move |_| {
        let spark = |map: &MapView| {
            let node = map.nodes.iter().find(|node| node.service == name);
            node.map(|node| node.spark.clone()).unwrap_or_default()
        };
        map.with(spark)
    });
    view! {
        <p class="hint">"Calls received per second"</p>
        <Sparkline values=values width=330 height=36/>
    }
    .into_any()
}

/// Its instances with their versions and what they do.
fn instances(name: String) -> AnyView {
    let mesh = use_live().mesh();
    let lines = Memo::new(move |_| {
        mesh.with(|mesh| {
            let mine = mesh.endpoints.iter().filter(|line| line.service == name);
            mine.cloned().collect::<Vec<_>>()
        })
    });
    let row = |line: EndpointLine| {
        let (class, word) = match line.state {
            EndpointState::Ready => ("tone-ok", "ready"),
            EndpointState::Down { .. } => ("tone-error", "down"),
            EndpointState::Paused { .. } => ("tone-warn", "paused"),
            EndpointState::Ejected { .. } => ("tone-open", "ejected"),
        };
        view! {
            <div>
                <dt>{line.instance} " " {line.subset}</dt>
                <dd class=class><a href="/resilience#endpoints">{word}</a></dd>
            </div>
        }
    };
    let list = move || {
        let lines = lines.get();
        (!lines.is_empty()).then(|| {
            view! {
                <h3>"Instances"</h3>
                <dl class="facts">{lines.into_iter().map(row).collect_view()}</dl>
            }
        })
    };
    view! { {list} }.into_any()
}

/// The route of a service, and the way to a fault on it.
fn mesh_links(name: &str) -> AnyView {
    if !contract::service::has_page(name) {
        return ().into_any();
    }
    let (route, inject) = (format!("/traffic/{name}"), format!("/resilience?to={name}#inject"));
    view! {
        <a class="button" href=route>{icon(Icon::Routes)} <span>"Route"</span></a>
        <a class="button" href=inject>{icon(Icon::Bolt)} <span>"Inject a fault"</span></a>
    }
    .into_any()
}

/// Who calls it, and whom it calls.
fn neighbours(name: String) -> AnyView {
    let map = use_live().map();
    let edges = Memo::new(move |_| {
        map.with(|map| {
            let touching = map.edges.iter().filter(|edge| edge.from == name || edge.to == name);
            touching
                .map(|edge| {
                    (edge.from.clone(), edge.to.clone(), edge.kind, format::rate(edge.per_second))
                })
                .collect::<Vec<_>>()
        })
    });
    let row = |(from, to, kind, rate): (String, String, EdgeKind, String)| {
        let kind = if kind == EdgeKind::Message { "events" } else { "" };
        let href = format!("/?edge={from}~{to}");
        view! {
            <li>
                <a href=href>
                    <ServiceCode service=from.clone()/>
                    <span>{from}</span>
                    <span class="hint">"→"</span>
                    <ServiceCode service=to.clone()/>
                    <span class="grow">{to} " " <span class="hint">{kind}</span></span>
                    <span>{rate}</span>
                </a>
            </li>
        }
    };
    view! {
        <h3>"Edges"</h3>
        <ul class="neighbours">{move || edges.get().into_iter().map(row).collect_view()}</ul>
    }
    .into_any()
}

fn breaker_fact(edge: &EdgeView, now_us: i64) -> Option<(Tone, BreakerMark, String)> {
    let mark = edge.breaker?;
    let text = match mark {
        BreakerView::Closed { failures: 0 } => "No failure in a row".to_owned(),
        BreakerView::Closed { failures } => {
            format!("{} in a row so far", format::plural(failures.into(), "failure", "failures"))
        }
        BreakerView::Open { half_open_at_us } => {
            let left = breaker::seconds_left(half_open_at_us, now_us);
            format!("Calls are refused. A probe is let through in {left} s")
        }
        BreakerView::ForcedOpen { until_us } => {
            let left = breaker::seconds_left(until_us, now_us);
            format!("Held open by hand for {left} s more")
        }
        BreakerView::HalfOpen => "One probe is let through".to_owned(),
    };
    let mark = BreakerMark::from(mark);
    let tone = match mark {
        BreakerMark::Closed => Tone::Neutral,
        BreakerMark::HalfOpen => Tone::Half,
        BreakerMark::Open => Tone::Open,
    };
    Some((tone, mark, text))
}

fn edge_facts(edge: &EdgeView) -> Vec<Fact> {
    let mut rows = vec![
        ("Rate", format::rate(edge.per_second)),
        ("Failed (5xx or unanswered)", format::share(edge.error_share)),
    ];
    if let Some(p95) = edge.p95_ms {
        rows.push(("p95", format::duration_ms(p95)));
    }
    rows.push(("Calls in the window", format::count(edge.calls)));
    rows
}

/// What of an edge went to one version.
fn subset_fact(part: &SubsetEdge) -> AnyView {
    let p95 = part.p95_ms.map(|ms| format!(", p95 {}", format::duration_ms(ms)));
    let breaker = part.breaker.map(|b| format!(", breaker {}", BreakerMark::from(b).word()));
    let share = format::share(part.error_share);
    view! {
        <div>
            <dt>{part.subset.clone()}</dt>
            <dd>{format::rate(part.per_second)} ", " {share} " failed" {p95} {breaker}</dd>
        </div>
    }
    .into_any()
}

/// Whether an edge of the data is what a line of the map stands for. The line between a service
/// and the bus stands for all messages it sends and reads.
fn joins(edge: &EdgeView, from: &str, to: &str) -> bool {
    let of = match (from, to) {
        (service::BUS, service) | (service, service::BUS) => service,
        _ => return edge.from == from && edge.to == to,
    };
    edge.kind == EdgeKind::Message && (edge.from == of || edge.to == of)
}

/// Why an edge of calls has its colour; messages have none of their own.
fn colour(edge: &EdgeView) -> Option<AnyView> {
    let rule = scene::rule(health(edge), edge.error_share, edge.p95_ms.unwrap_or_default());
    let rule = rule.filter(|_| edge.kind != EdgeKind::Message)?;
    Some(view! { <p class="hint">{rule}</p> }.into_any())
}

/// From an edge on: to the traces of its callee, to its breaker, to the callee's route.
fn ways_on(to: &str, watched: String) -> AnyView {
    let range = use_range().minutes();
    let found = |more: &str| {
        let address = format!("/traces?service={to}{more}");
        move || in_range(&address, range.get())
    };
    view! {
        <div class="actions">
            <a class="button" href=found("")>
                {icon(Icon::Spans)} <span>"Traces of " {to.to_owned()}</span>
            </a>
            <a class="button" href=found("&min=500")>
                {icon(Icon::Clock)} <span>"Slow traces"</span>
            </a>
            <a class="button" href=found("&status=error")>
                {icon(Icon::Cross)} <span>"Failed traces"</span>
            </a>
            <a class="button" href=watched>{icon(Icon::Switch)} <span>"Breaker"</span></a>
            {mesh_links(to)}
        </div>
    }
    .into_any()
}

fn edge_body(from: String, to: String) -> AnyView {
    let live = use_live();
    let map = live.map();
    // The line to the bus stands for what the bus delivers to the service.
    let watched = match (&*from, &*to) {
        (service, service::BUS) => badges_model::breaker_href(service::BUS, service),
        (from, to) => badges_model::breaker_href(from, to),
    };
    let (a, b) = (from.clone(), to.clone());
    let found = Memo::new(move |_| {
        map.with(|map| {
            let between = map.edges.iter().filter(|edge| joins(edge, &a, &b));
            between.cloned().collect::<Vec<_>>()
        })
    });
    let one = move |edge: EdgeView| {
        let (kind, caller) = match edge.kind {
            EdgeKind::Call => ("Calls".to_owned(), edge.from.as_str()),
            // The breaker of a message's delivery belongs to the bus.
            EdgeKind::Message => (format!("Events {} → {}", edge.from, edge.to), service::BUS),
            EdgeKind::Commit => ("Two-phase commit".to_owned(), edge.from.as_str()),
        };
        let card = badges_model::breaker_href(caller, &edge.to);
        let breaker = breaker_fact(&edge, live.now_us().get()).map(|(tone, mark, text)| {
            view! {
                <p class="breaker-line">
                    <a href=card>
                        <Badge tone=tone text=format!("breaker {}", mark.word())/>
                    </a>
                    <span>{text}</span>
                </p>
            }
        });
        let rows = edge_facts(&edge);
        let versions = edge.subsets.iter().map(subset_fact).collect_view();
        view! {
            <h3 class=health(&edge).class()>{kind}</h3>
            {colour(&edge)}
            {breaker}
            {facts(move || rows.clone())}
            <dl class="facts">{versions}</dl>
        }
        .into_any()
    };
    view! {
        <div class="drawer-body">
            <p class="hint">"Over the last minute"</p>
            {move || {
                let edges = found.get();
                if edges.is_empty() {
                    view! { <p>"Nothing was sent over this edge."</p> }.into_any()
                } else {
                    edges.into_iter().map(one).collect_view().into_any()
                }
            }}
            {ways_on(&to, watched)}
        </div>
    }
    .into_any()
}
