//! Balancing: the policy of a pool of instances, what each should get and gets, and of a consistent
//! hash its ring, what moves when an instance leaves, and where a key goes.
//!
//! What is asked (pool, key, the instance that leaves) is in the address, so that it works without
//! JavaScript and can be sent on.

use super::{
    editor::{Editor, LOST},
    encoded,
};
use crate::{
    ask::{self, AskError},
    frame::range::{kept_query, use_set_query, with_query},
    live::use_live,
    model::{balance, format},
    pages::follow::follow,
    widget::{Clock, LinkTabs, service_class},
};
use contract::{
    ApiError,
    balance::{ArcView, AskBalance, BalanceView, InstanceView, PoolView},
};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

/// What the address asks.
pub(super) fn asked(query: &ParamsMap) -> AskBalance {
    let get = |name: &str| query.get(name).filter(|text| !text.is_empty());
    AskBalance { pool: get("pool"), key: get("key"), left: get("left") }
}

/// What is told, or why nothing is.
pub(super) type Told = Result<BalanceView, String>;

/// What the server tells of it.
pub(super) async fn loaded(host: String, asked: AskBalance) -> Told {
    ask::balance(host, asked).await.map_err(|error| error.to_string())
}

/// The section. Cheap to copy.
#[derive(Clone, Copy)]
struct Balancing {
    editor: Editor,
    asked: Memo<AskBalance>,
    told: RwSignal<Told>,
    shown: Memo<PoolView>,
    /// The instance that is pointed at, by place.
    hot: RwSignal<Option<usize>>,
}

impl Balancing {
    fn new(editor: Editor, told: Told) -> Self {
        let query = use_query_map();
        let told = RwSignal::new(told);
        Self {
            editor,
            asked: Memo::new(move |_| query.with(asked)),
            told,
            shown: Memo::new(move |_| {
                told.with(|told| told.as_ref().map(|told| told.shown.clone()).unwrap_or_default())
            }),
            hot: RwSignal::new(None),
        }
    }

    /// Fetches anew when the address asks something else, another revision takes force, and with
    /// the clock of the stream.
    fn keep_up(self) {
        Effect::new(move |before: Option<AskBalance>| {
            let asked = self.asked.get();
            if before.is_some_and(|before| before != asked) {
                self.refetch();
            }
            asked
        });
        let live = use_live();
        let number = Memo::new(move |_| live.mesh().with(|mesh| mesh.revision));
        follow(number, Callback::new(move |()| self.refetch()));
    }

    fn refetch(self) {
        let Some(host) = self.editor.host.try_get_value() else { return };
        let asked = self.asked.get_untracked();
        spawn_local(async move {
            let answer = ask::balance(host, asked.clone()).await;
            if self.asked.try_get_untracked() != Some(asked) {
                return;
            }
            match answer {
                Ok(view) => {
                    self.told.try_set(Ok(view));
                }
                // What was told last stays while nobody answers.
                Err(AskError(ApiError::Unavailable { .. })) => {}
                Err(error) => {
                    self.told.try_set(Err(error.to_string()));
                }
            }
        });
    }

    fn instance(self, name: &str) -> Option<(usize, InstanceView)> {
        self.shown.with(|pool| {
            let at = pool.instances.iter().position(|one| one.instance == name)?;
            Some((at, pool.instances[at].clone()))
        })
    }

    fn hashed(self) -> Memo<bool> {
        Memo::new(move |_| self.shown.with(|pool| pool.policy.hash.is_some()))
    }

    /// The place of the instance that the address asks about.
    fn left(self) -> Memo<Option<usize>> {
        Memo::new(move |_| {
            let left = self.asked.with(|asked| asked.left.clone())?;
            self.instance(&left).map(|(at, _)| at)
        })
    }
}

/// The section of the page.
pub(super) fn panel(editor: Editor, told: Told) -> AnyView {
    let this = Balancing::new(editor, told);
    this.keep_up();
    let host = editor.host.get_value();
    let class = format!("panel balancing {}", service_class(&host));
    let mark = move |_| {
        let lines = this.shown.with_untracked(|pool| pool.rule.as_ref().and_then(|r| r.lines));
        editor.marked.set(lines);
    };
    let failed = Memo::new(move |_| this.told.with(|told| told.as_ref().err().cloned()));
    let several = Memo::new(move |_| this.shown.with(|pool| pool.instances.len() > 1));
    let hashed = this.hashed();
    let body = move || match failed.get() {
        Some(error) => refused(&host, &error),
        None => view! {
            {policy(this)}
            {move || (hashed.get() && several.get()).then(|| ring(this))}
            {table(this)}
            {move || (hashed.get() && several.get()).then(|| tester(this))}
        }
        .into_any(),
    };
    view! {
        <section
            class=class id="balancing" on:focusin=mark
            on:focusout=move |_| editor.marked.set(None)
        >
            <header class="panel-head">
                <h2 class="grow">"Balancing"</h2>
                {pools(this)}
            </header>
            {body}
        </section>
    }
    .into_any()
}

/// A pool or an instance of the address that is not there.
fn refused(host: &str, error: &str) -> AnyView {
    let error = error.to_owned();
    let href = format!("/traffic/{host}");
    view! {
        <p class="panel-body tone-warn" role="alert">
            <span>{error} " " <a class="underlined" href=href>"Show what there is"</a></span>
        </p>
    }
    .into_any()
}

/// The pools there are, as links.
fn pools(this: Balancing) -> AnyView {
    let address = use_location();
    let host = this.editor.host.get_value();
    let tabs = Memo::new(move |_| {
        this.told.with(|told| {
            let pools = told.as_ref().map(|told| told.pools.as_slice()).unwrap_or_default();
            pools.iter().map(|tab| (tab.id.clone(), tab.label.clone())).collect::<Vec<_>>()
        })
    });
    let links = Signal::derive(move || {
        let (search, tabs) = (address.search.get(), tabs.get());
        // The instances of one pool are not in the other.
        let search = with_query(&search, "left", None);
        let to = |id: &str| {
            format!("/traffic/{host}{}", with_query(&search, "pool", Some(&encoded(id))))
        };
        tabs.iter().map(|(id, label)| (to(id), label.clone())).collect()
    });
    let current = Signal::derive(move || {
        let shown = this.shown.with(|pool| pool.id.clone());
        tabs.with(|tabs| tabs.iter().position(|(id, _)| *id == shown).unwrap_or_default())
    });
    let any = Memo::new(move |_| tabs.with(|tabs| tabs.len() > 1));
    (move || any.get().then(|| view! { <LinkTabs label="Pool" links=links current=current/> }))
        .into_any()
}

/// The policy in Istio's words, where it is written, and what it does.
fn policy(this: Balancing) -> AnyView {
    let written = Memo::new(move |_| this.shown.with(balance::fields));
    let does = Memo::new(move |_| this.shown.with(balance::policy_text));
    let remark = Memo::new(move |_| this.shown.with(balance::remark));
    let picked = Memo::new(move |_| this.shown.with(balance::picks_text));
    let fields = move || {
        let all = written.get().into_iter();
        all.map(|field| view! { <code class="balance-field">{field}</code> }).collect_view()
    };
    let remark = move || remark.get().map(|text| view! { <p class="balance-remark">{text}</p> });
    view! {
        <div class="balance-policy">
            <p class="balance-fields">{fields} {rule(this)}</p>
            <p class="hint">{move || does.get()}</p>
            {remark}
            <p class="hint">{move || picked.get()}</p>
        </div>
    }
    .into_any()
}

/// The lines of the YAML that say so.
fn rule(this: Balancing) -> AnyView {
    let address = use_location();
    let host = this.editor.host.get_value();
    let rule = Memo::new(move |_| this.shown.with(|pool| pool.rule.clone()));
    let link = move || {
        let Some(rule) = rule.get() else {
            return view! { <span class="hint">"no DestinationRule"</span> }.into_any();
        };
        let document = encoded(&format!("DestinationRule/{}", rule.name));
        let search = with_query(&address.search.get(), "document", Some(&document));
        let text = match rule.lines {
            Some((first, last)) if first == last => {
                format!("DestinationRule {}, line {first}", rule.name)
            }
            Some((first, last)) => {
                format!("DestinationRule {}, lines {first} to {last}", rule.name)
            }
            None => format!("DestinationRule {} has no loadBalancer", rule.name),
        };
        let href = format!("/traffic/{host}{search}#yaml-lines");
        view! { <a class="underlined" href=href>{text}</a> }.into_any()
    };
    link.into_any()
}

// --- the ring -----------------------------------------------------------------------------------

fn ring(this: Balancing) -> AnyView {
    let arcs = Memo::new(move |_| {
        this.told.with(|told| told.as_ref().map(|told| told.arcs.clone()).unwrap_or_default())
    });
    let moves = Memo::new(move |_| {
        this.told.with(|told| Some(told.as_ref().ok()?.left.as_ref()?.arcs.clone()))
    });
    let count = Memo::new(move |_| this.shown.with(|pool| pool.instances.len()));
    let key = Memo::new(move |_| {
        this.told.with(|told| told.as_ref().ok()?.key.as_ref().map(|key| key.at))
    });
    let words = Memo::new(move |_| this.shown.with(balance::ring_text));
    let name = Memo::new(move |_| {
        this.shown.with(|pool| {
            let table = pool.policy.hash.as_ref().map(|hash| hash.table.clone());
            format!("Keys of {}, {}", pool.label, table.unwrap_or_default())
        })
    });
    let marker = move || {
        key.get().map(|at| {
            let ((x1, y1), (x2, y2)) = (balance::place(at, 54.0), balance::place(at, 94.0));
            view! {
                <line
                    class="ring-key" x1=short(x1) y1=short(y1) x2=short(x2) y2=short(y2)
                ></line>
                <circle class="ring-key" cx=short(x1) cy=short(y1) r="4"></circle>
            }
        })
    };
    view! {
        <div class="balance-ring">
            <svg
                class="ring" viewBox="0 0 240 240" role="img" aria-labelledby="ring-name"
                aria-describedby="ring-words"
            >
                {textures()}
                {owners(this, arcs, count)}
                {move || moves.get().map(|arcs| moved(&arcs, count.get()))}
                {move || numbers(&arcs.get())}
                {marker}
            </svg>
            <span class="sr" id="ring-name">{move || name.get()}</span>
            <span class="sr" id="ring-words">{move || words.get()}</span>
            {said(this)}
        </div>
    }
    .into_any()
}

fn short(value: f64) -> String {
    format!("{value:.1}")
}

/// One path for each instance; pointing at it is the same as at its row.
fn owners(this: Balancing, arcs: Memo<Vec<ArcView>>, count: Memo<usize>) -> AnyView {
    let left = this.left();
    let paths =
        Memo::new(move |_| arcs.with(|arcs| balance::paths(arcs, count.get(), balance::RING)));
    let one = move |at: usize| {
        let class = move || match this.hot.get().or_else(|| left.get()) {
            Some(hot) if hot == at => "ring-part hot",
            Some(_) => "ring-part cool",
            None => "ring-part",
        };
        let d = move || paths.with(|paths| paths.get(at).cloned().unwrap_or_default());
        view! {
            <path
                class=class d=d fill=texture(at) on:mouseenter=move |_| this.hot.set(Some(at))
                on:mouseleave=move |_| this.hot.set(None)
            ></path>
        }
    };
    (move || (0..count.get()).map(one).collect_view()).into_any()
}

/// Around the ring: the arcs whose keys move, as those who have them then.
fn moved(arcs: &[ArcView], count: usize) -> AnyView {
    let paths = balance::paths(arcs, count, balance::MOVES).into_iter().enumerate();
    let paths = paths.filter(|(_, path)| !path.is_empty());
    paths
        .map(|(at, d)| view! { <path class="ring-move" d=d fill=texture(at)></path> })
        .collect_view()
        .into_any()
}

fn numbers(arcs: &[ArcView]) -> AnyView {
    let numbers = balance::labels(arcs).into_iter();
    numbers
        .map(|(x, y, number)| {
            view! { <text class="ring-number" x=short(x) y=short(y)>{number}</text> }
        })
        .collect_view()
        .into_any()
}

/// The fill of the instance of that place: one texture each, for colour alone tells nobody apart.
fn texture(at: usize) -> String {
    format!("url(#share-{})", at % balance::TEXTURES)
}

/// Textures in the colour of the service, in the order of the instances.
fn textures() -> AnyView {
    // Angle, and the width of the stripes; none is a texture without stripes.
    const STRIPES: [(u32, Option<&str>); balance::TEXTURES] = [
        (0, Some("5")),
        (45, Some("2")),
        (0, None),
        (135, Some("1.2")),
        (90, Some("2.5")),
        (0, Some("1.4")),
        (135, Some("3.6")),
        (0, Some("0")),
    ];
    let pattern = |(at, (angle, stripe)): (usize, (u32, Option<&'static str>))| {
        let mark = match stripe {
            Some(width) => {
                view! { <rect class="hatch-svc" width=width height="5"></rect> }.into_any()
            }
            None => {
                view! { <circle class="hatch-svc" cx="2.5" cy="2.5" r="1.4"></circle> }.into_any()
            }
        };
        view! {
            <pattern
                id=format!("share-{at}") width="5" height="5" patternUnits="userSpaceOnUse"
                patternTransform=format!("rotate({angle})")
            >
                <rect class="hatch-rest" width="5" height="5"></rect>
                {mark}
            </pattern>
        }
    };
    view! { <defs>{STRIPES.into_iter().enumerate().map(pattern).collect_view()}</defs> }.into_any()
}

/// What moves when the instance leaves that is pointed at, or else the one of the address.
fn said(this: Balancing) -> AnyView {
    let left = this.left();
    let text = Memo::new(move |_| {
        let at = this.hot.get().or_else(|| left.get());
        this.shown.with(|pool| {
            let one = at.and_then(|at| pool.instances.get(at));
            match one {
                Some(one) => one
                    .leaving
                    .as_ref()
                    .map(|leaving| balance::leaving_text(&one.instance, leaving))
                    .unwrap_or_else(|| {
                        "The table is too large to work out what would move.".to_owned()
                    }),
                None => "Point at an instance, or choose one, to see which keys would move if it \
                         left."
                    .to_owned(),
            }
        })
    });
    let around = move || {
        let text = "Around the ring: the keys that would move, as who would have them.";
        let chosen = left.get().is_some() && this.hot.get().is_none();
        chosen.then(|| view! { <p class="hint">{text}</p> })
    };
    let why = Memo::new(move |_| {
        let at = this.hot.get().or_else(|| left.get())?;
        this.shown.with(|pool| {
            let leaving = pool.instances.get(at)?.leaving.as_ref()?;
            balance::needless_text(pool, leaving)
        })
    });
    view! {
        <div class="balance-said">
            <p>{move || text.get()}</p>
            {move || why.get().map(|why| view! { <p class="hint">{why}</p> })}
            {around}
        </div>
    }
    .into_any()
}

// --- the key ------------------------------------------------------------------------------------

/// Which instance a key goes to. The form is a GET, so that a question can be sent on.
fn tester(this: Balancing) -> AnyView {
    let set = use_set_query();
    let typed = RwSignal::new(this.asked.with_untracked(|a| a.key.clone()).unwrap_or_default());
    // Another key of the address, by a link or by Back.
    let key = Memo::new(move |_| this.asked.with(|asked| asked.key.clone()).unwrap_or_default());
    Effect::new(move |before: Option<String>| {
        let now = key.get();
        if before.is_some_and(|before| before != now) {
            typed.set(now.clone());
        }
        now
    });
    let lost = move || this.editor.lost();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let key = typed.get_untracked();
        set.run(vec![("key", (!key.is_empty()).then(|| encoded(&key)))]);
    };
    let what = Memo::new(move |_| {
        this.shown.with(|pool| pool.policy.hash.as_ref().map(balance::hashed)).unwrap_or_default()
    });
    let answer = Memo::new(move |_| {
        this.told.with(|told| {
            let told = told.as_ref().ok()?;
            let (key, left) = (told.key.as_ref()?, told.left.as_ref());
            let left = left.map(|left| left.instance.as_str());
            Some((key.key.clone(), balance::key_text(key, &told.shown, left), key.hash.clone()))
        })
    });
    let answer = move || {
        answer.get().map(|(key, text, hash)| {
            view! {
                <p>
                    <code>{key}</code> " " <strong>{text}</strong> " "
                    <span class="hint">{format!("hash {hash}")}</span>
                </p>
            }
        })
    };
    let action = format!("/traffic/{}#balancing", this.editor.host.get_value());
    view! {
        <form class="balance-key" method="get" action=action on:submit=submit>
            {kept_query("key")}
            // The question is the name of the field: one said to some and another to others would
            // not be found by who speaks what is seen.
            <label class="balance-key-name">
                <span>"Where does the " {move || what.get()} " go?"</span>
                <span class="field-text">
                    <input
                        type="text" autocomplete="off" spellcheck="false" name="key"
                        placeholder="alice" value=typed.get_untracked()
                        prop:value=move || typed.get()
                        on:change=move |event| typed.set(event_target_value(&event))
                    />
                </span>
            </label>
            <button
                class="button small" disabled=lost title=move || lost().then_some(LOST)
            >
                "Find"
            </button>
        </form>
        <div class="balance-answer" role="status">{answer}</div>
    }
    .into_any()
}

// --- the table ----------------------------------------------------------------------------------

fn table(this: Balancing) -> AnyView {
    let names = Memo::new(move |_| {
        this.shown
            .with(|pool| pool.instances.iter().map(|one| one.instance.clone()).collect::<Vec<_>>())
    });
    let hashed = this.hashed();
    let label = move || this.shown.with(|pool| format!("Instances of {}", pool.label));
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label=label>
            <table class="table balance-table" class:gone=move || names.with(Vec::is_empty)>
                <thead>
                    <tr>
                        <th scope="col">"Instance"</th>
                        <th scope="col">"Standing"</th>
                        <th scope="col" class="number">"configured"</th>
                        <th scope="col">"observed"</th>
                        <th scope="col" class="number">"picks"</th>
                        <th scope="col" class="number">"active"</th>
                        {move || hashed.get().then(|| view! {
                            <th scope="col" class="number">"if it left"</th>
                        })}
                    </tr>
                </thead>
                <tbody>
                    <For each=move || names.get() key=Clone::clone let:name>
                        {row(this, name, hashed)}
                    </For>
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(this: Balancing, name: String, hashed: Memo<bool>) -> AnyView {
    let of = name.clone();
    let found = Memo::new(move |_| this.instance(&of));
    let at = Memo::new(move |_| found.with(|found| found.as_ref().map_or(0, |(at, _)| *at)));
    let one = Memo::new(move |_| found.with(|f| f.clone().map(|(_, one)| one).unwrap_or_default()));
    let text = move |of: fn(&InstanceView) -> String| move || one.with(of);
    let point = move |on: bool| this.hot.set(on.then(|| at.get_untracked()));
    let swatch = move || {
        hashed.get().then(|| {
            view! {
                <svg class="share-swatch" width="12" height="12" aria-hidden="true">
                    <rect width="12" height="12" rx="2" fill=move || texture(at.get())></rect>
                </svg>
                <span class="hint">{move || at.get() + 1}</span>
            }
        })
    };
    let several = Memo::new(move |_| {
        this.shown
            .with(|pool| pool.instances.windows(2).any(|pair| pair[0].version != pair[1].version))
    });
    let version = move || {
        several.get().then(|| {
            let version = one.with(|one| one.version.clone());
            view! { <span class="hint">{version}</span> }
        })
    };
    let leaves = name.clone();
    view! {
        <tr
            on:mouseenter=move |_| point(true) on:mouseleave=move |_| point(false)
            on:focusin=move |_| point(true) on:focusout=move |_| point(false)
        >
            <th scope="row">{swatch} <strong>{name}</strong> {version}</th>
            <td>{standing(one)}</td>
            <td class="number">{text(|one| format::share(one.configured))}</td>
            <td>{bar(one)}</td>
            <td class="number">{text(|one| format::count(one.picked))}</td>
            <td class="number">{text(|one| format::count(u64::from(one.active)))}</td>
            {move || hashed.get().then(|| view! {
                <td class="number">{leaving(this, leaves.clone(), one)}</td>
            })}
        </tr>
    }
    .into_any()
}

fn standing(one: Memo<InstanceView>) -> AnyView {
    let word = move || {
        let (word, deviates) = one.with(balance::standing);
        let class = if deviates { "tone-warn" } else { "" };
        view! { <span class=class>{word}</span> }
    };
    let more = move || {
        one.with(|one| match one.ejected_until_us {
            Some(until_us) => {
                view! { <span class="hint">" until " <Clock at_us=until_us/></span> }.into_any()
            }
            None if one.warm < 1.0 => {
                let weight = format::share(one.warm);
                view! { <span class="hint">{format!(" at {weight} of its weight")}</span> }
                    .into_any()
            }
            None => ().into_any(),
        })
    };
    view! { {word} {more} }.into_any()
}

/// Width of a bar, pixels.
const BAR: f64 = 64.0;

/// The observed share as a bar, with a mark where the configured one is.
fn bar(one: Memo<InstanceView>) -> AnyView {
    let width = move || short(one.with(|one| one.observed.unwrap_or_default()) * BAR);
    let x = move || short(one.with(|one| one.configured) * BAR);
    let text = move || one.with(|one| one.observed.map_or_else(|| "–".to_owned(), format::share));
    view! {
        <span class="balance-bar">
            <svg viewBox="0 0 64 14" width="64" height="14" aria-hidden="true">
                <rect class="track" y="4" width="64" height="6" rx="3"></rect>
                <rect class="seen" y="4" height="6" rx="3" width=width></rect>
                <line class="applied" x1=x x2=x y1="0" y2="14"></line>
            </svg>
            {text}
        </span>
    }
    .into_any()
}

/// How much moves, as the link that shows which.
fn leaving(this: Balancing, name: String, one: Memo<InstanceView>) -> AnyView {
    let address = use_location();
    let host = this.editor.host.get_value();
    let of = name.clone();
    let chosen = Memo::new(move |_| this.asked.with(|asked| asked.left.as_ref() == Some(&of)));
    let href = move || {
        let left = (!chosen.get()).then(|| encoded(&name));
        let search = with_query(&address.search.get(), "left", left.as_deref());
        format!("/traffic/{host}{search}#balancing")
    };
    let told = Memo::new(move |_| {
        one.with(|one| {
            let leaving = one.leaving.as_ref()?;
            let text = format::share(leaving.moved);
            Some((text, balance::leaving_text(&one.instance, leaving)))
        })
    });
    let link = move || {
        let href = href.clone();
        told.get().map_or_else(
            || "–".into_any(),
            |(text, whole)| {
                let current = move || chosen.get().then_some("true");
                view! {
                    <a class="underlined" href=href aria-label=whole aria-current=current>
                        {text}
                    </a>
                }
                .into_any()
            },
        )
    };
    link.into_any()
}
