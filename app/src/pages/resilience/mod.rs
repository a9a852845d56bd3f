//! Resilience: every breaker as its state machine, endpoints, the layers of each edge, faults.
//!
//! States, faults and the strip of endpoints come with the live stream; windows with their traces,
//! histories and what each layer did are fetched along.

mod card;
mod closed;
mod endpoints;
mod faults;
mod inject;
mod layers;
mod thresholds;
mod what_if;

use crate::{
    ask::{self, AskError},
    browser,
    frame::{use_fragment, use_keys},
    live::use_live,
    model::{breaker, fault::Choice, tone::Tone},
    widget::{Badge, EmptyState},
};
use contract::resilience::{
    BreakerCard, BreakerLine, BreakerState, Expectation, InjectFault, ResilienceView, WhatIfView,
};
use leptos::{prelude::*, task::spawn_local};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// What the panels of this page share. Cheap to copy.
#[derive(Clone, Copy)]
struct Page {
    /// As last fetched.
    view: RwSignal<ResilienceView>,
    /// Every breaker, worst first; the stream's line in place of the fetched one.
    lines: Memo<Vec<BreakerLine>>,
    /// The closed breaker that was opened to a card, in the address.
    asked: Memo<Option<String>>,
    /// Only breakers in this state are shown as cards, in the address.
    state: Memo<Option<BreakerState>>,
}

/// Reads a state of the address.
#[must_use]
pub fn parse_state(word: Option<&str>) -> Option<BreakerState> {
    match word? {
        "open" => Some(BreakerState::Open),
        "half" | "half-open" => Some(BreakerState::HalfOpen),
        "closed" => Some(BreakerState::Closed),
        _ => None,
    }
}

impl Page {
    fn new(view: ResilienceView) -> Self {
        let live = use_live();
        let view = RwSignal::new(view);
        let query = use_query_map();
        let lines = Memo::new(move |_| {
            let mut lines = live.breakers().get();
            if lines.is_empty() {
                lines = view.with(|v| v.breakers.iter().map(|card| card.line.clone()).collect());
            }
            lines.sort_by_key(|line| (breaker::rank(line), line.id.clone()));
            lines
        });
        let state = Memo::new(move |_| query.with(|query| parse_state(query.get_str("state"))));
        let asked = Memo::new(move |_| query.with(|query| query.get("breaker")));
        Self { view, lines, asked, state }
    }

    /// A breaker with its details and its newest line.
    fn card(self, id: &str) -> Option<BreakerCard> {
        let card = self.view.with(|view| view.breakers.iter().find(|c| c.line.id == id).cloned());
        let line = self.lines.with(|lines| lines.iter().find(|line| line.id == id).cloned());
        let mut card = card?;
        if let Some(line) = line {
            card.line = line;
        }
        Some(card)
    }

    /// Whether a closed breaker was opened to a card: by its id, or by that of its edge.
    fn is_asked(self, id: &str) -> bool {
        self.asked.with(|asked| {
            let Some(asked) = asked else { return false };
            self.lines.with(|lines| {
                breaker::is_asked(asked, id, lines.iter().map(|line| line.id.as_str()))
            })
        })
    }

    /// Ids of the breakers that are shown as cards.
    fn cards(self) -> Memo<Vec<String>> {
        Memo::new(move |_| {
            let state = self.state.get();
            let shown = |line: &&BreakerLine| match state {
                Some(state) => line.state == state || self.is_asked(&line.id),
                None => breaker::rank(line) < 3 || self.is_asked(&line.id),
            };
            self.lines.with(|lines| lines.iter().filter(shown).map(|l| l.id.clone()).collect())
        })
    }

    fn refetch(self) {
        spawn_local(async move {
            if let Ok(view) = ask::resilience().await {
                self.view.try_set(view);
            }
        });
    }
}

/// The page.
#[component]
pub fn ResiliencePage() -> impl IntoView {
    let live = use_live();
    let command = inject::asked_for();
    let (first, thresholds) = (command.1.clone(), thresholds::asked_for());
    let details =
        Resource::new_blocking(|| (), move |()| loaded(first.clone(), thresholds.clone()));
    let query = use_query_map();
    let error = move || query.with(|query| query.get("error")).filter(|text| !text.is_empty());
    view! {
        <Title text="Resilience"/>
        {move || error().map(|text| view! { <p class="form-error" role="alert">{text}</p> })}
        <Transition fallback=skeleton>
            {move || {
                let command = command.clone();
                Suspend::new(async move {
                    live.ready().await;
                    match details.await {
                        Ok(loaded) => body(loaded, command),
                        Err(error) => failed(&error, details),
                    }
                })
            }}
        </Transition>
    }
    .into_any()
}

/// What the page was made from: its details, what to expect of the fault in the panel, and what
/// the thresholds in the form would have done.
type Made = (ResilienceView, Option<Expectation>, Option<WhatIfView>);
type Loaded = Result<Made, AskError>;

async fn loaded(command: InjectFault, asked: thresholds::Asked) -> Loaded {
    let view = ask::resilience().await?;
    // What the forms say is asked again with every change; without it the page stands.
    let expected = ask::expect_fault(command).await.ok();
    let what_if = match asked.of(&view) {
        Some(asked) => ask::what_if(asked).await.ok(),
        None => None,
    };
    Ok((view, expected, what_if))
}

fn body((view, expected, what_if): Made, command: (Choice, InjectFault)) -> AnyView {
    let page = Page::new(view);
    use_keys(|key, _| match key {
        "j" | "J" => browser::focus_row(true),
        "k" | "K" => browser::focus_row(false),
        _ => false,
    });
    let live = use_live();
    let turns = Memo::new(move |_| {
        let turned = page.lines.with(|lines| lines.iter().map(|line| line.since_us).max());
        let begun = live.faults().with(|f| f.active.len() as u64 + f.ended_count);
        u64::try_from(turned.unwrap_or_default()).unwrap_or_default().wrapping_add(begun)
    });
    super::follow::follow(turns, Callback::new(move |()| page.refetch()));
    let cards = page.cards();
    use_fragment();
    view! {
        <div class="resilience">
            <header class="page-head">
                <h1>"Resilience"</h1>
                <p class="hint grow">
                    "A breaker belongs to the caller and has three states. Outlier detection \
                     belongs to the mesh and ejects single endpoints."
                </p>
                {badges(page)}
                <a class="button small to-inject" href="#inject" rel="external">"Inject a fault"</a>
            </header>
            <div class="resilience-body">
                <div class="resilience-main">
                    {calm(page)}
                    {filtered(page, cards)}
                    <div class="cards" id="breakers">
                        <For each=move || cards.get() key=Clone::clone let:id>
                            {card::card(page, id)}
                        </For>
                    </div>
                    {closed::panel(page, what_if)}
                    {endpoints::panel(page)}
                    {faults::panel()}
                    {layers::panel(page)}
                </div>
                {inject::panel(command, expected)}
            </div>
        </div>
    }
    .into_any()
}

/// Which breakers are shown, and the way to all of them; nothing when they are.
fn filtered(page: Page, cards: Memo<Vec<String>>) -> impl IntoView {
    move || {
        page.state.get().map(|state| {
            let word = match state {
                BreakerState::Open => "open",
                BreakerState::HalfOpen => "half-open",
                BreakerState::Closed => "closed",
            };
            let text = move || match cards.with(Vec::is_empty) {
                true => format!("No breaker is {word} now."),
                false => format!("Only breakers that are {word}."),
            };
            view! {
                <p class="panel calm filtered">
                    <span class="grow">{text}</span>
                    <a href="/resilience#breakers">"Show all"</a>
                </p>
            }
        })
    }
}

fn count(page: Page, state: BreakerState) -> usize {
    page.lines.with(|lines| lines.iter().filter(|line| line.state == state).count())
}

/// "1 open", "1 half-open", "7 closed": a polite live region, for states only.
fn badges(page: Page) -> AnyView {
    let badge = move |state, tone: Tone, word: &'static str| {
        let many = Memo::new(move |_| count(page, state));
        move || {
            let many = many.get();
            (many > 0).then(|| view! { <Badge tone=tone text=format!("{many} {word}")/> })
        }
    };
    view! {
        <span class="badges" role="status">
            {badge(BreakerState::Open, Tone::Open, "open")}
            {badge(BreakerState::HalfOpen, Tone::Half, "half-open")}
            {badge(BreakerState::Closed, Tone::Neutral, "closed")}
        </span>
    }
    .into_any()
}

/// What is said when there is nothing to see.
fn calm(page: Page) -> impl IntoView {
    let live = use_live();
    let calm = Memo::new(move |_| {
        let all = page.lines.with(Vec::len);
        let faults = live.faults().with(|faults| faults.active.len());
        (faults == 0 && count(page, BreakerState::Closed) == all).then_some(all)
    });
    move || {
        calm.get().map(|all| {
            let text = match all {
                0 => "No active faults. A breaker begins with the first call over its edge.".into(),
                1 => "No active faults. The breaker is closed.".to_owned(),
                _ => format!("No active faults. All {all} breakers are closed."),
            };
            view! { <p class="panel calm">{text}</p> }
        })
    }
}

fn failed(error: &AskError, details: Resource<Loaded>) -> AnyView {
    view! {
        <div class="resilience" role="alert">
            <h1 class="sr">"Resilience"</h1>
            <EmptyState title="Breakers cannot be shown" text=error.to_string()>
                <button type="button" class="button" on:click=move |_| details.refetch()>
                    "Retry"
                </button>
            </EmptyState>
        </div>
    }
    .into_any()
}

/// Nine rows, as many as there are breakers.
fn skeleton() -> AnyView {
    let rows = (0..9).map(|_| view! { <div class="skeleton skeleton-row"></div> }).collect_view();
    view! { <div class="resilience" aria-busy="true">{rows}</div> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_address_is_the_word_that_links_use_and_nonsense_is_none() {
        assert_eq!(parse_state(Some("open")), Some(BreakerState::Open));
        assert_eq!(parse_state(Some("half")), Some(BreakerState::HalfOpen));
        assert_eq!((parse_state(Some("ajar")), parse_state(None)), (None, None));
    }
}
