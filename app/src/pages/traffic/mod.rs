//! Traffic: how requests to each host are routed, as controls beside the YAML they are.
//!
//! The page of all hosts applies whole files; the page of one host edits its draft.

mod apply;
mod balancing;
mod checks;
mod editor;
mod mirrored;
mod policy;
mod resources;
mod rules;
mod side;
mod split;
pub(crate) mod terms;
mod yaml;

use crate::{
    ask::{self, AskError},
    frame::{range, use_control_keys, use_fragment, use_keys},
    live::use_live,
    model::{format, tone::Tone},
    pages::title,
    widget::{Badge, EmptyState, Field, Icon, ServiceCode, field, icon, service_class},
};
use contract::{
    ApiError,
    balance::AskBalance,
    traffic::{
        HostRow, PostedApply, ProbeRequest, RouteForm, RouteView, RuleForm, TargetForm, TrafficView,
    },
};
use editor::Editor;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};

/// A value for the query of an address.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The page of all hosts, or of one.
#[component]
pub fn TrafficPage() -> impl IntoView {
    let params = use_params_map();
    let host = Memo::new(move |_| params.with(|params| params.get("host")));
    let query = use_query_map();
    let diff = Memo::new(move |_| query.with(|query| query.get("diff")?.parse::<u64>().ok()));
    // What was typed stays whatever is looked at meanwhile: of the address only the host begins the
    // page anew, and a resource that is opened comes beside it.
    let open = Memo::new(move |_| match host.get() {
        Some(_) => None,
        None => query.with(|query| query.get("resource")),
    });
    let opened = Resource::new_blocking(move || open.get(), resources::load);
    let posted = use_context::<PostedApply>();
    let posted = Resource::new_blocking(
        || (),
        move |()| {
            let posted = posted.clone();
            async move { posted }
        },
    );
    let asked = move || {
        query.with_untracked(|query| Asked {
            diff: query.get("diff").and_then(|number| number.parse().ok()),
            service: query.get("service"),
            probe: checks::asked(query),
            balance: balancing::asked(query),
        })
    };
    let page = Resource::new_blocking(move || host.get(), move |host| loaded(host, asked()));
    let error = move || query.with(|query| query.get("error")).filter(|text| !text.is_empty());
    view! {
        <Title text=title(move || host.get().unwrap_or_else(|| "Traffic".into()))/>
        {move || error().map(|text| view! { <p class="form-error" role="alert">{text}</p> })}
        <Transition fallback=skeleton>
            {move || Suspend::new(async move {
                let posted = posted.await;
                match page.await {
                    Ok(Loaded { view, old, tried, balance }) => match view.route {
                        Some(route) => {
                            let old = yaml::Old { number: diff, first: old };
                            one(view.hosts, route, old, Asides { tried, balance }, posted)
                        }
                        None => all(view, posted, opened),
                    },
                    Err(error) => failed(&error, page),
                }
            })}
        </Transition>
    }
    .into_any()
}

/// What the address asks for beside the host.
struct Asked {
    diff: Option<u64>,
    service: Option<String>,
    probe: Option<ProbeRequest>,
    balance: AskBalance,
}

/// What the page was made from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Loaded {
    view: TrafficView,
    /// The text of an old revision.
    old: Option<String>,
    /// The request of the tester's form, and what became of it.
    tried: Option<checks::Tried>,
    /// How calls to the host are balanced; none on the page of all hosts.
    balance: Option<balancing::Told>,
}

/// What stands on the page of a host below its YAML.
struct Asides {
    tried: Option<checks::Tried>,
    balance: Option<balancing::Told>,
}

type Page = Resource<Result<Loaded, AskError>>;

async fn loaded(host: Option<String>, asked: Asked) -> Result<Loaded, AskError> {
    let Some(host) = host else {
        let view = ask::traffic(None, None).await?;
        return Ok(Loaded { view, old: None, tried: None, balance: None });
    };
    let view = ask::traffic(Some(host.clone()), asked.service).await?;
    let old = match asked.diff {
        // A revision that is not kept any more is no reason to refuse the page.
        Some(number) => ask::revision(host.clone(), number).await.ok(),
        None => None,
    };
    let tried = match asked.probe {
        Some(request) => {
            let text = view.route.as_ref().map(|route| route.applied.yaml.clone());
            let verdict = ask::probe(host.clone(), text.unwrap_or_default(), request.clone()).await;
            Some((request, verdict.map_err(|error| error.to_string())))
        }
        None => None,
    };
    let balance = match view.route {
        Some(_) => Some(balancing::loaded(host, asked.balance).await),
        None => None,
    };
    Ok(Loaded { view, old, tried, balance })
}

fn all(view: TrafficView, posted: Option<PostedApply>, opened: resources::Opened) -> AnyView {
    let TrafficView { hosts, resources, .. } = view;
    use_fragment();
    view! {
        <div class="traffic">
            <header class="page-head">
                <h1>"Traffic"</h1>
                <p class="hint">"Each control is one field of a real Istio object."</p>
            </header>
            <div class="traffic-all">
                {side::hosts(hosts, None)}
                <div class="traffic-text">
                    {resources::opened(opened)}
                    {apply::panel(posted)}
                    {resources::panel(resources)}
                </div>
            </div>
        </div>
    }
    .into_any()
}

fn one(
    hosts: Vec<HostRow>,
    route: RouteView,
    old: yaml::Old,
    Asides { tried, balance }: Asides,
    posted: Option<PostedApply>,
) -> AnyView {
    let live = use_live();
    let editor = Editor::new(route, posted.as_ref());
    let number = Memo::new(move |_| live.mesh().with(|mesh| mesh.revision));
    super::follow::follow(number, Callback::new(move |()| editor.refetch()));
    listen(editor);
    use_fragment();
    // What is typed before a script follows the fields would be lost, and without one all of it.
    let scripted = RwSignal::new(false);
    Effect::new(move |_| scripted.set(true));
    let yaml = format!("/traffic/{}?view=yaml", editor.host.get_value());
    view! {
        <div class="traffic">
            {head(editor)}
            {conflict(editor)}
            {posted.map(apply::posted)}
            <div class="traffic-body">
                <div class="traffic-side">
                    {side::hosts(hosts, Some(editor))}
                    {side::revisions(editor)}
                </div>
                <fieldset
                    class="traffic-controls" class:unread=move || editor.unread.get()
                    disabled=move || !scripted.get()
                >
                    <legend class="sr">"Controls"</legend>
                    <p class="panel notice plain-only">
                        <span>
                            "Without JavaScript the controls only tell what is in force. To change \
                            it, "
                            <a class="underlined" href=yaml>"edit the YAML"</a> "."
                        </span>
                    </p>
                    {controls(editor)}
                </fieldset>
                <div class="traffic-text">
                    {yaml::panel(editor, old)}
                    {checks::panel(editor)}
                    {balance.map(|told| balancing::panel(editor, told))}
                    {checks::tester(editor, tried)}
                </div>
            </div>
        </div>
    }
    .into_any()
}

/// The controls, or how to make a route where there is none.
fn controls(editor: Editor) -> AnyView {
    let routed = Memo::new(move |_| editor.form.with(|form| !form.rules.is_empty()));
    (move || {
        if routed.get() {
            view! {
                {unread(editor)}
                {services(editor)}
                {rules::panel(editor)}
                {split::panel(editor)}
                {policy::mirror(editor)}
                {policy::timeout_and_retries(editor)}
                {policy::rate_limit(editor)}
                {policy::fault(editor)}
                {kept(editor)}
            }
            .into_any()
        } else {
            unrouted(editor)
        }
    })
    .into_any()
}

/// Which of several resources the controls are of, and what it takes effect for.
fn services(editor: Editor) -> impl IntoView {
    let all = Memo::new(move |_| {
        editor.form.with(|form| {
            let services = form.documents.iter().filter(|d| d.kind == "VirtualService");
            let one = |d: &contract::traffic::DocumentLines| (d.name.clone(), d.standing.clone());
            services.map(one).collect::<Vec<_>>()
        })
    });
    let set = range::use_set_query();
    let choose = Callback::new(move |title: String| {
        set.run(vec![
            ("service", Some(encoded(&title))),
            ("document", Some(encoded(&format!("VirtualService/{title}")))),
        ]);
        editor.choose_service(title);
    });
    let options = Signal::derive(move || {
        all.with(|all| all.iter().map(|(t, _)| (t.clone(), t.clone())).collect::<Vec<_>>())
    });
    let value = Signal::derive(move || editor.form.with(|form| form.service.clone()));
    let standing = move || {
        let here = value.get();
        let found = all.with(|all| all.iter().find(|(title, _)| *title == here).cloned());
        let standing = found.map(|(_, standing)| standing).filter(|s| !s.text.is_empty())?;
        let class = if standing.idle { "grow to-end tone-warn" } else { "hint grow to-end" };
        Some(view! { <span class=class>{standing.text}</span> })
    };
    move || {
        (all.with(Vec::len) > 1).then(|| {
            let field = Field::plain("VirtualService", "service", value, choose);
            view! {
                <section class="panel services">
                    <div class="policy-row">
                        <h2>"Resource"</h2>
                        {field::select(field, options)}
                        {standing}
                    </div>
                </section>
            }
        })
    }
}

/// A host without a route: what Istio does then, and a first rule. What else the host has stays.
fn unrouted(editor: Editor) -> AnyView {
    let host = editor.host.get_value();
    let create = move |_| {
        let rule = first_rule(&editor.host.get_value());
        editor.edit(&mut |form| add_first(form, rule.clone()));
    };
    let text = "All requests go to any ready endpoint, with 2 retries on connection failures: \
                Istio's default.";
    view! {
        <section class="panel">
            <EmptyState title=format!("{host} has no VirtualService") text=text>
                <button type="button" class="button primary" on:click=create>"Create route"</button>
            </EmptyState>
        </section>
    }
    .into_any()
}

fn add_first(form: &mut RouteForm, rule: RuleForm) {
    if form.rules.is_empty() {
        form.rules.push(rule);
    }
}

/// The smallest route of a host.
#[must_use]
pub fn first_rule(host: &str) -> RuleForm {
    let target = TargetForm { host: host.to_owned(), subset: String::new(), weight: 100 };
    RuleForm { name: "default".to_owned(), targets: vec![target], ..RuleForm::default() }
}

fn unread(editor: Editor) -> impl IntoView {
    move || {
        editor.unread.get().then(|| {
            view! {
                <p class="notice tone-error" role="alert">
                    "The YAML cannot be read. These are its last valid controls."
                </p>
            }
        })
    }
}

/// Valid fields that have no control stay in the text.
fn kept(editor: Editor) -> impl IntoView {
    move || {
        let kept = editor.form.with(|form| form.kept.clone());
        let count = u64::try_from(kept.len()).unwrap_or_default();
        (count > 0).then(|| {
            let text = format::plural(count, "field", "fields");
            let rows = kept.into_iter().map(|path| view! { <li><code>{path}</code></li> });
            view! {
                <details class="panel kept">
                    <summary>{text} " without a control"</summary>
                    <ul>{rows.collect_view()}</ul>
                </details>
            }
        })
    }
}

fn head(editor: Editor) -> AnyView {
    let host = editor.host.get_value();
    let class = format!("crumb {}", service_class(&host));
    view! {
        <header class="page-head">
            <h1><a href="/traffic">"Traffic"</a></h1>
            <span class="hint" aria-hidden="true">"/"</span>
            <strong class=class>
                <ServiceCode service=host.clone()/>
                {host}
            </strong>
            <p class="hint grow">
                "Each control is one field of a real Istio object. Nothing changes until you apply."
            </p>
            {move || match editor.drafted.get() {
                true => draft_actions(editor),
                false => applied_badge(editor),
            }}
        </header>
    }
    .into_any()
}

fn applied_badge(editor: Editor) -> AnyView {
    let text = Signal::derive(move || match editor.number.get() {
        0 => "Nothing applied yet".into(),
        number => format!("r{number} in force"),
    });
    view! { <Badge tone=Tone::Neutral text=text/> }.into_any()
}

fn draft_actions(editor: Editor) -> AnyView {
    let next = move || editor.number.get() + 1;
    let text = Signal::derive(move || {
        let changes = u64::try_from(editor.changes().len()).unwrap_or_default();
        format!("Draft r{}, {}", next(), format::plural(changes, "change", "changes"))
    });
    let blocked = move || editor.blocked();
    let label = move || {
        if editor.applying.get() { "Applying".into() } else { format!("Apply r{}", next()) }
    };
    view! {
        <Badge tone=Tone::Info text=text/>
        <button
            type="button" class="button ghost square" aria-label="Copy a link to the draft"
            title="Copy a link to the draft" on:click=move |_| editor.share()
            // The link holds the text, and what a control changed is not in it yet.
            disabled=move || editor.pending.get()
        >
            {icon(Icon::Share)}
        </button>
        <button type="button" class="button" on:click=move |_| editor.discard()>"Discard"</button>
        <button
            type="button" class="button primary"
            aria-busy=move || editor.applying.get().then_some("true")
            disabled=move || blocked().is_some() title=blocked
            on:click=move |_| editor.apply()
        >
            {label}
            <kbd>"Ctrl Enter"</kbd>
        </button>
    }
    .into_any()
}

/// "r18 was applied elsewhere. Rebase or discard."
fn conflict(editor: Editor) -> impl IntoView {
    move || {
        editor.conflict.get().then(|| {
            let text = format!("r{} was applied elsewhere.", editor.number.get());
            view! {
                <div class="notice tone-warn" role="alert">
                    <span class="grow">{text} " Rebase or discard."</span>
                    <button type="button" class="button small" on:click=move |_| editor.rebase()>
                        "Rebase"
                    </button>
                    <button type="button" class="button small" on:click=move |_| editor.discard()>
                        "Discard"
                    </button>
                </div>
            }
        })
    }
}

/// Ctrl Enter applies; Ctrl Z and Ctrl Shift Z step through the draft; J and K choose a rule.
fn listen(editor: Editor) {
    use_control_keys(move |key, shift| match key {
        "enter" => {
            editor.apply();
            true
        }
        "z" => editor.step(shift),
        _ => false,
    });
    let choose = editor::use_choose_rule();
    use_keys(move |key, _| {
        let step = match key {
            "j" | "J" => 1,
            "k" | "K" => -1,
            _ => return false,
        };
        let at = editor.rule.get_untracked().saturating_add_signed(step);
        let name = editor.form.with_untracked(|form| form.rules.get(at).map(|r| r.name.clone()));
        if let Some(name) = name {
            choose.run(name);
        }
        true
    });
}

fn failed(error: &AskError, page: Page) -> AnyView {
    let missing = matches!(error.0, ApiError::NotFound { .. });
    if missing {
        super::set_status(404);
    }
    // What is not there does not come by asking again.
    let (title, class) = match missing {
        true => ("No such host", "button primary"),
        false => ("No route to show", "button"),
    };
    view! {
        <div class="traffic" role="alert">
            <h1 class="sr">"Traffic"</h1>
            <EmptyState title=title text=error.to_string()>
                {(!missing).then(|| view! {
                    <button type="button" class="button" on:click=move |_| page.refetch()>
                        "Retry"
                    </button>
                })}
                <a class=class href="/traffic">"All hosts"</a>
            </EmptyState>
        </div>
    }
    .into_any()
}

fn skeleton() -> AnyView {
    view! {
        <div class="traffic" aria-busy="true">
            <div class="traffic-body">
                <div class="panel skeleton"></div>
                <div class="panel skeleton"></div>
                <div class="panel skeleton"></div>
            </div>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rules_survive_the_address() {
        assert_eq!(encoded("beta-testers"), "beta-testers");
        assert_eq!(encoded("#2 & more"), "%232%20%26%20more");
    }

    #[test]
    fn a_first_route_sends_everything_to_its_host_and_is_made_once() {
        let mut form = RouteForm::default();
        add_first(&mut form, first_rule("users"));
        add_first(&mut form, first_rule("users"));
        assert_eq!(form.rules.len(), 1);
        assert_eq!((form.rules[0].name.as_str(), form.rules[0].matches.len()), ("default", 0));
        assert_eq!(form.rules[0].targets[0].host, "users");
    }
}
