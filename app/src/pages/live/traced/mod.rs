//! One trace on the map: what the address asks for, fetched, with where the walk through it is.
//!
//! Only this much is in the first file. What reads the trace and draws it is in a file of its own
//! (`drawn`), fetched when an address names a trace. Live goes on beneath: nodes, charts and orders
//! keep their numbers of now; only the lines of the trace tell of the trace instead.

mod bar;
mod drawn;
mod play;
pub mod scene;
mod side;

use super::layout::{EdgeShape, Layout, NodeShape};
use crate::{
    apart::apart,
    ask::{self, AskError},
    frame::{
        lazily::now,
        range::{QueryChange, use_set_query},
    },
    live::use_live,
    model::{
        format,
        walk::{Moment, Pace, Walk},
    },
    pages::follow::{follow, on_restart},
    widget::{Icon, icon},
};
use contract::ApiError;
use leptos::{prelude::*, task::spawn_local, wasm_split::SplitLoaderError};
use leptos_router::hooks::use_query_map;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What the server answers: the walk as text, which only the file that draws it reads.
type Answer = Option<Result<String, AskError>>;

/// Why there is no trace when its file is missing.
const UNLOADED: &str = "What draws it could not be loaded. Reload the page.";
/// Whether the file came before the page was brought to life.
static EARLY: AtomicBool = AtomicBool::new(false);

/// A drawing of the map, for what is drawn into it.
#[derive(Clone, Copy)]
pub(super) struct Drawing {
    /// Where everything stands.
    pub layout: StoredValue<Layout>,
    /// The nodes there are now.
    pub nodes: Memo<Vec<NodeShape>>,
    /// The edges there are now.
    pub shapes: Memo<Vec<EdgeShape>>,
    /// It stands top to bottom.
    pub phone: bool,
}

/// An answer on its way.
type Asking = Pin<Box<dyn Future<Output = Result<String, AskError>> + Send>>;

/// What is asked of the file.
#[derive(Clone)]
enum Wanted {
    /// To ask the server for a trace.
    Ask(String),
    /// To read an answer.
    Read(String),
    /// The bar over the map.
    Bar,
    /// The current span and the list of hops.
    Side,
    /// Lines below the nodes.
    Lines(Drawing),
    /// Labels, dots and rings over the nodes.
    Marks(Drawing),
    /// Nothing to be seen: keys, and the clock while it plays.
    Alive,
}

/// What it gives.
enum Made {
    Asking(Asking),
    Walk(Option<Arc<Walk>>),
    View(AnyView),
}

apart! {
    fn made(wanted: Wanted) -> Made {
        match wanted {
            Wanted::Ask(id) => Made::Asking(Box::pin(ask::trace_walk(id))),
            Wanted::Read(text) => Made::Walk(serde_json::from_str(&text).ok().map(Arc::new)),
            Wanted::Bar => Made::View(bar::bar()),
            Wanted::Side => Made::View(side::side()),
            Wanted::Lines(drawing) => Made::View(drawn::lines(drawing)),
            Wanted::Marks(drawing) => Made::View(drawn::marks(drawing)),
            Wanted::Alive => {
                play::alive();
                Made::View(().into_any())
            }
        }
    }
    fetched by load_walk as walk
}

/// Fetches the file before a page comes to life that the server sent with a trace on its map.
///
/// # Errors
/// When it cannot be fetched.
pub(crate) async fn preload() -> Result<(), SplitLoaderError> {
    load_walk().await?;
    EARLY.store(true, Ordering::Relaxed);
    Ok(())
}

/// The trace on the map, if there is one. Cheap to copy; get it with [`use_traced`].
#[derive(Clone, Copy)]
pub(super) struct Traced {
    /// From the address.
    pub id: Memo<Option<String>>,
    /// The span the address names.
    pub span: Memo<Option<String>>,
    /// What the server sent with the page.
    first: Resource<Answer>,
    answer: RwSignal<Answer>,
    /// The file is there.
    there: RwSignal<bool>,
    /// It could not be fetched.
    missing: RwSignal<bool>,
    /// The trace, as soon as both are there.
    pub walk: Memo<Option<Arc<Walk>>>,
    /// Where the walk is.
    pub moment: RwSignal<Moment>,
    /// It plays.
    pub playing: RwSignal<bool>,
    /// How fast, if somebody chose.
    pub pace: RwSignal<Option<Pace>>,
}

/// The answer that the server sends with a page.
#[cfg(feature = "ssr")]
async fn fetch(id: Option<String>) -> Answer {
    match id {
        Some(id) => Some(ask::trace_walk(id).await),
        None => None,
    }
}

/// A browser asks when its map stands: the address may name another trace by then.
#[cfg(not(feature = "ssr"))]
async fn fetch(_id: Option<String>) -> Answer {
    None
}

/// What the server answers for a trace. The file asks: what asking takes is in it, too.
async fn asked(id: String) -> Result<String, AskError> {
    match made(Wanted::Ask(id)).await {
        Ok(Made::Asking(asking)) => asking.await,
        _ => Err(AskError(ApiError::Internal { reason: UNLOADED.to_owned() })),
    }
}

/// Makes it, with the trace that the address names.
pub(super) fn provide() -> Traced {
    let query = use_query_map();
    let named = move |key: &'static str| {
        Memo::new(move |_| query.with(|q| q.get(key)).filter(|value| !value.is_empty()))
    };
    let (id, span) = (named("trace"), named("span"));
    let first = Resource::new_blocking(|| (), move |()| fetch(id.get_untracked()));
    let there = RwSignal::new(cfg!(feature = "ssr") || EARLY.load(Ordering::Relaxed));
    let answer: RwSignal<Answer> = RwSignal::new(None);
    let changed = |old: Option<&Option<Arc<Walk>>>, new: Option<&Option<Arc<Walk>>>| {
        let pair = |of: Option<&Option<Arc<Walk>>>| of.and_then(Option::as_ref).map(Arc::as_ptr);
        old.is_none() != new.is_none() || pair(old) != pair(new)
    };
    let walk = Memo::new_with_compare(
        move |_| {
            let text = answer.with(|answer| match answer {
                Some(Ok(text)) => Some(text.clone()),
                _ => None,
            });
            match now(made(Wanted::Read(text.filter(|_| there.get())?)))? {
                Ok(Made::Walk(walk)) => walk,
                _ => None,
            }
        },
        changed,
    );
    let traced = Traced {
        id,
        span,
        first,
        answer,
        there,
        missing: RwSignal::new(false),
        walk,
        moment: RwSignal::new(Moment::default()),
        playing: RwSignal::new(false),
        pace: RwSignal::new(None),
    };
    provide_context(traced);
    traced
}

/// The trace on the map.
pub(super) fn use_traced() -> Traced {
    expect_context::<Traced>()
}

impl Traced {
    /// Waits for the trace that the address named first. Await it before the map is made, so that
    /// the server draws it.
    pub(super) async fn ready(self) {
        let first = self.first.await;
        if first.is_none() {
            self.again();
        } else if self.answer.try_with_untracked(Option::is_none) == Some(true) {
            self.answer.set(first);
            self.begin();
        }
    }

    /// To the span that the address names, or to the beginning.
    fn begin(self) {
        let span = self.span.get_untracked();
        let moment = self.walk.with_untracked(|walk| {
            span.as_deref().and_then(|span| walk.as_ref()?.at_span(span)).unwrap_or_default()
        });
        self.moment.set(moment);
    }

    /// Follows the address, and a trace that has not ended. Once, by the page.
    pub(super) fn listen(self) {
        Effect::new(move |before: Option<Option<String>>| {
            let id = self.id.get();
            if id.is_some() {
                self.fetch_file();
            }
            if before.is_some_and(|before| before != id) {
                self.answer.set(None);
                self.playing.set(false);
                self.pace.set(None);
                self.again();
            }
            id
        });
        let now_us = use_live().now_us();
        let ask = move |()| {
            let now_us = now_us.get_untracked();
            if self.walk.with_untracked(|w| w.as_ref().is_some_and(|w| w.runs(now_us))) {
                self.again();
            }
        };
        follow(Memo::new(|_| 0), Callback::new(ask));
        on_restart(Callback::new(move |()| self.again()));
    }

    fn fetch_file(self) {
        if self.there.get_untracked() {
            return;
        }
        self.missing.set(false);
        spawn_local(async move {
            let came = preload().await.is_ok();
            let _ = self.there.try_set(came);
            let _ = self.missing.try_set(!came);
        });
    }

    /// Asks for it again.
    pub(super) fn again(self) {
        let Some(id) = self.id.try_get_untracked().flatten() else { return };
        spawn_local(async move {
            let answer = asked(id.clone()).await;
            if self.id.try_get_untracked().flatten().as_ref() != Some(&id) {
                return;
            }
            // One that was there and cannot be asked for now stays.
            let had = self.answer.try_with_untracked(|had| matches!(had, Some(Ok(_))));
            if answer.is_ok() || had == Some(false) {
                let before = self.walk.try_get_untracked().flatten();
                let _ = self.answer.try_set(Some(answer));
                self.resume(before);
            }
        });
    }

    /// Stays where it was in what was known of the trace before.
    fn resume(self, before: Option<Arc<Walk>>) {
        let now = self.walk.try_get_untracked().flatten();
        let (Some(before), Some(now)) = (before, now) else { return };
        let (moment, plays) = (self.moment.get_untracked(), self.playing.get_untracked());
        self.moment.set(now.resumed(&before, moment, plays));
    }

    /// Leaves the map to the traffic of now.
    fn leave(self, set: Callback<QueryChange>) {
        self.playing.set(false);
        set.run(vec![("trace", None), ("span", None)]);
    }

    /// Whether a trace is on the map.
    pub(super) fn on(self) -> bool {
        self.walk.with(Option::is_some)
    }

    /// Whether a service has a part in it; nothing while there is none.
    pub(super) fn lights(self, service: &str) -> bool {
        self.walk.with(|walk| walk.as_ref().is_some_and(|walk| walk.touches(service)))
    }

    /// Whether it goes over the line between two nodes.
    pub(super) fn crosses(self, from: &str, to: &str) -> bool {
        self.walk.with(|walk| walk.as_ref().is_some_and(|walk| walk.crosses(from, to)))
    }

    /// A part that the file makes, as soon as there is a trace.
    fn part(self, wanted: Wanted) -> impl Fn() -> Option<AnyView> + Clone + Send + 'static {
        let on = Memo::new(move |_| self.on());
        move || match on.get().then(|| now(made(wanted.clone())))?? {
            Ok(Made::View(view)) => Some(view),
            _ => None,
        }
    }

    /// Lines of the trace, below the nodes of a drawing.
    pub(super) fn lines(self, drawing: Drawing) -> impl IntoView {
        self.part(Wanted::Lines(drawing))
    }

    /// What of the trace stands over the nodes of a drawing.
    pub(super) fn marks(self, drawing: Drawing) -> impl IntoView {
        self.part(Wanted::Marks(drawing))
    }

    /// The current span and the list of hops, beside the map.
    pub(super) fn side(self) -> impl IntoView {
        let alive = self.part(Wanted::Alive);
        view! { {self.part(Wanted::Side)} {alive} }
    }

    /// The bar over the map: of the trace, or why there is none.
    pub(super) fn bar(self) -> impl IntoView {
        let set = use_set_query();
        let bar = self.part(Wanted::Bar);
        move || {
            self.id.get()?;
            bar().or_else(|| Some(self.instead(set)))
        }
    }

    /// Why there is no trace on the map, and what to do.
    fn instead(self, set: Callback<QueryChange>) -> AnyView {
        let failed = self.answer.with(|answer| match answer {
            Some(Err(error)) => Some(error.0.clone()),
            _ => None,
        });
        let text = match &failed {
            Some(error) => error.to_string(),
            None if self.missing.get() => UNLOADED.to_owned(),
            None => {
                return view! { <div class="walk-bar" aria-busy="true"></div> }.into_any();
            }
        };
        let unknown = matches!(failed, Some(ApiError::NotFound { .. }));
        if unknown {
            crate::pages::set_status(404);
        }
        let id = self.id.get_untracked().unwrap_or_default();
        let short = format::short_trace(&id).to_owned();
        let retry = failed.is_some() && !unknown;
        let retry = retry.then(|| {
            view! {
                <button type="button" class="button ghost" on:click=move |_| self.again()>
                    "Retry"
                </button>
            }
        });
        view! {
            <div class="banner tone-error walk-none" role="alert">
                {icon(Icon::Alert)}
                <strong>"Trace " <code>{short}</code> " is not shown"</strong>
                <span class="grow">{text}</span>
                {retry}
                <a class="button ghost" href="/traces">"Find a trace"</a>
                {leave(self, set)}
            </div>
        }
        .into_any()
    }
}

/// Back to the map without the trace.
fn leave(traced: Traced, set: Callback<QueryChange>) -> AnyView {
    let click = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        event.stop_propagation();
        traced.leave(set);
    };
    view! { <a class="button ghost" href="/" title="Esc" on:click=click>"Leave"</a> }.into_any()
}
