//! Fields of forms: a number with its unit, a switch, a choice, a slider. Each tells its new value
//! as text, so that one function serves every form.

use leptos::prelude::*;

/// What stands in the fields of a form while it is typed or cannot be read. Cheap to copy.
///
/// A text that cannot be read is never passed on and never replaced: it stays, with the reason.
#[derive(Clone, Copy)]
pub struct Unread(RwSignal<Vec<Typed>>);

#[derive(Clone)]
struct Typed {
    field: &'static str,
    text: String,
    /// Empty when it can be read.
    why: String,
}

impl Default for Unread {
    fn default() -> Self {
        Self(RwSignal::new(Vec::new()))
    }
}

impl Unread {
    /// Something stands in a field.
    pub fn note(self, field: &'static str, text: &str, read: Result<(), String>) {
        let typed = Typed { field, text: text.to_owned(), why: read.err().unwrap_or_default() };
        self.0.update(|all| {
            all.retain(|other| other.field != field);
            all.push(typed);
        });
    }

    /// The field shows its value again.
    pub fn forget(self, field: &'static str) {
        if self.0.with_untracked(|all| all.iter().any(|typed| typed.field == field)) {
            self.0.update(|all| all.retain(|typed| typed.field != field));
        }
    }

    /// All fields show their values again.
    pub fn clear(self) {
        if !self.0.with_untracked(Vec::is_empty) {
            self.0.set(Vec::new());
        }
    }

    /// Why a text cannot be read, of the first field whose text cannot.
    #[must_use]
    pub fn first(self) -> Option<String> {
        self.0.with(|all| {
            all.iter().find(|typed| !typed.why.is_empty()).map(|typed| typed.why.clone())
        })
    }

    fn of(self, field: &'static str) -> Option<Typed> {
        self.0.with(|all| all.iter().find(|typed| typed.field == field).cloned())
    }
}

/// What a field is and does.
pub struct Field {
    /// Its accessible name, and its visible one if it has none beside it.
    pub label: &'static str,
    /// Name in the form that is posted without JavaScript.
    pub name: &'static str,
    /// Its value.
    pub value: Signal<String>,
    /// It differs from what is in force.
    pub changed: Signal<bool>,
    /// Why the value cannot be taken; empty when it can.
    pub wrong: Signal<String>,
    /// Called with the new value.
    pub on: Callback<String>,
    /// Called with what stands in the field after every key.
    pub typing: Option<Callback<String>>,
}

impl Field {
    /// A field that is never wrong and compared with nothing.
    #[must_use]
    pub fn plain(
        label: &'static str,
        name: &'static str,
        value: Signal<String>,
        on: Callback<String>,
    ) -> Self {
        Self {
            label,
            name,
            value,
            on,
            changed: Signal::stored(false),
            wrong: Signal::stored(String::new()),
            typing: None,
        }
    }

    /// The same, whose text must be readable: what `read` refuses stays in the field with the
    /// reason, shown while it is typed, and is not passed on.
    #[must_use]
    pub fn readable(self, unread: Unread, read: Callback<String, Result<(), String>>) -> Self {
        let Self { name, value, wrong, on, .. } = self;
        let told = move |text: &str| unread.note(name, text, read.run(text.to_owned()));
        Self {
            value: Signal::derive(move || {
                unread.of(name).map_or_else(|| value.get(), |typed| typed.text)
            }),
            wrong: Signal::derive(move || {
                let why = unread.of(name).map(|typed| typed.why);
                why.unwrap_or_else(|| wrong.get())
            }),
            typing: Some(Callback::new(move |text: String| told(&text))),
            on: Callback::new(move |text: String| match read.run(text.clone()) {
                Ok(()) => {
                    on.run(text);
                    unread.forget(name);
                }
                Err(why) => unread.note(name, &text, Err(why)),
            }),
            ..self
        }
    }

    fn class(&self, base: &'static str) -> impl Fn() -> String + Send + Sync + 'static {
        let (changed, wrong) = (self.changed, self.wrong);
        move || {
            let changed = if changed.get() { " changed" } else { "" };
            let wrong = if wrong.with(String::is_empty) { "" } else { " wrong" };
            format!("{base}{changed}{wrong}")
        }
    }

    fn message(&self) -> impl IntoView + use<> {
        let wrong = self.wrong;
        move || {
            let text = wrong.get();
            (!text.is_empty())
                .then(|| view! { <small class="wrong-text" role="alert">{text}</small> })
        }
    }
}

/// A number with its unit inside the field.
pub fn number(field: Field, unit: &'static str) -> AnyView {
    let (class, message, on, value) =
        (field.class("field-number"), field.message(), field.on, field.value);
    let (wrong, typing) = (field.wrong, field.typing);
    let invalid = move || (!wrong.with(String::is_empty)).then_some("true");
    let typed = move |event| {
        if let Some(typing) = typing {
            typing.run(event_target_value(&event));
        }
    };
    view! {
        <span class=class>
            <input
                type="text" inputmode="decimal" autocomplete="off" name=field.name
                aria-label=field.label aria-invalid=invalid
                value=value.get_untracked() prop:value=move || value.get()
                on:input=typed on:change=move |event| on.run(event_target_value(&event))
            />
            {(!unit.is_empty()).then(|| view! { <i aria-hidden="true">{unit}</i> })}
            {message}
        </span>
    }
    .into_any()
}

/// A line of text.
pub fn text(field: Field, placeholder: &'static str) -> AnyView {
    let (class, message, on, value) =
        (field.class("field-text"), field.message(), field.on, field.value);
    view! {
        <span class=class>
            <input
                type="text" autocomplete="off" spellcheck="false" name=field.name
                aria-label=field.label placeholder=placeholder
                value=value.get_untracked() prop:value=move || value.get()
                on:change=move |event| on.run(event_target_value(&event))
            />
            {message}
        </span>
    }
    .into_any()
}

/// A slider from `low` to `high`.
pub fn slider(field: Field, low: u32, high: u32) -> AnyView {
    let (on, value) = (field.on, field.value);
    view! {
        <input
            type="range" min=low.to_string() max=high.to_string() step="1" aria-label=field.label
            value=value.get_untracked() prop:value=move || value.get()
            on:input=move |event| on.run(event_target_value(&event))
        />
    }
    .into_any()
}

/// Value and text of each choice.
pub type Options = Vec<(String, String)>;

/// One of several.
pub fn select(field: Field, options: Signal<Options>) -> AnyView {
    let (class, on, value) = (field.class("field-choice"), field.on, field.value);
    view! {
        <span class=class>
            <select
                name=field.name aria-label=field.label prop:value=move || value.get()
                on:change=move |event| on.run(event_target_value(&event))
            >
                {move || {
                    let now = value.get_untracked();
                    options
                        .get()
                        .into_iter()
                        .map(|(value, text)| {
                            let chosen = value == now;
                            view! { <option value=value selected=chosen>{text}</option> }
                        })
                        .collect_view()
                }}
            </select>
        </span>
    }
    .into_any()
}

/// On or off.
pub fn switch(label: &'static str, on: Signal<bool>, set: Callback<bool>) -> AnyView {
    view! {
        <input
            class="switch-box" type="checkbox" role="switch" aria-label=label
            checked=on.get_untracked() prop:checked=move || on.get()
            on:change=move |event| set.run(event_target_checked(&event))
        />
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_read_stays_with_its_reason_and_is_not_passed_on() {
        let owner = Owner::new();
        owner.with(|| {
            let (unread, taken) = (Unread::default(), RwSignal::new("2".to_owned()));
            let on = Callback::new(move |text: String| taken.set(text));
            let read = Callback::new(|text: String| match text.parse::<u32>() {
                Ok(_) => Ok(()),
                Err(_) => Err("It is a number.".to_owned()),
            });
            let field = Field::plain("N", "n", taken.into(), on).readable(unread, read);
            let typing = field.typing.unwrap();
            let shown = || (field.value.get_untracked(), field.wrong.get_untracked());
            typing.run("-4".into());
            assert_eq!(shown(), ("-4".into(), "It is a number.".into()), "while it is typed");
            field.on.run("-4".into());
            assert_eq!(shown(), ("-4".into(), "It is a number.".into()));
            assert_eq!(taken.get_untracked(), "2");
            assert_eq!(untrack(|| unread.first()), Some("It is a number.".into()));
            typing.run("7".into());
            assert_eq!((shown().1.as_str(), untrack(|| unread.first())), ("", None));
            field.on.run("7".into());
            assert_eq!((shown().0.as_str(), taken.get_untracked().as_str()), ("7", "7"));
        });
    }
}
