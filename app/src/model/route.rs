//! What the controls of a route do to its form, and how its parts read. The host writes the form
//! back into the YAML.

use contract::traffic::{
    LaneView, MatchOn, MatchOp, MatchTerm, RouteForm, RuleForm, TargetForm, control,
};

/// What the weights of a split add up to once a slider has set them.
const WHOLE: u32 = 100;

/// Shares of the destinations, 0 to 1: weight by sum; one destination without weight gets all.
#[must_use]
pub fn shares(targets: &[TargetForm]) -> Vec<f64> {
    let sum: f64 = targets.iter().map(|target| f64::from(target.weight)).sum();
    let alone = targets.len() == 1;
    let share = |target: &TargetForm| if sum > 0.0 { f64::from(target.weight) / sum } else { 0.0 };
    targets.iter().map(|target| if alone { 1.0 } else { share(target) }).collect()
}

/// Sets one weight, percent; the others share the rest as they did before.
pub fn set_weight(targets: &mut [TargetForm], at: usize, percent: u32) {
    let percent = percent.min(WHOLE);
    let rest = WHOLE - percent;
    let before: u32 =
        targets.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, t)| t.weight).sum();
    let others = u32::try_from(targets.len().saturating_sub(1)).unwrap_or(1).max(1);
    let mut left = rest;
    let mut last = None;
    for (i, target) in targets.iter_mut().enumerate() {
        target.weight = if i == at {
            percent
        } else {
            last = Some(i);
            let scaled = u64::from(rest) * u64::from(target.weight);
            let part = match u64::from(before) {
                0 => rest / others,
                before => u32::try_from(scaled / before).unwrap_or(rest),
            };
            left -= part.min(left);
            part
        };
    }
    // What rounding left over goes to the last, so that the sum is exact.
    if let Some(target) = last.and_then(|i| targets.get_mut(i)) {
        target.weight += left;
    }
}

/// Puts a rule at another place.
pub fn move_rule(form: &mut RouteForm, from: usize, to: usize) {
    if from < form.rules.len() && to < form.rules.len() {
        let rule = form.rules.remove(from);
        form.rules.insert(to, rule);
    }
}

/// Whether a rule takes every request.
#[must_use]
pub fn takes_all(rule: &RuleForm) -> bool {
    rule.matches.is_empty()
}

/// Adds a rule above the one that takes the rest; answers its place.
pub fn add_rule(form: &mut RouteForm) -> usize {
    let at = form.rules.iter().position(takes_all).unwrap_or(form.rules.len());
    let mut target = form.rules.iter().find_map(|rule| rule.targets.first()).cloned();
    if let Some(target) = &mut target {
        target.subset = form.subsets.last().cloned().unwrap_or_default();
        target.weight = 0;
    }
    let taken = |name: &str| form.rules.iter().any(|rule| rule.name == name);
    let name = (1..).map(|n| format!("rule-{n}")).find(|name| !taken(name)).unwrap_or_default();
    let term = MatchTerm { name: "x-canary".into(), value: "true".into(), ..MatchTerm::default() };
    let rule = RuleForm {
        name,
        matches: vec![vec![term]],
        targets: target.into_iter().collect(),
        ..RuleForm::default()
    };
    form.rules.insert(at, rule);
    at
}

/// What a condition looks at, in words.
#[must_use]
pub const fn on_word(on: MatchOn) -> &'static str {
    match on {
        MatchOn::Header => "header",
        MatchOn::WithoutHeader => "without header",
        MatchOn::Cookie => "cookie",
        MatchOn::Uri => "path",
        MatchOn::Method => "method",
        MatchOn::Query => "query",
        MatchOn::Authority => "authority",
        MatchOn::Scheme => "scheme",
        MatchOn::SourceLabel => "caller's label",
    }
}

/// What a condition can look at, as a form offers it.
pub const ONS: [MatchOn; 9] = [
    MatchOn::Header,
    MatchOn::WithoutHeader,
    MatchOn::Cookie,
    MatchOn::Uri,
    MatchOn::Method,
    MatchOn::Query,
    MatchOn::Authority,
    MatchOn::Scheme,
    MatchOn::SourceLabel,
];

/// Whether a condition names what it looks at: a header, a cookie, a parameter, a label.
#[must_use]
pub const fn has_name(on: MatchOn) -> bool {
    matches!(
        on,
        MatchOn::Header
            | MatchOn::WithoutHeader
            | MatchOn::Cookie
            | MatchOn::Query
            | MatchOn::SourceLabel
    )
}

/// How a condition compares, in words.
#[must_use]
pub const fn op_word(op: MatchOp) -> &'static str {
    match op {
        MatchOp::Exact => "is",
        MatchOp::Prefix => "starts with",
        MatchOp::Regex => "matches",
        MatchOp::Present => "is present",
    }
}

/// How a condition can compare, as a form offers it.
pub const OPS: [MatchOp; 4] = [MatchOp::Exact, MatchOp::Prefix, MatchOp::Regex, MatchOp::Present];

/// A condition in words: "header x-canary is true".
#[must_use]
pub fn term_text(term: &MatchTerm) -> String {
    let mut text = on_word(term.on).to_owned();
    for word in [&*term.name, op_word(term.op), &*term.value] {
        if !word.is_empty() {
            text.push(' ');
            text.push_str(word);
        }
    }
    text
}

/// A destination in short: its subset, or its host.
#[must_use]
pub fn target_text(target: &TargetForm) -> &str {
    if target.subset.is_empty() { &target.host } else { &target.subset }
}

/// Where a rule sends its requests: "v2 100%", "v1 90%, v2 10%", "redirects to /new".
#[must_use]
pub fn goes(rule: &RuleForm) -> String {
    if let Some(answers) = &rule.answers {
        return answers.clone();
    }
    let parts = rule.targets.iter().zip(shares(&rule.targets));
    let parts: Vec<_> = parts
        .map(|(target, share)| format!("{} {}", target_text(target), super::format::share(share)))
        .collect();
    parts.join(", ")
}

/// The lane of a destination.
#[must_use]
pub fn lane<'a>(lanes: &'a [LaneView], target: &TargetForm) -> Option<&'a LaneView> {
    lanes.iter().find(|lane| lane.subset == target.subset)
}

/// Whether a part of a rule differs from the applied rule of the same name.
#[must_use]
pub fn changed(applied: &RouteForm, draft: &RouteForm, rule: usize, part: &str) -> bool {
    let Some(now) = draft.rules.get(rule) else { return false };
    let Some(was) = applied.rules.iter().find(|was| was.name == now.name) else { return true };
    match part {
        control::MATCH => was.matches != now.matches,
        control::SPLIT => was.targets != now.targets,
        control::MIRROR => was.mirror != now.mirror,
        control::TIMEOUT => was.timeout_ms != now.timeout_ms,
        control::RETRIES => was.retries != now.retries,
        control::FAULT => was.fault != now.fault || was.faithful != now.faithful,
        _ => was != now,
    }
}

/// What a draft changes, a few words each: "80 / 20", "mirror", "rule testers".
#[must_use]
pub fn changes(applied: &RouteForm, draft: &RouteForm) -> Vec<String> {
    let mut out = Vec::new();
    for (at, rule) in draft.rules.iter().enumerate() {
        if !applied.rules.iter().any(|was| was.name == rule.name) {
            out.push(format!("rule {} added", rule.name));
            continue;
        }
        let part = |part| changed(applied, draft, at, part);
        if part(control::MATCH) {
            out.push(format!("rule {}", rule.name));
        }
        if part(control::SPLIT) {
            let was = applied.rules.iter().find(|was| was.name == rule.name);
            out.push(split_change(was.unwrap_or(rule), rule));
        }
        for (name, word) in [
            (control::MIRROR, "mirror"),
            (control::TIMEOUT, "timeout"),
            (control::RETRIES, "retries"),
            (control::FAULT, "fault"),
        ] {
            out.extend(part(name).then(|| word.to_owned()));
        }
    }
    let gone = applied.rules.iter().filter(|was| !draft.rules.iter().any(|r| r.name == was.name));
    out.extend(gone.map(|was| format!("rule {} removed", was.name)));
    let order = |form: &RouteForm| form.rules.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
    if applied.rules.len() == draft.rules.len() && out.is_empty() && order(applied) != order(draft)
    {
        out.push("order of rules".into());
    }
    if applied.rate_limit != draft.rate_limit {
        out.push("rate limit".into());
    }
    out
}

/// What a change of the destinations comes to: other shares, or other destinations.
fn split_change(was: &RuleForm, now: &RuleForm) -> String {
    let names = |rule: &RuleForm| {
        let names = rule.targets.iter().map(|target| (target.host.clone(), target.subset.clone()));
        names.collect::<Vec<_>>()
    };
    let (before, after) = (names(was), names(now));
    if before == after {
        let shares = shares(&now.targets);
        let shares: Vec<_> = shares.iter().map(|s| format!("{:.0}", s * 100.0)).collect();
        return shares.join(" / ");
    }
    let hosts = |names: &[(String, String)]| -> Vec<String> {
        let mut hosts: Vec<_> = names.iter().map(|(host, _)| host.clone()).collect();
        hosts.dedup();
        hosts
    };
    match (hosts(&before), hosts(&after)) {
        (old, new) if old != new => format!("host {}", new.join(", ")),
        _ => format!("to {}", goes(now)),
    }
}

/// The control that sets a line: the narrowest that covers it.
#[must_use]
pub fn control_of_line(form: &RouteForm, line: u32) -> Option<&str> {
    let covers = form.lines.iter().filter(|lines| lines.first <= line && line <= lines.last);
    covers.min_by_key(|lines| lines.last - lines.first).map(|lines| lines.control.as_str())
}

/// Whether a control sets a line.
#[must_use]
pub fn sets(form: &RouteForm, control: &str, line: u32) -> bool {
    form.lines.iter().any(|l| l.control == control && l.first <= line && line <= l.last)
}

/// The rule a control belongs to.
#[must_use]
pub fn rule_of_control(control: &str) -> Option<usize> {
    control.strip_prefix("rule-")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::traffic::{ControlLines, MirrorForm};

    fn target(subset: &str, weight: u32) -> TargetForm {
        TargetForm { host: "payments".into(), subset: subset.into(), weight }
    }

    fn form() -> RouteForm {
        let testers = RuleForm {
            name: "testers".into(),
            matches: vec![vec![MatchTerm {
                name: "x-canary".into(),
                value: "true".into(),
                ..MatchTerm::default()
            }]],
            targets: vec![target("v2", 0)],
            ..RuleForm::default()
        };
        let default = RuleForm {
            name: "default".into(),
            targets: vec![target("v1", 90), target("v2", 10)],
            timeout_ms: Some(6_000),
            ..RuleForm::default()
        };
        let lines = |control: String, first, last| ControlLines { control, first, last };
        RouteForm {
            rules: vec![testers, default],
            subsets: vec!["v1".into(), "v2".into()],
            lines: vec![
                lines(control::of_rule(1, ""), 22, 40),
                lines(control::of_rule(1, control::SPLIT), 23, 31),
            ],
            ..RouteForm::default()
        }
    }

    fn weights(targets: &[TargetForm]) -> Vec<u32> {
        targets.iter().map(|target| target.weight).collect()
    }

    #[test]
    fn a_weight_leaves_the_rest_to_the_others_as_they_shared_it_and_the_sum_is_a_hundred() {
        let mut two = vec![target("v1", 90), target("v2", 10)];
        set_weight(&mut two, 0, 80);
        assert_eq!(weights(&two), [80, 20]);
        let mut three = vec![target("a", 1), target("b", 1), target("c", 1)];
        set_weight(&mut three, 0, 50);
        assert_eq!(weights(&three), [50, 25, 25]);
        set_weight(&mut three, 1, 33);
        assert_eq!(weights(&three).iter().sum::<u32>(), 100);
        let mut none = vec![target("a", 0), target("b", 0), target("c", 0)];
        set_weight(&mut none, 2, 200);
        assert_eq!(weights(&none), [0, 0, 100]);
        set_weight(&mut none, 2, 10);
        assert_eq!(weights(&none), [45, 45, 10]);
    }

    #[test]
    fn one_destination_gets_all_whatever_its_weight() {
        assert_eq!(shares(&[target("v1", 0)]), [1.0]);
        assert_eq!(shares(&[target("v1", 3), target("v2", 1)]), [0.75, 0.25]);
        assert_eq!(shares(&[target("v1", 0), target("v2", 0)]), [0.0, 0.0]);
        assert_eq!(goes(&form().rules[1]), "v1 90%, v2 10%");
    }

    #[test]
    fn a_new_rule_stands_above_the_one_that_takes_the_rest_under_a_free_name() {
        let mut form = form();
        assert_eq!(add_rule(&mut form), 1);
        assert_eq!(add_rule(&mut form), 2);
        let names: Vec<_> = form.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["testers", "rule-1", "rule-2", "default"]);
        move_rule(&mut form, 2, 0);
        assert_eq!(form.rules[0].name, "rule-2");
        move_rule(&mut form, 9, 0);
        assert_eq!(form.rules.len(), 4);
    }

    #[test]
    fn conditions_read_as_sentences() {
        let cookie = MatchTerm {
            on: MatchOn::Cookie,
            name: "group".into(),
            op: MatchOp::Exact,
            value: "beta".into(),
        };
        let path = MatchTerm {
            on: MatchOn::Uri,
            op: MatchOp::Prefix,
            value: "/api".into(),
            ..MatchTerm::default()
        };
        assert_eq!(term_text(&cookie), "cookie group is beta");
        assert_eq!(term_text(&path), "path starts with /api");
        let there = MatchTerm { op: MatchOp::Present, value: String::new(), ..cookie };
        assert_eq!(term_text(&there), "cookie group is present");
    }

    #[test]
    fn a_draft_says_what_it_changes() {
        let applied = form();
        let mut draft = form();
        assert!(changes(&applied, &draft).is_empty());
        set_weight(&mut draft.rules[1].targets, 0, 80);
        draft.rules[1].mirror = Some(MirrorForm::default());
        draft.rules[0].matches.push(Vec::new());
        assert_eq!(changes(&applied, &draft), ["rule testers", "80 / 20", "mirror"]);
        assert!(changed(&applied, &draft, 1, control::SPLIT));
        assert!(!changed(&applied, &draft, 1, control::TIMEOUT));
        let mut swapped = form();
        move_rule(&mut swapped, 0, 1);
        assert_eq!(changes(&applied, &swapped), ["order of rules"]);
        draft.rules.truncate(1);
        assert!(changes(&applied, &draft).contains(&"rule default removed".to_owned()));
    }

    #[test]
    fn a_draft_that_renames_a_host_or_goes_elsewhere_says_so() {
        let applied = form();
        let mut draft = applied.clone();
        draft.rules[0].targets[0].host = "payment-service".into();
        assert_eq!(changes(&applied, &draft), ["host payment-service"]);
        draft.rules[0].targets = vec![target("v1", 0)];
        assert_eq!(changes(&applied, &draft), ["to v1 100%"]);
    }

    #[test]
    fn a_line_belongs_to_the_narrowest_control_that_sets_it() {
        let form = form();
        assert_eq!(control_of_line(&form, 27), Some("rule-1-split"));
        assert_eq!(control_of_line(&form, 40), Some("rule-1"));
        assert_eq!(control_of_line(&form, 1), None);
        assert!(sets(&form, "rule-1-split", 31) && !sets(&form, "rule-1-split", 32));
        assert_eq!(rule_of_control("rule-12-split"), Some(12));
        assert_eq!(rule_of_control(control::RATE_LIMIT), None);
    }
}
