//! The draft of one host: its text is the truth, the host of the page parses it.
//!
//! A control changes the form and the form is written into the text; typing changes the text and
//! the form follows. Answers that come after a newer change are dropped. What cannot be read while
//! the line is down is kept, the form beside the text, and read when it is back.

use crate::{
    ask, browser,
    frame::{ToastAction, Toasts, range::use_set_query, use_toasts},
    live::{Connection, use_live},
    model::{diff, route, share, undo::History},
    widget::Unread,
};
use contract::{
    ApiError,
    istio::{Finding, Severity},
    traffic::{
        Applied, ApplyYaml, ChangeTraffic, Draft, DryRun, FormEdit, PostedApply, RestoreRevision,
        RouteForm, RouteView,
    },
};
use leptos::{prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;
use std::{sync::Arc, time::Duration};

/// Pause after the last change before the text is read.
const SETTLE: Duration = Duration::from_millis(150);
/// Pause after the last answer before the draft is tried on recorded requests.
const SETTLE_DRY_RUN: Duration = Duration::from_millis(500);

/// Why nothing can be sent.
pub(super) const LOST: &str = "Disconnected: it could not be sent";

/// Where this tab keeps the draft of a host: the base's number, a line break, the text.
#[must_use]
pub(super) fn key(host: &str) -> String {
    format!("vitrine.draft.{host}")
}

/// Where it keeps what the controls changed and nobody has written into that text yet.
fn form_key(host: &str) -> String {
    format!("vitrine.draft-form.{host}")
}

/// Reads what is kept of a draft.
#[must_use]
pub(super) fn parse_kept(kept: &str) -> Option<(u64, &str)> {
    let (base, text) = kept.split_once('\n')?;
    Some((base.parse().ok()?, text))
}

fn is_lost(connection: &Connection) -> bool {
    matches!(connection, Connection::Lost { .. })
}

/// Place of a rule: that of the name, else the one that takes the rest, else the last.
fn place(form: &RouteForm, name: Option<&str>) -> usize {
    let named = name.and_then(|name| form.rules.iter().position(|rule| rule.name == name));
    let rest = || form.rules.iter().position(route::takes_all);
    named.or_else(rest).unwrap_or(form.rules.len().saturating_sub(1))
}

/// The draft of one host. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Editor {
    /// Short name of the service.
    pub(super) host: StoredValue<String>,
    /// What is in force, as last fetched.
    pub(super) view: RwSignal<Arc<RouteView>>,
    /// Revision and text the draft was made on.
    pub(super) base: RwSignal<(u64, String)>,
    /// The draft.
    pub(super) text: RwSignal<String>,
    /// Its controls; the last that could be read.
    pub(super) form: RwSignal<RouteForm>,
    /// The `VirtualService` they are of.
    pub(super) service: RwSignal<String>,
    /// What the last reading found.
    pub(super) findings: RwSignal<Vec<Finding>>,
    /// What was checked and holds.
    pub(super) passed: RwSignal<Vec<(String, Option<u32>)>>,
    /// What stands in fields and is no value.
    pub(super) typed: Unread,
    /// The text cannot be read: controls show the last valid form, greyed.
    pub(super) unread: RwSignal<bool>,
    /// A change has not been read yet.
    pub(super) pending: RwSignal<bool>,
    /// It could not be read: whoever reads is not there.
    pub(super) unchecked: RwSignal<bool>,
    /// An apply is under way.
    pub(super) applying: RwSignal<bool>,
    /// Another revision took force that touches this host.
    pub(super) conflict: RwSignal<bool>,
    /// Recorded requests under the draft.
    pub(super) dry_run: RwSignal<Option<DryRun>>,
    /// The revision somebody wants back although that also changes other hosts.
    pub(super) asked_back: RwSignal<Option<u64>>,
    /// The control that has the focus.
    pub(super) focus: RwSignal<Option<String>>,
    /// Lines in force that a part of the page is about which has the focus and is no control.
    pub(super) marked: RwSignal<Option<(u32, u32)>>,
    /// Place of the chosen rule: that of the address, else the one that takes the rest.
    pub(super) rule: Memo<usize>,
    /// Whether the text differs from its base, or the controls from what is in the text.
    pub(super) drafted: Memo<bool>,
    /// Revision in force.
    pub(super) number: Memo<u64>,
    /// Its controls.
    pub(super) applied: Memo<RouteForm>,
    connection: ReadSignal<Connection>,
    history: StoredValue<History>,
    /// The controls as they were read last: what differs from them is written into the text.
    read: StoredValue<RouteForm>,
    serial: StoredValue<u64>,
    toasts: Toasts,
}

impl Editor {
    /// The editor of what is in force, or of a text that a form has sent.
    pub(super) fn new(view: RouteView, posted: Option<&PostedApply>) -> Self {
        let query = use_query_map();
        let applied = view.applied.clone();
        let base = RwSignal::new((view.revision, applied.yaml.clone()));
        let sent = posted.filter(|posted| posted.applied.revision.is_none());
        let text = RwSignal::new(sent.map_or(applied.yaml, |posted| posted.yaml.clone()));
        let read = applied.form.unwrap_or_default();
        let findings =
            sent.map_or(applied.findings, |posted| posted.applied.report.findings.clone());
        let service = RwSignal::new(read.service.clone());
        let (form, read) = (RwSignal::new(read.clone()), StoredValue::new(read));
        let (host, view) = (StoredValue::new(view.host.clone()), RwSignal::new(Arc::new(view)));
        let editor = Self {
            host,
            view,
            base,
            text,
            form,
            service,
            findings: RwSignal::new(findings),
            passed: RwSignal::new(applied.passed),
            typed: Unread::default(),
            unread: RwSignal::new(false),
            pending: RwSignal::new(false),
            unchecked: RwSignal::new(false),
            applying: RwSignal::new(false),
            conflict: RwSignal::new(false),
            dry_run: RwSignal::new(None),
            asked_back: RwSignal::new(None),
            focus: RwSignal::new(None),
            marked: RwSignal::new(None),
            rule: Memo::new(move |_| {
                let name = query.with(|query| query.get("rule"));
                form.with(|form| place(form, name.as_deref()))
            }),
            drafted: Memo::new(move |_| {
                let moved = form.with(|form| read.with_value(|read| read != form));
                base.with(|(_, base)| text.with(|text| text != base)) || moved
            }),
            number: Memo::new(move |_| view.with(|view| view.revision)),
            applied: Memo::new(move |_| {
                let mut was = view.with(|view| view.applied.form.clone().unwrap_or_default());
                // Of a resource that is only in the draft nothing is in force.
                if form.with(|form| form.service != was.service) {
                    was.rules.clear();
                }
                was
            }),
            connection: use_live().connection(),
            history: StoredValue::new(History::default()),
            read,
            serial: StoredValue::new(0),
            toasts: use_toasts(),
        };
        Effect::new(move |_| editor.wake());
        Effect::new(move |before: Option<bool>| {
            let lost = editor.lost();
            if before == Some(true) && !lost && editor.pending.get_untracked() {
                editor.read_soon();
            }
            lost
        });
        // Fields show the chosen rule: what was typed for another is not for this one.
        Effect::new(move |_| {
            let _ = editor.rule.get();
            editor.typed.clear();
        });
        editor
    }

    /// What the draft changes, a few words each.
    pub(super) fn changes(self) -> Vec<String> {
        let changes = self.applied.with(|was| self.form.with(|form| route::changes(was, form)));
        if changes.is_empty() && self.drafted.get() { vec!["text".into()] } else { changes }
    }

    /// Whether a part of the chosen rule differs from what is in force.
    pub(super) fn changed(self, part: &'static str) -> Signal<bool> {
        Signal::derive(move || {
            let at = self.rule.get();
            self.applied.with(|was| self.form.with(|form| route::changed(was, form, at, part)))
        })
    }

    /// Whether something keeps the draft from being applied.
    pub(super) fn blocked(self) -> Option<&'static str> {
        let error = |found: &Vec<Finding>| found.iter().any(|f| f.severity == Severity::Error);
        if self.lost() {
            Some(LOST)
        } else if self.conflict.get() {
            Some("Another revision was applied: rebase or discard first")
        } else if self.typed.first().is_some() {
            Some("A field holds what cannot be read")
        } else if self.findings.with(error) {
            Some("Errors in Checks must be mended first")
        } else if self.unchecked.get() {
            Some("The draft is not checked yet: it could not be sent")
        } else if self.pending.get() {
            Some("The draft is being checked")
        } else {
            None
        }
    }

    /// Whether the line is down: editing goes on, and nothing can be sent.
    pub(super) fn lost(self) -> bool {
        self.connection.with(is_lost)
    }

    // --- changes ----------------------------------------------------------------------------

    /// Gives the controls to another `VirtualService`; what was changed at this one is written into
    /// the text first.
    pub(super) fn choose_service(self, title: String) {
        if self.service.with_untracked(|service| *service == title) {
            return;
        }
        self.record();
        self.service.set(title);
        self.read_soon();
        self.refetch();
    }

    /// A control changes the form.
    pub(super) fn edit(self, change: &mut dyn FnMut(&mut RouteForm)) {
        if self.unread.get_untracked() {
            return;
        }
        self.record();
        self.form.update(|form| change(form));
        self.keep();
        self.read_soon();
    }

    /// Somebody types.
    pub(super) fn type_text(self, text: String) {
        self.record();
        self.text.set(text);
        self.keep();
        self.read_soon();
    }

    /// One step back, or forward.
    pub(super) fn step(self, forward: bool) -> bool {
        let now = self.text.get_untracked();
        let text = self.history.try_update_value(|history| {
            if forward { history.redo(now) } else { history.undo(now) }
        });
        let Some(Some(text)) = text else { return false };
        // What the controls changed and nobody has read yet is what is taken back.
        self.typed.clear();
        self.form.set(self.read.get_value());
        self.text.set(text);
        self.keep();
        self.read_soon();
        true
    }

    /// Forgets the draft.
    pub(super) fn discard(self) {
        self.typed.clear();
        self.record();
        self.settle_on(&self.view.get_untracked());
    }

    /// Puts the draft's changes on what is in force now.
    pub(super) fn rebase(self) {
        let view = self.view.get_untracked();
        let (_, base) = self.base.get_untracked();
        let mine = self.text.get_untracked();
        let (text, conflicts) = diff::merge(&base, &mine, &view.applied.yaml);
        self.record();
        self.base.set((view.revision, view.applied.yaml.clone()));
        self.conflict.set(false);
        self.text.set(text);
        self.keep();
        self.read_soon();
        let text = match conflicts {
            0 => "Nothing overlapped.".into(),
            1 => "One overlapping change: yours was kept.".into(),
            n => format!("{n} overlapping changes: yours were kept."),
        };
        self.toasts.note(&format!("Rebased on r{}", view.revision), &text);
    }

    /// Remembers the text for undo: once for a burst of changes.
    fn record(self) {
        if !self.pending.get_untracked() {
            let before = self.text.get_untracked();
            self.history.update_value(|history| history.record(before));
        }
    }

    fn keep(self) {
        let (base, applied) = self.base.get_untracked();
        let text = self.text.get_untracked();
        let edit = self.unwritten();
        let kept = (text != applied || edit.is_some()).then(|| format!("{base}\n{text}"));
        let edit = edit.and_then(|edit| serde_json::to_string(&edit).ok());
        self.host.with_value(|host| {
            browser::keep(&key(host), kept.as_deref());
            browser::keep(&form_key(host), edit.as_deref());
        });
    }

    /// What the controls changed and is not in the text.
    fn unwritten(self) -> Option<FormEdit> {
        let (before, after) = (self.read.get_value(), self.form.get_untracked());
        (before != after).then_some(FormEdit { before, after })
    }

    fn is_latest(self, serial: u64) -> bool {
        self.serial.try_with_value(|latest| *latest == serial).unwrap_or(false)
    }

    /// Reads the text, with what the controls changed written into it, when nothing changes any
    /// more. Both may have changed since the last reading: neither overwrites the other.
    fn read_soon(self) {
        self.pending.set(true);
        self.unchecked.set(false);
        self.serial.update_value(|serial| *serial += 1);
        let serial = self.serial.get_value();
        set_timeout(move || self.read(serial), SETTLE);
    }

    fn read(self, serial: u64) {
        if !self.is_latest(serial) {
            return;
        }
        let (host, text) = (self.host.get_value(), self.text.get_untracked());
        let edit = self.unwritten();
        let service = self.service.get_untracked();
        spawn_local(async move {
            let answer = ask::draft(host, text, edit, service).await;
            if !self.is_latest(serial) {
                return;
            }
            match answer {
                Ok(draft) => {
                    self.pending.set(false);
                    self.accept(draft);
                    // Nothing was changed after all, so that nothing is in conflict.
                    if self.conflict.get_untracked() && !self.drafted.get_untracked() {
                        return self.settle_on(&self.view.get_untracked());
                    }
                    set_timeout(move || self.try_out(serial), SETTLE_DRY_RUN);
                }
                Err(error) => {
                    // It stays a draft, and is read when the line is back or with the next change.
                    self.unchecked.set(true);
                    if !self.connection.with_untracked(is_lost) {
                        self.toasts.failure("Draft not checked", &error.to_string());
                    }
                }
            }
        });
    }

    fn accept(self, draft: Draft) {
        if self.text.with_untracked(|text| *text != draft.yaml) {
            self.text.set(draft.yaml);
        }
        self.unread.set(draft.form.is_none());
        if let Some(form) = draft.form {
            self.read.set_value(form.clone());
            self.form.set(form);
        }
        self.findings.set(draft.findings);
        self.passed.set(draft.passed);
        self.keep();
    }

    /// Tries the draft on recorded requests.
    fn try_out(self, serial: u64) {
        if !self.is_latest(serial) || self.unread.get_untracked() {
            return;
        }
        let (host, text) = (self.host.get_value(), self.text.get_untracked());
        spawn_local(async move {
            let tried = ask::dry_run(host, text).await;
            if self.is_latest(serial) {
                self.dry_run.set(tried.ok());
            }
        });
    }

    // --- what is in force -------------------------------------------------------------------

    /// Copies a link to this page with the draft in it.
    pub(super) fn share(self) {
        let base = self.base.with_untracked(|base| base.0);
        match self.text.with_untracked(|text| share::fragment(base, text)) {
            Some(fragment) => {
                browser::copy(&format!("{}{fragment}", browser::address()));
                self.toasts.note("Link copied", "It holds the draft; nothing is applied by it.");
            }
            None => self
                .toasts
                .failure("No link", "The draft is too long for an address: copy its YAML instead."),
        }
    }

    /// In the browser: goes on with the draft of the link, or the one that this tab keeps.
    fn wake(self) {
        let host = self.host.get_value();
        let kept = || {
            let kept = browser::kept(&key(&host))?;
            let (base, text) = parse_kept(&kept)?;
            let edit = browser::kept(&form_key(&host));
            let edit = edit.and_then(|edit| serde_json::from_str::<FormEdit>(&edit).ok());
            Some((base, text.to_owned(), edit))
        };
        let linked = share::read(&browser::take_fragment());
        let linked = linked.map(|(base, text)| (base, text, None));
        let Some((base, text, edit)) = linked.or_else(kept) else {
            return;
        };
        let go_on = move |text: String| {
            if let Some(FormEdit { before, after }) = edit {
                self.service.set(after.service.clone());
                self.read.set_value(before);
                self.form.set(after);
            }
            self.text.set(text);
            self.read_soon();
        };
        let now = self.view.with_untracked(|view| view.revision);
        if base == now {
            return go_on(text);
        }
        spawn_local(async move {
            let Ok(applied) = ask::revision(host, base).await else { return };
            let theirs = self.view.with_untracked(|view| view.applied.yaml.clone());
            self.conflict.set(applied != theirs);
            self.base.set((if applied == theirs { now } else { base }, applied));
            go_on(text);
        });
    }

    fn settle_on(self, view: &RouteView) {
        let applied = view.applied.clone();
        self.serial.update_value(|serial| *serial += 1);
        self.base.set((view.revision, applied.yaml.clone()));
        self.conflict.set(false);
        self.pending.set(false);
        self.unchecked.set(false);
        self.dry_run.set(None);
        self.text.set(applied.yaml.clone());
        self.accept(applied);
    }

    /// Takes in what is in force now.
    fn take(self, view: RouteView) {
        let same = self.base.with_untracked(|(_, base)| *base == view.applied.yaml);
        // A control was moved and is not in the text yet: that is a draft, too.
        let drafted = self.drafted.get_untracked() || self.pending.get_untracked();
        let view = Arc::new(view);
        self.view.set(view.clone());
        if same {
            self.base.update(|base| base.0 = view.revision);
            if drafted {
                self.keep();
            }
        } else if drafted {
            self.conflict.set(true);
        } else {
            self.settle_on(&view);
        }
    }

    /// Fetches what is in force; the answer to a frame of the stream.
    pub(super) fn refetch(self) {
        let Some(host) = self.host.try_get_value() else { return };
        let service = self.service.get_untracked();
        spawn_local(async move {
            let fetched = ask::traffic(Some(host.clone()), Some(service.clone())).await;
            let here = self.host.try_get_value().is_some_and(|now| now == host)
                && self.service.try_get_untracked().is_some_and(|now| now == service);
            if let (true, Ok(Some(view))) = (here, fetched.map(|page| page.route)) {
                self.take(view);
            }
        });
    }

    /// Applies the draft.
    pub(super) fn apply(self) {
        if self.applying.get_untracked()
            || untrack(move || self.blocked().is_some() || !self.drafted.get())
        {
            return;
        }
        let command = ChangeTraffic::Apply(ApplyYaml {
            yaml: self.text.get_untracked(),
            base: Some(self.base.with_untracked(|base| base.0)),
            host: Some(self.host.get_value()),
            dry_run: false,
        });
        self.change(command);
    }

    /// Applies what is in force once more: its faults that are over begin anew.
    pub(super) fn apply_again(self) {
        if self.applying.get_untracked() || untrack(move || self.lost()) {
            return;
        }
        let (yaml, base) = self.view.with_untracked(|v| (v.applied.yaml.clone(), v.revision));
        let host = Some(self.host.get_value());
        self.change(ChangeTraffic::Apply(ApplyYaml {
            yaml,
            base: Some(base),
            host,
            dry_run: false,
        }));
    }

    /// Brings an old revision back.
    pub(super) fn restore(self, number: u64) {
        if self.applying.get_untracked() || untrack(move || self.lost()) {
            return;
        }
        self.asked_back.set(None);
        let base = Some(self.view.with_untracked(|view| view.revision));
        self.change(ChangeTraffic::Restore(RestoreRevision { number, base }));
    }

    fn change(self, command: ChangeTraffic) {
        self.applying.set(true);
        let mine = match &command {
            ChangeTraffic::Apply(apply) => Some(apply.yaml.clone()),
            ChangeTraffic::Restore(_) | ChangeTraffic::Delete(_) => None,
        };
        spawn_local(async move {
            let done = ask::change_traffic(command).await;
            // Somebody may have left for another page meanwhile.
            if self.applying.try_set(false).is_some() {
                return;
            }
            match done {
                Ok(Applied { revision: None, report, .. }) => {
                    self.toasts.failure("Not applied", "Nothing was changed; see Checks.");
                    self.findings.set(report.findings);
                }
                Ok(applied) => {
                    if let Some(text) = mine {
                        self.base.update(|base| base.1 = text);
                        self.keep();
                    }
                    self.dry_run.set(None);
                    let again = Callback::new(move |()| self.refetch());
                    tell(self.toasts, &applied, again);
                    self.refetch();
                }
                Err(error) => {
                    if matches!(error.0, ApiError::Conflict { .. }) {
                        self.refetch();
                    }
                    self.toasts.failure("Not applied", &error.to_string());
                }
            }
        });
    }

    /// Brings the control of a line into view and gives it the focus.
    pub(super) fn focus_line(self, line: u32, choose: Callback<String>) {
        let control = self.form.with_untracked(|form| {
            let control = route::control_of_line(form, line)?.to_owned();
            let rule = route::rule_of_control(&control);
            let name = rule.and_then(|at| form.rules.get(at)).map(|rule| rule.name.clone());
            Some((control, name))
        });
        let Some((control, name)) = control else { return };
        if let Some(name) = name {
            choose.run(name);
        }
        let part = control.splitn(3, '-').nth(2).map_or(control.as_str(), |part| part).to_owned();
        self.focus.set(Some(control));
        set_timeout(move || browser::focus(&format!("control-{part}")), Duration::ZERO);
    }
}

/// What a toast says of an apply: revision, and since which request it holds.
#[must_use]
pub(super) fn announced(applied: &Applied) -> (String, String) {
    let title = format!("r{} applied", applied.revision.unwrap_or_default());
    let since = applied.since_request.map(|request| format!(", since request #{request}"));
    (title, format!("In force at once{}", since.unwrap_or_default()))
}

/// Says that a revision is in force, with the way back to the one before.
pub(super) fn tell(toasts: Toasts, applied: &Applied, done: Callback<()>) {
    let (title, text) = announced(applied);
    let (Some(number), Some(base)) = (applied.before, applied.revision) else {
        return toasts.success(&title, &text, None);
    };
    let undo = move || {
        // Only while nobody else has applied something meanwhile.
        let restore = RestoreRevision { number, base: Some(base) };
        spawn_local(async move {
            match ask::change_traffic(ChangeTraffic::Restore(restore)).await {
                Ok(applied) => {
                    let (title, text) = announced(&applied);
                    toasts.success(&title, &format!("{text}: r{number} is back"), None);
                    done.try_run(());
                }
                Err(error) => toasts.failure("Not undone", &error.to_string()),
            }
        });
    };
    toasts.done(&title, &text, ToastAction { label: "Undo", run: Arc::new(undo) });
}

/// Puts the chosen rule into the address.
pub(super) fn use_choose_rule() -> Callback<String> {
    let set = use_set_query();
    Callback::new(move |name: String| {
        set.run(vec![("rule", Some(super::encoded(&name)))]);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_draft_is_its_base_and_its_text() {
        assert_eq!(parse_kept("17\nkind: A\nb: 1\n"), Some((17, "kind: A\nb: 1\n")));
        assert_eq!((parse_kept("17"), parse_kept("x\ny")), (None, None));
    }

    #[test]
    fn a_toast_says_since_which_request() {
        let applied =
            Applied { revision: Some(18), since_request: Some(4_711), ..Applied::default() };
        let (title, text) = announced(&applied);
        assert_eq!(title, "r18 applied");
        assert_eq!(text, "In force at once, since request #4711");
    }
}
