//! Every resource in force, whatever its kind: what it takes effect for, its YAML, and its end.
//!
//! A resource is opened and its deletion asked for by the address, so that both work without
//! JavaScript and can be sent to somebody else.

use super::{
    editor::{self, LOST},
    encoded,
};
use crate::{
    ask::{self, AskError},
    browser,
    frame::use_toasts,
    live::{Connection, use_live},
    model::format,
    widget::{Icon, icon},
};
use contract::{
    ApiError,
    istio::ResourceKey,
    traffic::{ChangeTraffic, DeleteResource, ResourceRow},
};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate, hooks::use_query_map};

/// The address that opens a resource.
fn address(key: &ResourceKey) -> String {
    let ResourceKey { kind, namespace, name } = key;
    format!("/traffic?resource={}", encoded(&format!("{kind}/{namespace}/{name}")))
}

/// The resource that is opened: what it is known by and its YAML, with the revision in force.
pub(super) type Opened = Resource<Result<Option<(ResourceKey, String, u64)>, AskError>>;

/// Fetches what an address opens.
pub(super) async fn load(
    address: Option<String>,
) -> Result<Option<(ResourceKey, String, u64)>, AskError> {
    let Some(address) = address else { return Ok(None) };
    let view = ask::traffic(None, Some(address)).await?;
    Ok(view.opened.map(|(key, text)| (key, text, view.revision)))
}

/// All of them, by kind and name; listed anew when another revision is in force.
pub(super) fn panel(resources: Vec<ResourceRow>) -> AnyView {
    let live = use_live();
    let listed = RwSignal::new(resources);
    let number = Memo::new(move |_| live.mesh().with(|mesh| mesh.revision));
    Effect::new(move |before: Option<u64>| {
        let number = number.get();
        if before.is_some_and(|before| before != number) {
            spawn_local(async move {
                if let Ok(view) = ask::traffic(None, None).await {
                    listed.try_set(view.resources);
                }
            });
        }
        number
    });
    let count = move || {
        let count = u64::try_from(listed.with(Vec::len)).unwrap_or_default();
        format::plural(count, "resource", "resources")
    };
    let rows = move || listed.get().into_iter().map(row).collect_view();
    view! {
        <section class="panel resources">
            <header class="panel-head">
                <h2>"In force"</h2>
                <span class="hint">{count}</span>
            </header>
            <div class="table-scroll" role="region" aria-label="Resources" tabindex="0">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Kind"</th>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Hosts"</th>
                            <th scope="col">"Takes effect"</th>
                            <th scope="col"><span class="sr">"What can be done"</span></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

fn row(row: ResourceRow) -> AnyView {
    let ResourceRow { key, hosts, page, standing } = row;
    let open = address(&key);
    let delete = format!("{open}&delete=ask");
    let name = match key.namespace.as_str() {
        "default" => key.name.clone(),
        namespace => format!("{namespace}/{}", key.name),
    };
    let named = match page {
        Some(host) => {
            let href =
                format!("/traffic/{host}?document={}", encoded(&format!("{}/{name}", key.kind)));
            let href = match key.kind.as_str() {
                "VirtualService" => format!("{href}&service={}", encoded(&name)),
                _ => href,
            };
            view! { <a class="underlined" href=href>{name.clone()}</a> }.into_any()
        }
        None => name.clone().into_any(),
    };
    let class = if standing.idle { "tone-warn standing" } else { "standing" };
    let of = format!("{} {name}", key.kind);
    view! {
        <tr>
            <td>{key.kind}</td>
            <th scope="row">{named}</th>
            <td class="hosts">{hosts.join(", ")}</td>
            <td class=class>{standing.text}</td>
            <td class="number">
                <a class="button small" href=open aria-label=format!("YAML of {of}")>"YAML"</a>
                " "
                <a class="button small" href=delete aria-label=format!("Delete {of}")>"Delete"</a>
            </td>
        </tr>
    }
    .into_any()
}

/// The opened resource, if there is one.
pub(super) fn opened(resource: Opened) -> AnyView {
    view! {
        <Transition>
            {move || Suspend::new(async move {
                match resource.await {
                    Ok(Some((key, text, revision))) => shown(key, text, revision),
                    Ok(None) => ().into_any(),
                    Err(error) => missing(&error),
                }
            })}
        </Transition>
    }
    .into_any()
}

fn missing(error: &AskError) -> AnyView {
    if matches!(error.0, ApiError::NotFound { .. }) {
        crate::pages::set_status(404);
    }
    view! { <p class="form-error" role="alert">{error.to_string()}</p> }.into_any()
}

/// The YAML of one resource, and whether it is to be deleted.
fn shown(key: ResourceKey, text: String, revision: u64) -> AnyView {
    let query = use_query_map();
    let asks = Memo::new(move |_| query.with(|query| query.get_str("delete").is_some()));
    let title = format!("{} {}", key.kind, key.name);
    let (kept, open) = (text.clone(), address(&key));
    let ask_first = format!("{open}&delete=ask");
    let key = StoredValue::new(key);
    let foot = move || match asks.get() {
        true => really(key.get_value(), revision, open.clone()),
        false => {
            let href = ask_first.clone();
            view! { <a class="button small" href=href>"Delete"</a> }.into_any()
        }
    };
    view! {
        <section class="panel opened">
            <header class="panel-head">
                <h2>{title}</h2>
                <span class="grow"></span>
                <button
                    type="button" class="button ghost square small" aria-label="Copy the YAML"
                    on:click=move |_| browser::copy(&kept)
                >
                    {icon(Icon::Copy)}
                </button>
                <a class="button ghost square small" href="/traffic" aria-label="Close">
                    {icon(Icon::Cross)}
                </a>
            </header>
            <pre class="yaml-lines" role="group" aria-label="YAML" tabindex="0">{text}</pre>
            <div class="panel-body actions">{foot}</div>
        </section>
    }
    .into_any()
}

/// Asks once; the deletion itself can be undone.
fn really(key: ResourceKey, base: u64, open: String) -> AnyView {
    let (toasts, go) = (use_toasts(), use_navigate());
    let connection = use_live().connection();
    let lost = move || connection.with(|now| matches!(now, Connection::Lost { .. }));
    let ResourceKey { kind, namespace, name } = key.clone();
    let question = format!("Delete {kind} {name}?");
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if untrack(lost) {
            return;
        }
        let (key, go) = (key.clone(), go.clone());
        spawn_local(async move {
            let delete = DeleteResource { key, base: Some(base) };
            match ask::change_traffic(ChangeTraffic::Delete(delete)).await {
                Ok(applied) => {
                    editor::tell(toasts, &applied, Callback::new(|()| {}));
                    go("/traffic", NavigateOptions::default());
                }
                Err(error) => toasts.failure("Not deleted", &error.to_string()),
            }
        });
    };
    view! {
        <form class="inline" method="post" action="/traffic/all/delete" on:submit=submit>
            <input type="hidden" name="kind" value=kind/>
            <input type="hidden" name="namespace" value=namespace/>
            <input type="hidden" name="name" value=name/>
            <input type="hidden" name="base" value=base.to_string()/>
            <strong>{question}</strong>
            <button
                class="button small danger" disabled=lost
                title=move || lost().then_some(LOST)
            >
                "Delete"
            </button>
            <a class="button small" href=open>"Keep"</a>
        </form>
    }
    .into_any()
}
