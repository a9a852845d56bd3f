//! The split of the chosen rule: one bar with a handle, presets, and a table of what each version
//! should get and gets.

use super::{
    editor::Editor,
    rules::{chosen_rule, edit_rule},
};
use crate::{
    live::use_live,
    model::{band, breaker, format, route},
    pages::live::scene,
    widget::{BreakerGlyph, BreakerMark, Field, Segmented, field, service_class},
};
use contract::{
    resilience::BreakerLine,
    traffic::{LaneView, RuleForm, ShareSeen, TargetForm, control},
};
use leptos::prelude::*;

/// Shares of the first of two destinations that are one press away.
const PRESETS: [(&str, &str); 6] = [
    ("100", "100/0"),
    ("95", "95/5"),
    ("90", "90/10"),
    ("80", "80/20"),
    ("50", "50/50"),
    ("0", "0/100"),
];

pub(super) fn panel(editor: Editor) -> AnyView {
    let rule = chosen_rule(editor);
    let count = Memo::new(move |_| rule.with(|rule| rule.targets.len()));
    let focus = move |_| {
        let at = editor.rule.get_untracked();
        editor.focus.set(Some(control::of_rule(at, control::SPLIT)));
    };
    let name = move || format!("route {}", rule.with(|rule| rule.name.clone()));
    view! {
        <section class="panel split-panel" id="control-split" on:focusin=focus>
            <header class="panel-head">
                <h2>"Split"</h2>
                <span class="hint grow">{name}</span>
                {move || (count.get() == 2).then(|| presets(editor, rule))}
            </header>
            {move || match count.get() {
                0 => {
                    let answers = rule.with(|rule| rule.answers.clone()).unwrap_or_default();
                    view! { <p class="panel-body hint">"Nothing is forwarded: it " {answers}</p> }
                        .into_any()
                }
                1 => ().into_any(),
                2 => bar(editor, rule),
                n => (0..n).map(|i| weight_row(editor, rule, i)).collect_view().into_any(),
            }}
            {table(editor, rule)}
        </section>
    }
    .into_any()
}

/// First share of a rule, whole percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn percent_at(rule: &RuleForm, at: usize) -> u32 {
    route::shares(&rule.targets).get(at).map_or(0, |share| (share * 100.0).round() as u32)
}

fn set(editor: Editor, at: usize, text: &str) {
    if let Ok(percent) = text.trim().parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let percent = percent.clamp(0.0, 100.0).round() as u32;
        edit_rule(editor, &mut |rule| route::set_weight(&mut rule.targets, at, percent));
    }
}

fn presets(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let value = Signal::derive(move || rule.with(|rule| percent_at(rule, 0)).to_string());
    view! {
        <Segmented
            label="Presets" name="presets" choices=PRESETS.to_vec() value=value
            on_choose=move |value: String| set(editor, 0, &value)
        />
    }
    .into_any()
}

fn weight_field(editor: Editor, rule: Memo<RuleForm>, at: usize, label: &'static str) -> Field {
    let value = Signal::derive(move || rule.with(|rule| percent_at(rule, at)).to_string());
    Field::plain(label, "weight", value, Callback::new(move |text: String| set(editor, at, &text)))
}

fn target_at(rule: Memo<RuleForm>, at: usize) -> TargetForm {
    rule.with(|rule| rule.targets.get(at).cloned().unwrap_or_default())
}

/// More than two: a slider and a number each.
fn weight_row(editor: Editor, rule: Memo<RuleForm>, at: usize) -> AnyView {
    view! {
        <div class="weight-row">
            <strong>{move || route::target_text(&target_at(rule, at)).to_owned()}</strong>
            {field::slider(weight_field(editor, rule, at, "Weight"), 0, 100)}
            {field::number(weight_field(editor, rule, at, "Weight, percent"), "%")}
        </div>
    }
    .into_any()
}

/// Width of the bar where it is narrowest, on a phone, pixels.
const BAR_LEAST: usize = 318;

/// Letters of a name that the bar has room for, also where it stands below its end on a phone; the
/// table below has its whole.
const NAME_MAX: usize = 32;

/// Width of the ground of a label, pixels: digits and letters of 12 pixels are up to 7.5 wide.
#[expect(clippy::cast_precision_loss, reason = "a name")]
fn label_width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.5 + 8.0
}

/// Whether a part of so many percent has room for its label beside the handle, also on a phone.
fn label_fits(text: &str, percent: u32) -> bool {
    let part = BAR_LEAST * usize::try_from(percent).unwrap_or_default() / 100;
    // Letters of 12 pixels are some 6.9 wide; 8 beside the text, 14 for the handle.
    text.chars().count() * 69 / 10 + 22 <= part
}

/// The pattern of the second part.
fn hatch() -> AnyView {
    view! {
        <defs>
            <pattern
                id="hatch-svc" width="5" height="5" patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)"
            >
                <rect class="hatch-rest" width="5" height="5"></rect>
                <rect class="hatch-svc" width="2" height="5"></rect>
            </pattern>
        </defs>
    }
    .into_any()
}

/// Where the applied split stands, when the draft has moved the handle away from it.
fn applied_mark(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let first = move || rule.with(|rule| percent_at(rule, 0));
    let applied = Memo::new(move |_| {
        let name = rule.with(|rule| rule.name.clone());
        editor.applied.with(|form| {
            form.rules.iter().find(|was| was.name == name).map(|was| percent_at(was, 0))
        })
    });
    (move || {
        applied.get().filter(|applied| *applied != first()).map(|applied| {
            let x = format!("{applied}%");
            let text = format!("applied {applied} / {}", 100 - applied);
            let anchor = if applied > 50 { "anchor-end" } else { "anchor-start" };
            view! {
                <line class="applied" x1=x.clone() x2=x.clone() y1="18" y2="48"></line>
                <text class=anchor x=x y="12">{text}</text>
            }
        })
    })
    .into_any()
}

/// Two: one bar, a handle between the parts, a mark where the applied split stands.
fn bar(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let host = editor.host.get_value();
    let class = format!("split-bar {}", service_class(&host));
    let first = move || rule.with(|rule| percent_at(rule, 0));
    let mark = applied_mark(editor, rule);
    let handle = weight_field(editor, rule, 0, "Share of the first destination, percent");
    let name = move |at: usize| route::target_text(&target_at(rule, at)).to_owned();
    let label = move |at: usize| {
        let percent = if at == 0 { first() } else { 100 - first() };
        (format!("{} {percent}%", format::cut(&name(at), NAME_MAX)), percent)
    };
    // Of a part that is too narrow for it the label stands below its end, clear of the handle.
    let place = move |at: usize| {
        let (text, percent) = label(at);
        if label_fits(&text, percent) { ("37.5", "") } else { ("63", " outside") }
    };
    // The ground of a label that stands in its part; none of one below it.
    let ground = move |at: usize| match place(at).1 {
        "" => label_width(&label(at).0),
        _ => 0.0,
    };
    let y = move |at: usize| move || place(at).0;
    let class_of = move |at: usize, class: &'static str| move || format!("{class}{}", place(at).1);
    let (x_a, x_b) = (
        move || if place(0).1.is_empty() { "10" } else { "0" },
        move || if place(1).1.is_empty() { "99%" } else { "100%" },
    );
    let width = move || format!("{}%", first());
    let rest = move || format!("{}%", 100 - first());
    view! {
        <div class=class>
            <svg width="100%" height="66" aria-hidden="true">
                {hatch()}
                <rect class="part-a" x="0" y="20" height="26" rx="4" width=width></rect>
                <rect
                    class="part-b" x=width y="20" height="26" rx="4" width=rest
                    fill="url(#hatch-svc)"
                ></rect>
                {mark}
                <rect
                    class="label-ground" x="6" y="25" rx="4" height="16" width=move || ground(0)
                ></rect>
                <rect
                    class="label-ground" x="99%" y="25" rx="4" height="16" width=move || ground(1)
                    transform=move || format!("translate({} 0)", 4.0 - ground(1))
                ></rect>
                <text class=class_of(0, "on-a") x=x_a y=y(0)>{move || label(0).0}</text>
                <text class=class_of(1, "on-b anchor-end") x=x_b y=y(1)>{move || label(1).0}</text>
            </svg>
            {field::slider(handle, 0, 100)}
        </div>
    }
    .into_any()
}

// --- table --------------------------------------------------------------------------------------

fn table(editor: Editor, rule: Memo<RuleForm>) -> AnyView {
    let targets = Memo::new(move |_| {
        rule.with(|rule| {
            rule.targets.iter().map(|t| (t.host.clone(), t.subset.clone())).collect::<Vec<_>>()
        })
    });
    let rows = move || {
        let rows = targets.get().into_iter().enumerate();
        rows.map(|(at, (_, subset))| row(editor, rule, at, subset)).collect_view()
    };
    view! {
        {move || in_words(editor, rule).map(|text| view! { <p class="band-words hint">{text}</p> })}
        <table class="table split-table" class:gone=move || targets.with(Vec::is_empty)>
            <thead>
                <tr>
                    <th scope="col"><span class="sr">"Version"</span></th>
                    <th scope="col" class="number">"weight"</th>
                    <th scope="col" class="number">"expected"</th>
                    <th scope="col" class="number">"now"</th>
                    <th scope="col" class="number">"observed"</th>
                    <th scope="col" class="number">"errors"</th>
                    <th scope="col" class="number">"p95"</th>
                    <th scope="col" class="number">"breaker"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// The lane of a subset, from the stream if it has it.
fn lane_of(editor: Editor, subset: &str) -> Option<LaneView> {
    let host = editor.host.get_value();
    let live = use_live().mesh().with(|mesh| {
        let host = mesh.hosts.iter().find(|known| known.service == host)?;
        host.lanes.iter().find(|lane| lane.subset == subset).cloned()
    });
    live.or_else(|| {
        editor.view.with(|view| view.lanes.iter().find(|lane| lane.subset == subset).cloned())
    })
}

/// What the rule's destination got in the last minute, of the resource that has the controls.
fn seen_of(editor: Editor, rule: &str, target: &TargetForm) -> Option<(f64, ShareSeen)> {
    let service = editor.form.with(|form| form.service.clone());
    editor.view.with(|view| {
        let mut hits = view.hits.iter();
        let hits = hits.find(|hits| hits.rule == rule && hits.service == service)?;
        let mut shares = hits.shares.iter().filter(|share| share.subset == target.subset);
        let share = shares.next().cloned().unwrap_or_default();
        Some((hits.per_second, share))
    })
}

/// Whether what is observed of each destination agrees with the weights in force.
fn in_words(editor: Editor, rule: Memo<RuleForm>) -> Option<String> {
    let applied = rule.with(|rule| {
        editor.applied.with(|form| form.rules.iter().find(|was| was.name == rule.name).cloned())
    })?;
    let shares = route::shares(&applied.targets);
    let seen = |(target, configured): (&TargetForm, f64)| {
        let (_, seen) = seen_of(editor, &applied.name, target)?;
        Some((route::target_text(target).to_owned(), configured, seen))
    };
    let rows: Option<Vec<_>> = applied.targets.iter().zip(shares).map(seen).collect();
    band::in_words(&rows.filter(|rows| rows.len() > 1)?)
}

/// The worst breaker that watches this version of the host.
fn breaker_of(host: &str, subset: &str) -> Option<BreakerLine> {
    use_live().breakers().with(|all| {
        let mine = |line: &&BreakerLine| {
            line.to == host && line.subset.as_ref().is_none_or(|watched| watched == subset)
        };
        all.iter().filter(mine).min_by_key(|line| breaker::rank(line)).cloned()
    })
}

fn row(editor: Editor, rule: Memo<RuleForm>, at: usize, subset: String) -> AnyView {
    let of = subset.clone();
    let lane = Memo::new(move |_| lane_of(editor, &of));
    let share =
        move || rule.with(|rule| route::shares(&rule.targets).get(at).copied().unwrap_or(0.0));
    let was = Memo::new(move |_| {
        rule.with(|rule| {
            editor.applied.with(|form| {
                let was = form.rules.iter().find(|was| was.name == rule.name)?;
                route::shares(&was.targets).get(at).copied()
            })
        })
    });
    let old = move || was.get().filter(|was| (was - share()).abs() > 0.001).map(format::share);
    // What the whole rule gets now, to be shared out anew; and its part of it.
    let seen =
        Memo::new(move |_| rule.with(|rule| seen_of(editor, &rule.name, rule.targets.get(at)?)));
    let text = move |of: fn(&LaneView) -> Option<String>| {
        move || lane.with(|lane| lane.as_ref().and_then(of)).unwrap_or_else(|| "–".into())
    };
    let health = move |errors: bool| {
        move || {
            let class = lane.with(|lane| {
                let lane = lane.as_ref()?;
                let health = if errors {
                    scene::of_share(lane.error_share)
                } else {
                    scene::of_p95(lane.p95_ms)
                };
                Some(health.class())
            });
            format!("number {}", class.unwrap_or_default())
        }
    };
    let host = editor.host.get_value();
    let swatch = format!("swatch swatch-{} {}", at.min(2), service_class(&host));
    let name = if subset.is_empty() { host.clone() } else { subset.clone() };
    let mark = Memo::new(move |_| {
        let line = breaker_of(&host, &subset)?;
        Some((BreakerMark::from(line.state), line.id))
    });
    view! {
        <tr>
            <th scope="row">
                <i class=swatch aria-hidden="true"></i>
                <strong title=name>{name.clone()}</strong>
                <span class="hint">{text(|lane| Some(format!("{} up", lane.ready)))}</span>
            </th>
            <td class="number">
                <s>{old}</s>
                " "
                <strong>{move || format::share(share())}</strong>
            </td>
            {rates(seen, Signal::derive(share))}
            <td class=health(true)>{text(|lane| Some(format::share(lane.error_share)))}</td>
            <td class=health(false)>{text(|lane| lane.p95_ms.map(format::duration_ms))}</td>
            <td class="number">
                {move || mark.get().map_or_else(|| "none".into_any(), breaker_mark)}
            </td>
        </tr>
    }
    .into_any()
}

/// What it should get of all that the rule gets, what it gets, and its share of that.
fn rates(seen: Memo<Option<(f64, ShareSeen)>>, share: Signal<f64>) -> AnyView {
    let text = move |of: fn(f64, &ShareSeen, f64) -> Option<String>| {
        move || {
            let share = share.get();
            let text =
                seen.with(|seen| seen.as_ref().and_then(|(all, seen)| of(*all, seen, share)));
            text.unwrap_or_else(|| "–".into())
        }
    };
    view! {
        <td class="number">{text(|all, _, share| Some(format::rate(all * share)))}</td>
        <td class="number">{text(|_, seen, _| Some(format::rate(seen.per_second)))}</td>
        <td class="number">
            {text(|_, seen, _| seen.observed.map(format::share))}
            <small class="band">{move || seen.with(|seen| band::of(&seen.as_ref()?.1))}</small>
        </td>
    }
    .into_any()
}

fn breaker_mark((mark, id): (BreakerMark, String)) -> AnyView {
    view! {
        <a class="breaker-link" href=format!("/resilience?breaker={}", super::encoded(&id))>
            <BreakerGlyph mark=mark/>
            {mark.word()}
        </a>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_in_its_part_only_where_it_has_room_beside_the_handle() {
        let fits = |name: &str, percent: u32| label_fits(&format!("{name} {percent}%"), percent);
        assert!(fits("v1", 97) && fits("v2", 50) && fits("v2", 20));
        assert!(!fits("v2", 3) && !fits("v2", 0) && !fits("v2", 14));
        assert!(fits("recommendations", 60) && !fits("recommendations", 40));
    }
}
