//! Mirror, timeout, retries, rate limit and fault of the chosen rule: a row each.

use super::{
    editor::{Editor, LOST},
    mirrored,
    rules::{chosen_rule, edit_rule},
};
use crate::{
    frame::fault_link,
    live::use_live,
    model::{
        fault, format,
        tries::{self, Fate, WorstCase},
    },
    widget::{Field, Icon, field, icon, use_zone},
};
use contract::traffic::{MirrorForm, RateLimitForm, RetryForm, RuleForm, control};
use leptos::prelude::*;

/// Tokens of `retryOn` that make sense in one process.
const RETRY_ON: [&str; 8] = [
    "5xx",
    "gateway-error",
    "reset",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "retriable-status-codes",
    "503",
];

/// Most retries a control takes. A text may say more, and Checks warn of it.
const RETRIES_MAX: u32 = 25;

/// Remembers which control has the focus, for the bar beside the YAML.
fn focus(editor: Editor, part: &'static str) -> impl Fn(leptos::ev::FocusEvent) {
    move |_| {
        let at = editor.rule.get_untracked();
        editor.focus.set(Some(control::of_rule(at, part)));
    }
}

/// A field of the chosen rule that is compared with what is in force.
fn rule_field(
    editor: Editor,
    part: &'static str,
    label: &'static str,
    value: Signal<String>,
    on: Callback<String>,
) -> Field {
    Field { changed: editor.changed(part), ..Field::plain(label, part, value, on) }
}

/// A number of the form, compared and read; what is none stays in its field with the reason.
fn numeric(editor: Editor, field: Field, name: &'static str, read: fn(&str) -> Read) -> Field {
    let read = Callback::new(move |text: String| read(text.trim()));
    Field { name, ..field }.readable(editor.typed, read)
}

type Read = Result<(), String>;

/// Seconds above zero, or nothing.
fn seconds_or_nothing(text: &str) -> Read {
    let reads = text.is_empty() || tries::parse_seconds(text).is_some_and(|ms| ms > 0);
    if reads { Ok(()) } else { Err("Seconds, 0.001 to 86400; empty for no limit.".into()) }
}

/// A number of tries.
fn tries_after_the_first(text: &str) -> Read {
    let reads = text.parse::<u32>().is_ok_and(|attempts| attempts <= RETRIES_MAX);
    if reads { Ok(()) } else { Err(format!("Retries are 0 to {RETRIES_MAX}.")) }
}

fn percent_of_all(text: &str) -> Read {
    let reads = text.parse().is_ok_and(|percent: f64| (0.0..=100.0).contains(&percent));
    if reads { Ok(()) } else { Err("A share is 0 to 100%.".into()) }
}

fn at_least_one(text: &str) -> Read {
    let reads = text.parse::<u32>().is_ok_and(|count| count > 0);
    if reads { Ok(()) } else { Err("A whole number, at least 1.".into()) }
}

// --- mirror -------------------------------------------------------------------------------------

pub(super) fn mirror(editor: Editor) -> AnyView {
    let rule = chosen_rule(editor);
    let on = Signal::derive(move || rule.with(|rule| rule.mirror.is_some()));
    let set = Callback::new(move |on: bool| {
        let subset = editor.form.with_untracked(|form| form.subsets.last().cloned());
        edit_rule(editor, &mut |rule| {
            let host = rule.targets.first().map(|t| t.host.clone()).unwrap_or_default();
            let subset = subset.clone().unwrap_or_default();
            rule.mirror = on.then_some(MirrorForm { host, subset, percent: 20.0 });
        });
    });
    view! {
        <section class="panel" id="control-mirror" on:focusin=focus(editor, control::MIRROR)>
            <div class="policy-row">
                <h2>"Mirror"</h2>
                {field::switch("Mirror", on, set)}
                {move || match on.get() {
                    true => mirror_fields(editor, rule),
                    false => off("no copies are sent"),
                }}
            </div>
            {move || on.get().then(|| mirror_warning(editor, rule))}
            {mirrored::panel(editor)}
        </section>
    }
    .into_any()
}

fn off(text: &'static str) -> AnyView {
    view! { <span class="hint">{text}</span> }.into_any()
}

fn mirror_fields(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let percent = move || rule.with(|rule| rule.mirror.as_ref().map_or(0.0, |m| m.percent));
    let value = Signal::derive(move || fault::percent(percent()).trim_end_matches('%').to_owned());
    let set = Callback::new(move |text: String| {
        if let Ok(percent) = text.trim().parse::<f64>() {
            edit_rule(editor, &mut |rule| {
                if let Some(mirror) = &mut rule.mirror {
                    mirror.percent = percent.clamp(0.0, 100.0);
                }
            });
        }
    });
    let subset = Signal::derive(move || {
        rule.with(|rule| rule.mirror.as_ref().map(|m| m.subset.clone()).unwrap_or_default())
    });
    let set_subset = Callback::new(move |text: String| {
        edit_rule(editor, &mut |rule| {
            if let Some(mirror) = &mut rule.mirror {
                mirror.subset.clone_from(&text);
            }
        });
    });
    let options = Signal::derive(move || {
        let subsets = editor.form.with(|form| form.subsets.clone());
        let host = editor.host.get_value();
        let all = std::iter::once((String::new(), host));
        all.chain(subsets.into_iter().map(|s| (s.clone(), s))).collect::<Vec<_>>()
    });
    let copied = move || {
        let (differs, compared) = editor.view.with(|view| view.mirror_differs);
        let name = rule.with(|rule| rule.name.clone());
        let service = editor.form.with(|form| form.service.clone());
        let rate = editor.view.with(|view| {
            let mut hits = view.hits.iter();
            let found = hits.find(|hits| hits.rule == name && hits.service == service);
            found.map_or(0.0, |hits| hits.per_second)
        });
        let rate = format::rate(rate * percent() / 100.0);
        if compared == 0 {
            format!("{rate} copied, replies dropped")
        } else {
            let count = format::count;
            format!("{rate} copied, {} of {} answers differ", count(differs), count(compared))
        }
    };
    let part = control::MIRROR;
    let typed = rule_field(editor, part, "Mirrored share, percent", value, set);
    let typed = numeric(editor, typed, "mirror-percent", percent_of_all);
    view! {
        {field::slider(rule_field(editor, part, "Mirrored share", value, set), 0, 100)}
        {field::number(typed, "%")}
        <span>"to"</span>
        {field::select(rule_field(editor, part, "Mirror to", subset, set_subset), options)}
        <span class="hint grow to-end">{copied}</span>
    }
    .into_any()
}

/// Copies are real: whether the target may get them is for whoever switches them on to say.
fn mirror_warning(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let host = editor.host.get_value();
    let shadow = format!("{host}-shadow");
    let to = move || {
        let subset = rule.with(|rule| rule.mirror.as_ref().map(|m| m.subset.clone()));
        format!("{host} {}", subset.unwrap_or_default()).trim_end().to_owned()
    };
    view! {
        <p class="notice tone-warn">
            {icon(Icon::Alert)}
            <span>
                "Mirrored requests run for real. Allow this only if " {to}
                " does not move money for host " <code>{shadow}</code> "."
            </span>
        </p>
    }
    .into_any()
}

// --- timeout and retries ------------------------------------------------------------------------

pub(super) fn timeout_and_retries(editor: Editor) -> AnyView {
    let rule = chosen_rule(editor);
    let timeout = Signal::derive(move || {
        rule.with(|rule| rule.timeout_ms.map(tries::plain_seconds).unwrap_or_default())
    });
    let set_timeout = Callback::new(move |text: String| {
        edit_rule(editor, &mut |rule| {
            rule.timeout_ms = tries::parse_seconds(&text).filter(|ms| *ms > 0)
        });
    });
    let retries = move || rule.with(|rule| rule.retries.clone());
    let attempts = Signal::derive(move || retries().map_or("2".into(), |r| r.attempts.to_string()));
    let change = move |change: &mut dyn FnMut(&mut RetryForm)| {
        edit_rule(editor, &mut |rule| {
            change(
                rule.retries
                    .get_or_insert_with(|| RetryForm { attempts: 2, ..RetryForm::default() }),
            );
        });
    };
    let set_attempts = Callback::new(move |text: String| {
        if let Ok(attempts) = text.trim().parse::<u32>() {
            change(&mut |retries| retries.attempts = attempts);
        }
    });
    let per_try = Signal::derive(move || {
        retries().and_then(|r| r.per_try_ms).map(tries::plain_seconds).unwrap_or_default()
    });
    let set_per_try = Callback::new(move |text: String| {
        change(&mut |retries| {
            retries.per_try_ms = tries::parse_seconds(&text).filter(|ms| *ms > 0);
        });
    });
    let part = control::RETRIES;
    let timeout = rule_field(editor, control::TIMEOUT, "Timeout, seconds", timeout, set_timeout);
    let timeout = numeric(editor, timeout, "timeout", seconds_or_nothing);
    let per_try = rule_field(editor, part, "Limit per try, seconds", per_try, set_per_try);
    let per_try = numeric(editor, per_try, "per-try", seconds_or_nothing);
    let attempts = rule_field(editor, part, "Retries", attempts, set_attempts);
    let attempts = numeric(editor, attempts, "retries", tries_after_the_first);
    view! {
        <section class="panel">
            <div class="policy-row">
                <span class="pair" id="control-timeout" on:focusin=focus(editor, control::TIMEOUT)>
                    <h2>"Timeout"</h2>
                    {field::number(timeout, "s")}
                </span>
                <span class="pair" id="control-retries" on:focusin=focus(editor, part)>
                    <h2>"Retries"</h2>
                    {field::number(attempts, "")}
                    <span>"each up to"</span>
                    {field::number(per_try, "s")}
                </span>
            </div>
            <div class="policy-row" on:focusin=focus(editor, part)>
                <span class="policy-label">"Retry on"</span>
                {retry_tokens(editor, rule)}
                <span class="hint grow to-end">"402 is an answer, never retried"</span>
            </div>
            {move || worst(rule)}
        </section>
    }
    .into_any()
}

/// The tokens that are set, and behind "More" those that are not.
fn retry_tokens(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let on = Memo::new(move |_| {
        rule.with(|rule| {
            rule.retries.as_ref().map(|retries| retries.on.clone()).unwrap_or_default()
        })
    });
    let set = move || {
        let tokens = on.get().into_iter().map(|token| retry_token(editor, token, true));
        tokens.collect_view()
    };
    let others = move || {
        let free =
            RETRY_ON.into_iter().filter(|token| !on.with(|on| on.iter().any(|t| t == token)));
        free.map(|token| retry_token(editor, token.to_owned(), false)).collect_view()
    };
    view! {
        <span class="tokens">
            {set}
            <button type="button" class="token more-tokens" popovertarget="retry-more">
                "More"
            </button>
            // The browser closes it: by Esc, and by a press elsewhere.
            <div
                id="retry-more" class="token-menu" popover="auto" role="group"
                aria-label="Retry on"
            >
                {others}
            </div>
        </span>
    }
    .into_any()
}

fn retry_token(editor: Editor, token: String, on: bool) -> AnyView {
    let name = token.clone();
    let toggle = move |_| {
        edit_rule(editor, &mut |rule| {
            let retries = rule
                .retries
                .get_or_insert_with(|| RetryForm { attempts: 2, ..RetryForm::default() });
            retries.on.retain(|known| *known != token);
            if !on {
                retries.on.push(token.clone());
            }
        });
    };
    let pressed = if on { "true" } else { "false" };
    view! {
        <button type="button" class="token" aria-pressed=pressed on:click=toggle>{name}</button>
    }
    .into_any()
}

/// The bar of the worst case: which tries fit into the timeout.
fn worst(rule: Memo<RuleForm>) -> AnyView {
    let case = rule.with(|rule| {
        let (attempts, per_try) =
            rule.retries.as_ref().map_or((2, None), |r| (r.attempts, r.per_try_ms));
        tries::worst_case(attempts, per_try, rule.timeout_ms)
    });
    case.map_or_else(
        || {
            let text = "Neither a timeout nor a limit per try bounds a call.";
            view! { <p class="unbounded hint">{text}</p> }.into_any()
        },
        |case| drawn(&case),
    )
}

fn drawn(case: &WorstCase) -> AnyView {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day")]
    let share = |ms: u64| ms as f64 / case.end_ms.max(1) as f64 * 100.0;
    let blocks = case.blocks.iter().map(|block| {
        let class = match block.fate {
            Fate::Runs => "try",
            Fate::Cut => "try try-cut",
            Fate::Never => "try try-never",
        };
        let (x, w) = (share(block.from_ms), share(block.to_ms) - share(block.from_ms));
        let label = (w > 9.0).then(|| block.label.clone());
        view! {
            <rect
                class=class x=format!("{x:.2}%") y="18" width=format!("{w:.2}%") height="17" rx="3"
            ></rect>
            <text class=class x=format!("{:.2}%", x + w / 2.0) y="30.5">{label}</text>
        }
    });
    let limit = case.timeout_ms.filter(|timeout| *timeout < case.end_ms).map(|timeout| {
        let x = format!("{:.2}%", share(timeout));
        let text = format!("timeout {}", tries::seconds(timeout));
        view! {
            <line class="limit" x1=x.clone() x2=x.clone() y1="8" y2="38"></line>
            <text class="limit" x=x dx="5" y="12">{text}</text>
        }
    });
    let ticks = tries::ticks(case.end_ms);
    let last = ticks.len().saturating_sub(1);
    let ticks = ticks.into_iter().enumerate().map(|(i, tick)| {
        let text = if i == last { tries::seconds(tick) } else { tries::plain_seconds(tick) };
        let anchor = match i {
            0 => "anchor-start",
            _ if tick == case.end_ms => "anchor-end",
            _ => "anchor-middle",
        };
        view! { <text class=anchor x=format!("{:.2}%", share(tick)) y="50">{text}</text> }
    });
    view! {
        <svg class="worst" width="100%" height="54" role="img" aria-label=case.text.clone()>
            <text class="anchor-start" x="0" y="12">"worst case"</text>
            {blocks.collect_view()}
            {limit}
            {ticks.collect_view()}
        </svg>
    }
    .into_any()
}

// --- rate limit ---------------------------------------------------------------------------------

pub(super) fn rate_limit(editor: Editor) -> AnyView {
    let limit = move || editor.form.with(|form| form.rate_limit.clone());
    let on = Signal::derive(move || limit().is_some());
    let set = Callback::new(move |on: bool| {
        editor.edit(&mut |form| {
            let per = "second".to_owned();
            form.rate_limit = on.then_some(RateLimitForm { requests: 50, per, burst: 100 });
        });
    });
    let focus = move |_| editor.focus.set(Some(control::RATE_LIMIT.into()));
    view! {
        <section class="panel" id="control-rate-limit" on:focusin=focus>
            <div class="policy-row">
                <h2>"Rate limit"</h2>
                {field::switch("Rate limit", on, set)}
                {move || if on.get() { limit_fields(editor) } else { off("nothing is refused") }}
            </div>
        </section>
    }
    .into_any()
}

fn limit_fields(editor: Editor) -> AnyView {
    let limit = move || editor.form.with(|form| form.rate_limit.clone().unwrap_or_default());
    let changed = Signal::derive(move || {
        let applied = editor.applied.with(|form| form.rate_limit.clone());
        editor.form.with(|form| form.rate_limit != applied)
    });
    let change = move |change: &mut dyn FnMut(&mut RateLimitForm)| {
        editor.edit(&mut |form| {
            if let Some(limit) = &mut form.rate_limit {
                change(limit);
            }
        });
    };
    let make = move |label, value, on| Field { changed, ..Field::plain(label, "rate", value, on) };
    let requests = make(
        "Requests",
        Signal::derive(move || limit().requests.to_string()),
        Callback::new(move |text: String| {
            if let Ok(requests) = text.trim().parse() {
                change(&mut |limit| limit.requests = requests);
            }
        }),
    );
    let per = make(
        "Per",
        Signal::derive(move || limit().per),
        Callback::new(move |text: String| change(&mut |limit| limit.per.clone_from(&text))),
    );
    let burst = make(
        "Burst",
        Signal::derive(move || limit().burst.to_string()),
        Callback::new(move |text: String| {
            if let Ok(burst) = text.trim().parse() {
                change(&mut |limit| limit.burst = burst);
            }
        }),
    );
    let pers = ["second", "minute", "hour"].map(|per| (per.to_owned(), format!("a {per}")));
    let seen = move || {
        let (refused, rate) = editor.view.with(|view| view.limited);
        let limit = limit();
        let rate = format::rate(rate);
        let rate = rate.trim_end_matches("/s");
        let refused = format::count(refused);
        match limit.per.as_str() {
            "second" => format!("{rate} of {} req/s, {refused} refused", limit.requests),
            per => format!("{rate}/s of {} a {per}, {refused} refused", limit.requests),
        }
    };
    view! {
        {field::number(numeric(editor, requests, "rate-requests", at_least_one), "")}
        {field::select(per, Signal::stored(pers.to_vec()))}
        <span>"burst"</span>
        {field::number(numeric(editor, burst, "rate-burst", at_least_one), "")}
        <span class="hint grow to-end" title="In the last minute">{seen}</span>
    }
    .into_any()
}

// --- fault --------------------------------------------------------------------------------------

/// A fault that is written and not active: of a draft, or over. Faults of resources end, too.
fn written_only(editor: Editor, what: String) -> AnyView {
    let (host, zone) = (editor.host.get_value(), use_zone());
    let at = editor.rule.get();
    let in_force = editor.applied.with(|was| was.rules.get(at).is_some_and(|r| r.fault.is_some()));
    if !in_force {
        return view! { <span>{what} <span class="hint">", once it is applied"</span></span> }
            .into_any();
    }
    let ended = use_live().faults().with(|faults| {
        let mut ended = faults.ended.iter();
        ended.find(|fault| fault.to == host && fault.object.is_some()).and_then(|f| f.ended_us)
    });
    let ended = match ended {
        Some(at_us) => format!(", written, ended {}", format::clock(at_us, zone.get())),
        None => ", written, not active".to_owned(),
    };
    view! {
        <span>{what} <span class="hint">{ended}</span></span>
        " "
        <button
            type="button" class="button small"
            disabled=move || editor.lost() || editor.drafted.get()
            title=move || {
                if editor.lost() {
                    Some(LOST)
                } else {
                    editor.drafted.get().then_some("Apply or discard the draft first")
                }
            }
            on:click=move |_| editor.apply_again()
        >
            "Start again"
        </button>
    }
    .into_any()
}

pub(super) fn fault(editor: Editor) -> AnyView {
    let rule = chosen_rule(editor);
    let faults = use_live().faults();
    let host = editor.host.get_value();
    let inject = format!("/resilience?to={host}#inject");
    let faithful = Signal::derive(move || rule.with(|rule| rule.faithful));
    let set_faithful = Callback::new(move |on: bool| {
        edit_rule(editor, &mut |rule| rule.faithful = on);
    });
    let active = Memo::new(move |_| {
        faults.with(|faults| {
            let here = faults.active.iter().filter(|fault| fault.to == host);
            here.map(|fault| (fault.id.clone(), fault.what.clone())).collect::<Vec<_>>()
        })
    });
    let written = move || rule.with(|rule| rule.fault.as_ref().map(|fault| fault.what.clone()));
    let said = move || match (written(), active.get()) {
        (Some(what), active) if active.is_empty() => written_only(editor, what),
        (None, active) if active.is_empty() => off("none on this route"),
        (_, active) => active
            .into_iter()
            .map(|(id, what)| view! { <span class="fault-here">{fault_link(&id)} {what}</span> })
            .collect_view()
            .into_any(),
    };
    view! {
        <section class="panel" id="control-fault" on:focusin=focus(editor, control::FAULT)>
            <div class="policy-row">
                <h2>"Fault"</h2>
                <span class="grow">{said}</span>
                <a class="button" href=inject>{icon(Icon::Bolt)} "Inject a fault"</a>
            </div>
            <div class="notice">
                {icon(Icon::Info)}
                <span class="grow">
                    "Istio turns off a route's timeout and retries while a fault is set on it. "
                    {move || match faithful.get() {
                        true => "This route does the same.",
                        false => "Here they go on.",
                    }}
                </span>
                {field::switch("As in Istio", faithful, set_faithful)}
                <span aria-hidden="true">"As in Istio"</span>
            </div>
        </section>
    }
    .into_any()
}
