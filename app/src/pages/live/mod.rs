//! The live page: service map, what changed, orders, RED charts.

mod badges;
pub mod badges_model;
pub mod charts;
pub mod charts_model;
pub mod drawer;
#[cfg(feature = "ssr")]
pub mod export;
pub mod feed;
pub mod feed_model;
mod inside;
pub mod layout;
pub mod map;
mod node_logs;
pub mod particles;
pub mod particles_model;
pub mod scene;
pub mod table;
pub mod table_model;
pub mod traced;
pub mod versions;
pub mod walk;

use crate::{
    frame::{range::use_set_query, use_keys},
    live::use_live,
    model::{format, tone::Tone},
    widget::{
        Badge, BreakerGlyph, BreakerMark, Choice, Clock, Icon, Segmented, ServiceCode, icon,
        use_zone,
    },
};
use contract::live::ChangeView;
use leptos::{html, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// Something on the map that was chosen: kept in the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// A service.
    Node(String),
    /// An edge between two services.
    Edge(String, String),
}

/// What is chosen, and how to choose.
#[derive(Clone, Copy)]
pub struct Chosen {
    /// From the address.
    pub now: Memo<Option<Selection>>,
    /// Puts it into the address; none closes the drawer.
    pub choose: Callback<Option<Selection>>,
}

/// What an address chooses, of what is there: a place of the plan, or named by the data.
#[must_use]
pub fn selection(
    node: Option<&str>,
    edge: Option<&str>,
    there: impl Fn(&str) -> bool,
) -> Option<Selection> {
    let ends = edge.and_then(|edge| edge.split_once('~'));
    let ends = ends.filter(|(from, to)| there(from) && there(to));
    let node = node.filter(|node| there(node)).map(|node| Selection::Node(node.to_owned()));
    ends.map(|(from, to)| Selection::Edge(from.to_owned(), to.to_owned())).or(node)
}

fn provide_chosen() -> Chosen {
    let query = use_query_map();
    let (set, map) = (use_set_query(), use_live().map());
    let plan = layout::wide();
    let now = Memo::new(move |_| {
        query.with(|query| {
            selection(query.get_str("node"), query.get_str("edge"), |name| {
                plan.node(name).is_some() || map.with(|map| scene::names(map, name))
            })
        })
    });
    let choose = Callback::new(move |selection: Option<Selection>| {
        let (node, edge) = match selection {
            Some(Selection::Node(name)) => (Some(name), None),
            Some(Selection::Edge(from, to)) => (None, Some(format!("{from}~{to}"))),
            None => (None, None),
        };
        set.run(vec![("node", node), ("edge", edge)]);
    });
    let chosen = Chosen { now, choose };
    provide_context(chosen);
    chosen
}

/// The live page.
#[component]
pub fn LivePage() -> impl IntoView {
    let (live, traced) = (use_live(), traced::provide());
    view! {
        <Title text="Live"/>
        <h1 class="sr">"Live"</h1>
        <Suspense>
            {move || Suspend::new(async move {
                live.ready().await;
                traced.ready().await;
                view! { <LiveBody/> }
            })}
        </Suspense>
    }
    .into_any()
}

/// Whether the orders are shown: in place of the map where the two do not fit beside each other,
/// and over it on a phone.
#[derive(Clone, Copy)]
struct OrdersShown(RwSignal<bool>);

#[component]
fn LiveBody() -> impl IntoView {
    let chosen = provide_chosen();
    let open = move || chosen.now.with(Option::is_some);
    let orders = RwSignal::new(false);
    provide_context(OrdersShown(orders));
    let tab = Signal::derive(move || if orders.get() { "orders" } else { "map" }.to_owned());
    let seeded = use_live().seeded();
    let traced = traced::use_traced();
    traced.listen();
    view! {
        <div
            class="live" class:with-drawer=open class:show-orders=move || orders.get()
            class:with-trace=move || traced.on()
            aria-busy=move || (!seeded.get()).then_some("true")
        >
            <NotThere/>
            <div class="live-tabs">
                <Segmented
                    label="Show" name="live-tab" choices=vec![("map", "Map"), ("orders", "Orders")]
                    value=tab on_choose=move |value: String| orders.set(value == "orders")
                />
            </div>
            <MapPanel/>
            <charts::ChartRow/>
            <feed::Feed/>
            {traced.side()}
            <drawer::Drawer/>
        </div>
    }
    .into_any()
}

/// Why there is nothing to show yet, and the way to ask again; without JavaScript a link.
#[component]
fn NotThere() -> impl IntoView {
    let live = use_live();
    let retry = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        live.retry_now();
    };
    move || {
        let why = live.failed().get().filter(|_| !live.seeded().get())?;
        Some(view! {
            <div class="banner tone-error not-there" role="alert">
                {icon(Icon::Alert)}
                <span class="grow">"The live data could not be loaded: " {why}</span>
                <a class="button ghost" href="/" on:click=retry>"Retry"</a>
            </div>
        })
    }
}

/// What the map can bring to the front, in the address.
const LAYERS: [Choice; 4] =
    [("traffic", "Traffic"), ("events", "Events"), ("2pc", "2PC"), ("mtls", "mTLS")];

/// The map as a file, at a click; the same without a script.
const EXPORTS: &str = "<a class=\"button\" href=\"/map.svg\" download \
    aria-label=\"Map as SVG\">SVG</a><a class=\"button\" href=\"/map.json\" download \
    aria-label=\"Map as JSON\">JSON</a>";

/// Title row, map or table, what changed, legend.
#[component]
fn MapPanel() -> impl IntoView {
    let query = use_query_map();
    let set = use_set_query();
    let layer = Signal::derive(move || {
        let asked = query.with(|query| query.get("layer")).unwrap_or_default();
        let known = LAYERS.iter().find(|(word, _)| *word == asked);
        known.map_or("traffic", |(word, _)| *word).to_owned()
    });
    let show_layer = move |word: String| {
        set.run(vec![("layer", (word != "traffic").then_some(word))]);
    };
    let as_table = Memo::new(move |_| query.with(|query| query.get_str("view") == Some("table")));
    let toggle = move || {
        let next = (!as_table.get_untracked()).then(|| "table".to_owned());
        set.run(vec![("view", next)]);
    };
    use_keys(move |key, _| {
        let taken = key.eq_ignore_ascii_case("t");
        if taken {
            toggle();
        }
        taken
    });
    let panel = NodeRef::<html::Section>::new();
    let fill = move |_| {
        let full = document().fullscreen_element().is_some();
        match panel.get_untracked() {
            Some(panel) if !full => drop(panel.request_fullscreen()),
            _ => document().exit_fullscreen(),
        }
    };
    let table_link = move || if as_table.get() { "/" } else { "/?view=table" };
    view! {
        <section class="map-panel" aria-label="Service map" node_ref=panel>
            <header class="map-head">
                <h2>"Service map"</h2>
                <MapWindow/>
                <Badges/>
                <span class="grow"></span>
                <Segmented
                    label="Layer" name="layer" choices=LAYERS.to_vec() value=layer
                    on_choose=show_layer
                />
                <a
                    class="button table-button" href=table_link
                    aria-current=move || as_table.get().then_some("true")
                    on:click=move |event| {
                        event.prevent_default();
                        event.stop_propagation();
                        toggle();
                    }
                >
                    {icon(Icon::List)}
                    <span>{move || if as_table.get() { "Map" } else { "Table" }}</span>
                </a>
                <span class="exports" inner_html=EXPORTS></span>
                <button
                    type="button" class="button square fill-button" aria-label="Fill the screen"
                    on:click=fill
                >
                    {icon(Icon::Expand)}
                </button>
            </header>
            {traced::use_traced().bar()}
            {move || if as_table.get() {
                view! { <table::MapTable/> }.into_any()
            } else {
                map_view(layer)
            }}
        </section>
    }
    .into_any()
}

/// The map with what stands over and below it.
fn map_view(layer: Signal<String>) -> AnyView {
    view! {
        <noscript inner_html=plain_table()></noscript>
        <map::Stage layer=layer/>
        <Show when=move || layer.with(|layer| layer == "mtls")>
            <Identities/>
        </Show>
        <Changes/>
        <Legend/>
    }
    .into_any()
}

/// Who is who to the mesh, and what mutual TLS would add.
#[component]
fn Identities() -> impl IntoView {
    let mesh = use_live().mesh();
    let rows = Memo::new(move |_| mesh.with(|mesh| mesh.identities.clone()));
    // What all begin with is said once.
    let shared = Memo::new(move |_| rows.with(|rows| scene::shared_domain(rows).to_owned()));
    let row = move |identity: contract::traffic::IdentityView| {
        let whole = identity.principal.clone();
        let own = whole.strip_prefix(&*shared.read()).unwrap_or(&whole).to_owned();
        view! { <li title=whole><code>{own}</code> <span>{identity.mode}</span></li> }
    };
    view! {
        <section class="identities" aria-label="Identities">
            <p>
                "In one process there is no transport to encrypt: identities are SPIFFE names that \
                 policies match. Between machines, mutual TLS would prove them with certificates \
                 and encrypt every call."
            </p>
            <p><code>{move || shared.get()}</code></p>
            <ul>{move || rows.get().into_iter().map(row).collect_view()}</ul>
        </section>
    }
    .into_any()
}

/// The table as it was when the page was made: a map that cannot move says little.
fn plain_table() -> String {
    let (map, zone) = (use_live().map(), use_zone().get_untracked());
    let rows = |map: &_| table_model::rows(map, table_model::Column::default(), zone);
    map.with_untracked(|map| table::plain(&rows(map)))
}

#[component]
fn MapWindow() -> impl IntoView {
    let map = use_live().map();
    let text = move || {
        let seconds = map.with(|map| map.window_seconds);
        if seconds == 0 { String::new() } else { format!("over the last {seconds} s") }
    };
    view! { <span class="hint">{text}</span> }
}

/// What deviates, as badges; nothing when all is well.
#[component]
fn Badges() -> impl IntoView {
    let (map, breakers) = (use_live().map(), use_live().breakers());
    let summary =
        Memo::new(move |_| map.with(|map| breakers.with(|breakers| scene::summary(map, breakers))));
    move || {
        let now = summary.get();
        let open = u64::try_from(now.open).unwrap_or_default();
        let open = (open > 0).then(|| format::plural(open, "breaker open", "breakers open"));
        let half = (now.half_open > 0).then(|| format!("{} half-open", now.half_open));
        let down = (now.ready < now.instances)
            .then(|| format!("{} of {} instances up", now.ready, now.instances));
        view! {
            {open.map(|text| badge_link("/resilience?state=open#breakers", Tone::Open, text))}
            {half.map(|text| badge_link("/resilience?state=half#breakers", Tone::Half, text))}
            {down.map(|text| badge_link("/resilience#endpoints", Tone::Error, text))}
        }
        .into_any()
    }
}

/// A badge that leads to what it counts.
fn badge_link(href: &'static str, tone: Tone, text: String) -> AnyView {
    view! { <a class="badge-link" href=href><Badge tone=tone text=text/></a> }.into_any()
}

/// The last changes of state, newest first.
#[component]
fn Changes() -> impl IntoView {
    let changes = use_live().changes();
    move || {
        let changes = changes.get();
        if changes.is_empty() {
            return ().into_any();
        }
        let rows = changes.into_iter().map(change_row).collect_view();
        view! {
            <section class="changes">
                <h3>"What changed"</h3>
                <ol>{rows}</ol>
            </section>
        }
        .into_any()
    }
}

/// The caller of a subject that is an edge, and its end: where there is no room for both names the
/// caller is its code.
fn subject_parts(subject: &str) -> (&str, &str) {
    let arrow = subject.find(" → ").map(|at| at + 1);
    arrow.and_then(|at| subject.split_at_checked(at)).unwrap_or(("", subject))
}

fn change_row(change: ChangeView) -> AnyView {
    let tone = Tone::from_word(&change.status).class();
    let text = match change.opened {
        ..=1 => change.text,
        many => change.text.replacen("opened", &format!("opened {many} times"), 1),
    };
    let whole = change.subject.clone();
    let (caller, end) = subject_parts(&change.subject);
    let caller = (!caller.is_empty()).then(|| caller.to_owned());
    let caller = caller.map(|caller| {
        let service = caller.trim_end().to_owned();
        view! {
            <span class="caller">{caller}</span>
            <ServiceCode service=service/>
        }
    });
    let short = view! { {caller} <span>{end.to_owned()}</span> };
    let subject = match change.href {
        Some(href) => view! {
            <a class="subject" href=href title=whole.clone() aria-label=whole>{short}</a>
        }
        .into_any(),
        None => view! { <span class="subject" title=whole>{short}</span> }.into_any(),
    };
    view! {
        <li class=tone>
            <Clock at_us=change.at_us/>
            <span>
                {subject}
                <small title=text.clone()>{text.clone()}</small>
            </span>
        </li>
    }
    .into_any()
}

#[component]
fn Legend() -> impl IntoView {
    view! {
        <div class="legend" aria-label="Legend" role="group">
            <span><i class="key key-ok"></i>"errors under 1%"</span>
            <span><i class="key key-warn"></i>"1 to 5%"</span>
            <span><i class="key key-error"></i>"over 5%, or p95 over 1 s"</span>
            <span class="divider"></span>
            <span><BreakerGlyph mark=BreakerMark::Closed/>"closed"</span>
            <span><BreakerGlyph mark=BreakerMark::HalfOpen/>"half-open"</span>
            <span><BreakerGlyph mark=BreakerMark::Open/>"open"</span>
            <span class="divider"></span>
            <span><i class="key key-events"></i>"events"</span>
            <span><i class="key key-commit"></i>"two-phase commit"</span>
            <span class="grow end">"width = req/s"</span>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_chooses_only_what_is_on_the_map() {
        let there = |name: &str| ["orders", "payments"].contains(&name);
        assert_eq!(
            selection(Some("orders"), None, there),
            Some(Selection::Node("orders".to_owned()))
        );
        assert_eq!(selection(Some("nonsense"), None, there), None);
        let edge = Some(Selection::Edge("orders".to_owned(), "payments".to_owned()));
        assert_eq!(selection(None, Some("orders~payments"), there), edge);
        assert_eq!(selection(None, Some("orders~nonsense"), there), None);
        assert_eq!(selection(None, Some("orders"), there), None);
    }

    #[test]
    fn of_what_changed_on_an_edge_the_end_can_stand_alone() {
        assert_eq!(
            subject_parts("gateway → recommendations v1"),
            ("gateway ", "→ recommendations v1")
        );
        assert_eq!(subject_parts("recommendations-v1-1"), ("", "recommendations-v1-1"));
    }
}
